"""Separation over a channel, where the answer is known."""

import math

import pandas as pd
import pytest

from lib.channel import capacity
from lib.channels.parameters import Channel
from lib.opponent import separation

CODES = pd.DataFrame({"rate": [capacity(0.0), capacity(10.0)], "accuracy": [0.4, 0.8]})


def test_over_awgn_the_finest_code_that_fits_is_taken_without_outage():
    for snr_db, expected in ((-1.0, (0.1, 1)), (0.0, (0.4, 0)), (9.9, (0.4, 0)), (10.0, (0.8, 0))):
        assert separation.accuracy(CODES, Channel(), snr_db, 64, 0.1) == pytest.approx(expected)


def test_over_fading_accuracy_is_traded_for_outage():
    fading = Channel(name="fading")
    accuracy, outage = separation.accuracy(CODES, fading, 10.0, 64, 0.1)
    # The code of 0 dB arrives where |h|² ≥ 0.1, that of 10 dB where |h|² ≥ 1.
    arrives = [math.exp(-0.1), math.exp(-1.0)]
    worth = [0.1 + share * (right - 0.1) for share, right in zip(arrives, (0.4, 0.8), strict=True)]
    assert (accuracy, outage) == pytest.approx((max(worth), 1 - arrives[worth.index(max(worth))]))
    unknown = separation.accuracy(CODES, Channel(name="fading", receiver_knows=False), 10.0, 64, 0.1)
    assert 0.1 < unknown[0] < accuracy


def test_over_fast_fading_the_ergodic_capacity_decides():
    fast = Channel(name="fast_fading")
    # At 10 dB Rayleigh's is 1.45 bits a real symbol, AWGN's 1.73.
    assert separation.outage(fast, 10.0, 1.4, 64) == 0 and separation.outage(fast, 10.0, 1.5, 64) == 1
    with pytest.raises(ValueError, match="nobody knows"):
        separation.outage(Channel(name="fast_fading", receiver_knows=False), 10.0, 1.0, 64)


def test_erasures_cost_what_is_erased_and_longer_packets_more():
    single, packets = (Channel(name="erasure", p=0.2, packet=packet) for packet in (1, 16))
    rate = 0.65 * capacity(5.0)
    assert separation.outage(single, 5.0, rate, 64) < 0.02 < separation.outage(packets, 5.0, rate, 64)


def test_a_peak_limit_is_left_out():
    assert separation.outage(Channel(name="peak_limited", papr_db=1.0), 5.0, capacity(5.0), 64) == 0
