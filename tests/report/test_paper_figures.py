"""What Figures 3 to 5 draw, read back from their axes."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from lib import results, study
from lib.batch import places
from lib.claims import points
from lib.opponent import label as opponent
from lib.report import paper_figures, style

SETTINGS = study.load("paper")


@pytest.fixture(autouse=True)
def closed(monkeypatch):
    """No figure is stored, and none is left open."""
    monkeypatch.setattr(style, "save", lambda *_: None)
    yield
    plt.close("all")


def lines(axis, label):
    return [line for line in axis.get_lines() if line.get_label() == label]


# Figures 4 and 5

def curve(label, snrs=(0, 10, 20), reading="matched", ratio=0.5):
    return pd.DataFrame([{"run": f"{label} {snr}", "label": label, "reading": reading, "ratio": ratio, "seed": 0,
                          "bandwidth": 2048, "snr_db": snr, "draw": 0, "accuracy": 0.5, "right_by_class": None}
                         for snr in snrs])


@pytest.fixture
def draw(monkeypatch):
    """Draws Figure 4a of these curves; `retrained` names the runs with a re-trained upstream model."""
    def figure4(curves, separation=None, retrained=(), code=None):
        curves.attrs["baseline"] = 0.7
        nothing = curves.iloc[:0].drop(columns="right_by_class")
        monkeypatch.setattr(results, "retrained_upstream", lambda *_, **__: list(retrained))
        monkeypatch.setattr(points, "figure_points", lambda *_: curves)
        monkeypatch.setattr(points, "separation_points", lambda *_: nothing if separation is None else separation)
        monkeypatch.setattr(opponent, "curve", lambda *_: nothing if code is None else code)
        paper_figures.figure4(None, SETTINGS, "a")
        return plt.gcf().axes, plt.gcf().texts[0].get_text()
    return figure4


def colour(axes, label):
    """The colour beside a label in the figure's legend."""
    legend = axes[-1].get_legend()
    texts = [text.get_text() for text in legend.get_texts()]
    return legend.legend_handles[texts.index(label)].get_color()


def solid(axis, colour):
    """The points of the curve of this colour."""
    found = [line for line in axis.get_lines() if line.get_color() == colour and line.get_linestyle() == "-"
             and len(line.get_xdata())]
    assert len(found) == 1
    return list(zip(*found[0].get_data(), strict=True))


def test_both_readings_share_a_legend_in_the_order_of_the_ratios(draw):
    axes, _ = draw(pd.concat([curve(f"ratio {ratio:g}", reading=reading, ratio=ratio) for reading, ratio in (
        ("matched", 0.0), ("matched", 0.5), ("fixed", 0.0), ("fixed", 0.25), ("fixed", 0.5))]))
    matched, fixed = axes
    assert matched.get_legend() is None and [text.get_text() for text in fixed.get_legend().get_texts()] == [
        "ratio 0", "ratio 0.25", "ratio 0.5", "unpruned, no channel"]
    for axis in axes:
        assert solid(axis, colour(axes, "ratio 0.5")) == [(0, 50), (10, 50), (20, 50)]
    assert len({colour(axes, label) for label in ("ratio 0", "ratio 0.25", "ratio 0.5")}) == 3


@pytest.mark.parametrize("retrained", [[], ["a 10"]])
def test_what_rests_on_a_retrained_model_is_hollow_in_its_curve_alone(draw, retrained):
    axes, notes = draw(pd.concat([curve("a"), curve("b")]), retrained=retrained)
    hollow = [line for line in axes[0].get_lines() if line.get_markerfacecolor() == "white" and len(line.get_xdata())]
    assert [list(line.get_xdata()) for line in hollow] == ([[10]] if retrained else [])
    assert all(line.get_color() == colour(axes, "a") for line in hollow)
    assert ("Hollow" in notes) == bool(retrained)


def test_in_the_table_behind_a_figure_a_label_is_one_curves_alone(draw, monkeypatch):
    saved = []
    monkeypatch.setattr(paper_figures.style, "save", lambda figure, settings, stem, data: saved.append(data))
    draw(curve("a"), curve("a").drop(columns="right_by_class"))
    assert saved[0].groupby("label").scheme.unique().map(list).to_dict() == {
        "a": [results.PROPOSED], "a: separation": ["Separation"]}


@pytest.mark.parametrize("retrained", [[], ["separation"]])
def test_separation_of_a_retrained_network_is_noted(draw, retrained):
    separation = curve("a").drop(columns="right_by_class").assign(run="separation")
    axes, notes = draw(curve("a"), separation, retrained)
    assert ("Separation: of a re-trained" in notes) == bool(retrained) and "Hollow" not in notes
    dotted = lines(axes[0], "a: separation")
    assert [line.get_linestyle() for line in dotted] == [":"] and dotted[0].get_color() == colour(axes, "a")


def test_a_design_for_one_snr_falls_off_a_cliff(draw):
    both = pd.concat([curve("a"), curve("a", reading="fixed")])
    axes, _ = draw(both, both.drop(columns="right_by_class"))
    assert [lines(axis, "a: separation")[0].get_drawstyle() for axis in axes] == ["default", "steps-post"]


@pytest.mark.parametrize("snrs, incomplete", [((0, 10), True), (SETTINGS.figure4.matched_snr_db, False)])
def test_a_curve_that_still_lacks_models_is_noted(draw, snrs, incomplete):
    _, notes = draw(curve("a", snrs))
    assert ("Incomplete" in notes) == incomplete


@pytest.mark.parametrize("seeds, spans", [((0,), "noise draws"), ((0, 1), "seeds")])
def test_it_says_what_the_bands_span(draw, seeds, spans):
    _, notes = draw(pd.concat([curve("a").assign(seed=seed) for seed in seeds]))
    assert f"Bands span {spans}" in notes and "10,000 test images, up to ±1.0 points" in notes


# Figure 3

def test_the_label_code_is_one_grey_curve_in_every_panel(draw, monkeypatch):
    stored = []
    monkeypatch.setattr(style, "save", lambda *arguments: stored.append(arguments[-1]))
    code = curve("label code, B = 16", reading="").assign(
        pool=5, train_snr_db=14.5, scheme=opponent.LABEL, bandwidth=16, accuracy=[0.2, 0.3, 0.4])
    curves = pd.concat([curve("a"), curve("a", reading="fixed")]).assign(pool=2, train_snr_db=14.5)
    axes, _ = draw(curves, code=code)
    for axis in axes:
        (grey,) = lines(axis, "label code, B = 16")
        assert grey.get_color() == opponent.COLOR and list(grey.get_ydata()) == pytest.approx([20, 30, 40])
    behind = stored[0][stored[0].scheme == opponent.LABEL]
    assert behind.groupby("reading").accuracy.apply(list).to_dict() == {
        "fixed": [0.2, 0.3, 0.4], "matched": [0.2, 0.3, 0.4]}


def model(scheme, run, selected=True, loss=0.01):
    return {"scheme": scheme, "run": run, "pool": 2, "ratio": 0.5, "device_macs": 1e6, "symbols": 512,
            "selected": selected, "loss": loss, "holds": selected and loss <= 0.02}


def test_figure_3_says_how_many_models_are_still_to_come():
    names = [item.name for item in study.runs(SETTINGS) if "figure3" in item.figures
             and item.step in ("end_to_end", "baselines")]
    paper_figures.figure3(pd.DataFrame([model("PNG", name) for name in names[2:]]), SETTINGS)
    assert f"incomplete: 2 of {len(names)} models" in plt.gcf().axes[0].get_title()
    paper_figures.figure3(pd.DataFrame([model("PNG", name) for name in names]), SETTINGS)
    assert "incomplete" not in plt.gcf().axes[0].get_title()


def test_a_scheme_keeps_its_colour_and_only_selected_models_are_filled():
    found = []
    for schemes in (("PNG", "WebP"), ("BottleNet", "JPEG", "WebP")):
        paper_figures.figure3(pd.DataFrame([model(scheme, scheme, scheme != "JPEG") for scheme in schemes]), SETTINGS)
        chosen = lines(plt.gcf().axes[0], "WebP")[0]
        found.append((chosen.get_color(), chosen.get_marker()))
        assert chosen.get_markerfacecolor() != "none"
    assert found[0] == found[1]
    hollow = [line for line in plt.gcf().axes[0].get_lines() if line.get_markerfacecolor() == "none"]
    assert sum(len(line.get_xdata()) for line in hollow) == 3
    assert lines(plt.gcf().axes[0], "JPEG, headers not counted (none within)")[0] in hollow


def test_figure_3_fades_poor_models_and_marks_those_within_the_tolerance_on_both_halves():
    paper_figures.figure3(pd.DataFrame([model("PNG", "fine"), model("PNG", "lucky", loss=0.03),
                                  model("WebP", "poor", False, loss=0.11)]), SETTINGS)
    drawn = [line for line in plt.gcf().axes[0].get_lines() if line.get_markerfacecolor() == "none"]
    alphas = sorted(line.get_alpha() for line in drawn if len(line.get_xdata()))
    assert len(alphas) == 2 and alphas[0] < alphas[1]
    assert len(lines(plt.gcf().axes[0], "within on the other half too")[0].get_xdata()) == 1


def test_the_label_code_stands_faint_and_unlabelled_where_it_would_be_selected():
    paper_figures.figure3(pd.DataFrame([model("PNG", "ours"), model(opponent.LABEL, "theirs")]), SETTINGS)
    axis = plt.gcf().axes[0]
    (faint,), (usual,) = lines(axis, opponent.LABEL), lines(axis, "PNG")
    assert faint.get_alpha() < 0.5 and usual.get_alpha() is None and len(faint.get_xdata()) == 1
    assert len(axis.texts) == 1


def test_labels_of_figure_3_do_not_cover_each_other():
    paper_figures.figure3(pd.DataFrame([model("PNG", str(number)) for number in range(3)]), SETTINGS)
    labels = plt.gcf().axes[0].texts
    boxes = [label.get_window_extent() for label in labels]
    assert [label.get_text() for label in labels] == 3 * ["pool 2, ratio 0.5"]
    assert not any(box.count_overlaps(boxes[:number]) for number, box in enumerate(boxes))


def test_a_network_of_stages_is_not_said_to_be_split_after_a_pooling(monkeypatch):
    network = SETTINGS.network.model_copy(update={"name": "resnet18"})
    staged = SETTINGS.model_copy(update={"network": network})
    paper_figures.figure3(pd.DataFrame([model("PNG", "0")]), staged)
    assert [label.get_text() for label in plt.gcf().axes[0].texts] == ["stage 2, ratio 0.5"]
    titles = []
    monkeypatch.setattr(paper_figures, "_over_snr", lambda *arguments: titles.append(arguments[-1]))
    paper_figures.figure5(pd.DataFrame(), staged)
    paper_figures.figure5(pd.DataFrame(), SETTINGS)
    assert [title.split(",")[0] for title in titles] == ["Figure 5: after stage 2", "Figure 5: after pooling 2"]


def test_a_picture_of_what_is_no_longer_measured_goes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(study, "ROOT", tmp_path)
    monkeypatch.delenv(places.OUTPUT, raising=False)
    folder = places.interactive_folder(SETTINGS, "figures")
    folder.mkdir(parents=True)
    for name in ("figure3.png", "figure3.svg", "figure3.csv"):
        (folder / name).touch()
    paper_figures.figure3(pd.DataFrame(), SETTINGS)
    assert not list(folder.iterdir()) and "figure3: not measured yet" in capsys.readouterr().out
