"""One set of weights for a range of SNRs and several bandwidths: what is sent is a prefix of the symbols.

Both ends know the SNR and how many symbols there are, and scale and shift their hidden units by it (FiLM: Perez et
al., 2018; of joint source-channel coding: Xu et al., 2022).
"""

from collections.abc import Sequence

import torch
from torch import nn

from lib.channel import AWGN
from lib.recipe.any_point_parameters import HIDDEN


class Conditioned(nn.Module):
    """Two layers whose hidden units are scaled and shifted by the point: [N, inputs] to [N, outputs].

    A point is [N, 2]: the SNR in tens of dB, and the logarithm to base 2 of the share of the symbols that is sent.
    """

    def __init__(self, inputs: int, outputs: int, hidden: int = HIDDEN):
        super().__init__()
        self.first, self.second = nn.Linear(inputs, hidden), nn.Linear(hidden, outputs)
        self.activation = nn.PReLU(hidden)
        self.film = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 2 * hidden))
        # Neither scaled nor shifted at the start.
        nn.init.zeros_(self.film[-1].weight)
        nn.init.zeros_(self.film[-1].bias)

    def forward(self, x: torch.Tensor, point: torch.Tensor) -> torch.Tensor:
        scale, shift = self.film(point).chunk(2, 1)
        return self.second(self.activation(self.first(x) * (1 + scale) + shift))


def prefix(count: torch.Tensor, most: int) -> torch.Tensor:
    """Which of `most` symbols are the first count[n] of image n: bool [N, most]."""
    return torch.arange(most, device=count.device) < count[:, None]


def sent(symbols: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """The first count[n] of each image's symbols [N, B] at unit mean power, zeros behind them.

    What is not sent costs no power, so that the mean is over what is.
    """
    kept = symbols * prefix(count, symbols.shape[1])
    # An encoder that gives zeros alone has no power to normalise.
    power = kept.square().sum(1, keepdim=True).clamp_min(1e-12) / count[:, None]
    return kept / power.sqrt()


class AnyPointLink(nn.Module):
    """Features [N, C, 1, 1] to features again, over AWGN, at any SNR of a range and any of these bandwidths.

    In training each image has an SNR of its own, evenly from `snr_range`, and one of the bandwidths. In evaluation
    all have those of `channel.snr_db` and `bandwidth`.
    """

    def __init__(self, channels: int, bandwidths: Sequence[int], snr_range: Sequence[float], hidden: int = HIDDEN):
        super().__init__()
        self.bandwidths, self.snr_range = sorted(bandwidths), tuple(snr_range)
        self.bandwidth = self.bandwidths[-1]
        self.channel = AWGN(self.snr_range[-1])
        self.encoder = Conditioned(channels, self.bandwidth, hidden)
        self.decoder = Conditioned(self.bandwidth, channels, hidden)
        self.activation = nn.ReLU()  # features are what a ReLU gives

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        snr_db, count = self._points(features)
        share = (count / self.bandwidths[-1]).log2()
        point = torch.stack([snr_db / 10, share], 1)
        symbols = sent(self.encoder(features.flatten(1), point), count)
        # The receiver knows how many symbols there are, and takes nothing from behind them.
        noise = torch.randn_like(symbols) * prefix(count, symbols.shape[1])
        received = symbols + 10 ** (-snr_db[:, None] / 20) * noise
        return self.activation(self.decoder(received, point))[:, :, None, None]

    def _points(self, features):
        """(SNR in dB [N], symbols [N]) of a batch."""
        whole = features.new_ones(len(features))
        if not self.training:
            return whole * self.channel.snr_db, whole * self.bandwidth
        least, most = self.snr_range
        chosen = torch.randint(len(self.bandwidths), (len(features),), device=features.device)
        return least + (most - least) * torch.rand_like(whole), torch.tensor(
            self.bandwidths, dtype=features.dtype, device=features.device)[chosen]

