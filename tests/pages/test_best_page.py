"""The ladder as bars: what stands in the records is what is drawn, beside what was expected."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from helpers import TINY
from lib import study
from lib.ladder import records
from lib.pages import best
from stored import point, store

LADDER = """
ladder:
  bandwidth: 4
  snr_db: 14.5
  nets: {half: {about: half, expect: "70 %", schedule: &once {epochs: 1, lr: 0.1}}}
  views: {plain: {crops: false}}
  rungs:
    step3: {about: "", expect: about 26 %, views: [plain], schedule: *once}
    deep: {about: "", expect: "55 to 58 %: more", views: [plain], schedule: *once, start: perceptron}
    other_snr: {about: "", expect: "", views: [plain], schedule: *once, snr_db: 0.0}
    wide: {about: "", expect: "", views: [plain], schedule: *once, bandwidth: 5}
    later: {about: "", expect: "", views: [plain], schedule: *once}
    half_deep: {about: "", expect: two points more, net: half, views: [plain], schedule: *once, start: perceptron}
    half_b5: {about: "", expect: "", net: half, views: [plain], schedule: *once, bandwidth: 5}
"""
CODE = "    - {scheme: label, pool: 5, ratio: 0.0, bandwidth: 4}"  # a run of the study
ACCURACIES = {"step3": 0.25, "deep": 0.5, "other_snr": 0.2, "wide": 0.6, "half_deep": 0.4, "half_b5": 0.45}


@pytest.fixture
def settings(root):
    """A study two of whose networks have rungs; one rung is not computed yet."""
    (root / "params" / "tiny.yaml").write_text(TINY + CODE + LADDER)
    settings = study.load("tiny")
    for name, accuracy in ACCURACIES.items():
        records.store(settings, name, {"metrics": {"accuracy": accuracy, "device_macs": 2e6, "seconds": 1.0}})
    records.store(settings, "clean", {"metrics": {"accuracy": 0.66}})
    records.store(settings, "net-half", {"metrics": {"accuracy": 0.64, "seconds": 1.0}, "device_macs": {"5": 1e6},
                                         "label": [{"symbols": 4, "snr_db": 14.5, "accuracy": 0.62}]})
    store(root, "baselines/label-pool5-r0.00-b4-snr14.5-s0",
          {"scheme": "Label code", "symbols": 4, "device_macs": 2_000_000},
          [point(14.5, 0, 0.58), point(14.5, 1, 0.6), point(0.0, 0, 0.1)], study_name="tiny",
          scheme="label", pool=5, ratio=0.0, bandwidth=4, snr_db=14.5, seed=0)
    yield settings
    plt.close("all")


@pytest.mark.parametrize("text, least, most", [
    ("about 26 %, as gpu's models", 26, 26), ("51 to 52 %: half", 51, 52), ("65.7 %, the label code's", 65.7, 65.7),
    ("two points more", None, None), ("within half a point of each", None, None)])
def test_the_percentage_of_an_expectation_is_read_from_it(text, least, most):
    assert best.expected(text) == pytest.approx((least, most) if least else (float("nan"),) * 2, nan_ok=True)


def test_computed_rungs_at_the_ladders_point_have_a_row_and_so_have_those_of_other_networks(settings):
    table = best.bars(settings)
    assert table.rung.tolist() == ["step3", "deep", "half_deep", "half_b5"]
    assert table.net.tolist() == ["", "", "half", "half"] and table.accuracy.tolist() == [25, 50, 40, 45]
    assert table.alone.tolist() == [66, 66, 64, 64] and table.operations.tolist() == [2, 2, 2, 2]
    assert table["label code"].tolist() == pytest.approx([59, 59, 62, float("nan")], nan_ok=True)


def test_bars_marks_and_lines_are_where_the_numbers_are(settings):
    above, below = best.draw(settings).axes
    assert [bar.get_width() for bar in above.patches] == [25, 50]
    assert [bar.get_width() for bar in below.patches] == [40, 45]
    assert above.patches[0].get_facecolor() != above.patches[1].get_facecolor() == below.patches[0].get_facecolor()
    marks = above.containers[1].lines[0]
    assert marks.get_xdata().tolist() == [26, 56.5] and marks.get_ydata().tolist() == [0, 1]
    [bracket] = above.containers[1].lines[2]
    assert bracket.get_segments()[1].tolist() == [[55, 1], [58, 1]]
    upright = [sorted(line.get_xdata()[0] for line in axis.lines if list(line.get_ydata()) == [0, 1]
                      and len(set(line.get_xdata())) == 1) for axis in (above, below)]
    assert upright == [pytest.approx([59, 66]), [62, 64]]
    assert [label.get_text() for label in below.get_yticklabels()] == ["half_deep", "half_b5 (B = 5)"]
    assert below.get_ylim()[0] > below.get_ylim()[1]  # the first rung above


def test_a_ladder_without_records_has_no_bars(root):
    (root / "params" / "tiny.yaml").write_text(TINY + LADDER)
    assert best.bars(study.load("tiny")).empty
    assert [list(axis.patches) for axis in best.draw(study.load("tiny")).axes] == [[]]
    plt.close("all")


def test_the_figure_of_the_page_lies_beside_its_records(root):
    folder = records.folder(study.load("best"))
    records.store(study.load("best"), "step3", {"metrics": {"accuracy": 0.25, "device_macs": 2e6, "seconds": 1.0}})
    best.main()
    assert (folder / "ladder.png").stat().st_size > 10_000
    assert (folder / "ladder.csv").read_text().splitlines()[1].startswith(",step3,features,8,26,26,25")
    plt.close("all")


def test_one_model_has_a_panel_a_bandwidth_with_all_three_curves():
    rows = [(8, 0.0, 60, 61, 55), (4, 10.0, 70, 72, 72), (4, 0.0, 40, 41, 35)]
    first, second = best.draw_one_model(
        pd.DataFrame(rows, columns=["bandwidth", "snr_db", "one", "own", "fixed"])).axes
    assert (first.get_title(), second.get_title()) == ("4 symbols", "8 symbols")
    assert {line.get_label(): list(line.get_ydata()) for line in first.lines} == {
        "trained for its point": [41, 72], "one model for all": [40, 70], "trained for one SNR": [35, 72]}
    assert all(list(line.get_xdata()) == [0, 10] for line in first.lines)
    plt.close("all")
