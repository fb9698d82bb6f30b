"""What each figure shows: rows filtered for Figures 4 and 5, models selected for Figure 3."""

import base64

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from helpers import MODEL, PNG, PRETRAIN
from lib import evaluation, results, study
from lib.batch import places
from lib.claims import points, statistics
from stored import FOUR_A, models, with_baseline

# Figures 4 and 5

def readings(table, figure="figure4a"):
    found = points.figure_points(table, study.load("paper"), figure)
    return {reading: rows for reading, rows in found.groupby("reading")}


def test_matched_is_only_where_a_model_meets_the_snr_it_was_trained_for():
    snrs = (0.0, 10.0, 14.5, 20.0)
    table = models(*({**FOUR_A, "train_snr_db": trained, "snr_db": snr, "accuracy": 0.6 if trained == snr else 0.1}
                     for trained in snrs for snr in snrs))
    matched = readings(with_baseline(table))["matched"]
    assert sorted(matched.snr_db) == list(snrs) and set(matched.accuracy) == {0.6}
    assert (matched.snr_db == matched.train_snr_db).all()


def test_fixed_is_one_model_over_all_snrs():
    table = models(*({**FOUR_A, "snr_db": snr, "accuracy": 0.6} for snr in (0.0, 14.5, 20.0)),
                   {**FOUR_A, "train_snr_db": 0.0, "snr_db": 20.0, "accuracy": 0.1})
    fixed = readings(with_baseline(table))["fixed"]
    assert fixed.snr_db.tolist() == [0.0, 14.5, 20.0] and set(fixed.train_snr_db) == {14.5}


def test_one_model_alone_is_not_a_matched_curve():
    table = models(*({**FOUR_A, "snr_db": snr, "accuracy": 0.6} for snr in (-5.0, 0.0, 10.0, 14.5, 20.0)))
    assert set(readings(with_baseline(table))) == {"fixed"}


def test_matched_points_are_there_however_few_a_curve_has():
    table = models({**FOUR_A, "train_snr_db": 0.0, "snr_db": 0.0, "accuracy": 0.6},
                   {**FOUR_A, "train_snr_db": 0.0, "snr_db": 20.0, "accuracy": 0.1})
    found = points.matched_points(with_baseline(table), study.load("paper"), "figure4a")
    assert found[["snr_db", "accuracy"]].values.tolist() == [[0.0, 0.6]]
    assert readings(with_baseline(table)) == {}


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
    assert points.figure_points(table, study.load("paper"), "figure4a").attrs["baseline"] == pytest.approx(0.7)


def test_separation_is_a_slope_over_designs_and_a_cliff_of_one_design():
    designs = {0.0: 0.3, 10.0: 0.5, 14.5: 0.6, 20.0: 0.65}
    table = models(*({**FOUR_A, "snr_db": snr, "accuracy": accuracy} for snr, accuracy in designs.items()),
                   step="baselines", scheme="Separation", variant=float("nan"))
    found = points.separation_points(table.assign(run="baselines/separation"), study.load("paper"), "figure4a")
    slope, cliff = (found[found.reading == reading].set_index("snr_db").accuracy for reading in ("matched", "fixed"))
    assert slope.to_dict() == designs
    assert cliff.to_dict() == {0.0: 0.01, 10.0: 0.01, 14.5: 0.6, 20.0: 0.6}  # 100 classes: chance is 1 %


# Figure 3

def figure3(*rows, baseline=0.70, accuracy_clean=0.0, other_seed=None, profile="paper"):
    """Models (symbols, MACs, accuracy that selects, …) at Figure 3's SNR, by run."""
    pretrained = {"step": "pretrain", "run": "pretrain/s0", "scheme": results.PROPOSED, "seed": 0,
                  "accuracy_selecting_clean": baseline, "accuracy_clean": accuracy_clean,
                  "accuracy_reporting_clean": 0.0}
    second = [{**pretrained, "seed": 1, "accuracy_selecting_clean": other_seed}] if other_seed else []
    models = [{"step": "end_to_end", "scheme": results.PROPOSED, "variant": "proposed", "seed": 0, "draw": 0,
               "pool": 2, "ratio": 0.5, "train_snr_db": 14.5, "snr_db": 14.5, "accuracy": 0.5,
               "accuracy_reporting": 0.5, "symbols_finite": row.get("symbols"), **row} for row in rows]
    return points.figure3_models(pd.DataFrame([pretrained, *second, *models]), study.load(profile)).set_index("run")


def model(run, symbols, macs, selecting, **other):
    return {"run": run, "symbols": symbols, "device_macs": macs, "accuracy_selecting": selecting, **other}


def test_models_are_selected_by_the_half_that_selects():
    tried = figure3(model("good where it selects", 64, 10, 0.69, accuracy=0.1, accuracy_reporting=0.1),
                     model("good where it reports", 32, 5, 0.67, accuracy=0.9, accuracy_reporting=0.9))
    assert tried.within.to_dict() == {"good where it selects": True, "good where it reports": False}
    assert tried.selected.to_dict() == tried.within.to_dict()
    assert tried.accuracy_reporting["good where it selects"] == 0.1


def test_the_tolerance_is_taken_from_the_baselines_accuracy_on_the_same_half():
    tried = figure3(model("inside", 64, 10, 0.681), model("outside", 32, 5, 0.679))
    assert tried.selected.to_dict() == {"inside": True, "outside": False}
    assert not figure3(model("inside", 64, 10, 0.681), baseline=0.71).selected.any()


def test_what_a_selected_model_loses_is_shown_on_the_half_that_reports():
    tried = figure3(model("holds", 64, 10, 0.7, accuracy_reporting=-0.019), model("lucky", 32, 20, 0.7,
                     accuracy_reporting=-0.03), model("unlucky", 16, 30, 0.6, accuracy_reporting=0.0))
    assert tried.loss.to_dict() == pytest.approx({"holds": 0.019, "lucky": 0.03, "unlucky": 0})  # its baseline is 0
    assert tried.holds.to_dict() == {"holds": True, "lucky": False, "unlucky": False}


def test_unpaired_a_model_is_denied_when_all_images_put_it_outside_by_two_standard_errors():
    least = 0.70 - 0.02 - 2 * ((0.7 * 0.3 + 0.667 * 0.333) / 10_000) ** 0.5
    rows = (model("near", 64, 10, 0.6, accuracy=least + 0.0005), model("far", 64, 10, 0.6, accuracy=least - 0.0005))
    tried = figure3(*rows, accuracy_clean=0.7)
    assert tried.denied.to_dict() == {"near": False, "far": True}


def by_class(mean, wobble):
    return (100 * mean + wobble * np.tile([1, -1], 50)).tolist()


def test_a_model_is_compared_class_by_class_with_the_answers_to_png():
    """10 of 100 images a class go up and down alike in both; their difference, by a tenth of that."""
    png = model("png", 8000, 0, 0.7, scheme="PNG", step="baselines", right_by_class=by_class(0.7, 10), accuracy=0.7)
    near, far = (model(name, 64, 10, 0.6, accuracy=accuracy, right_by_class=by_class(accuracy, 9))
                 for name, accuracy in (("near", 0.6790), ("far", 0.6775)))
    tried = figure3(png, near, far, accuracy_clean=0.7)
    assert tried.error[["near", "far"]].tolist() == pytest.approx([0.01 / 99**0.5] * 2)
    assert tried.paired.tolist() == ["by class"] * 3
    assert tried.loss_all["far"] == pytest.approx(0.0225)
    assert figure3(far, accuracy_clean=0.7).paired["far"] == "unpaired"


def test_denied_by_class_is_outside_by_two_of_its_errors():
    png = model("png", 8000, 0, 0.7, scheme="PNG", step="baselines", right_by_class=by_class(0.7, 10), accuracy=0.7)
    least = 0.70 - 0.02 - 2 * 0.01 / 99**0.5
    rows = (model(name, 64, 10, 0.6, accuracy=accuracy, right_by_class=by_class(accuracy, 9))
            for name, accuracy in (("near", least + 0.0001), ("far", least - 0.0001)))
    tried = figure3(png, *rows, accuracy_clean=0.7)
    assert tried.denied[["near", "far"]].tolist() == [False, True]
    assert not tried.denied_unpaired.any()


def test_where_both_store_which_images_were_right_mcnemars_test_decides():
    """Of 10,000 images, the baseline has 7,000 right; each model loses some of these and gains others."""
    def bits(lost, gained):
        right = torch.arange(10_000) < 7000
        right[:lost], right[7000:7000 + gained] = False, True
        return evaluation.pack(right)

    png = model("png", 8000, 0, 0.7, scheme="PNG", step="baselines", accuracy=0.7, right_at_snr=bits(0, 0))
    near, far = (model(name, 64, 10, 0.6, accuracy=(7000 - lost + gained) / 10_000, right_at_snr=bits(lost, gained))
                 for name, lost, gained in (("near", 430, 200), ("far", 300, 50)))  # 2.3 and 2.5 points below
    tried = figure3(png, near, far, accuracy_clean=0.7)
    assert tried.paired.tolist() == ["by image"] * 3
    assert tried.error["far"] == pytest.approx(((0.035 - 0.025**2) / 10_000)**0.5)
    assert tried.denied.to_dict() == {"png": False, "near": False, "far": True}
    assert not tried.denied_unpaired.any()


def test_a_real_pair_is_compared_image_by_image(project):
    """The tiny study's model against its network, counted here from the stored bits."""
    table, settings = results.load("tiny"), study.load("tiny")
    tried = points.figure3_models(table, settings).set_index("run")
    stored = {name: places.read_result(places.folder_of(settings, name))["right"] for name in (PRETRAIN, PNG, MODEL)}
    assert stored[PNG]["at_snr"] == stored[PRETRAIN]["clean"]  # PNG loses nothing
    first, second = (np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8)).astype(bool)[:1000]
                     for text in (stored[PRETRAIN]["clean"], stored[MODEL]["at_snr"]))
    assert first.mean() == pytest.approx(table.set_index("run").accuracy_clean[PRETRAIN])
    only_first, only_second = (first & ~second).sum(), (second & ~first).sum()
    assert only_first + only_second > 20  # the two differ
    assert tried.paired[MODEL] == "by image"
    assert tried.error[MODEL]**2 * 1000 == pytest.approx(
        (only_first + only_second) / 1000 - (only_first - only_second)**2 / 1e6)
    heads = stats.binom.sf(only_first - 1, only_first + only_second, 0.5)
    assert statistics.mcnemar(first, second) == pytest.approx(heads)


def test_figure_3_takes_the_baseline_of_its_models_seed():
    assert figure3(model("fine", 64, 10, 0.69), other_seed=0.9).within.all()


def test_dominated_models_are_not_selected():
    tried = figure3(model("few symbols", 8, 100, 0.7), model("few operations", 64, 10, 0.7),
                     model("fewer of neither", 64, 100, 0.7), model("between", 32, 50, 0.7),
                     model("as many symbols, more operations", 8, 101, 0.7))
    assert tried.selected.to_dict() == {
        "few symbols": True, "few operations": True, "between": True, "fewer of neither": False,
        "as many symbols, more operations": False}


def test_a_model_outside_the_tolerance_dominates_nothing():
    tried = figure3(model("too wrong", 8, 10, 0.5), model("right", 64, 100, 0.7))
    assert tried.selected.to_dict() == {"too wrong": False, "right": True}


def test_two_equal_models_do_not_dominate_each_other():
    assert figure3(model("one", 8, 10, 0.7), model("two", 8, 10, 0.7)).selected.all()


def test_each_scheme_is_selected_among_its_own():
    tried = figure3(model("ours", 8, 10, 0.7), model("theirs", 64, 100, 0.7, scheme="BottleNet++", step="baselines",
                                                      variant=None))
    assert tried.selected.all()


def test_draws_are_averaged():
    tried = figure3(*(model("ours", 8, 10, accuracy, draw=draw) for draw, accuracy in enumerate((0.66, 0.72))))
    assert len(tried) == 1 and tried.accuracy_selecting["ours"] == pytest.approx(0.69) and tried.selected["ours"]


@pytest.mark.parametrize("other", [{"variant": "no_gdn"}, {"snr_db": 10.0}, {"train_snr_db": 10.0}, {"seed": 1},
                                   {"step": "autoencoder"}, {"scheme": "Separation", "step": "baselines"}],
                         ids=lambda other: " ".join(map(str, other.values())))
def test_only_models_of_figure_3_are_tried(other):
    assert figure3(model("ours", 8, 10, 0.7), model("another", 4, 5, 0.7, **other)).index.tolist() == ["ours"]


def test_a_scheme_without_a_split_is_a_point_too():
    tried = figure3(model("png", 8000, 0, 0.7, scheme="PNG", step="baselines", pool=None, ratio=None, variant=None))
    assert tried.selected["png"] and tried.device_macs["png"] == 0


def test_symbols_at_finite_block_length_count_where_the_study_says_so(tmp_path):
    path = tmp_path / "finite.yaml"
    path.write_text((study.ROOT / "params" / "paper.yaml").read_text().replace(
        "figure3:\n", "figure3:\n  finite_blocklength: true\n").replace("name: paper", "name: finite"))
    png = model("png", 8000, 0, 0.7, scheme="PNG", step="baselines", pool=None, ratio=None, variant=None)
    rows = {**png, "symbols_finite": 9000}, model("ours", 8, 10, 0.7, symbols_finite=None)
    assert figure3(*rows, profile=path).symbols.to_dict() == {"png": 9000, "ours": 8}
    assert figure3(*rows).symbols.to_dict() == {"png": 8000, "ours": 8}
