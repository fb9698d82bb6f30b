"""What the lessons on the figures read: numbers by hand from tables that are known."""

import math

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from lib import results, study
from lib.reading import loaded, over_snr, trade_off
from lib.report import figures
from stored import PRETRAINED, point, store

AT = {"pool": 2, "ratio": 0.5, "seed": 0, "variant": "proposed"}


def model(root, study_name, bandwidth, accuracies, snr_db=14.5):
    """A model of step 4 with these accuracies at 0 and 14.5 dB."""
    name = f"end_to_end/pool2-r0.50-b{bandwidth}-snr{snr_db:g}-s0"
    points = [point(snr, accuracy=accuracy) for snr, accuracy in zip((0.0, 14.5), accuracies, strict=True)]
    store(root, name, {}, points, study_name, bandwidth=bandwidth, snr_db=snr_db, **AT)
    return name


@pytest.fixture
def both(root):
    """A model of the study, the same one computed by hand, and two by hand alone."""
    store(root, "pretrain/s0", PRETRAINED, seed=0)
    model(root, "desk", 256, (0.3, 0.6))
    model(root, "interactive/desk", 256, (0.1, 0.1))
    model(root, "interactive/desk", 64, (0.2, 0.5))
    model(root, "interactive/desk", 512, (0.5, 0.55), snr_db=0.0)
    return root


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


# By hand, beside a study

def test_only_what_was_asked_for_is_read(both):
    table = loaded.load("desk")
    assert table.drop(columns="by_hand").equals(results.load("desk")) and not table.by_hand.any()


def test_by_hand_is_marked_and_takes_no_place_of_the_studys(both, capsys):
    table = loaded.load("desk", by_hand=True)
    assert "2 runs are added, and 1 left out" in capsys.readouterr().out
    assert set(table.columns) == {*results.describe().column, "by_hand"}
    at_snr = results.end_to_end(table, bandwidth=256, snr_db=14.5)
    assert at_snr.accuracy.tolist() == [0.6] and at_snr.by_hand.tolist() == [False]
    assert set(table[table.by_hand].bandwidth) == {64, 512}
    assert table.accuracy.dtype == float and table.seed.notna().all()


def test_by_hand_stands_alone_where_the_study_has_nothing(root):
    model(root, "interactive/desk", 64, (0.2, 0.5))
    table = loaded.load("desk", by_hand=True)
    assert table.accuracy.tolist() == [0.2, 0.5] and table.by_hand.all()


def test_both_stand_in_one_figure_and_in_one_table(both):
    table = loaded.load("desk", by_hand=True)
    beside = over_snr.beside(table, "bandwidth", 14.5, pool=2, ratio=0.5)
    axis = figures.accuracy_over_snr(beside, results.baseline_accuracy(table), "desk")
    names = ["B = 256, 14.5 dB", "B = 64, 14.5 dB, by hand", "B = 512, 0 dB, by hand"]
    assert [text.get_text() for text in axis.get_legend().texts] == [*names, "unpruned, no channel"]
    heights = [pytest.approx(line.get_ydata()) for line in axis.lines[:3]]
    assert heights == [[30, 60], [20, 50], [50, 55]]
    shown = over_snr.curves(beside, "label")
    assert shown.loc[names].to_numpy().tolist() == [pytest.approx(row) for row in ([30, 60], [20, 50], [50, 55])]


def test_there_are_never_more_curves_than_markers_and_those_by_hand_stay(root):
    for bandwidth in (256, 512):
        model(root, "desk", bandwidth, (0.2, 0.5))
    by_hand = range(16, 16 * 11, 16)
    for bandwidth in by_hand:
        model(root, "interactive/desk", bandwidth, (0.2, 0.5))
    beside = over_snr.beside(loaded.load("desk", by_hand=True), "bandwidth", 14.5, pool=2, ratio=0.5)
    assert beside.label.nunique() == len(over_snr.MARKERS) < 2 + len(by_hand)
    assert {f"B = {bandwidth}, 14.5 dB, by hand" for bandwidth in by_hand} < set(beside.label)
    figures.accuracy_over_snr(beside, 0.7, "desk")


def test_an_empty_study_names_the_command_that_fills_it(root, capsys):
    loaded.say_what_fills(loaded.load("desk"), study.load("desk"))
    assert "./run_all.sh desk computes the study" in capsys.readouterr().out


# Figures 4 and 5

POINTS = pd.DataFrame([
    {"reading": reading, "ratio": ratio, "snr_db": snr_db, "draw": draw, "accuracy": accuracy + 0.01 * draw}
    for reading, ratio, snr_db, accuracy in (
        ("matched", 0.0, 0.0, 0.40), ("matched", 0.0, 20.0, 0.50), ("matched", 0.25, 0.0, 0.30),
        ("matched", 0.25, 20.0, 0.48), ("fixed", 0.0, 0.0, 0.1))
    for draw in (0, 2)])


def test_curves_are_means_over_draws_of_the_matched_models():
    shown = over_snr.curves(POINTS, "ratio")
    assert shown.attrs["reading"] == "matched" and shown.index.tolist() == ["ratio 0", "ratio 0.25"]
    assert shown[0.0].tolist() == pytest.approx([41, 31]) and shown[20.0].tolist() == pytest.approx([51, 49])


def test_curves_are_of_the_fixed_models_where_there_are_no_others():
    shown = over_snr.curves(POINTS[POINTS.reading == "fixed"], "ratio")
    assert shown.attrs["reading"] == "fixed" and shown.to_numpy().tolist() == [pytest.approx([11])]


def test_a_fall_is_in_points_and_as_a_share_of_the_start_to_the_nearest_snr():
    fallen = over_snr.falls(over_snr.curves(POINTS, "ratio"), -3.0)
    assert fallen.columns.tolist() == ["curve", "at 20 dB (%)", "at 0 dB (%)", "falls by (points)", "share lost (%)"]
    assert fallen["falls by (points)"].tolist() == pytest.approx([10, 18])
    assert fallen["share lost (%)"].tolist() == pytest.approx([100 * 10 / 51, 100 * 18 / 49])


def test_nothing_falls_where_nothing_is_measured():
    nothing = over_snr.curves(POINTS[:0], "ratio")
    assert nothing.empty and over_snr.falls(nothing, 0.0).empty


def test_at_equal_energy_half_the_symbols_are_read_3_db_higher():
    accuracy = pd.DataFrame([[10.0, 20.0, 30.0]] * 2, index=["B = 256", "B = 512"], columns=[0.0, 10.0, 20.0])
    half, whole = over_snr.at_equal_energy(accuracy, [256, 512]).to_numpy()
    assert whole.tolist() == [10, 20, 30]  # the widest stays
    assert half[:2].tolist() == pytest.approx([10 + 10 * math.log10(2), 20 + 10 * math.log10(2)])
    assert math.isnan(half[2])  # 23 dB was not measured


# Figure 3

MODELS = pd.DataFrame({
    "scheme": ["PNG", "JSCC + pruning", "JSCC + pruning"], "pool": [None, 1.0, 3.0], "ratio": [None, 0.5, 0.25],
    "device_macs": [0.0, 2.5e6, 8e6], "symbols": [7200.0, 1024.0, 64.0], "selected": [True, True, False],
    "accuracy_selecting": [0.7, 0.69, 0.6], "accuracy_reporting": [0.7, 0.66, 0.61]})
TABLE = pd.DataFrame({"step": ["pretrain", "pretrain"], "seed": [0, 1], "accuracy_selecting_clean": [0.7, 0.1],
                      "accuracy_reporting_clean": [0.7, 0.1]})


def test_luck_is_the_mean_loss_of_the_selected_on_each_half():
    assert "2 selected models" in trade_off.luck(MODELS, TABLE)
    assert "0.50 on the half that selected, 2.00 on the other" in trade_off.luck(MODELS, TABLE)
    assert trade_off.luck(MODELS.assign(selected=False), TABLE) == "no model is selected"


def test_all_that_were_tried_are_listed_in_words():
    rows = trade_off.tried(MODELS, TABLE).to_dict("records")
    assert [row["symbols"] for row in rows] == ["1,024", "64", "7,200"]
    assert rows[1]["ratio"] == "0.25" and rows[1]["operations (10⁶)"] == "8.00" and rows[1]["selected"] == ""
    assert rows[1]["below, selecting half"] == pytest.approx(10) and pd.isna(rows[2]["pool"])
