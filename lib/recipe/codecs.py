"""Links for the split after pooling 5 whose encoder begins with the answer of a classifier on the device."""

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn

from lib import codec
from lib.channel import normalize_power
from lib.recipe import assignment
from lib.schemes import label

HIDDEN = 256


class Posterior(nn.Module):
    """The device's own classifier: features [N, C, 1, 1] to probabilities [N, classes]. It is not trained further."""

    def __init__(self, classifier: nn.Module, sharpness: float = 1.0):
        super().__init__()
        self.classifier = copy.deepcopy(classifier).requires_grad_(False)
        # Both learnt, as logarithms, so that the sharpness stays positive.
        self.sharpness = nn.Parameter(torch.tensor(float(sharpness)).log())
        self.by_snr = nn.Parameter(torch.zeros(()))

    def forward(self, features: torch.Tensor, tens: torch.Tensor | float = 0.0) -> torch.Tensor:
        """`tens` is the SNR [N, 1] in tens of dB, where the device knows it."""
        return F.softmax(self.classifier(features).float() * (self.sharpness + self.by_snr * tens).exp(), 1)


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
    device is not sure is then sent between two words, and that can be trained. With `knows_snr`, forward takes the
    SNR [N] in dB.
    """

    def __init__(self, classifier: nn.Module, words: torch.Tensor, sharpness: float = 4.0, knows_snr: bool = False):
        super().__init__()
        self.knows_snr = knows_snr
        self.posterior = Posterior(classifier, sharpness)
        self.words = nn.Parameter(words.clone())
        self.correction = _perceptron(len(words) + knows_snr, words.shape[1], zero=True)

    def forward(self, features: torch.Tensor, snr_db: torch.Tensor | None = None) -> torch.Tensor:
        tens = _tens(features, snr_db) if self.knows_snr else features.new_zeros(len(features), 0)
        probabilities = self.posterior(features, tens if self.knows_snr else 0.0)
        correction = self.correction(torch.cat([probabilities, tens], 1))
        return (probabilities @ self.words + correction)[:, :, None, None]


class WordDecoder(nn.Module):
    """Received symbols to the logits of a receiver that knows the words and the noise, and a correction: [N, classes].

    Begins as the maximum-likelihood decoder of the label code: −‖y − w‖² / (2 σ²). With `knows_snr`, forward takes
    the SNR [N] in dB, else it is `snr_db` always.
    """

    def __init__(self, words: torch.Tensor, snr_db: float, knows_snr: bool = False):
        super().__init__()
        self.knows_snr, self.snr_db = knows_snr, snr_db
        self.words = nn.Parameter(words.clone())
        self.log_scale = nn.Parameter(torch.zeros(()))  # of what the noise alone asks for
        self.correction = _perceptron(words.shape[1] + knows_snr, len(words), zero=True)

    def forward(self, received: torch.Tensor, snr_db: torch.Tensor | None = None) -> torch.Tensor:
        received = received.flatten(1).float()
        known = received.new_full((len(received),), self.snr_db) if snr_db is None else snr_db
        likelihood = 10 ** (known[:, None] / 10) / 2 * self.log_scale.exp()
        distances = (received[:, None] - self.words).square().sum(2)
        tens = _tens(received, known) if self.knows_snr else received.new_zeros(len(received), 0)
        return self.correction(torch.cat([received, tens], 1)) - likelihood * distances


def _tens(batch: torch.Tensor, snr_db: torch.Tensor | None) -> torch.Tensor:
    """The SNR [N] in dB as one more input [N, 1] of about unit size; 0 dB where none is given."""
    return batch.new_zeros(len(batch), 1) if snr_db is None else snr_db[:, None] / 10


class AnySNRLink(codec.Link):
    """A link both of whose ends know the SNR: one model for all of a range, trained at a random one for each image."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, snr_db: float, snr_range: list[float]):
        super().__init__(encoder, decoder, snr_db)
        self.least, self.most = snr_range

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        snr_db = features.new_full((len(features),), self.channel.snr_db)
        if self.training:
            snr_db = self.least + (self.most - self.least) * torch.rand_like(snr_db)
        sent = normalize_power(self.encoder(features, snr_db))
        received = sent + 10 ** (-snr_db[:, None, None, None] / 20) * torch.randn_like(sent)
        return self.decoder(received, snr_db)


def build(start: str, classifier: nn.Module, shape: tuple[int, int, int], classes: int, bandwidth: int, snr_db: float,
          snr_range: list[float], targets: torch.Tensor | None = None, pool: int = 5) -> tuple[codec.Link, nn.Module]:
    """(link, edge half) for features [N, *shape] after a pooling; `classifier` is what the network has behind it.

    `features`: the paper's codec. `perceptron`: an encoder of two layers in the place of its one. `logits`: one of the
    device classifier's probabilities, likewise. `words`: both ends begin as the label code, and the edge half has
    nothing left to do; with a range of SNRs (least, most) they know the SNR and serve all of it. With `targets` (of
    `training.teacher_targets`) confused classes get neighbouring words.
    """
    if start == "words":
        words = torch.from_numpy(label.spherical_code(classes, bandwidth)).float()
        if targets is not None:
            confused = assignment.confusions(targets)
            words = words[assignment.assign(confused, assignment.transitions(words, snr_db))]
        encoder = WordEncoder(classifier, words, knows_snr=bool(snr_range))
        decoder = WordDecoder(words, snr_db, knows_snr=bool(snr_range))
        link = AnySNRLink(encoder, decoder, snr_db, snr_range) if snr_range else codec.Link(encoder, decoder, snr_db)
        return link, nn.Identity()
    link = codec.link(pool, shape[0], bandwidth, snr_db)
    if start == "perceptron":
        link.encoder = nn.Sequential(nn.Flatten(), _perceptron(math.prod(shape), bandwidth), _Map())
    if start == "logits":
        link.encoder = nn.Sequential(Posterior(classifier), _perceptron(classes, bandwidth), _Map())
    return link, copy.deepcopy(classifier)
