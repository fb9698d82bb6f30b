"""One table of all results: read from files, filtered for each figure, selected for Figure 3."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from lib import InputError, results, study
from lib.batch import places
from lib.evidence import provenance

PRETRAINED = {"accuracy_clean": 0.7, "accuracy_selecting_clean": 0.7, "accuracy_reporting_clean": 0.7}
ORIGIN = {"commit": "0123456789abcdef", "device": "a processor", "seconds": 12.5}


@pytest.fixture
def root(tmp_path, monkeypatch):
    shutil.copytree(study.ROOT / "params", tmp_path / "params")
    monkeypatch.setattr(study, "ROOT", tmp_path)
    monkeypatch.delenv(places.OUTPUT, raising=False)
    return tmp_path


def store(root, name, metrics, evaluation=(), study_name="desk", **parameters):
    """A finished run's result.json."""
    folder = root / "outputs" / study_name / name
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({
        "name": name, "step": name.split("/")[0], "study": study_name, "hash": "f" * 16, "upstream": [],
        "parameters": {"data": "cifar100", "network": {"width": 1.0}, "precision": "float32", **parameters},
        "channels": [64, 64], "metrics": metrics, "evaluation": list(evaluation), "provenance": ORIGIN}))


def point(snr_db, draw=0, accuracy=0.5, right_by_class="50 50"):
    return {"snr_db": snr_db, "draw": draw, "accuracy": accuracy, "accuracy_selecting": accuracy,
            "accuracy_reporting": accuracy, "right_by_class": right_by_class}


def stored_study(root):
    """A pretrained net, a pruning stop, a model evaluated at two SNRs and a PNG baseline."""
    store(root, "pretrain/s0", PRETRAINED, seed=0)
    store(root, "prune/pool2-r0.50-s0", {"accuracy_clean": 0.68, "device_macs": 20_000_000}, seed=0, pool=2, ratio=0.5,
          variant="proposed")
    store(root, "autoencoder/pool2-r0.50-b256-snr14.5-s0", {"accuracy_clean": 0.6, "accuracy_at_snr": 0.59}, seed=0,
          pool=2, ratio=0.5, bandwidth=256, snr_db=14.5, variant="proposed")
    store(root, "end_to_end/pool2-r0.50-b256-snr14.5-s0",
          {"accuracy_clean": 0.67, "accuracy_at_snr": 0.66, "device_macs": 21_000_000, "symbols": 256},
          [point(0.0, 0, 0.4, "30 50"), point(14.5, 0, 0.66, "60 72")], seed=0, pool=2, ratio=0.5, bandwidth=256,
          snr_db=14.5, variant="proposed")
    store(root, "baselines/png-snr14.5-s0", {"scheme": "PNG", "symbols": 8000, "device_macs": 0},
          [{**point(14.5), "right_by_class": None}], seed=0, scheme="png", snr_db=14.5)
    return results.load("desk")


# Reading

def test_a_row_per_run_and_evaluation_point(root):
    table = stored_study(root)
    assert table.groupby("run", sort=True).size().to_dict() == {
        "autoencoder/pool2-r0.50-b256-snr14.5-s0": 1, "baselines/png-snr14.5-s0": 1,
        "end_to_end/pool2-r0.50-b256-snr14.5-s0": 2, "pretrain/s0": 1, "prune/pool2-r0.50-s0": 1}


def test_a_row_carries_parameters_metrics_point_and_origin(root):
    table = stored_study(root)
    row = table[(table.step == "end_to_end") & (table.snr_db == 0.0)].iloc[0]
    assert (row.pool, row.ratio, row.bandwidth, row.train_snr_db, row.seed) == (2, 0.5, 256, 14.5, 0)
    assert (row.scheme, row.variant, row.accuracy, row.device_macs, row.symbols) == (
        results.PROPOSED, "proposed", 0.4, 21_000_000, 256)
    assert (row.hash, row.seconds, row.device, row.commit) == ("f" * 16, 12.5, "a processor", ORIGIN["commit"])


def test_right_answers_by_class_are_numbers(root):
    table = stored_study(root)
    assert table[table.step == "end_to_end"].right_by_class.tolist() == [[30, 50], [60, 72]]


def test_other_schemes_go_by_their_names(root):
    assert stored_study(root).set_index("run").scheme["baselines/png-snr14.5-s0"] == "PNG"


def test_half_made_runs_and_other_studies_are_not_read(root):
    store(root, "pretrain/s0", {"accuracy_clean": 0.7}, seed=0)
    store(root, "pretrain/s0", {"accuracy_clean": 0.1}, study_name="gpu", seed=0)
    half = root / "outputs" / "desk" / "pretrain" / "s1"
    half.mkdir()
    (half / "result.json.unfinished").write_text("{}")
    assert results.load("desk").accuracy_clean.tolist() == [0.7]


def test_what_the_study_does_not_list_is_left_out_and_told(root):
    store(root, "pretrain/s0", {"accuracy_clean": 0.7}, seed=0)
    store(root, "pretrain/s7", {"accuracy_clean": 0.1}, seed=7)
    assert results.load("desk").accuracy_clean.tolist() == [0.7]
    assert "left out, which the study does not list: pretrain/s7" in results.progress("desk")


def test_a_copied_folder_is_no_second_result(root):
    store(root, "pretrain/s0", {"accuracy_clean": 0.7}, seed=0)
    folder = root / "outputs" / "desk" / "pretrain"
    shutil.copytree(folder / "s0", folder / "s0-old")
    assert results.load("desk").run.tolist() == ["pretrain/s0"]
    assert "the study does not list: pretrain/s0-old" in results.progress("desk")


def test_a_damaged_result_is_named(root):
    store(root, "pretrain/s0", {}, seed=0)
    (root / "outputs" / "desk" / "pretrain" / "s0" / "result.json").write_text("")
    with pytest.raises(InputError, match="pretrain/s0/result.json is damaged"):
        results.load("desk")


def test_what_was_computed_by_hand_is_read_only_when_asked(root):
    store(root, "pretrain/s0", {"accuracy_clean": 0.3}, study_name="interactive/desk", seed=0)
    assert results.load("desk").empty
    assert results.load("desk", interactive=True).accuracy_clean.tolist() == [0.3]


# Every part of the report stands on whatever has been measured so far

STAGES = {
    "nothing": [],
    "the pretrained net": [("pretrain/s0", PRETRAINED, {"seed": 0})],
    "no model yet": [("pretrain/s0", PRETRAINED, {"seed": 0}),
                     ("prune/pool2-r0.50-s0", {"accuracy_clean": 0.7, "device_macs": 5},
                      {"seed": 0, "pool": 2, "ratio": 0.5, "variant": "proposed"})]}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("part", [
    lambda table, settings: results.figure3(table, settings),
    lambda table, settings: results.figure_points(table, settings, "figure4a"),
    lambda table, settings: results.figure_points(table, settings, "figure5"),
    lambda table, settings: results.separation_points(table, settings, "figure4b"),
    lambda table, settings: results.accuracy_table(table, settings, "figure5"),
    lambda table, settings: results.step_table(table),
    lambda table, settings: results.ablation_table(table, settings)],
    ids=["figure3", "figure4a", "figure5", "separation", "accuracies", "steps", "ablations"])
def test_where_nothing_is_measured_tables_are_empty(root, stage, part):
    for name, metrics, parameters in STAGES[stage]:
        store(root, name, metrics, **parameters)
    assert len(part(results.load("desk"), study.load("desk"))) == 0


@pytest.mark.parametrize("stage", STAGES)
def test_the_origin_of_every_run_is_told(root, stage):
    for name, metrics, parameters in STAGES[stage]:
        store(root, name, metrics, **parameters)
    table = results.provenance_table(results.load("desk"), study.load("desk"))
    assert table["run"].tolist() == [name for name, _, _ in STAGES[stage]]


def test_a_run_can_be_computed_again_by_the_command_beside_it(root):
    rows = results.provenance_table(stored_study(root), study.load("desk")).set_index("run")
    assert rows["recompute with"]["prune/pool2-r0.50-s0"] == "python -m lib.run desk prune/pool2-r0.50-s0"
    assert rows.commit["prune/pool2-r0.50-s0"] == "01234567"


def test_without_git_a_run_has_no_commit_and_the_report_says_unknown(root, monkeypatch):
    store(root, "pretrain/s0", {}, seed=0)
    monkeypatch.setenv("PATH", str(root))  # no git there
    origin = provenance.origin("01_pretrain")
    assert (origin["commit"], origin["uncommitted_changes"]) == (None, None)
    table = results.load("desk")
    rows = results.provenance_table(pd.concat([table, table.assign(run="other", **origin | {"code": None})]),
                                    study.load("desk")).set_index("run")
    assert rows.loc["other", ["commit", "uncommitted changes"]].tolist() == ["unknown", "unknown"]
    assert rows.commit["pretrain/s0"] == "01234567"


@pytest.mark.parametrize("file, source", [
    ("params/mine.yaml", "mine"), ("mine.yaml", "mine.yaml"), ("../mine.yaml", "{root}/mine.yaml")])
def test_it_names_a_studys_own_file(root, monkeypatch, file, source):
    table, desk = stored_study(root), (study.ROOT / "params" / "desk.yaml").read_text()
    (root / "project" / "params").mkdir(parents=True)
    monkeypatch.setattr(study, "ROOT", root / "project")
    monkeypatch.chdir(root / "project")
    Path(file).write_text(desk.replace("name: desk", "name: mine"))
    rows = results.provenance_table(table, study.load(file))
    assert rows["recompute with"][0] == f"python -m lib.run {source.format(root=root)} " + rows["run"][0]


# Tables of the report

def test_the_accuracy_after_each_step_stands_in_a_row(root):
    rows = results.step_table(stored_study(root))
    assert rows.to_dict("records") == [{
        "model": "pool2-r0.50-b256-snr14.5", "1 pretrain, clean": 70.0, "2 prune, clean": 68.0,
        "3 autoencoder, clean": 60.0, "3 autoencoder, at SNR": 59.0, "4 end to end, clean": 67.0,
        "4 end to end, at SNR": 66.0}]


def models(*rows, **common):
    """Rows as results.load gives them, of the proposed end-to-end models."""
    frame = pd.DataFrame([{
        "step": "end_to_end", "scheme": results.PROPOSED, "variant": "proposed", "seed": 0, "draw": 0,
        "train_snr_db": 14.5, "right_by_class": None, "accuracy_selecting": None, "accuracy_reporting": None,
        **common, **row} for row in rows])
    name = "end_to_end/pool" + frame.pool.map("{:g}".format) + "-r" + frame.ratio.map("{:g}".format)
    frame["run"] = name + "-b" + frame.bandwidth.map(str) + "-snr" + frame.train_snr_db.map("{:g}".format) + (
        "-s" + frame.seed.map(str) + frame.variant)
    return frame


def test_the_baseline_is_the_mean_over_seeds():
    table = pd.DataFrame({"step": ["pretrain", "pretrain", "prune"], "accuracy_clean": [0.7, 0.8, 0.1]})
    assert results.baseline_accuracy(table) == pytest.approx(0.75)


def test_ablations_are_shown_beside_the_proposed_scheme():
    spec = study.load("desk").ablations[0]
    at = {"pool": spec.pool, "ratio": spec.ratio, "bandwidth": spec.bandwidth}
    table = models({**at, "snr_db": 0.0, "accuracy": 0.5}, {**at, "snr_db": 0.0, "accuracy": 0.6, "draw": 1},
                   {**at, "snr_db": 0.0, "accuracy": 0.3, "variant": "no_gdn"},
                   {**at, "snr_db": 0.0, "accuracy": 0.9, "train_snr_db": 0.0},
                   {**at, "snr_db": 0.0, "accuracy": 0.9, "bandwidth": 2048},
                   {**at, "snr_db": 0.0, "accuracy": 0.9, "seed": 1})  # the variants are of the first seed alone
    rows = results.ablation_table(table, study.load("desk"))
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
    rows = results.ablation_table(table, study.load("gpu"))
    assert rows["point"].str.contains("B = 512").tolist() == [True, True, False, False]
    assert rows["variant"].tolist() == ["proposed", "longer_step4"] * 2
    accuracy = [50, 60, 100 / 128, 10 + 100 / 128]
    assert rows[14.5].tolist() == pytest.approx(accuracy)
    assert rows["below, selecting half"].tolist() == pytest.approx([70 + 1 - value for value in accuracy])
    assert rows["below, reporting half"].tolist() == pytest.approx([70 - 1 - value for value in accuracy])


def test_the_selected_models_are_shown_in_whole_numbers():
    points = pd.DataFrame([
        {"scheme": "PNG", "pool": None, "ratio": None, "device_macs": 0, "symbols": 7323, "selected": True,
         "accuracy_reporting": 0.7},
        {"scheme": "JPEG", "pool": 1, "ratio": 0.75, "device_macs": 4512345.0, "symbols": 2048, "selected": True,
         "accuracy_reporting": 0.69},
        {"scheme": "JPEG", "pool": 1, "ratio": 0.75, "device_macs": 5, "symbols": 2048, "selected": False,
         "accuracy_reporting": 0.69}])
    rows = results.selected_table(points).fillna("").to_dict("split")["data"]
    assert rows == [["JPEG", "1", "0.75", "4,512,345", "2,048", pytest.approx(69)],
                    ["PNG", "", "", "0", "7,323", pytest.approx(70)]]


# Figures 4 and 5

FOUR_A = {"pool": 2, "bandwidth": 2048, "ratio": 0.5}


def readings(table, figure="figure4a"):
    points = results.figure_points(table, study.load("desk"), figure)
    return {reading: mine for reading, mine in points.groupby("reading")}


def with_baseline(table):
    return pd.concat([table, pd.DataFrame([{"step": "pretrain", "accuracy_clean": 0.7, "seed": 0, "run": "pretrain/s0",
                                            "scheme": results.PROPOSED}])], ignore_index=True)


def test_matched_is_only_where_a_model_meets_the_snr_it_was_trained_for():
    snrs = (0.0, 10.0, 14.5, 20.0)
    table = models(*({**FOUR_A, "train_snr_db": trained, "snr_db": snr, "accuracy": 0.6 if trained == snr else 0.1}
                     for trained in snrs for snr in snrs))
    matched = readings(with_baseline(table))["matched"]
    assert sorted(matched.snr_db) == list(snrs) and set(matched.accuracy) == {0.6}
    assert (matched.snr_db == matched.train_snr_db).all()


def test_curves_stand_in_the_order_of_their_ratios_under_each_reading():
    table = models(*({**FOUR_A, "ratio": ratio, "train_snr_db": snr, "snr_db": snr, "accuracy": 0.6}
                     for ratio in (0.0, 0.5, 0.25) for snr in ((14.5,) if ratio == 0.25 else (0.0, 14.5, 20.0))))
    rows = results.accuracy_table(with_baseline(table), study.load("desk"), "figure4a")
    assert rows.index.tolist() == [("matched", "ratio 0"), ("matched", "ratio 0.5"), ("fixed", "ratio 0"),
                                   ("fixed", "ratio 0.25"), ("fixed", "ratio 0.5")]


def test_fixed_is_one_model_over_all_snrs():
    table = models(*({**FOUR_A, "snr_db": snr, "accuracy": 0.6} for snr in (0.0, 14.5, 20.0)),
                   {**FOUR_A, "train_snr_db": 0.0, "snr_db": 20.0, "accuracy": 0.1})
    fixed = readings(with_baseline(table))["fixed"]
    assert fixed.snr_db.tolist() == [0.0, 14.5, 20.0] and set(fixed.train_snr_db) == {14.5}


def test_one_model_alone_is_not_a_matched_curve():
    table = models(*({**FOUR_A, "snr_db": snr, "accuracy": 0.6} for snr in (-5.0, 0.0, 10.0, 14.5, 20.0)))
    assert set(readings(with_baseline(table))) == {"fixed"}


def test_figure_4_takes_its_own_split_bandwidth_and_ratios():
    table = models(*({**FOUR_A, "snr_db": 0.0, "accuracy": 0.6, **other} for other in (
        {}, {"ratio": 0.9}, {"ratio": 0.6}, {"bandwidth": 1024}, {"pool": 4}, {"pool": 4, "bandwidth": 128},
        {"variant": "no_gdn"})))
    table = pd.concat([table, models({**FOUR_A, "snr_db": 0.0, "accuracy": 0.6}, step="baselines",
                                     scheme="Separation")])
    fixed = readings(with_baseline(table))["fixed"]
    assert sorted(fixed.ratio) == [0.5, 0.9] and set(fixed.label) == {"ratio 0.5", "ratio 0.9"}
    assert readings(with_baseline(table), "figure4b")["fixed"].pool.tolist() == [4]


def test_figure_5_takes_its_own_ratio_and_says_the_bandwidth_ratio():
    table = models(*({"pool": 2, "ratio": ratio, "bandwidth": bandwidth, "snr_db": 0.0, "accuracy": 0.6}
                     for ratio in (0.5, 0.75) for bandwidth in (256, 512, 640, 2048)))
    fixed = readings(with_baseline(table), "figure5")["fixed"]
    assert fixed.bandwidth.tolist() == [2048, 512, 256] and set(fixed.ratio) == {0.5}
    assert "B = 256 (B/3072 = 0.08)" in set(fixed.label)


def test_figures_carry_the_dashed_baseline():
    table = with_baseline(models({**FOUR_A, "snr_db": 0.0, "accuracy": 0.6}))
    assert results.figure_points(table, study.load("desk"), "figure4a").attrs["baseline"] == pytest.approx(0.7)


def test_accuracies_are_a_row_per_curve_and_a_column_per_snr_in_percent():
    table = with_baseline(models(*({**FOUR_A, "snr_db": snr, "accuracy": accuracy, "draw": draw} for snr, draw, accuracy
                                   in ((20.0, 0, 0.7), (0.0, 0, 0.4), (0.0, 1, 0.5)))))
    rows = results.accuracy_table(table, study.load("desk"), "figure4a")
    assert rows.columns.tolist() == [0.0, 20.0] and rows.loc[("fixed", "ratio 0.5")].tolist() == [45.0, 70.0]


def test_separation_is_a_slope_over_designs_and_a_cliff_of_one_design():
    designs = {0.0: 0.3, 10.0: 0.5, 14.5: 0.6, 20.0: 0.65}
    table = models(*({**FOUR_A, "snr_db": snr, "accuracy": accuracy} for snr, accuracy in designs.items()),
                   step="baselines", scheme="Separation", variant=float("nan"))
    points = results.separation_points(table.assign(run="baselines/separation"), study.load("desk"), "figure4a")
    slope, cliff = (points[points.reading == reading].set_index("snr_db").accuracy for reading in ("matched", "fixed"))
    assert slope.to_dict() == designs
    assert cliff.to_dict() == {0.0: 0.01, 10.0: 0.01, 14.5: 0.6, 20.0: 0.6}  # 100 classes: chance is 1 %


# Figure 3

def figure3(*rows, baseline=0.70, accuracy_clean=0.0, other_seed=None, profile="desk"):
    """Models (symbols, MACs, accuracy that selects, …) at Figure 3's SNR, by run."""
    pretrained = {"step": "pretrain", "run": "pretrain/s0", "scheme": results.PROPOSED, "seed": 0,
                  "accuracy_selecting_clean": baseline, "accuracy_clean": accuracy_clean,
                  "accuracy_reporting_clean": 0.0}
    second = [{**pretrained, "seed": 1, "accuracy_selecting_clean": other_seed}] if other_seed else []
    tried = [{"step": "end_to_end", "scheme": results.PROPOSED, "variant": "proposed", "seed": 0, "draw": 0, "pool": 2,
              "ratio": 0.5, "train_snr_db": 14.5, "snr_db": 14.5, "accuracy": 0.5, "accuracy_reporting": 0.5,
              "symbols_finite": row.get("symbols"), **row} for row in rows]
    return results.figure3(pd.DataFrame([pretrained, *second, *tried]), study.load(profile)).set_index("run")


def model(run, symbols, macs, selecting, **other):
    return {"run": run, "symbols": symbols, "device_macs": macs, "accuracy_selecting": selecting, **other}


def test_models_are_selected_by_the_half_that_selects():
    points = figure3(model("good where it selects", 64, 10, 0.69, accuracy=0.1, accuracy_reporting=0.1),
                     model("good where it reports", 32, 5, 0.67, accuracy=0.9, accuracy_reporting=0.9))
    assert points.within.to_dict() == {"good where it selects": True, "good where it reports": False}
    assert points.selected.to_dict() == points.within.to_dict()
    assert points.accuracy_reporting["good where it selects"] == 0.1


def test_the_tolerance_is_taken_from_the_baselines_accuracy_on_the_same_half():
    points = figure3(model("inside", 64, 10, 0.681), model("outside", 32, 5, 0.679))
    assert points.selected.to_dict() == {"inside": True, "outside": False}
    assert not figure3(model("inside", 64, 10, 0.681), baseline=0.71).selected.any()


def test_what_a_selected_model_loses_is_told_on_the_half_that_reports():
    points = figure3(model("holds", 64, 10, 0.7, accuracy_reporting=-0.019), model("lucky", 32, 20, 0.7,
                     accuracy_reporting=-0.03), model("unlucky", 16, 30, 0.6, accuracy_reporting=0.0))
    assert points.loss.to_dict() == pytest.approx({"holds": 0.019, "lucky": 0.03, "unlucky": 0})  # its baseline is 0
    assert points.holds.to_dict() == {"holds": True, "lucky": False, "unlucky": False}


def test_a_model_is_denied_when_all_images_put_it_outside_by_two_standard_errors():
    least = 0.70 - 0.02 - 2 * ((0.7 * 0.3 + 0.667 * 0.333) / 10_000) ** 0.5
    rows = (model("near", 64, 10, 0.6, accuracy=least + 0.0005), model("far", 64, 10, 0.6, accuracy=least - 0.0005))
    points = figure3(*rows, accuracy_clean=0.7)
    assert points.denied.to_dict() == {"near": False, "far": True}


def test_figure_3_takes_the_baseline_of_its_models_seed():
    assert figure3(model("fine", 64, 10, 0.69), other_seed=0.9).within.all()


def test_dominated_models_are_not_selected():
    points = figure3(model("few symbols", 8, 100, 0.7), model("few operations", 64, 10, 0.7),
                     model("fewer of neither", 64, 100, 0.7), model("between", 32, 50, 0.7),
                     model("as many symbols, more operations", 8, 101, 0.7))
    assert points.selected.to_dict() == {
        "few symbols": True, "few operations": True, "between": True, "fewer of neither": False,
        "as many symbols, more operations": False}


def test_a_model_outside_the_tolerance_dominates_nothing():
    points = figure3(model("too wrong", 8, 10, 0.5), model("right", 64, 100, 0.7))
    assert points.selected.to_dict() == {"too wrong": False, "right": True}


def test_two_equal_models_do_not_dominate_each_other():
    assert figure3(model("one", 8, 10, 0.7), model("two", 8, 10, 0.7)).selected.all()


def test_each_scheme_is_selected_among_its_own():
    points = figure3(model("ours", 8, 10, 0.7), model("theirs", 64, 100, 0.7, scheme="BottleNet++", step="baselines",
                                                      variant=None))
    assert points.selected.all()


def test_draws_are_averaged():
    points = figure3(*(model("mine", 8, 10, accuracy, draw=draw) for draw, accuracy in enumerate((0.66, 0.72))))
    assert len(points) == 1 and points.accuracy_selecting["mine"] == pytest.approx(0.69) and points.selected["mine"]


@pytest.mark.parametrize("other", [{"variant": "no_gdn"}, {"snr_db": 10.0}, {"train_snr_db": 10.0}, {"seed": 1},
                                   {"step": "autoencoder"}, {"scheme": "Separation", "step": "baselines"}],
                         ids=lambda other: " ".join(map(str, other.values())))
def test_only_models_of_figure_3_are_tried(other):
    assert figure3(model("mine", 8, 10, 0.7), model("another", 4, 5, 0.7, **other)).index.tolist() == ["mine"]


def test_a_scheme_without_a_split_is_a_point_too():
    points = figure3(model("png", 8000, 0, 0.7, scheme="PNG", step="baselines", pool=None, ratio=None, variant=None))
    assert points.selected["png"] and points.device_macs["png"] == 0


def test_symbols_at_finite_block_length_count_where_the_study_says_so(tmp_path):
    path = tmp_path / "finite.yaml"
    path.write_text((study.ROOT / "params" / "paper.yaml").read_text().replace(
        "figure3:\n", "figure3:\n  finite_blocklength: true\n").replace("name: paper", "name: finite"))
    png = model("png", 8000, 0, 0.7, scheme="PNG", step="baselines", pool=None, ratio=None, variant=None)
    rows = {**png, "symbols_finite": 9000}, model("ours", 8, 10, 0.7, symbols_finite=None)
    assert figure3(*rows, profile=path).symbols.to_dict() == {"png": 9000, "ours": 8}
    assert figure3(*rows).symbols.to_dict() == {"png": 8000, "ours": 8}
