"""The ladder as bars: what stands in the records is what is drawn, beside what was expected."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from helpers import TINY
from lib import study
from lib.ladder import records
from lib.pages import best, best_figures
from lib.reading import beside_paper, rungs
from lib.recipe.parameters import Aim, Repeats
from stored import PRETRAINED, point, store

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


def test_bars_of_several_seeds_are_their_mean_and_span_two_deviations(settings):
    ladder = settings.ladder.model_copy(update={"repeats": Repeats(seeds=[1], rungs=["deep"])})
    settings = settings.model_copy(update={"ladder": ladder})
    records.store(settings, "seed1-deep", {"metrics": {"accuracy": 0.54}})
    deep = best.bars(settings).set_index("rung").loc["deep"]
    assert (deep.accuracy, deep.trainings) == (pytest.approx(52), 2) and deep.deviation == pytest.approx(8**0.5)
    axis = best.draw(settings).axes[0]
    [spans] = axis.containers[2].lines[2]
    assert spans.get_segments()[1].ravel().tolist() == pytest.approx([52 - 2 * 8**0.5, 1, 52 + 2 * 8**0.5, 1])


def test_a_ladder_without_records_has_no_bars(root):
    (root / "params" / "tiny.yaml").write_text(TINY + LADDER)
    assert best.bars(study.load("tiny")).empty
    assert [list(axis.patches) for axis in best.draw(study.load("tiny")).axes] == [[]]
    plt.close("all")


def test_the_figure_of_the_page_lies_beside_its_records(root):
    folder = records.folder(study.load("best"))
    records.store(study.load("best"), "step3", {"metrics": {"accuracy": 0.25, "device_macs": 2e6, "seconds": 1.0},
                                                "over_snr": {"14.5": 0.25}})
    best.main()
    assert (folder / "figures.png").stat().st_size > 10_000 and "step3" in (folder / "figures.csv").read_text()
    assert (folder / "ladder.png").stat().st_size > 10_000
    assert (folder / "ladder.csv").read_text().splitlines()[1].startswith(",step3,features,5,8,26,26,25")
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


# Figures 3 to 5

FIGURES = """
ladder:
  bandwidth: 4
  snr_db: 14.5
  nets:
    half: {about: "", expect: "", schedule: &once {epochs: 1, lr: 0.1}, prune: {ratio: 0.5, between: *once}}
    fresh: {about: "", expect: "", of: scratch, schedule: *once}
    fresh_half: {about: "", expect: "", of: fresh, schedule: *once, prune: {ratio: 0.5, between: *once}}
    longer: {about: "", expect: "", of: fresh_half, schedule: *once}
  one_model: {about: "", expect: "", net: half, views: [plain], bandwidths: [4, 8], snr_range: [0, 10],
              snrs_db: [0, 14.5], fixed_db: 14.5, schedule: *once}
  views: {plain: {crops: false}}
  rungs:
    deep: {about: "", expect: "", views: [plain], schedule: *once, start: perceptron}
    other_snr: {about: "", expect: "", views: [plain], schedule: *once, snr_db: 0.0}
    later: {about: "", expect: "", views: [plain], schedule: *once}
    half_b5: {about: "", expect: "", net: half, views: [plain], schedule: *once, bandwidth: 5}
    half_words: {about: "", expect: "", net: half, views: [plain], schedule: *once, loss: wrong, start: words}
    half_flat: {about: "", expect: "", net: half, views: [plain], schedule: *once}
    half_deep: {about: "", expect: "", net: half, views: [plain], schedule: *once}
    fresh_deep: {about: "", expect: "", net: fresh_half, views: [plain], schedule: *once, start: perceptron}
    longer_deep: {about: "", expect: "", net: longer, views: [plain], schedule: *once, start: perceptron}
    early: {about: "", expect: "", net: fresh, pool: 2, bandwidth: 64, views: [plain], schedule: *once}
"""
OF_RUNGS = {"deep": 0.65, "other_snr": 0.9, "half_b5": 0.6, "half_words": 0.9, "half_flat": 0.3, "half_deep": 0.6,
            "fresh_deep": 0.69, "longer_deep": 0.67}


@pytest.fixture
def points(root):
    """Of a study that has all kinds of models, each tried at 0 and 14.5 dB."""
    ladder = "figure3: {ladders: [{pool: 5, ratios: [0.5], bandwidths: [4]}]}"
    (root / "params" / "tiny.yaml").write_text(TINY.replace("figure3: {}", ladder) + CODE + FIGURES)
    settings = study.load("tiny")
    records.store(settings, "clean", {"metrics": {"accuracy": 0.66}})
    for name, accuracy in OF_RUNGS.items():
        records.store(settings, name, {"metrics": {"accuracy": accuracy, "device_macs": 2e6, "seconds": 1.0},
                                       "over_snr": {"0.0": accuracy / 2, "14.5": accuracy}})
    for name, accuracy in (("half", 0.64), ("fresh", 0.7), ("fresh_half", 0.68), ("longer", 0.69)):
        records.store(settings, f"net-{name}", {
            "metrics": {"accuracy": accuracy, "seconds": 1.0, "classifier_macs": 500_000}, "device_macs": {"5": 1e6},
            "label": [{"symbols": 4, "snr_db": snr, "accuracy": accuracy - 0.01} for snr in (0.0, 14.5)]})
    records.store(settings, "one_model", {"metrics": {}, "points": [
        {"model": model, "bandwidth": bandwidth, "train_snr_db": snr, "snr_db": snr, "accuracy": bandwidth / 20}
        for model in ("one", "own") for bandwidth in (4, 8) for snr in (0.0, 14.5)]})
    of_paper = {"end_to_end/pool5-r0.50-b4": ({}, 5, 0.5, 4), "end_to_end/pool2-r0.50-b64": ({}, 2, 0.5, 64),
                "baselines/label-pool5-r0.00-b4": ({"scheme": "Label code"}, 5, 0.0, 4)}
    for name, (scheme, pool, ratio, bandwidth) in of_paper.items():
        store(root, f"{name}-snr14.5-s0", {"device_macs": 3_000_000, "symbols": bandwidth, **scheme},
              [point(14.5, 0, 0.3), point(14.5, 1, 0.32), point(0.0, 0, 0.1)], study_name="tiny", seed=0, pool=pool,
              ratio=ratio, bandwidth=bandwidth, snr_db=14.5, variant="proposed")
    store(root, "pretrain/s0", PRETRAINED, study_name="tiny", seed=0)
    yield settings, beside_paper.points(settings)
    plt.close("all")


def test_every_model_of_a_late_split_has_its_numbers_and_the_baseline_that_it_comes_from(points):
    _, table = points
    at = table[table.snr_db == 14.5].set_index("model")
    rungs = at[at.kind == "best"]
    # Not the one of another SNR, not the one that begins as the label code, not the one that is not computed.
    assert sorted(rungs.index) == ["deep", "fresh_deep", "half_b5", "half_deep", "half_flat", "longer_deep"]
    assert rungs.baseline.to_dict() == pytest.approx(  # `longer` was trained on after it was pruned
        {"deep": 66, "half_b5": 66, "half_deep": 66, "half_flat": 66, "fresh_deep": 70, "longer_deep": 70})
    assert rungs.accuracy["half_b5"] == 60 and rungs.symbols["half_b5"] == 5 and rungs.operations["deep"] == 2
    codes = at[at.kind == "Label code"].set_index("net")
    assert codes.accuracy.to_dict() == pytest.approx({"half": 63, "fresh": 69, "fresh_half": 67, "longer": 68,
                                                    "pretrained": 31})
    assert codes.operations.to_dict() == pytest.approx({**dict.fromkeys(["half", "fresh", "fresh_half", "longer"], 1.5),
                                                        "pretrained": 3})
    assert codes.baseline.to_dict() == pytest.approx({"half": 66, "fresh": 70, "fresh_half": 70, "longer": 70,
                                                      "pretrained": 70})  # its own study measured that
    paper = at[at.kind == "the paper's recipe, shortened"]  # after pooling 2 is none of theirs
    assert paper.accuracy.tolist() == pytest.approx([31]) and paper.baseline.tolist() == [70]
    assert at[at.kind == "one model for all"].accuracy.tolist() == pytest.approx([20, 40])


def test_figure_3_is_filled_within_two_points_and_4_and_5_have_the_right_lines(points):
    settings, table = points
    third, fourth, fifth = best_figures.draw(settings, table).axes

    def lines(axis):
        return {line.get_label(): line for line in axis.lines if not line.get_label().startswith("_")}

    drawn = {line.get_label(): line for line in third.lines}
    places = {name: sorted(line.get_xdata()) for name, line in drawn.items()}
    # Filled `deep` and `fresh_deep`; `half_flat` stands behind `half_deep`, which is of the same net.
    assert places["_best, 5"] == [2, 2] and places["_best, not, 5"] == [2, 2, 2]
    assert places["_Label code, 5"] == [1.5, 1.5] and places["_Label code, not, 5"] == [1.5, 1.5, 3]
    assert places["_the paper's recipe, shortened, 5"] == [] and places["_the paper's recipe, shortened, not, 5"] == [3]
    assert drawn["_best, not, 5"].get_markerfacecolor() == "none" != drawn["_best, 5"].get_markerfacecolor()
    assert {"best", "Label code", "after pooling 5", "hollow: over 2 points below"} <= {*places}
    assert {name: list(line.get_ydata()) for name, line in lines(fourth).items() if ":" in name} == {
        "pretrained: deep": [32.5, 65], "half: half_deep": [30, 60], "fresh_half: fresh_deep": [34.5, 69],
        "longer: longer_deep": [33.5, 67]}
    assert {name: list(line.get_ydata()) for name, line in lines(fifth).items() if "B =" in name} == {
        "one model for all, B = 4": [20, 20], "one model for all, B = 8": [40, 40]}
    assert [text.get_text() for text in fifth.texts] == ["B = 4"]


def test_an_early_rung_stands_beside_the_papers_models_after_the_same_pooling(points):
    settings, _ = points
    records.store(settings, "early", {"metrics": {"accuracy": 0.67, "device_macs": 1e6, "seconds": 1.0},
                                      "over_snr": {"0.0": 0.6, "14.5": 0.67}})
    table = beside_paper.points(settings)
    at = table[(table.snr_db == 14.5) & (table.pool == 2)].set_index("kind")
    assert at.accuracy.to_dict() == pytest.approx({"best": 67, "the paper's recipe, shortened": 31})
    assert at.baseline.to_dict() == pytest.approx({"best": 70, "the paper's recipe, shortened": 70})
    third, _, fifth, fourth = best_figures.draw(settings, table).axes
    drawn = {line.get_label(): line for line in third.lines}
    two, five = (drawn[name].get_marker() for name in ("_best, not, 2", "_best, 5"))
    assert drawn["after pooling 2"].get_marker() == two != five
    lines = {line.get_label(): list(line.get_ydata()) for line in fourth.lines}
    assert lines["early: pooling 2, B = 64"] == [60, 67]
    assert lines["_end_to_end/pool2-r0.50-b64-snr14.5-s0"] == pytest.approx([10, 31])
    assert [text.get_text() for text in fifth.texts] == ["B = 4"]  # as it was without

    # Grey points of an early pooling only where a rung of it is drawn.
    (records.folder(settings) / "early.json").unlink()
    assert set(beside_paper.points(settings).pool) == {5}


def test_an_aim_is_judged_by_the_codec_whose_worse_half_is_nearest(points):
    settings, _ = points
    halves = {"half_deep": (1.9, 1.5), "half_flat": (1.5, 1.6), "deep": (0.1, 0.1), "longer_deep": (2.5, -1.0)}
    control = {"half_flat": {"control": {"accuracy_selecting": 0.64, "accuracy_reporting": 0.649}}}
    for name, below in halves.items():
        of_half = {f"accuracy_{half}": 0.66 - points / 100
                   for half, points in zip(("selecting", "reporting"), below, strict=True)}
        records.store(settings, name, {"metrics": {
            "accuracy": sum(of_half.values()) / 2, **of_half, "device_macs": 2e6, "seconds": 1.0,
            "reference": {"accuracy_selecting": 0.66, "accuracy_reporting": 0.66}, **control.get(name, {})}})
    aims = [Aim(pool=5, bandwidth=4, ratio=0.5), Aim(pool=5, bandwidth=4, operations=3),
            Aim(pool=5, bandwidth=4, operations=1), Aim(pool=5, bandwidth=4, ratio=0.5, below=0.5),
            Aim(pool=5, bandwidth=5, ratio=0.5, below=7), Aim(pool=2, bandwidth=64)]
    ladder = settings.ladder.model_copy(update={"aims": aims})
    table = rungs.aims(settings.model_copy(update={"ladder": ladder}))
    # `half_words` begins as the label code, `deep` is not pruned, and `fresh_deep` does not say its halves.
    assert table["best codec"].tolist() == ["`half_flat`", "`deep`", "", "`fresh_deep`", "`half_b5`", ""]
    assert table.reached.tolist() == ["yes", "yes", "not tried", "no", "not judged on halves", "not tried"]
    assert table["points below"].tolist()[:2] == pytest.approx([1.55, 0.1])
    assert table["on the halves"].tolist()[:4] == ["1.5, 1.6", "0.1, 0.1", "", ""]
    assert table["below its control"].tolist()[:2] == ["−0.5, 0.5", ""]
    # Of `half`, `fresh_half` and `longer`; of all; of none, as they have 1.5·10⁶; 4 are at most 5; no limit but those.
    assert table["best label code"].tolist() == [
        "2.0, 1.5·10⁶", "1.0, 1.5·10⁶", "none", "2.0, 1.5·10⁶", "2.0, 1.5·10⁶", "1.0, 1.5·10⁶"]
    assert table["device classifies"].tolist() == ["no", "no", "", "no", "no", ""]


def test_half_as_much_as_the_papers_model_is_half_of_one_and_no_more_of_the_other(points):
    settings, _ = points
    models = pd.DataFrame(
        [("JSCC + pruning", 5, 0.5, 8, 2e6, 0.6, 0.05, True), ("JSCC + pruning", 5, 0.0, 64, 9e6, 0.65, 0, False),
         ("JSCC + pruning", 4, 0.5, 64, 9e6, 0.6, 0.03, False), ("JALAD", 5, 0.5, 64, 9e6, 0.7, 0, True)],
        columns=["scheme", "pool", "ratio", "symbols", "device_macs", "accuracy", "loss_all", "selected"])
    earlier, later = beside_paper.halved(settings, models).to_dict("records")
    assert (earlier["after pooling"], earlier["with half as much"]) == (4, "none")
    assert later["symbols"] == 8 and later["accuracy (%)"] == 60  # the selected one, not the more accurate
    assert (later["with half as much"], later["its symbols"], later["its accuracy"]) == ("`fresh_deep`", "4", 69)
    assert (earlier["the paper's recipe"], later["the paper's recipe"]) == ("most accurate", "selected")
    assert (later["points below"], later["its points below"]) == (pytest.approx(5), pytest.approx(1))
    # Only where the device classifies is there a label code beside it.
    assert (later["its device classifies"], later["its label code"]) == ("no", "")
    ladder = settings.ladder.model_copy(deep=True)
    ladder.rungs["fresh_deep"] = ladder.rungs["fresh_deep"].model_copy(update={"start": "logits"})
    there = settings.model_copy(update={"ladder": ladder})
    record = {"metrics": {"accuracy": 0.69, "device_macs": 2e6, "seconds": 1.0}, "over_snr": {"14.5": 0.69}}
    records.store(there, "fresh_deep", record)
    [_, classified] = beside_paper.halved(there, models).to_dict("records")
    records.store(settings, "fresh_deep", record)
    assert (classified["its device classifies"], classified["its label code"]) == ("yes", 67)
    fewer = models.assign(device_macs=3.9e6, symbols=4)  # 2 of 3.9 is more than half, and 4 of 4 symbols, too
    assert beside_paper.halved(settings, fewer)["with half as much"].tolist() == ["none"] * 2
    twice = models.assign(device_macs=4e6, symbols=5)
    assert beside_paper.halved(settings, twice)["its symbols"].tolist()[1] == "4"


def test_without_any_result_there_is_nothing_to_draw(root):
    (root / "params" / "tiny.yaml").write_text(TINY + LADDER)
    settings = study.load("tiny")
    table = beside_paper.points(settings)
    assert table.empty and len(best_figures.draw(settings, table).axes) == 3
    plt.close("all")
