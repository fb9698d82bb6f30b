"""OFDM over a tapped delay line, against its power-delay profile; what needs Sionna is skipped where it is missing."""

import importlib.util
import math

import pytest
import torch

from helpers import QUICK, refusal, written
from lib import InputError
from lib.channel import TDL, Fading, build
from lib.channels import capacities, optional
from lib.channels.parameters import Channel, StudyChannel

WITH_SIONNA = importlib.util.find_spec("sionna") is not None
needs_sionna = pytest.mark.skipif(not WITH_SIONNA, reason="Sionna is not installed (requirements-channels.txt)")
CPU = torch.device("cpu")
FRAMES, USES = 40_000, 32
# TDL-A of 3GPP TR 38.901, Table 7.7.2-1: delays over their spread, powers in dB.
DELAYS = [0, 0.3819, 0.4025, 0.5868, 0.4610, 0.5375, 0.6708, 0.5750, 0.7618, 1.5375, 1.8978, 2.2242, 2.1718, 2.4942,
          2.5119, 3.0582, 4.0810, 4.4579, 4.5695, 4.7966, 5.0066, 5.3043, 9.6586]
POWERS_DB = [-13.4, 0, -2.2, -4, -6, -8.2, -9.9, -10.5, -7.5, -15.9, -6.6, -16.7, -12.4, -15.2, -10.8, -11.3, -12.7,
             -16.2, -18.3, -18.9, -16.6, -19.9, -29.7]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def correlation(apart_hz, delay_ns):
    """E[H(f + apart)·H(f)*] of TDL-A."""
    powers = [10 ** (power / 10) for power in POWERS_DB]
    return sum(power * complex(math.cos(turn), math.sin(turn)) for power, turn in zip(
        powers, [-2 * math.pi * apart_hz * 1e-9 * delay_ns * delay for delay in DELAYS], strict=True)) / sum(powers)


@needs_sionna
@pytest.mark.parametrize("profile", "ABCDE")
def test_every_subcarrier_has_a_mean_power_of_one(profile):
    powers = TDL(0.0, profile, 100.0).gains(FRAMES, USES, CPU).abs().square().mean(0)
    assert torch.allclose(powers, torch.ones(USES), atol=0.03)


@needs_sionna
@pytest.mark.parametrize("delay_ns, spacing_khz", [(100.0, 15.0), (300.0, 30.0), (300.0, 120.0)])
def test_subcarriers_are_correlated_by_the_fourier_transform_of_the_power_delay_profile(delay_ns, spacing_khz):
    gains = TDL(0.0, "A", delay_ns, spacing_khz).gains(FRAMES, USES, CPU).to(torch.complex128)
    found = gains.T @ gains.conj() / FRAMES
    for first, second in ((0, 0), (3, 1), (31, 0), (10, 26)):
        expected = correlation(1e3 * spacing_khz * (first - second), delay_ns)
        assert abs(complex(found[first, second]) - expected) < 0.03
    covariance = TDL(0.0, "A", delay_ns, spacing_khz).covariance(USES, CPU)
    assert abs(complex(covariance[31, 0]) - correlation(31e3 * spacing_khz, delay_ns)) < 1e-3


@needs_sionna
def test_without_a_delay_spread_it_is_rayleigh_block_fading():
    gains = TDL(0.0, "A", 0.0).gains(FRAMES, USES, CPU)
    assert torch.allclose(gains, gains[:, :1].expand_as(gains), atol=1e-5)
    power = gains[:, 0].abs().square()
    for level in (0.05, 0.3, 1.0, 2.5):
        assert (power < level).double().mean().item() == pytest.approx(1 - math.exp(-level), abs=0.01)


@needs_sionna
def test_a_subcarriers_ergodic_capacity_is_rayleighs():
    rates = torch.log2(1 + TDL(0.0).gains(FRAMES, USES, CPU).abs().square() * 10**0.8) / 2
    assert rates.mean().item() == pytest.approx(capacities.ergodic(8.0), rel=0.01)
    # An image's varies less, and the less the further its subcarriers lie apart.
    wide = torch.log2(1 + TDL(0.0, spacing_khz=120.0).gains(FRAMES, USES, CPU).abs().square() * 10**0.8) / 2
    assert wide.mean(1).std() < 0.8 * rates.mean(1).std() < 0.8 * rates[:, 0].std()


@needs_sionna
def test_a_direct_path_leaves_less_fading():
    spreads = [TDL(0.0, profile).gains(FRAMES, USES, CPU).abs().square().std().item() for profile in "DA"]
    assert spreads[0] < 0.5 * spreads[1] and spreads[1] == pytest.approx(1, abs=0.05)


@needs_sionna
def test_the_receiver_takes_out_each_subcarriers_own_gain():
    x = torch.randn(50, 4, 4, 4)
    assert torch.allclose(TDL(math.inf)(x), x, atol=1e-3) and TDL(3.0)(x).shape == x.shape


@needs_sionna
def test_mmse_has_the_least_squared_error_of_rayleigh_fading():
    from scipy import special

    x = torch.randn(8000, 64)
    error = (TDL(0.0, mmse=True)(x) - x).square().mean().item()
    assert error == pytest.approx(math.e * special.exp1(1), rel=0.03)  # as of Fading, E[1 / (1 + |h|²·snr)] at 0 dB


@needs_sionna
@pytest.mark.parametrize("pilots", [1, 4, 32])
def test_an_estimate_from_pilots_errs_as_the_linear_closed_form_says(pilots):
    channel = TDL(5.0, pilots=pilots)
    gain = channel.gains(FRAMES, USES, CPU)
    error = gain - channel.estimate(gain)
    covariance = channel.covariance(USES, CPU).to(torch.complex128)
    places = [round(place) for place in torch.linspace(0, USES - 1, pilots).tolist()]
    part = covariance[:, places]
    among = covariance[places][:, places] + 10**-0.5 * torch.eye(pilots)
    expected = (covariance - part @ torch.linalg.inv(among) @ part.mH).diagonal().real
    assert torch.allclose(error.abs().square().mean(0).double(), expected, atol=0.02)
    if pilots > 1:  # an estimate is worse than knowing, and many pilots are better than none
        assert 0 < expected.mean() < 0.2


@needs_sionna
def test_gains_come_from_torchs_generator_and_change_no_seed():
    channel, x = TDL(5.0), torch.randn(4, 64)
    torch.manual_seed(3)
    first = channel(x)
    torch.manual_seed(3)
    assert torch.equal(channel(x), first) and not torch.equal(channel(x), first)
    assert not list(channel.state_dict())  # nothing of it is stored with a model


@needs_sionna
def test_importing_sionna_leaves_torchs_random_numbers_alone():
    import subprocess
    import sys

    code = ("import torch; from lib.channel import TDL; torch.manual_seed(0); h = TDL(0.0).gains(1, 4, torch.device("
            "'cpu')); print(torch.rand(1).item(), h.abs().sum().item())")
    first, second = (subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
                     for _ in range(2))
    assert first == second


@needs_sionna
def test_a_study_may_name_it(tmp_path):
    from lib import study

    content = {key: value for key, value in QUICK.items() if key != "baselines"}
    settings = study.load(written(tmp_path, {**content, "channel": {"name": "tdl", "equaliser": "mmse"}}))
    assert any(run.name.endswith("-tdlC300x30-mmse") for run in study.runs(settings))


@pytest.mark.parametrize("given, label", [
    ({}, "tdlC300x30"), ({"profile": "A", "delay_ns": 100.0, "spacing_khz": 15.0}, "tdlA100x15"),
    ({"pilots": 8, "equaliser": "mmse"}, "tdlC300x30-pilots8-mmse")])
def test_its_label_says_profile_spread_and_spacing(given, label):
    assert Channel(name="tdl", **given).label == label


def test_it_is_built_as_a_study_names_it():
    built = build(Channel(name="tdl", profile="B", delay_ns=50.0, pilots=4, equaliser="mmse"), 7.0)
    assert isinstance(built, TDL) and isinstance(built, Fading)
    assert (built.profile, built.delay_ns, built.spacing_khz, built.pilots, built.mmse, built.snr_db) == (
        "B", 50.0, 30.0, 4, True, 7.0)


@pytest.mark.parametrize("given, words", [
    ({"name": "tdl", "profile": "F"}, "channel.profile"), ({"name": "tdl", "receiver_knows": False}, "no receiver"),
    ({"name": "fading", "pilots": 4}, "takes no pilots"), ({"name": "tdl", "spacing_khz": 0.0}, "channel.spacing_khz")])
def test_what_does_not_fit_is_refused(tmp_path, given, words):
    content = {key: value for key, value in QUICK.items() if key != "baselines"}
    assert words in refusal(written(tmp_path, {**content, "channel": given}))


def test_more_pilots_than_subcarriers_are_refused():
    with pytest.raises(InputError, match="33 pilots are more than the 32 subcarriers"):
        Channel(name="tdl", pilots=33).check(64)
    with pytest.raises(InputError, match="must be even"):
        Channel(name="tdl").check(7)


def test_without_sionna_a_study_over_it_is_refused_in_a_sentence(tmp_path, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(optional.importlib, "import_module", missing)
    content = {key: value for key, value in QUICK.items() if key != "baselines"}
    for given in ({"name": "tdl"}, {"trained_on": {"name": "tdl"}}):
        message = refusal(written(tmp_path, {**content, "channel": given}))
        assert "sionna is not installed: requirements-channels.txt" in message
    StudyChannel(name="fading").check(64)  # the others need nothing
