"""Power constraint, noise and capacity (Sec. II-A), against closed forms."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from lib.channel import AWGN, capacity, normalize_power

few = settings(max_examples=30)
shapes = st.lists(st.integers(1, 5), min_size=2, max_size=4)


def mean_squares(x):
    """Of each image, in double precision."""
    return (x.detach().double().numpy().reshape(len(x), -1) ** 2).mean(1)


@given(shapes, st.floats(-3, 3), st.floats(0.01, 100), st.integers(0, 1000))
@few
def test_power_is_as_asked_for_each_image(shape, exponent, power, seed):
    x = 10**exponent * torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    normalised = normalize_power(x, power)
    assert normalised.shape == x.shape
    np.testing.assert_allclose(mean_squares(normalised), power, rtol=1e-5)


@pytest.mark.parametrize("amplitude", [1e-3, 1e-2, 1, 1e2, 1e3, 1e-25, 1e25])
def test_power_is_exact_at_any_amplitude(amplitude):
    x = amplitude * torch.randn(4, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(mean_squares(normalize_power(x)), 1, rtol=1e-5)


def test_power_is_one_per_image_and_not_per_batch():
    x = torch.randn(4, 2, 4, 4) * torch.tensor([1e-3, 1.0, 30.0, 1e3]).view(4, 1, 1, 1)
    np.testing.assert_allclose(mean_squares(normalize_power(x)), np.ones(4), rtol=1e-5)
    assert torch.equal(normalize_power(x)[2:3], normalize_power(x[2:3]))


def test_normalisation_is_the_written_formula():
    x = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(1)) * 7
    symbols = x.double().numpy().reshape(3, -1)
    expected = math.sqrt(2.5) * symbols / np.sqrt((symbols**2).mean(1, keepdims=True))
    np.testing.assert_allclose(normalize_power(x, 2.5).numpy().reshape(3, -1), expected, rtol=1e-5)


@given(st.floats(-3, 3), st.integers(0, 1000))
@few
def test_only_the_direction_of_an_image_matters(exponent, seed):
    x = torch.randn(2, 12, generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(normalize_power(10**exponent * x), normalize_power(x), rtol=1e-4, atol=1e-6)
    assert torch.equal(normalize_power(-x), -normalize_power(x))


def test_an_all_zero_image_stays_zero_beside_others():
    x = torch.randn(3, 2, 2, 2)
    x[1] = 0
    normalised = normalize_power(x)
    assert not normalised[1].any()
    np.testing.assert_allclose(mean_squares(normalised), [1, 0, 1], rtol=1e-5)


def test_an_all_zero_image_has_a_finite_gradient():
    x = torch.zeros(2, 3, 2, 2, requires_grad=True)
    (normalize_power(x) * torch.randn(2, 3, 2, 2)).sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("scale", [1e-3, 1, 1e3])
def test_the_gradient_is_that_of_the_formula(scale):
    # y = x/r with r² = mean x²: for L = Σ w·y, ∂L/∂x = (w − y·mean(w·y)) / r
    generator = torch.Generator().manual_seed(0)
    x, w = (torch.randn(3, 20, generator=generator, dtype=torch.double) for _ in range(2))
    x = x * scale
    root = x.square().mean(1, keepdim=True).sqrt()
    y = x / root
    expected = (w - y * (w * y).mean(1, keepdim=True)) / root
    given_x = x.float().requires_grad_()
    (normalize_power(given_x) * w.float()).sum().backward()
    assert torch.allclose(given_x.grad.double(), expected, rtol=1e-4, atol=1e-5 / scale)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 3.0, 14.5])
def test_noise_has_the_variance_of_real_symbols_in_training_and_evaluation(snr_db, training):
    torch.manual_seed(0)
    noise = AWGN(snr_db).train(training)(torch.zeros(200_000)).double()
    sigma_squared = 10 ** (-snr_db / 10)
    # five standard errors of each estimate; a variance split for complex symbols would be off by a factor of 2
    assert noise.var().item() == pytest.approx(sigma_squared, rel=5 * (2 / 200_000) ** 0.5)
    assert abs(noise.mean().item()) < 5 * (sigma_squared / 200_000) ** 0.5


def test_noise_is_normal_and_independent_between_symbols():
    torch.manual_seed(0)
    noise = AWGN(0.0)(torch.zeros(100, 2000)).double()
    assert abs(noise.pow(3).mean().item()) < 0.03 and noise.pow(4).mean().item() == pytest.approx(3, abs=0.12)
    assert (noise > 1.959964).double().mean().item() == pytest.approx(0.025, abs=0.002)
    correlations = torch.corrcoef(noise) - torch.eye(100)
    assert correlations.abs().max() < 6 / 2000**0.5
    assert abs((noise[:, 1:] * noise[:, :-1]).mean().item()) < 5 / 200_000**0.5


def test_measured_snr_at_unit_power_is_the_one_asked():
    torch.manual_seed(0)
    x = normalize_power(torch.rand(20, 4, 32, 32))
    noise = AWGN(7.5)(x) - x
    assert 10 * math.log10(x.square().mean() / noise.square().mean()) == pytest.approx(7.5, abs=0.1)


def test_noise_adds_to_the_symbols_and_does_not_depend_on_them():
    x, channel = torch.randn(3, 4, 2, 2), AWGN(5.0)
    received = []
    for symbols in (x, torch.zeros_like(x)):
        torch.manual_seed(3)
        received.append(channel(symbols))
    assert torch.allclose(received[0], x + received[1])
    assert not torch.equal(channel(x), channel(x))


def test_a_channel_without_noise_changes_nothing():
    x = torch.randn(5, 3)
    assert torch.equal(AWGN(math.inf)(x), x)


def test_the_snr_can_be_changed_and_the_noise_follows():
    channel, zeros = AWGN(0.0), torch.zeros(100)
    torch.manual_seed(0)
    strong = channel(zeros)
    channel.snr_db = 20.0
    torch.manual_seed(0)
    assert torch.allclose(channel(zeros), strong / 10)


def test_gradients_pass_the_channel_unchanged():
    x = torch.randn(2, 3, requires_grad=True)
    weights = torch.randn(2, 3)
    (AWGN(0.0)(x) * weights).sum().backward()
    assert torch.equal(x.grad, weights)


@pytest.mark.parametrize(("ratio", "bits"), [(1, 0.5), (3, 1), (15, 2), (63, 3)])
def test_capacity_where_it_is_a_round_number(ratio, bits):
    assert capacity(10 * math.log10(ratio)) == pytest.approx(bits)


@given(st.floats(-60, 60))
@few
def test_capacity_is_the_closed_form(snr_db):
    assert capacity(snr_db) == pytest.approx(math.log1p(math.exp(snr_db * math.log(10) / 10)) / math.log(4), rel=1e-9)


def test_capacity_vanishes_with_the_signal_and_grows_half_a_bit_every_3_db():
    assert capacity(-math.inf) == 0 and capacity(math.inf) == math.inf
    assert capacity(60 + 10 * math.log10(2)) - capacity(60) == pytest.approx(0.5, abs=1e-5)
