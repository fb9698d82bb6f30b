"""What the figures draw, read back from their axes."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from lib import figures, study

SETTINGS = study.load("paper")


@pytest.fixture(autouse=True)
def closed(monkeypatch):
    monkeypatch.setattr(figures, "save", lambda *_: None)
    yield
    plt.close("all")


def points(label, snrs, seeds=(0,), draws=(0,), accuracy=0.5):
    return pd.DataFrame([{"run": f"{label} {snr}", "label": label, "snr_db": snr, "seed": seed, "draw": draw,
                          "accuracy": accuracy + 0.1 * seed + 0.02 * draw}
                         for snr in snrs for seed in seeds for draw in draws])


def lines(axis, label):
    return [line for line in axis.get_lines() if line.get_label() == label]


def test_a_curve_keeps_its_colour_where_another_is_missing():
    both, one = (figures.accuracy_over_snr(points("b", (0, 10)) if lacking else pd.concat(
        [points("a", (0, 10)), points("b", (0, 10))]), 0.6, "paper", labels=["a", "b"]) for lacking in (False, True))
    assert lines(both, "b")[0].get_color() == lines(one, "b")[0].get_color() and not lines(one, "a")


def test_a_line_is_broken_where_a_model_is_planned_and_not_there():
    axis = figures.accuracy_over_snr(points("a", (0, 14.5)), 0.6, "paper", planned=(0, 5, 14.5))
    solid = lines(axis, "a")[0]
    assert list(solid.get_xdata()) == [0, 5, 14.5] and pd.isna(solid.get_ydata()).tolist() == [False, True, False]


def test_bands_span_seeds_each_the_mean_of_its_draws():
    axis = figures.accuracy_over_snr(points("a", (0, 10), seeds=(0, 1), draws=(0, 1)), 0.6, "paper")
    heights = axis.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (pytest.approx(51), pytest.approx(61))
    assert lines(axis, "a")[0].get_ydata().tolist() == pytest.approx([56, 56])


def test_bands_of_one_seed_span_its_draws():
    axis = figures.accuracy_over_snr(points("a", (0, 10), draws=(0, 1)), 0.6, "paper")
    heights = axis.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (pytest.approx(50), pytest.approx(52))


def test_both_readings_share_a_legend_in_the_order_of_the_ratios(monkeypatch):
    curves = pd.concat([
        points(f"ratio {ratio:g}", snrs).assign(reading=reading, ratio=ratio, bandwidth=2048, right_by_class=None)
        for reading, ratio, snrs in (
            ("matched", 0.0, (0, 10, 20)), ("matched", 0.5, (0, 10, 20)), ("fixed", 0.0, (0, 20)),
            ("fixed", 0.25, (0, 20)), ("fixed", 0.5, (0, 20)))])
    curves.attrs["baseline"] = 0.7
    monkeypatch.setattr(figures.results, "figure_points", lambda *_: curves)
    monkeypatch.setattr(figures.results, "separation_points", lambda *_: curves.iloc[:0])
    figures.figure4(None, SETTINGS, "a")
    own, fixed = plt.gcf().axes
    assert own.get_legend() is None and [text.get_text() for text in fixed.get_legend().get_texts()] == [
        "ratio 0", "ratio 0.25", "ratio 0.5", "unpruned, no channel"]
    assert lines(own, "ratio 0.5")[0].get_color() == lines(fixed, "ratio 0.5")[0].get_color()


def test_what_rests_on_another_making_is_hollow_in_its_curve_alone(monkeypatch):
    curves = pd.concat([points("a", (0, 10, 20)), points("b", (0, 10, 20))]).assign(
        reading="matched", ratio=0.5, bandwidth=2048, right_by_class=None)
    curves.attrs["baseline"] = 0.7
    for again in ([], ["a 10"]):
        monkeypatch.setattr(figures.results, "of_other_weights", lambda *_, again=again, **__: again)
        monkeypatch.setattr(figures.results, "figure_points", lambda *_: curves)
        monkeypatch.setattr(figures.results, "separation_points", lambda *_: curves.iloc[:0])
        figures.figure4(None, SETTINGS, "a")
        axis = plt.gcf().axes[0]
        drawn = [line for line in axis.get_lines() if line.get_markerfacecolor() == "white" and len(line.get_xdata())]
        assert [list(line.get_xdata()) for line in drawn] == ([[10]] if again else [])
        assert all(line.get_color() == lines(axis, "a")[0].get_color() for line in drawn)
        assert ("Hollow" in plt.gcf().texts[0].get_text()) == bool(again)


@pytest.mark.parametrize("again", [[], ["separation 0"]])
def test_separation_of_another_making_is_told(monkeypatch, again):
    curves = points("a", (0, 10, 20)).assign(reading="matched", ratio=0.5, bandwidth=2048, right_by_class=None)
    curves.attrs["baseline"] = 0.7
    monkeypatch.setattr(figures.results, "of_other_weights", lambda *_, **__: again)
    monkeypatch.setattr(figures.results, "figure_points", lambda *_: curves)
    monkeypatch.setattr(figures.results, "separation_points", lambda *_: curves.assign(run="separation 0"))
    figures.figure4(None, SETTINGS, "a")
    told = plt.gcf().texts[0].get_text()
    assert ("Separation: of another making" in told) == bool(again) and "Hollow" not in told


def model(scheme, run, selected=True, loss=0.01):
    return {"scheme": scheme, "run": run, "pool": 2, "ratio": 0.5, "device_macs": 1e6, "symbols": 512,
            "selected": selected, "loss": loss, "holds": selected and loss <= 0.02}


def test_figure_3_says_how_many_models_are_still_to_come():
    names = [item.name for item in study.runs(SETTINGS) if "figure3" in item.figures
             and item.step in ("end_to_end", "baselines")]
    figures.figure3(pd.DataFrame([model("PNG", name) for name in names[2:]]), SETTINGS)
    assert "incomplete: 2 models" in plt.gcf().axes[0].get_title()
    figures.figure3(pd.DataFrame([model("PNG", name) for name in names]), SETTINGS)
    assert "incomplete" not in plt.gcf().axes[0].get_title()


def test_a_scheme_keeps_its_colour_and_only_selected_models_are_filled():
    found = []
    for schemes in (("PNG", "WebP"), ("BottleNet", "JPEG", "WebP")):
        figures.figure3(pd.DataFrame([model(scheme, scheme, scheme != "JPEG") for scheme in schemes]), SETTINGS)
        chosen = lines(plt.gcf().axes[0], "WebP")[0]
        found.append((chosen.get_color(), chosen.get_marker()))
        assert chosen.get_markerfacecolor() != "none"
    assert found[0] == found[1]
    hollow = [line for line in plt.gcf().axes[0].get_lines() if line.get_markerfacecolor() == "none"]
    assert sum(len(line.get_xdata()) for line in hollow) == 3
    assert lines(plt.gcf().axes[0], "JPEG, headers not counted (none within)")[0] in hollow


def test_figure_3_fades_poor_models_and_marks_those_within_the_tolerance_on_both_halves():
    figures.figure3(pd.DataFrame([model("PNG", "fine"), model("PNG", "lucky", loss=0.03),
                                  model("WebP", "poor", False, loss=0.11)]), SETTINGS)
    drawn = [line for line in plt.gcf().axes[0].get_lines() if line.get_markerfacecolor() == "none"]
    alphas = sorted(line.get_alpha() for line in drawn if len(line.get_xdata()))
    assert len(alphas) == 2 and alphas[0] < alphas[1]
    assert len(lines(plt.gcf().axes[0], "within on the other half too")[0].get_xdata()) == 1


def test_labels_of_figure_3_do_not_cover_each_other():
    figures.figure3(pd.DataFrame([model("PNG", str(number)) for number in range(3)]), SETTINGS)
    labels = plt.gcf().axes[0].texts
    boxes = [label.get_window_extent() for label in labels]
    assert [label.get_text() for label in labels] == 3 * ["pool 2, ratio 0.5"]
    assert not any(box.count_overlaps(boxes[:number]) for number, box in enumerate(boxes))


def test_a_picture_of_what_is_no_longer_measured_goes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(figures.study, "ROOT", tmp_path)
    monkeypatch.delenv(figures.places.OUTPUT, raising=False)
    folder = figures.places.interactive_folder(SETTINGS, "figures")
    folder.mkdir(parents=True)
    for name in ("figure3.png", "figure3.svg", "figure3.csv"):
        (folder / name).touch()
    figures.figure3(pd.DataFrame(), SETTINGS)
    assert not list(folder.iterdir()) and "figure3: not measured yet" in capsys.readouterr().out
