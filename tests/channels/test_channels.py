"""Fading, erasures and peaks, against closed forms."""

import math

import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy import special

from lib.channel import AWGN, Erasure, Fading, PeakLimited, build, capacity, normalize_power
from lib.channels import capacities, fading
from lib.channels.losses import cut_level
from lib.channels.parameters import Channel

MANY = 200_000
few = settings(max_examples=30)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def symbols(*shape):
    return normalize_power(torch.randn(*shape))


def gains(**options):
    """|h|² and h of many images."""
    h = Fading(0.0, **options).gains(MANY, 1, torch.device("cpu")).flatten().to(torch.complex128)
    return h.abs().square(), h


every_channel = pytest.mark.parametrize("channel", [
    AWGN(5.0), Fading(5.0), Fading(5.0, 3.0, receiver_knows=False), Fading(5.0, fast=True, mmse=True),
    Erasure(0.3, 4, 5.0), PeakLimited(2.0, 5.0)], ids=lambda channel: type(channel).__name__)


@every_channel
def test_maps_and_vectors_are_sent_alike_and_keep_their_shape(channel):
    x = symbols(6, 2, 4, 4)
    torch.manual_seed(1)
    flat = channel(x.flatten(1))
    torch.manual_seed(1)
    shaped = channel(x)
    assert shaped.shape == x.shape and torch.allclose(shaped.flatten(1), flat)


@every_channel
def test_a_gradient_comes_back_and_is_finite(channel):
    x = symbols(4, 16).requires_grad_()
    channel(x).square().sum().backward()
    assert torch.isfinite(x.grad).all() and x.grad.abs().sum() > 0


def test_consecutive_pairs_are_one_complex_symbol_and_come_back():
    x = torch.tensor([[1.0, 2.0, 3.0, -4.0]])
    assert torch.equal(fading.complex_uses(x), torch.tensor([[1 + 2j, 3 - 4j]]))
    assert torch.equal(fading.real_symbols(fading.complex_uses(x), x.shape), x)
    with pytest.raises(ValueError, match="3 real symbols"):
        Fading(0.0)(torch.ones(2, 3))


@pytest.mark.parametrize("k_db", [-math.inf, 0.0, 6.0])
def test_the_mean_gain_is_one_and_k_is_the_direct_over_the_scattered_power(k_db):
    power, h = gains(k_db=k_db)
    k = 10 ** (k_db / 10)
    assert power.mean().item() == pytest.approx(1, abs=0.01)
    # The variance of |h|² is (1 + 2K) / (1 + K)²: it tells K without the phase.
    assert power.var().item() == pytest.approx((1 + 2 * k) / (1 + k) ** 2, rel=0.03)
    scattered = (h - h.mean()).abs().square().mean().item()
    assert h.mean().abs().item() ** 2 / scattered == pytest.approx(k, abs=0.02 * (1 + k))


def test_rayleigh_power_is_exponential():
    power, _ = gains()
    for level in (0.01, 0.1, 1.0, 3.0):
        assert (power < level).double().mean().item() == pytest.approx(1 - math.exp(-level), abs=0.004)


def test_one_gain_an_image_or_one_a_complex_symbol():
    for fast, different in ((False, 1), (True, 8)):
        received = Fading(math.inf, receiver_knows=False, fast=fast)(torch.ones(5, 16))
        h = fading.complex_uses(received) / (1 + 1j)
        assert all(len(set(row.tolist())) == different for row in torch.view_as_real(h)[:, :, 0].round(decimals=4))


@pytest.mark.parametrize("mmse", [False, True])
def test_without_noise_a_receiver_that_knows_the_gain_gets_what_was_sent(mmse):
    x = symbols(50, 8)
    assert torch.allclose(Fading(math.inf, mmse=mmse)(x), x, atol=1e-4)
    assert not torch.allclose(Fading(math.inf, receiver_knows=False)(x), x, atol=0.1)


def test_after_zero_forcing_the_noise_is_that_of_awgn_over_the_gain():
    torch.manual_seed(5)
    received = Fading(7.0)(torch.zeros(20_000, 64))
    strength = received.square().mean(1).double()  # σ²/|h|² of each image
    # |h|² = σ²/strength is exponential, so that strength < s has the probability exp(−σ²/s).
    sigma_squared = 10**-0.7
    for level in (0.1, 0.3, 1.0, 3.0):
        assert (strength < level).double().mean().item() == pytest.approx(math.exp(-sigma_squared / level), abs=0.03)


def test_the_mmse_equaliser_has_the_least_squared_error_and_vanishes_with_the_gain():
    x = symbols(5000, 64)
    torch.manual_seed(1)
    zero_forcing = Fading(0.0)(x)
    torch.manual_seed(1)
    mmse = Fading(0.0, mmse=True)(x)
    # Closed form of the error: E[1 / (1 + |h|²·snr)] = e·E₁(1) at 0 dB.
    assert (mmse - x).square().mean().item() == pytest.approx(math.e * special.exp1(1), rel=0.03)
    assert (zero_forcing - x).square().mean() > 2 * (mmse - x).square().mean()


def test_a_direct_path_alone_is_awgn():
    x = symbols(3, 10)
    torch.manual_seed(2)
    expected = AWGN(4.0)(x)
    torch.manual_seed(2)
    assert torch.allclose(Fading(4.0, math.inf)(x), expected, atol=1e-6)


@pytest.mark.parametrize("snr_db", [0.0, 5.0, 9.0])
def test_awgns_error_rate_is_that_of_binary_antipodal_signals(snr_db):
    received = AWGN(snr_db)(torch.ones(100, 20_000))
    expected = special.erfc(10 ** (snr_db / 20) / math.sqrt(2)) / 2  # Q(√snr)
    assert (received < 0).double().mean().item() == pytest.approx(expected, rel=0.05, abs=1e-5)


@pytest.mark.parametrize("fast", [False, True])
def test_rayleighs_error_rate_is_the_closed_form(fast):
    received = Fading(10.0, fast=fast)(torch.ones(40_000, 16))
    expected = (1 - math.sqrt(1 / (1 + 2 / 10))) / 2  # of amplitude 1 against σ² = 0.1 a real dimension
    assert (received < 0).double().mean().item() == pytest.approx(expected, rel=0.06)


# Capacities

@pytest.mark.parametrize("snr_db", [-20.0, 0.0, 10.0, 30.0])
def test_rayleighs_ergodic_capacity_is_the_closed_form(snr_db):
    inverse = 10 ** (-snr_db / 10)
    closed = math.exp(inverse) * special.exp1(inverse) / (2 * math.log(2))
    assert capacities.ergodic(snr_db) == pytest.approx(closed, rel=1e-5)


@pytest.mark.parametrize("k_db", [-math.inf, 3.0, 10.0])
def test_ergodic_capacity_and_outage_are_those_of_drawn_gains(k_db):
    power, _ = gains(k_db=k_db)
    rates = torch.log2(1 + power * 10**0.8) / 2
    assert capacities.ergodic(8.0, k_db) == pytest.approx(rates.mean().item(), rel=0.01)
    for rate in (0.2, 1.0, 1.5):
        assert capacities.outage(8.0, rate, k_db) == pytest.approx((rates < rate).double().mean().item(), abs=0.005)


def test_rayleighs_outage_is_the_closed_form():
    assert capacities.outage(10.0, 1.0) == pytest.approx(1 - math.exp(-3 / 10))


def test_without_fading_capacity_is_awgns():
    assert capacities.ergodic(10.0, 50.0) == pytest.approx(capacity(10.0), rel=1e-3)
    assert capacities.outage(10.0, 0.99 * capacity(10.0), 40.0) < 0.05 < 0.9 < capacities.outage(
        10.0, 1.01 * capacity(10.0), 40.0)


@given(st.floats(-5, 25), st.integers(1, 4))
@few
def test_knowing_the_gain_by_pilots_is_never_better_than_knowing_it(snr_db, pilots):
    effective, k = capacities.with_pilots(snr_db, pilots)
    snr, left = 10 ** (snr_db / 10), 10 ** (effective / 10)
    assert left == pytest.approx(snr * snr * pilots / (1 + snr + snr * pilots)) and k == -math.inf
    assert capacities.outage_unknown(snr_db, 0.5, 32) >= capacities.outage(snr_db, 0.5)
    assert capacities.ergodic_unknown(snr_db, 32) < capacities.ergodic(snr_db)


def test_erasures_beyond_what_a_code_stands_are_binomial():
    # At 0 dB a symbol carries half a bit: 3 of 4 must arrive for 0.375 bits a symbol.
    expected = 1 - (0.8**4 + 4 * 0.2 * 0.8**3)
    assert capacities.erasures_beyond(0.0, 0.375, 0.2, 4) == pytest.approx(expected)
    assert capacities.erasures_beyond(0.0, 0.375, 0.2, 64, 16) == pytest.approx(expected)
    assert capacities.erasures_beyond(0.0, 0.51, 0.2, 4) == 1 and capacities.erasures_beyond(0.0, 0.5, 0.0, 4) == 0


# Erasures

@pytest.mark.parametrize("p, packet", [(0.0, 1), (0.25, 1), (0.6, 8)])
def test_as_many_symbols_are_erased_as_asked_and_packets_as_a_whole(p, packet):
    erased = Erasure(p, packet)(torch.ones(4000, 64)) == 0
    assert erased.double().mean().item() == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) * packet / 256_000))
    packets = erased.view(4000, -1, packet).double().mean(2)
    assert set(packets.unique().tolist()) <= {0.0, 1.0}
    # Independent from packet to packet.
    assert (packets[:, 1:] * packets[:, :-1]).mean().item() == pytest.approx(p * p, abs=0.03)


def test_what_is_not_erased_arrives_with_awgns_noise_and_a_last_packet_may_be_short():
    x = symbols(3000, 10)
    received = Erasure(0.5, 4, 6.0)(x)
    arrived = received != 0
    assert (received - x)[arrived].square().mean().item() == pytest.approx(10**-0.6, rel=0.05)
    assert torch.equal(Erasure(0.0)(x), x)
    assert all(len(set(row[8:].tolist())) == 1 for row in arrived)


@pytest.mark.parametrize("options", [{"p": 1.0}, {"p": -0.1}, {"p": 0.1, "packet": 0}])
def test_impossible_erasures_are_refused(options):
    with pytest.raises(ValueError, match="p must be"):
        Erasure(**options)


# Peaks

def papr(x):
    power = fading.complex_uses(x).abs().square()
    return power.amax(1) / power.mean(1)


@given(st.floats(0, 8), st.integers(1, 40), st.integers(0, 1000))
@few
def test_the_peak_is_as_asked_and_the_power_is_kept(papr_db, uses, seed):
    x = normalize_power(torch.randn(6, 2 * uses, generator=torch.Generator().manual_seed(seed)))
    sent = PeakLimited(papr_db, math.inf)(x)
    assert torch.allclose(sent.square().mean(1), torch.ones(6), atol=1e-4)
    limit = torch.full((6,), 10 ** (papr_db / 10))
    assert torch.allclose(papr(sent), torch.minimum(papr(x), limit), rtol=1e-3)
    # Phases stay, and so does an image that is within the limit.
    turned = (fading.complex_uses(sent) * fading.complex_uses(x).conj()).angle()
    assert turned.abs().max() < 1e-3
    within = papr(x) <= limit
    assert torch.allclose(sent[within], x[within], atol=1e-5)


def test_the_level_of_a_cut_is_the_one_that_a_search_finds():
    power = torch.rand(50, 20, dtype=torch.double).exp() ** 4
    found = cut_level(power, 1.5)
    for row, level in zip(power, found.flatten(), strict=True):
        low, high = 0.0, row.max().item()
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if middle / row.clamp(max=middle).mean() < 1.5 else (low, middle)
        assert level.item() == pytest.approx(high, rel=1e-4)


def test_at_0_db_all_symbols_have_one_amplitude_and_zeros_stay():
    x = normalize_power(torch.tensor([[3.0, 4.0, 0.1, 0.0, 0.0, -1.0], [0.0, 0.0, 0.0, 0.0, 2.0, 0.0]]))
    sent = fading.complex_uses(PeakLimited(0.0, math.inf)(x)).abs()
    assert torch.allclose(sent[0], torch.full((3,), math.sqrt(2.0)), atol=1e-3)
    assert torch.allclose(sent[1], torch.tensor([0.0, 0.0, math.sqrt(6.0)]), atol=1e-3)


def test_after_the_cut_noise_is_awgns():
    x = torch.ones(2000, 16)
    noise = PeakLimited(3.0, 4.0)(x) - x
    assert noise.square().mean().item() == pytest.approx(10**-0.4, rel=0.03)


# By name

@pytest.mark.parametrize("spec, kind, has", [
    ({}, AWGN, {}), ({"name": "fading"}, Fading, {"k_db": -math.inf, "receiver_knows": True, "fast": False}),
    ({"name": "fast_fading", "k_db": 3.0, "equaliser": "mmse"}, Fading, {"k_db": 3.0, "fast": True, "mmse": True}),
    ({"name": "fading", "receiver_knows": False}, Fading, {"receiver_knows": False}),
    ({"name": "erasure", "p": 0.25, "packet": 4}, Erasure, {"p": 0.25, "packet": 4}),
    ({"name": "peak_limited", "papr_db": 3.0}, PeakLimited, {"papr_db": 3.0})])
def test_a_channel_is_built_as_a_study_names_it(spec, kind, has):
    built = build(Channel(**spec), 7.0)
    assert type(built) is kind and built.snr_db == 7.0
    assert {name: getattr(built, name) for name in has} == has
