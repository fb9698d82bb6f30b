"""What fading and erasures let through at best: bits per real symbol, and how often less than a code needs.

The transmitter does not know the gain. SNRs are those of the module at E|h|² = 1; `k_db` is the Rician factor in dB,
−inf for Rayleigh.
"""

import math

from scipy import integrate, stats

from lib.channels.awgn import capacity

RAYLEIGH = float("-inf")


def weaker(gain: float, k_db: float = RAYLEIGH) -> float:
    """P(|h|² < gain)."""
    k = 10 ** (k_db / 10)
    # 2(K+1)|h|² is a chi-squared variable of two degrees of freedom, non-central by 2K.
    if k == 0:
        return float(stats.chi2.cdf(2 * gain, 2))
    return float(stats.ncx2.cdf(2 * (k + 1) * gain, 2, 2 * k))


def ergodic(snr_db: float, k_db: float = RAYLEIGH) -> float:
    """E[½·log2(1 + |h|²·P/σ²)]: of fast fading, whose receiver knows h, in bits per real symbol."""
    snr = 10 ** (snr_db / 10)
    # By parts: E f(G) = ∫ f'(g)·P(G > g) dg. Beyond a gain of 60 there is less than e⁻⁶⁰ of Rayleigh's.
    mean, _ = integrate.quad(lambda gain: snr / (1 + snr * gain) * (1 - weaker(gain, k_db)), 0, 60,
                             points=[1 / (1 + snr), 1.0], limit=200)
    return mean / (2 * math.log(2))


def outage(snr_db: float, rate: float, k_db: float = RAYLEIGH) -> float:
    """P(½·log2(1 + |h|²·P/σ²) < rate): of block fading, whose receiver knows h; `rate` in bits per real symbol."""
    return weaker((4**rate - 1) / 10 ** (snr_db / 10), k_db)


def with_pilots(snr_db: float, pilots: int, k_db: float = RAYLEIGH) -> tuple[float, float]:
    """(SNR in dB, Rician factor in dB) that are left to data when `pilots` complex symbols tell the receiver the gain.

    The gain is estimated with the least squared error, and what is wrong of it counts as noise: a rate that can be
    had without knowing h (Hassibi and Hochwald, 2003). The pilots' own symbols are not counted here.
    """
    snr, k = 10 ** (snr_db / 10), 10 ** (k_db / 10)
    scattered = 1 / (k + 1)
    error = scattered / (1 + snr * pilots * scattered)
    known = 1 - error  # the power of the estimated gain
    effective = 10 * math.log10(snr * known / (1 + snr * error))
    direct = k * scattered
    return effective, 10 * math.log10(direct / (scattered - error)) if direct else RAYLEIGH


def outage_unknown(snr_db: float, rate: float, uses: int, k_db: float = RAYLEIGH) -> float:
    """`outage` when nobody knows h, one of `uses` complex symbols: by the number of pilots with which it is least."""
    found = [1.0]
    for pilots in range(1, min(uses, 9)):
        effective, k = with_pilots(snr_db, pilots, k_db)
        # The data has fewer symbols for the same bits.
        found.append(outage(effective, rate * uses / (uses - pilots), k))
    return min(found)


def ergodic_unknown(snr_db: float, uses: int, k_db: float = RAYLEIGH) -> float:
    """`ergodic` when nobody knows h, which stays for `uses` complex symbols: by the best number of pilots."""
    return max((1 - pilots / uses) * ergodic(*with_pilots(snr_db, pilots, k_db)) for pilots in range(1, min(uses, 9)))


def erasures_beyond(snr_db: float, rate: float, p: float, symbols: int, packet: int = 1) -> float:
    """The probability that too much is erased for `rate` bits per real symbol, of an ideal code over all `symbols`."""
    packets = math.ceil(symbols / packet)
    # Packets count as of one size, which all but the last are.
    needed = math.ceil(packets * rate / capacity(snr_db) - 1e-9)
    return 1.0 if needed > packets else float(stats.binom.cdf(needed - 1, packets, 1 - p))
