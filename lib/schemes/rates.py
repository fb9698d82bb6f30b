"""How many channel symbols a digital scheme's bits take: at capacity (Sec. II-A), or at finite block length."""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from lib.channel import capacity


def rate(snr_db: float, blocklength: ArrayLike | None = None, error: float = 1e-3) -> ArrayLike:
    """Bits per real symbol: capacity, or what `blocklength` symbols carry with a block error rate `error`.

    `blocklength` is a number or an array, and the result has its shape. The normal approximation for the real
    AWGN channel, C − √(V/n)·Q⁻¹(ε) + log2(n)/(2n), kept between 0 and C (Polyanskiy, Poor, Verdú, 2010).
    """
    ceiling = capacity(snr_db)
    if blocklength is None:
        return ceiling
    # At least one symbol: a message without bits would divide by zero.
    n, power = np.maximum(np.asarray(blocklength, float), 1), 10 ** (snr_db / 10)
    # V of the real AWGN channel, in bits²: half of the complex one's.
    dispersion = power * (power + 2) / (2 * (power + 1) ** 2) * math.log2(math.e) ** 2
    back_off = np.sqrt(dispersion / n) * NormalDist().inv_cdf(1 - error)
    # Very short blocks would get a negative rate, or one beyond capacity, where the approximation
    # ends.
    return np.clip(ceiling - back_off + np.log2(n) / (2 * n), 0, ceiling)


def symbols_for_bits(bits: ArrayLike, snr_db: float, blocklength_aware: bool = False,
                     error: float = 1e-3) -> np.ndarray:
    """The fewest real symbols that carry `bits` (a number or an array, of bits an image): int64, that shape.

    By bisection when the block's length counts; n·rate(n) grows with n wherever it is positive above −13 dB.
    """
    bits = np.asarray(bits, float)
    # At capacity: with a block of finite length it takes at least as many.
    enough = np.ceil(bits / capacity(snr_db)).astype(np.int64)
    if not blocklength_aware:
        return enough

    def short(symbols):
        return symbols * rate(snr_db, symbols, error) < bits

    # From here on `too_few` is too few and `enough` is enough, first by doubling, then by halving
    # between them.
    too_few = np.maximum(enough - 1, 0)
    while short(enough).any():
        enough = np.where(short(enough), 2 * enough, enough)
    while (enough - too_few > 1).any():
        middle = (enough + too_few) // 2
        too_few, enough = np.where(short(middle), (middle, enough), (too_few, middle))
    return enough
