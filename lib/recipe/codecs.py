"""Links for the split after pooling 5 whose encoder begins with the answer of a classifier on the device."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from lib import codec
from lib.schemes import label

HIDDEN = 256


class Posterior(nn.Module):
    """The device's own classifier: features [N, C, 1, 1] to probabilities [N, classes]. It is not trained further."""

    def __init__(self, classifier: nn.Module, sharpness: float = 1.0):
        super().__init__()
        self.classifier = copy.deepcopy(classifier).requires_grad_(False)
        # Learnt; as a logarithm, so that it stays positive.
        self.sharpness = nn.Parameter(torch.tensor(float(sharpness)).log())

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return F.softmax(self.classifier(features).float() * self.sharpness.exp(), 1)


def _perceptron(inputs: int, outputs: int, zero: bool = False) -> nn.Sequential:
    """Two layers; with `zero` the second begins as nothing, so that what it is added to is the start."""
    layers = nn.Sequential(nn.Linear(inputs, HIDDEN), nn.PReLU(HIDDEN), nn.Linear(HIDDEN, outputs))
    if zero:
        nn.init.zeros_(layers[-1].weight)
        nn.init.zeros_(layers[-1].bias)
    return layers


class _Map(nn.Module):
    """Symbols as the map [N, B, 1, 1] that the channel and the decoder take."""

    def forward(self, symbols: torch.Tensor) -> torch.Tensor:
        return symbols[:, :, None, None]


class WordEncoder(nn.Module):
    """Probabilities to the mean of their words, and a correction that is learnt: [N, C, 1, 1] to [N, B, 1, 1].

    It begins as the label code: `sharpness` makes the probabilities nearly those of one class. An image of which the
    device is not sure is then sent between two words, and that can be trained.
    """

    def __init__(self, classifier: nn.Module, words: torch.Tensor, sharpness: float = 4.0):
        super().__init__()
        self.posterior = Posterior(classifier, sharpness)
        self.words = nn.Parameter(words.clone())
        self.correction = _perceptron(len(words), words.shape[1], zero=True)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        probabilities = self.posterior(features)
        return (probabilities @ self.words + self.correction(probabilities))[:, :, None, None]


class WordDecoder(nn.Module):
    """Received symbols to the logits of a receiver that knows the words and the noise, and a correction: [N, classes].

    Begins as the maximum-likelihood decoder of the label code: −‖y − w‖² / (2 σ²).
    """

    def __init__(self, words: torch.Tensor, snr_db: float):
        super().__init__()
        self.words = nn.Parameter(words.clone())
        self.log_scale = nn.Parameter(torch.tensor(10 ** (snr_db / 10) / 2).log())
        self.correction = _perceptron(words.shape[1], len(words), zero=True)

    def forward(self, received: torch.Tensor) -> torch.Tensor:
        received = received.flatten(1).float()
        distances = (received[:, None] - self.words).square().sum(2)
        return self.correction(received) - self.log_scale.exp() * distances


def build(start: str, classifier: nn.Module, channels: int, classes: int, bandwidth: int,
          snr_db: float) -> tuple[codec.Link, nn.Module]:
    """(link, edge half) for features [N, channels, 1, 1] after pooling 5; `classifier` is the whole network's.

    `features`: the paper's codec. `logits`: an encoder of the device classifier's probabilities, the paper's decoder.
    `words`: both ends begin as the label code, and the edge half has nothing left to do.
    """
    if start == "words":
        words = torch.from_numpy(label.spherical_code(classes, bandwidth)).float()
        return codec.Link(WordEncoder(classifier, words), WordDecoder(words, snr_db), snr_db), nn.Identity()
    link = codec.link(5, channels, bandwidth, snr_db)
    if start == "logits":
        link.encoder = nn.Sequential(Posterior(classifier), _perceptron(classes, bandwidth), _Map())
    return link, copy.deepcopy(classifier)
