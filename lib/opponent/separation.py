"""Separation beside joint coding over any channel: the features as bits, and how often a channel lets them through.

The code is made for one rate and either arrives whole or not at all; the sender knows the channel's law and its mean
SNR, not the gain. So a rate is worth (1 − outage)·accuracy + outage·chance, and the best of the tried ones counts.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lib.channel import capacity
from lib.channels import capacities
from lib.channels.parameters import Channel


def outage(spec: Channel, snr_db: float, rate: float, bandwidth: int, rates: Sequence[float] = ()) -> float:
    """The probability that `bandwidth` real symbols over the channel carry less than `rate` bits each, at best.

    At capacity, without regard to the length of the code. A peak limit is left out: what it takes from the capacity has
    no closed form, so that separation is flattered there. Of a tapped delay line `rates` are the evenly spaced
    quantiles of what drawn images carried, to a receiver that knows the gains.
    """
    if spec.name == "tdl":
        return float(np.interp(rate, rates, np.linspace(0, 1, len(rates))))
    k_db, uses = capacities.RAYLEIGH if spec.k_db is None else spec.k_db, bandwidth // 2
    if spec.name == "fading":
        return (capacities.outage(snr_db, rate, k_db) if spec.receiver_knows
                else capacities.outage_unknown(snr_db, rate, uses, k_db))
    if spec.name == "erasure":
        return capacities.erasures_beyond(snr_db, rate, spec.p, bandwidth, spec.packet)
    if spec.name == "fast_fading":
        if not spec.receiver_knows:
            raise ValueError("Of fast fading that nobody knows there is no simple capacity.")
        return float(rate > capacities.ergodic(snr_db, k_db))
    return float(rate > capacity(snr_db))


def accuracy(codes: pd.DataFrame, spec: Channel, snr_db: float, bandwidth: int, chance: float,
             rates: Sequence[float] = ()) -> tuple[float, float]:
    """(accuracy, outage) of the best of the codes (columns rate, in bits per real symbol, and accuracy) at an SNR."""
    lost = pd.Series([outage(spec, snr_db, rate, bandwidth, rates) for rate in codes.rate], codes.index)
    expected = (1 - lost) * codes.accuracy + lost * chance
    best = expected.idxmax()
    return expected[best], lost[best]
