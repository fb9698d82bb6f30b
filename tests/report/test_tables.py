"""The report's tables, on whatever has been measured so far."""


import pandas as pd
import pytest

from lib import results, study
from lib.claims import points
from lib.report import tables
from stored import FOUR_A, PRETRAINED, models, store, stored_study, with_baseline

STAGES = {
    "nothing": [],
    "the pretrained net": [("pretrain/s0", PRETRAINED, {"seed": 0})],
    "no model yet": [("pretrain/s0", PRETRAINED, {"seed": 0}),
                     ("prune/pool2-r0.50-s0", {"accuracy_clean": 0.7, "device_macs": 5},
                      {"seed": 0, "pool": 2, "ratio": 0.5, "variant": "proposed"})]}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("part", [
    lambda table, settings: points.figure3_models(table, settings),
    lambda table, settings: points.figure_points(table, settings, "figure4a"),
    lambda table, settings: points.figure_points(table, settings, "figure5"),
    lambda table, settings: points.separation_points(table, settings, "figure4b"),
    lambda table, settings: tables.accuracy_table(table, settings, "figure5"),
    lambda table, settings: tables.step_table(table),
    lambda table, settings: tables.ablation_table(table, settings)],
    ids=["figure3", "figure4a", "figure5", "separation", "accuracies", "steps", "ablations"])
def test_where_nothing_is_measured_tables_are_empty(root, stage, part):
    for name, metrics, parameters in STAGES[stage]:
        store(root, name, metrics, **parameters)
    assert len(part(results.load("desk"), study.load("desk"))) == 0


# Accuracies

def test_the_accuracy_after_each_step_stands_in_a_row(root):
    rows = tables.step_table(stored_study(root))
    assert rows.to_dict("records") == [{
        "model": "pool2-r0.50-b256-snr14.5", "1 pretrain, clean": 70.0, "2 prune, clean": 68.0,
        "3 autoencoder, clean": 60.0, "3 autoencoder, at SNR": 59.0, "4 end to end, clean": 67.0,
        "4 end to end, at SNR": 66.0}]


def test_curves_stand_in_the_order_of_their_ratios_under_each_reading():
    table = models(*({**FOUR_A, "ratio": ratio, "train_snr_db": snr, "snr_db": snr, "accuracy": 0.6}
                     for ratio in (0.0, 0.5, 0.25) for snr in ((14.5,) if ratio == 0.25 else (0.0, 14.5, 20.0))))
    rows = tables.accuracy_table(with_baseline(table), study.load("desk"), "figure4a")
    assert rows.index.tolist() == [("matched", "ratio 0"), ("matched", "ratio 0.5"), ("fixed", "ratio 0"),
                                   ("fixed", "ratio 0.25"), ("fixed", "ratio 0.5")]


def test_accuracies_are_a_row_per_curve_and_a_column_per_snr_in_percent():
    table = with_baseline(models(*({**FOUR_A, "snr_db": snr, "accuracy": accuracy, "draw": draw} for snr, draw, accuracy
                                   in ((20.0, 0, 0.7), (0.0, 0, 0.4), (0.0, 1, 0.5)))))
    rows = tables.accuracy_table(table, study.load("desk"), "figure4a")
    assert rows.columns.tolist() == [0.0, 20.0] and rows.loc[("fixed", "ratio 0.5")].tolist() == [45.0, 70.0]


def test_ablations_are_shown_beside_the_proposed_scheme():
    spec = study.load("desk").ablations[0]
    at = {"pool": spec.pool, "ratio": spec.ratio, "bandwidth": spec.bandwidth}
    table = models({**at, "snr_db": 0.0, "accuracy": 0.5}, {**at, "snr_db": 0.0, "accuracy": 0.6, "draw": 1},
                   {**at, "snr_db": 0.0, "accuracy": 0.3, "variant": "no_gdn"},
                   {**at, "snr_db": 0.0, "accuracy": 0.9, "train_snr_db": 0.0},
                   {**at, "snr_db": 0.0, "accuracy": 0.9, "bandwidth": 2048},
                   {**at, "snr_db": 0.0, "accuracy": 0.9, "seed": 1})  # the variants are of the first seed alone
    rows = tables.ablation_table(table, study.load("desk"))
    assert rows["variant"].tolist() == ["proposed", "no_gdn"] and rows[0.0].tolist() == pytest.approx([55, 30])


def test_each_point_of_the_ablations_has_its_own_rows():
    first, second = (item.point for item in study.load("gpu").ablations[:2])
    assert (first["bandwidth"], second["bandwidth"]) == (512, 8)
    table = models(*({"pool": point["pool"], "ratio": point["ratio"], "bandwidth": point["bandwidth"],
                      "variant": variant, "accuracy": gain + point["bandwidth"] / 1024}
                     for point in (first, second) for variant, gain in (("proposed", 0), ("longer_step4", 0.1))),
                   snr_db=14.5)
    table["accuracy_selecting"], table["accuracy_reporting"] = table.accuracy - 0.01, table.accuracy + 0.01
    table = pd.concat([table, pd.DataFrame([{"step": "pretrain", "seed": 0, **PRETRAINED}])])
    rows = tables.ablation_table(table, study.load("gpu"))
    assert rows["point"].str.contains("B = 512").tolist() == [True, True, False, False]
    assert rows["variant"].tolist() == ["proposed", "longer_step4"] * 2
    accuracy = [50, 60, 100 / 128, 10 + 100 / 128]
    assert rows[14.5].tolist() == pytest.approx(accuracy)
    assert rows["below, selecting half"].tolist() == pytest.approx([70 + 1 - value for value in accuracy])
    assert rows["below, reporting half"].tolist() == pytest.approx([70 - 1 - value for value in accuracy])


def test_the_selected_models_are_shown_in_whole_numbers():
    points = pd.DataFrame([
        {"scheme": "PNG", "pool": None, "ratio": None, "device_macs": 0, "symbols": 7323, "selected": True,
         "accuracy_reporting": 0.7, "loss": 0.0},
        {"scheme": "JPEG", "pool": 1, "ratio": 0.75, "device_macs": 4512345.0, "symbols": 2048, "selected": True,
         "accuracy_reporting": 0.69, "loss": 0.015},
        {"scheme": "JPEG", "pool": 1, "ratio": 0.75, "device_macs": 5, "symbols": 2048, "selected": False,
         "accuracy_reporting": 0.69, "loss": 0.015}])
    rows = tables.selected_table(points).fillna("").to_dict("split")["data"]
    assert rows == [["JPEG", "1", "0.75", "4,512,345", "2,048", pytest.approx(69), pytest.approx(1.5)],
                    ["PNG", "", "", "0", "7,323", pytest.approx(70), 0]]
