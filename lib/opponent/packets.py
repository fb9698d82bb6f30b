"""A packet for real: 5G LDPC with QAM over AWGN, by Sionna, and how often it is lost.

An optional extra: `sionna` is imported when it is used (requirements-channels.txt).
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import torch

from lib.channel import capacity
from lib.channels.optional import optional

BATCH = 1000


@dataclass(frozen=True)
class Format:
    """`bits` of a packet in `symbols` real symbols, pairs of them points of a constellation of 2^`order` points."""

    bits: int
    symbols: int
    order: int

    @property
    def coded(self) -> int:
        """Bits on the channel."""
        return self.symbols // 2 * self.order


class Modem:
    """Encoder, mapper, channel, demapper and decoder of a format; `iterations` of belief propagation."""

    def __init__(self, form: Format, iterations: int = 20):
        self.form = form
        ldpc, mapping = optional("sionna.phy.fec.ldpc"), optional("sionna.phy.mapping")
        self.encoder: Any = ldpc.LDPC5GEncoder(form.bits, form.coded, num_bits_per_symbol=form.order, device="cpu")
        self.decoder: Any = ldpc.LDPC5GDecoder(self.encoder, num_iter=iterations, device="cpu")
        self.mapper: Any = mapping.Mapper("qam", form.order, device="cpu")
        self.demapper: Any = mapping.Demapper("app", "qam", form.order, device="cpu")

    @torch.no_grad()
    def arrives(self, bits: torch.Tensor, snr_db: float, generator: torch.Generator) -> torch.Tensor:
        """Which packets of float bits [N, form.bits] come back whole: bool [N].

        Sionna's points have unit energy, so that the noise of an SNR on real symbols (unit power each, or two a point)
        is σ²/2 a real dimension here.
        """
        found = []
        variance = 10 ** (-snr_db / 10)  # N0, of a complex symbol of unit energy
        for part in bits.split(BATCH):
            sent = self.mapper(self.encoder(part))
            noise = torch.randn(*sent.shape, 2, generator=generator) * (variance / 2) ** 0.5
            received = sent + torch.view_as_complex(noise)
            decoded = self.decoder(self.demapper(received, torch.tensor(variance)))
            found.append((decoded == part).all(1))
        return torch.cat(found)


def capacity_snr_db(form: Format) -> float:
    """The SNR at which AWGN's capacity is what the format sends."""
    return 10 * math.log10(4 ** (form.bits / form.symbols) - 1)


def normal_approximation(form: Format, snr_db: float) -> float:
    """The least block error rate of any code of that length, nearly (Polyanskiy, Poor, Verdú, 2010, Eq. 296).

    ε = Q((n·C − k + ½·log2 n) / √(n·V)) of the real AWGN channel, as in lib.schemes.rates.
    """
    power, n = 10 ** (snr_db / 10), form.symbols
    dispersion = power * (power + 2) / (2 * (power + 1) ** 2) * math.log2(math.e) ** 2
    margin = (n * capacity(snr_db) - form.bits + math.log2(n) / 2) / math.sqrt(n * dispersion)
    return NormalDist().cdf(-margin)
