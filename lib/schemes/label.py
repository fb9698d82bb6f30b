"""The label code: the device classifies, and sends the class: a fixed point on a sphere for each.

Nothing in it is trained for the channel. All that the task needs of an image is its class, log2(classes) bits, so this
is the opponent of every scheme that sends features to be classified.
"""

import math

import numpy as np
import torch
from torch import nn

from lib import InputError
from lib.channel import AWGN

STARTS = 4  # random codes to begin with; the best of what becomes of them is taken
ROUNDS, STEPS = 10, 150  # of the repulsion: it grows steeper round by round
SEED = 0  # both ends know the code, which is none of a study's random choices


def spherical_code(words: int, symbols: int) -> np.ndarray:
    """Code words of unit mean power that lie far apart: float64 [words, symbols], rows of norm √symbols.

    Random points repel each other with exp(−s·d²), d their distance: as s grows, only the closest pairs count, and
    their distance is what decides errors on a good channel. The same words whenever it is called.
    Raises InputError for fewer than two words or symbols: one real symbol carries two points of equal power.
    """
    if words < 2 or symbols < 2:
        raise InputError(f"A spherical code has at least 2 words of 2 symbols, not {words} of {symbols}.")
    generator = np.random.default_rng(SEED)
    codes = [_repelled(generator.standard_normal((words, symbols))) for _ in range(STARTS)]
    return max(codes, key=minimum_distance) * math.sqrt(symbols)


def _repelled(points: np.ndarray) -> np.ndarray:
    """Points on the unit sphere, moved apart."""
    points = _on_sphere(points)
    steepness, pull = 4.0, 0.1
    for _ in range(ROUNDS):
        for step in range(STEPS):
            squares = _squared_distances(points)
            weights = np.exp(steepness * (squares.min() - squares))  # the closest pair has weight 1
            forces = weights.sum(1, keepdims=True) * points - weights @ points
            # No point moves further than `pull`, which ends at nothing: a round then starts from rest.
            forces /= np.linalg.norm(forces, axis=1).max()
            points = _on_sphere(points + pull * (1 - step / STEPS) * forces)
        steepness, pull = 2 * steepness, pull / 1.7
    return points


def _on_sphere(points):
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def _squared_distances(points):
    """[words, words] of rows of equal norm; infinite on the diagonal."""
    squares = 2 * (np.square(points[0]).sum() - points @ points.T)
    np.fill_diagonal(squares, np.inf)
    return squares


def minimum_distance(code: np.ndarray) -> float:
    """Between the two closest words [words, symbols] of equal norm."""
    return math.sqrt(_squared_distances(code).min())


class LabelCode(nn.Module):
    """A spherical code for the classes, over our channel; the receiver takes the nearest word."""

    def __init__(self, classes: int, symbols: int, snr_db: float):
        super().__init__()
        self.channel = AWGN(snr_db)
        self.register_buffer("words", torch.from_numpy(spherical_code(classes, symbols)).float())

    def encode(self, logits: torch.Tensor) -> torch.Tensor:
        """The word of each image's most likely class: logits [N, classes] to channel symbols [N, symbols]."""
        return self.words[logits.argmax(1)]

    def decode(self, received: torch.Tensor) -> torch.Tensor:
        """Logits [N, classes] of received symbols: minus the squared distance to each word."""
        # Not as a product, which an engine may round to bfloat16.
        return -(received.float()[:, None] - self.words).square().sum(2)

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        """The device's logits to those of the receiver, [N, classes]."""
        return self.decode(self.channel(self.encode(logits)))
