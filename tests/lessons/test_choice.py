"""Time and energy of chosen models, by hand."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from lib import flops, study, vgg
from lib.lessons import choice, controls

PLATFORM = choice.Platform(device_rate=1e9, edge_rate=1e10, symbol_rate=1e5, energy_per_mac=1e-11,
                           radiated_power=0.01, amplifier_efficiency=0.5, circuit_power=0.08)


@pytest.fixture
def settings():
    return study.load("quick")


@pytest.fixture
def models():
    ours = {"scheme": "JSCC + pruning", "variant": "proposed", "pool": 2.0, "ratio": 0.5, "bandwidth": 200.0,
            **dict.fromkeys(choice.SETTINGS), "train_snr_db": 14.5, "device_macs": 3e6, "symbols": 200.0,
            "accuracy": 0.65, "drop": 0.0123, "seeds": 3}
    png = {**ours, "scheme": "PNG", "variant": None, "pool": None, "ratio": None, "bandwidth": None,
           "device_macs": 0.0, "symbols": 8000.0}
    return pd.DataFrame([ours, png])


def test_time_and_energy_are_those_of_the_formulas(models, settings):
    ours, png = choice.costs(models, settings, PLATFORM).to_dict("records")
    assert (ours["device"], ours["air"]) == (pytest.approx(3.0), pytest.approx(2.0))
    assert (ours["computing"], ours["radio"]) == (pytest.approx(0.03), pytest.approx(0.2))
    assert (png["device"], png["air"], png["computing"]) == (0, pytest.approx(80), 0)
    whole = flops.count_macs(vgg.vgg16_bn(10, 0.25), (3, 32, 32))
    assert png["edge"] == pytest.approx(1e3 * whole / 1e10)
    assert ours["edge"] == pytest.approx(1e3 * (whole - unpruned_half(2)) / 1e10)


def unpruned_half(pool):
    return flops.count_macs(vgg.split(vgg.vgg16_bn(10, 0.25), pool)[0], (3, 32, 32))


@pytest.mark.parametrize("pool", [1, 3, 5])
def test_what_the_edge_computes_is_what_the_device_does_not(settings, pool):
    assert choice.edge_operations(settings, pool) == choice.edge_operations(settings, None) - unpruned_half(pool)


def test_this_machine_has_a_rate(settings):
    assert 1e6 < choice.measured_rate(settings, repeats=3) < 1e13


def test_the_table_is_in_percent_and_millions_and_empty_where_nothing_applies(models):
    models.loc[1, ["scheme", "picture_quality"]] = "JPEG", 80
    ours, png = choice.readable(models).to_dict("records")
    assert (ours["setting"], png["setting"]) == ("", "quality 80")
    assert (ours["accuracy (%)"], ours["below baseline (points)"]) == ("65.0", "1.2")
    assert (ours["device operations (10⁶)"], png["symbols"], png["pool"], png["variant"]) == ("3.00", "8,000", "", "")


def test_bars_are_stacked_to_the_whole(models, settings):
    figure = choice.draw(choice.costs(models, settings, PLATFORM))
    ends = [max(patch.get_x() + patch.get_width() for patch in axis.patches) for axis in figure.axes]
    plt.close(figure)
    whole = choice.costs(models, settings, PLATFORM)
    assert ends == [pytest.approx((whole.device + whole.air + whole.edge).max()),
                    pytest.approx((whole.computing + whole.radio).max())]


def test_without_a_kernel_there_are_no_sliders(capsys):
    controls.sliders(lambda: pytest.fail("called"), lambda: pytest.fail("built"))
    assert "JupyterLab" in capsys.readouterr().out
