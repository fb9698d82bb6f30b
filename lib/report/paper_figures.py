"""Figures 3, 4 and 5 of the paper, from a study's results; each is stored with the numbers behind it."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from lib import results, study
from lib.claims import points
from lib.claims.verdicts import PAPER_HALF
from lib.opponent import label as opponent
from lib.report import figures, style
from lib.study import Study


def figure4(table: pd.DataFrame, settings: Study, panel: str) -> None:
    """Figure 4a or 4b: accuracy over SNR by pruning ratio."""
    if panel not in settings.figure4.panels:
        style.nothing_to_draw(settings, f"figure4{panel}", f"The study {settings.name} has no Figure 4{panel}")
        return
    point, place = settings.figure4.panels[panel], settings.network.place
    _over_snr(table, settings, f"figure4{panel}", f"Figure 4{panel}: B = {point.bandwidth}, after {place} {point.pool}")


def figure5(table: pd.DataFrame, settings: Study) -> None:
    """Figure 5: accuracy over SNR by bandwidth."""
    place, point = settings.network.place, settings.figure5
    _over_snr(table, settings, "figure5", f"Figure 5: after {place} {point.pool}, pruning ratio {point.ratio:g}")


def _over_snr(table: pd.DataFrame, settings: Study, name: str, title: str) -> None:
    """One axis a reading (matched, fixed) with a legend for both, and below them what the bands leave out."""
    # Downstream too: an end-to-end model starts from its autoencoder, which started from the pruned network.
    retrained = results.retrained_upstream(settings.source, downstream=True)
    data = points.figure_points(table, settings, name)
    separation = points.separation_points(table, settings, name)
    data, separation = (rows.assign(other_weights=rows.run.isin(retrained))
                        for rows in (data, separation))
    if data.empty:
        style.nothing_to_draw(settings, name)
        return
    baseline, spec = data.attrs["baseline"], points.specification(settings, name)
    code = opponent.curve(table, settings, name)
    labels = list(data.sort_values(["ratio", "bandwidth"], ascending=[True, False]).label.unique())
    # In this order: `matched` is the paper's reading, `fixed` a preview.
    titles = {"matched": "a model trained for each SNR", "fixed": f"one model, trained at {spec.fixed_snr_db:g} dB"}
    readings = [reading for reading in titles if reading in set(data.reading)]
    # One scale for both, so that the readings can be compared by eye.
    figure, axes = plt.subplots(1, len(readings), figsize=(5.2 * len(readings), 3.6), sharex=True, sharey=True,
                                squeeze=False)
    for axis, reading in zip(axes.flat, readings, strict=True):
        shown, apart = data[data.reading == reading], separation[separation.reading == reading]
        figures.accuracy_over_snr(shown, baseline, settings.title, f"{title}\n{reading}: {titles[reading]}", axis,
                                  labels)
        # Drawn over the curve's markers, in its colour.
        means = shown.groupby(["label", "snr_db"], as_index=False).agg({"accuracy": "mean", "other_weights": "any"})
        if means.other_weights.any():
            figures.draw_curves(means[means.other_weights], labels, axis, ls="", mfc="white", mec="auto", mew=1.2,
                                errorbar=None, legend=False)
        _draw_separation(axis, apart, labels, reading)
        opponent.draw(axis, code)
        # It would stand in both panels; the last one's, below, serves both.
        axis.get_legend().remove()
    axes.flat[-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    figure.text(0.12, -0.02, "\n".join(_notes(data, separation, settings, spec)), fontsize=8, va="top")
    style.save(figure, settings, name, _behind(data, separation, opponent.behind(code, readings), settings))


def _behind(data: pd.DataFrame, separation: pd.DataFrame, others: list[pd.DataFrame], settings: Study) -> pd.DataFrame:
    """What is drawn, and the CSV that the page draws from; there a label is one curve's alone, as in the legend."""
    rows = pd.concat([data.drop(columns="right_by_class").assign(scheme=results.PROPOSED),
                      separation.assign(scheme="Separation", label=separation.label.astype(str) + style.DIGITAL),
                      *others])
    # Of the test set, which the bands leave out.
    error = (rows.accuracy * (1 - rows.accuracy) / (100 * settings.classes)) ** 0.5
    return rows.assign(binomial_standard_error=error, baseline=data.attrs["baseline"])


def _draw_separation(axis: Axes, separation: pd.DataFrame, labels: list[str], reading: str) -> None:
    """Dotted, in the colour of the curve of the same label; one design falls off its cliff in a step."""
    # sorted first, so that each line runs from left to right
    for label, rows in separation.sort_values("snr_db").groupby("label", sort=False):
        axis.plot(rows.snr_db, 100 * rows.accuracy, ls=":", color=style.COLORS[labels.index(label)],
                  label=label + style.DIGITAL, drawstyle="steps-post" if reading == "fixed" else "default")


def _notes(data: pd.DataFrame, separation: pd.DataFrame, settings: Study, spec) -> list[str]:
    """What a reader has to know of the curves, a line each."""
    images = 100 * settings.classes
    spans = "seeds, the mean of each" if data.seed.nunique() > 1 else "noise draws"
    notes = [f"Bands span {spans}; not in them: two binomial standard errors of {images:,} test images, up to "
             f"±{100 / images**0.5:.1f} points."]
    snrs_of_curve = data[data.reading == "matched"].groupby("label").snr_db.nunique()
    if (snrs_of_curve < len(spec.matched_snr_db)).any():
        # Else a straight line over a gap would pass for a measured curve.
        notes.append("Incomplete: at some SNRs no model is trained yet; the lines pass over them.")
    if data.other_weights.any():
        notes.append("Hollow: rests on a re-trained upstream model.")
    if separation.other_weights.any():
        notes.append("Separation: of a re-trained pruned network.")
    return notes


def figure3(models: pd.DataFrame, settings: Study) -> None:
    """Figure 3: symbols against device MACs; selected models filled and joined by a line, the others hollow.

    Faint models lose more than 10 points; a dot marks those within the tolerance on both halves of
    the test images.
    """
    if models.empty:
        style.nothing_to_draw(settings, "figure3")
        return
    figure, axis = plt.subplots(figsize=(6.4, 4.2))
    models_by_macs = models.sort_values("device_macs")
    for scheme, color, marker in zip(style.SCHEMES, style.COLORS, style.MARKERS, strict=True):
        _draw_scheme(axis, scheme, models_by_macs[models_by_macs.scheme == scheme], {"color": color, "marker": marker})
    # Selected on one half: whether the other agrees is seen at once.
    both = models[models.holds]
    axis.plot(both.device_macs, both.symbols, marker=".", color="k", ls="", ms=3.5, zorder=3,
              label="within on the other half too")
    if (settings.network.name, settings.network.width) == ("vgg16_bn", 1):  # of others the paper says nothing
        _draw_paper(axis, models)
    # PNG, JPEG and WebP need no operation on the device, which a logarithm cannot show.
    axis.set_xscale("symlog", linthresh=1e5)
    axis.set_yscale("log")
    axis.set(xlabel="device operations (MACs), linear below 10⁵", ylabel="real symbols per image",
             title=_title(models, settings))
    axis.margins(x=0.12)  # room for the labels of the rightmost points
    chosen = models_by_macs[models_by_macs.selected & models_by_macs.pool.notna()
                            & (models_by_macs.scheme != opponent.LABEL)]
    _label(axis, chosen.sort_values("scheme", key=lambda names: names.map(style.SCHEMES.index), kind="stable"),
           settings.network.place.removesuffix("ing"))
    axis.legend(loc="center left", bbox_to_anchor=(1.06, 0.5), title_fontsize=7.5, alignment="left",
                title="filled: selected; hollow: not selected;\nfaint: more than 10 points below")
    style.save(figure, settings, "figure3", models)


def _draw_scheme(axis: Axes, scheme: str, models: pd.DataFrame, look: dict) -> None:
    """All models of a scheme hollow, then the selected ones filled and joined, with the scheme's name."""
    if models.empty:
        return
    poor, chosen = models.loss > 0.1, models[models.selected]
    # All of them hollow first; the selected ones are drawn over these.
    for part, alpha in ((models[~poor], 0.7), (models[poor], 0.25)):
        axis.plot(part.device_macs, part.symbols, alpha=alpha, markerfacecolor="none", ls="", **look)
    name = f"{scheme}, headers not counted" if scheme in ("JPEG", "BottleNet") else scheme
    if len(chosen):
        # The label code is the opponent of all, and no scheme to send features by: it stands behind them.
        behind = {"alpha": 0.4, "zorder": 1} if scheme == opponent.LABEL else {}
        axis.plot(chosen.device_macs, chosen.symbols, drawstyle="steps-post", label=name, **look, **behind)
    else:  # an empty line, so that the legend says that the scheme was tried
        axis.plot([], [], markerfacecolor="none", ls="", label=f"{name} (none within)", **look)


def _draw_paper(axis: Axes, models: pd.DataFrame) -> None:
    """The paper's stated points: half of the network's operations, and crosses at what it reaches."""
    axis.axvline(PAPER_HALF, color="grey", ls=":", lw=1, label="156·10⁶, half of the network")
    macs, symbols, label = [PAPER_HALF], [8], "the paper: 8 symbols at 156·10⁶"
    # Where PNG has not been measured yet, only the paper's other point has a place.
    for png in models[models.scheme == "PNG"].symbols:
        macs.append(4e6)
        symbols.append(png / 3)  # "about 3×" less than PNG
        label = "the paper: 8 symbols at 156·10⁶; PNG/3 at 4·10⁶"
    axis.plot(macs, symbols, marker="x", color="k", ls="", ms=8, mew=2, zorder=4, label=label)


def _title(models: pd.DataFrame, settings: Study) -> str:
    images = 50 * settings.classes  # half of the test images
    # A share of a half has the largest binomial variance; the rest is two standard errors in points.
    noise = 200 * (0.25 / images) ** 0.5
    # The study's list, not the table: a model that is missing has no row.
    planned = {run.name for run in study.runs(settings) if "figure3" in run.figures
               and run.step in ("end_to_end", "baselines")}
    missing = planned - set(models.run)
    lines = [f"Figure 3: within {100 * settings.figure3.tolerance:g} points of the baseline at "
             f"{settings.figure3.snr_db:g} dB [{settings.title}]",
             f"selected on {images} images: two standard errors are up to ±{noise:.1f} points"]
    if missing:
        lines.append(f"incomplete: {len(missing)} of {len(planned)} models are still to come")
    return "\n".join(lines)


def _label(axis: Axes, models: pd.DataFrame, split: str) -> None:
    """Split and ratio beside each model, where they cover no earlier label if there is such a place."""
    # By hand, since matplotlib keeps no label off another.
    taken = []
    for model in models.itertuples():
        pruned = "" if pd.isna(model.ratio) else f", ratio {model.ratio:g}"
        label = axis.annotate(f"{split} {model.pool:.0f}{pruned}", (model.device_macs, model.symbols), xytext=(0, 0),
                              textcoords="offset points", fontsize=7, zorder=1,
                              bbox={"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 0.5})
        # Right above, left above, right below, left below; where all are taken, the last.
        for offset, side in (((5, 4), "left"), ((-5, 4), "right"), ((5, -9), "left"), ((-5, -9), "right")):
            label.set(position=offset, horizontalalignment=side)
            if not label.get_window_extent().count_overlaps(taken):
                break
        taken.append(label.get_window_extent())
