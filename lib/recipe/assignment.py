"""Which class gets which word of a label code: classes that the network confuses become neighbours.

Where the channel makes a receiver err, it takes a neighbour of the word that was sent. If that is the class that the
network would have said next, the error is right now and then. Nothing is trained for it, and nothing more is sent.
"""

import numpy as np
import torch

DRAWS = 4000  # of the noise, for each word
RESTARTS = 64


def confusions(targets: torch.Tensor) -> np.ndarray:
    """How often the network says class i of an image of class j: shares [classes, classes] of `teacher_targets`."""
    classes = targets.shape[1] - 1
    pairs = targets[:, 1:].argmax(1) * classes + targets[:, 0].long()
    return (torch.bincount(pairs, minlength=classes**2).double() / len(targets)).view(classes, classes).numpy()


def transitions(words: torch.Tensor, snr_db: float) -> np.ndarray:
    """How often word j is the nearest to what is received of word i: shares [words, words], by drawing noise."""
    generator = torch.Generator().manual_seed(0)
    rows = []
    for word in words:
        received = word + 10 ** (-snr_db / 20) * torch.randn(DRAWS, words.shape[1], generator=generator)
        # The words have one norm, so that the nearest is that of the greatest product.
        nearest = (received @ words.T).argmax(1)
        rows.append(torch.bincount(nearest, minlength=len(words)).double() / DRAWS)
    return torch.stack(rows).numpy()


def assign(confused: np.ndarray, received: np.ndarray) -> np.ndarray:
    """The word of each class, int [classes]: Σ confused[i, j] · received[word i, word j] is large.

    A quadratic assignment: from random starts, two classes change words as long as any exchange raises the sum. The
    best of what the starts come to, the same at every call.
    """
    confused, received = confused + confused.T, received + received.T
    for matrix in (confused, received):
        np.fill_diagonal(matrix, 0)  # a class's own word is right whichever it is
    generator = np.random.default_rng(0)
    found = [_climbed(generator.permutation(len(confused)), confused, received) for _ in range(RESTARTS)]
    return max(found, key=lambda words: (confused * received[np.ix_(words, words)]).sum())


def _climbed(words, confused, received):
    improved = True
    while improved:
        improved = False
        for first in range(len(words)):
            # The gain of an exchange with every other class at once.
            near = received[np.ix_(words, words)]
            gains = ((confused[first] - confused) * (near - near[first])).sum(1)
            # The terms of the pair itself, which an exchange leaves as they are, do not belong to the sum.
            gains -= (confused[first, first] - confused[:, first]) * (near[:, first] - near[first, first])
            gains -= (confused[first] - np.diag(confused)) * (np.diag(near) - near[first])
            second = gains.argmax()
            if gains[second] > 1e-12:
                words[[first, second]] = words[[second, first]]
                improved = True
    return words
