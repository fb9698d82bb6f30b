"""docs/networks.md: what came stands beside what was expected, in points of the same baseline."""

import pandas as pd
import pytest

from lib.pages import networks


@pytest.fixture
def table():
    rows = [("vgg16_bn", 2, 0.0, 6.0, 78.0, 80.0), ("vgg16_bn", 4, 0.0, 18.0, 79.0, 80.0),
            ("vgg16_bn", 4, 0.5, 4.0, 77.5, 80.0), ("resnet18", 2, 0.0, 18.0, 70.0, 83.0),
            ("resnet18", 4, 0.0, 35.0, 82.0, 83.0), ("resnet18", 4, 0.5, 17.0, 81.0, 83.0)]
    return pd.DataFrame(rows, columns=["network", "split", "ratio", "operations (10⁶)", "accuracy (%)", "baseline"])


def test_points_are_differences_to_the_networks_own_baseline(table):
    found = networks.against_expectations(table).set_index(["network", "points"]).came
    assert found["resnet18", "baseline above VGG16's"] == pytest.approx(3)
    assert found["resnet18", "lost to the channel after split 2"] == pytest.approx(13)
    assert found["vgg16_bn", "lost to the channel after split 4"] == pytest.approx(1)
    assert found["vgg16_bn", "lost by half of the filters, split 4"] == pytest.approx(1.5)
    assert "mobilenet_v2" not in found  # not computed: nothing is said of it


def test_the_best_network_is_that_of_the_most_accurate_model_that_can_be_afforded(table):
    assert networks.best_below(table, 5) == "vgg16_bn" and networks.best_below(table, 40) == "resnet18"


def test_each_network_has_a_colour_and_its_baseline(table):
    axis, = networks.draw(table).axes
    dashed = [line for line in axis.get_lines() if line.get_linestyle() == "--"]
    assert sorted(line.get_ydata()[0] for line in dashed) == [80, 83]
    curves = [line for line in axis.get_lines() if line.get_linestyle() == "-"]
    assert len(curves) == 4 and len({line.get_color() for line in curves}) == 2
