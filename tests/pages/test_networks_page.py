"""docs/networks.md: what came stands beside what was expected, in points of the same baseline."""

import pandas as pd
import pytest

from lib import results
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


@pytest.fixture
def full():
    return pd.DataFrame([("vgg16_bn", 60, 65.0, 64.0, 313.0, 62.0, 58.0, 7.0),
                         ("resnet18", 5, 67.0, 66.8, 555.0, 120.0, 60.0, 7.0)],
                        columns=["network", "epochs of step 1", "baseline", "label", "operations (10⁶)", "pruned",
                                 "with the channel", "lost"])


def test_each_network_has_a_colour_and_its_baseline(table, full):
    left, right = networks.draw(table, full).axes
    dashed = [line for line in left.get_lines() if line.get_linestyle() == "--"]
    assert sorted(line.get_ydata()[0] for line in dashed) == [80, 83]
    curves = [line for line in left.get_lines() if line.get_linestyle() == "-"]
    assert len(curves) == 4 and len({line.get_color() for line in curves}) == 2
    points = {(line.get_xdata()[0], line.get_ydata()[0]): line.get_color() for line in right.get_lines()
              if line.get_linestyle() == "None"}
    assert set(points) == {(62, 58), (313, 64), (120, 60), (555, 66.8)}
    assert points[62, 58] == points[313, 64] != points[120, 60]


def test_at_full_width_the_papers_network_is_not_measured_against_itself(full):
    found = networks.against_expectations_at_full_width(full).set_index(["network", "what"]).came
    assert set(found.index.get_level_values("network")) == {"resnet18"}
    assert found["resnet18", "lost by the label code"] == pytest.approx(0.2)


def test_at_full_width_vgg16_is_that_of_the_shipped_study():
    row = networks.at_full_width().set_index("network").loc["vgg16_bn"]
    shipped = results.load("gpu")
    models = shipped[(shipped.run == "end_to_end/pool3-r0.50-b128-snr14.5-s0") & (shipped.snr_db == 14.5)]
    assert row["with the channel"] == pytest.approx(100 * models.accuracy.mean())
    assert row["lost"] == pytest.approx(row["baseline"] - row["with the channel"])
    assert row["pruned"] < row["before stage 3"] < row["operations (10⁶)"]
