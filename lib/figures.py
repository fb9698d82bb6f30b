"""Every picture of the study, one style throughout; each figure is stored as PNG, SVG and the CSV behind it."""

import os

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML, Image, display

from lib import channel, geometry, results, study
from lib.batch import places
from lib.claims import PAPER_HALF

COLORS = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#fbafe4", "#949494", "#ece133",
          "#56b4e9")  # seaborn's "colorblind"; seaborn itself takes seconds to import, so only where it draws
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "h", "p")
SCHEMES = ("JSCC + pruning", "BottleNet++", "BottleNet", "PNG", "JPEG", "WebP", "JALAD", "Two-step pruning",
           "DeepJSCC image", "Separation")
plt.rcParams.update({
    "figure.figsize": (5.2, 3.6), "figure.dpi": 110, "savefig.dpi": 220, "font.size": 9, "axes.grid": True,
    "grid.alpha": 0.3, "axes.spines.top": False, "axes.spines.right": False, "lines.markersize": 4.5,
    "lines.linewidth": 1.4, "legend.fontsize": 7.5, "legend.framealpha": 0.9, "legend.edgecolor": "none",
    "svg.hashsalt": "device-edge"})


def table(values):
    """{what: number} as a one-column table."""
    return pd.Series(values).map(lambda v: f"{v:,.0f}" if abs(v) >= 100 else f"{v:.3g}").to_frame("value")


def show(frame):
    """Display a table with its long texts whole."""
    html = frame.to_html(index=False, na_rep="", justify="left", float_format=lambda v: f"{v:.1f}")
    display(HTML(html.replace("<td>", '<td style="text-align: left">')))


def pictures(images, titles):
    """A row of uint8 images [N, 3, 32, 32]."""
    figure, axes = plt.subplots(1, max(1, len(titles)), figsize=(1.3 * max(1, len(titles)), 1.7), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, image, title in zip(axes.flat, images, titles, strict=False):
        axis.imshow(image.permute(1, 2, 0))
        axis.set_title(title, fontsize=7)
    return figure


def png_sizes(sizes, snr_db):
    """Histogram of bytes with a second axis in symbols at capacity."""
    import seaborn as sns

    figure, axis = plt.subplots()
    sns.histplot(np.asarray(sizes), ax=axis, color=COLORS[0])
    axis.axvline(sizes.mean(), color="k", ls="--", label=f"mean {sizes.mean():.0f} bytes")
    axis.set(xlabel="PNG size (bytes)", ylabel="test images")
    symbols = 8 / channel.capacity(snr_db)
    axis.secondary_xaxis("top", functions=(lambda b: b * symbols, lambda s: s / symbols)).set_xlabel(
        f"real symbols at capacity, {snr_db:g} dB")
    axis.legend()


def learning_curve(history, title):
    """Loss and, where there is one, test accuracy over epochs."""
    figure, axis = plt.subplots(figsize=(4.6, 2.8))
    axis.plot(history.epoch, history.loss, color=COLORS[0], marker="o")
    axis.set(xlabel="epoch", ylabel="training loss", title=title)
    if "test_accuracy" in history:
        right = axis.twinx()
        right.plot(history.epoch, 100 * history.test_accuracy, color=COLORS[1], marker="s")
        right.set_ylabel("test accuracy (%)", color=COLORS[1])
        right.grid(False)


def filters_left(before, after, pool):
    """Filters of each layer before the split, before and after pruning."""
    layers = range(1, sum(geometry.BLOCKS[:pool]) + 1)
    figure, axis = plt.subplots(figsize=(4.6, 2.8))
    axis.bar(layers, before[:len(layers)], color="lightgrey", label="before")
    axis.bar(layers, after[:len(layers)], color=COLORS[0], label="after")
    axis.set(xlabel="convolutional layer", ylabel="filters", xticks=list(layers))
    axis.legend()


def accuracy_over_snr(points, baseline, profile, title="", axis=None, separation=None, labels=None, planned=()):
    """Curves of `points` (columns label, snr_db, accuracy) and the dashed baseline.

    Bands span seeds, each the mean of its draws; with one seed, its draws. `separation` has the same columns: dotted,
    in the colour of the curve of the same label. Colours go by `labels`; a line over a `planned` SNR without a model
    is dashed. Points of `other_weights` (a column of booleans) are hollow.
    """
    axis = axis or plt.subplots()[1]
    labels = labels or list(dict.fromkeys(points.label))
    hollow = points[points.other_weights] if "other_weights" in points else points[:0]
    if "seed" in points and points.seed.nunique() > 1:
        points = points.groupby(["label", "snr_db", "seed"], as_index=False).accuracy.mean()
    for number, label in enumerate(labels):
        spread = 100 * points[points.label == label].groupby("snr_db").accuracy.agg(["mean", "min", "max"])
        if len(spread):
            axis.plot(spread.index, spread["mean"], color=COLORS[number], ls=(0, (2, 3)), lw=0.8)
            spread = spread.reindex(sorted({*spread.index, *planned}))
            axis.plot(spread.index, spread["mean"], color=COLORS[number], marker=MARKERS[number], label=label)
            axis.fill_between(spread.index, spread["min"], spread["max"], color=COLORS[number], alpha=0.2, lw=0)
            apart = spread["mean"][spread.index.isin(hollow[hollow.label == label].snr_db)]
            axis.plot(apart.index, apart, color=COLORS[number], marker=MARKERS[number], ls="", mfc="white")
    for number, label in enumerate(labels if separation is not None else []):
        mine = separation[separation.label == label].sort_values("snr_db")
        if len(mine):
            axis.plot(mine.snr_db, 100 * mine.accuracy, ls=":", color=COLORS[number], label=f"{label}: separation",
                      drawstyle="steps-post" if (mine.reading == "fixed").all() else "default")
    if baseline == baseline:
        axis.axhline(100 * baseline, color="k", ls="--", lw=1, label="unpruned, no channel")
    axis.set(xlabel="SNR (dB), on real symbols", ylabel="test accuracy (%)", title=f"{title} [{profile}]".strip())
    axis.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return axis


def _panels(table, settings, stem, title):
    """One axis a reading (matched, fixed), stored under `stem`."""
    again = results.of_other_weights(settings.source, downstream=True)
    data, separation = (points.assign(other_weights=points.run.isin(again)) for points in (
        results.figure_points(table, settings, stem), results.separation_points(table, settings, stem)))
    readings = [reading for reading in ("matched", "fixed") if (data.reading == reading).any()]
    if not readings:
        lacks(settings, stem)
        return
    figure, axes = plt.subplots(1, len(readings), figsize=(5.2 * len(readings), 3.6), sharex=True, sharey=True,
                                squeeze=False)
    baseline, spec = data.attrs["baseline"], settings.figure5 if stem == "figure5" else settings.figure4
    labels = list(dict.fromkeys(data.sort_values(["ratio", "bandwidth"], ascending=[True, False]).label))
    own = data[data.reading == "matched"]
    lacking = (own.groupby("label").snr_db.nunique() < len(spec.matched_snr_db)).any()
    for axis, reading in zip(axes.flat, readings, strict=True):
        text = {"matched": "a model trained for each SNR",
                "fixed": f"one model, trained at {spec.fixed_snr_db:g} dB"}[reading]
        accuracy_over_snr(data[data.reading == reading], baseline, settings.name, f"{title}\n{reading}: {text}", axis,
                          separation[separation.reading == reading], labels,
                          spec.matched_snr_db if reading == "matched" else ())
        axis.get_legend().remove()
    handles = {label: handle for axis in axes.flat for handle, label in zip(*axis.get_legend_handles_labels(),
                                                                          strict=True)}
    names = [name for name in dict.fromkeys([*labels, *handles]) if name in handles]
    axes.flat[-1].legend([handles[name] for name in names], names, loc="center left", bbox_to_anchor=(1.02, 0.5))
    images, spans = 100 * settings.classes, "seeds, the mean of each" if data.seed.nunique() > 1 else "noise draws"
    notes = [f"Bands span {spans}; not in them: two binomial standard errors of {images:,} test images, up to "
             f"±{100 / images**0.5:.1f} points."]
    if lacking:
        notes.append("Thin dashes: no model was trained for an SNR in between yet.")
    if data.other_weights.any():
        notes.append("Hollow: with a model that rests on another making of its upstream run.")
    if separation.other_weights.any():
        notes.append("Separation: of another making of the pruned net.")
    figure.text(0.12, -0.02, "\n".join(notes), fontsize=8, va="top")
    behind = pd.concat([data.drop(columns="right_by_class").assign(scheme=results.PROPOSED),
                        separation.assign(scheme="Separation")])
    save(figure, settings, stem, behind.assign(
        binomial_standard_error=(behind.accuracy * (1 - behind.accuracy) / images) ** 0.5, baseline=baseline))


def figure4(table, settings, panel):
    """Figure 4a or 4b: accuracy over SNR by pruning ratio."""
    if panel not in settings.figure4.panels:
        lacks(settings, f"figure4{panel}", f"The study {settings.name} has no Figure 4{panel}")
        return
    point = settings.figure4.panels[panel]
    _panels(table, settings, f"figure4{panel}",
            f"Figure 4{panel}: B = {point.bandwidth}, after pooling {point.pool}")


def figure5(table, settings):
    """Figure 5: accuracy over SNR by bandwidth."""
    point = settings.figure5
    _panels(table, settings, "figure5",
            f"Figure 5: after pooling {point.pool}, pruning ratio {point.ratio:g}")


def figure3(points, settings):
    """Figure 3: symbols against device MACs; selected models filled and joined by a line, the others hollow.

    Faint models lose more than 10 points; a dot marks those within the tolerance on both halves of the test images.
    """
    if not len(points):
        lacks(settings, "figure3")
        return
    figure, axis = plt.subplots(figsize=(6.4, 4.2))
    labels = []
    for scheme, color, marker in zip(SCHEMES, COLORS, MARKERS, strict=True):
        mine = points[points.scheme == scheme].sort_values("device_macs")
        style, chosen, poor = {"color": color, "marker": marker, "ls": ""}, mine[mine.selected], mine.loss > 0.1
        if mine.empty:
            continue
        for models, alpha in ((mine[~poor], 0.7), (mine[poor], 0.25)):
            axis.plot(models.device_macs, models.symbols, alpha=alpha, markerfacecolor="none", **style)
        name = scheme + ", headers not counted" * (scheme in ("JPEG", "BottleNet"))
        if len(chosen):
            axis.plot(chosen.device_macs, chosen.symbols, drawstyle="steps-post", label=name, **style | {"ls": "-"})
        else:
            axis.plot([], [], markerfacecolor="none", label=f"{name} (none within)", **style)
        for row in chosen[chosen.pool.notna()].itertuples():
            pruned = f", ratio {row.ratio:g}" if row.ratio == row.ratio else ""
            labels.append((f"pool {row.pool:.0f}{pruned}", row.device_macs, row.symbols))
    sure = points[points.holds]
    axis.plot(sure.device_macs, sure.symbols, marker=".", color="k", ls="", ms=3.5, zorder=3,
              label="within on the other half too")
    if settings.network.width == 1:
        axis.axvline(PAPER_HALF, color="grey", ls=":", lw=1, label="156·10⁶, half of the network")
        png = points[points.scheme == "PNG"].symbols  # about 3× less than that with 4·10⁶ operations
        axis.plot([PAPER_HALF, *len(png) * [4e6]], [8, *png / 3], marker="*", color="k", ls="", ms=8, zorder=1,
                  alpha=0.8, label="the paper: 8 symbols at 156·10⁶" + ("; PNG/3 at 4·10⁶" if len(png) else ""))
    axis.set_xscale("symlog", linthresh=1e5)
    axis.set_yscale("log")
    images = 50 * settings.classes  # half of the test images
    lacking = {item.name for item in study.runs(settings) if "figure3" in item.figures
               and item.step in ("end_to_end", "baselines")} - set(points.run)
    noise = 200 * (0.25 / images) ** 0.5
    told = f"{len(lacking)} models are" if len(lacking) > 1 else "1 model is"
    axis.set(xlabel="device operations (MACs), linear below 10⁵", ylabel="real symbols per image",
             title=f"Figure 3: within {100 * settings.figure3.tolerance:g} points of the baseline at "
                   f"{settings.figure3.snr_db:g} dB [{settings.name}]\n"
                   f"selected on {images} images: two standard errors are up to ±{noise:.1f} points"
                   + f"\nincomplete: {told} still to come" * bool(lacking))
    axis.margins(x=0.12)  # room for the labels of the rightmost points
    _label(axis, labels)
    axis.legend(loc="center left", bbox_to_anchor=(1.06, 0.5), title_fontsize=7.5, alignment="left",
                title="filled: selected; hollow: not selected;\nfaint: more than 10 points below")
    save(figure, settings, "figure3", points)


def _label(axis, labels):
    """Texts beside their points (text, x, y), each where it covers no earlier one if there is such a place."""
    taken = []
    for text, x, y in labels:
        label = axis.annotate(text, (x, y), xytext=(0, 0), textcoords="offset points", fontsize=7, zorder=1,
                              bbox={"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 0.5})
        for offset, side in (((5, 4), "left"), ((-5, 4), "right"), ((5, -9), "left"), ((-5, -9), "right")):
            label.set(position=offset, horizontalalignment=side)
            if not label.get_window_extent().count_overlaps(taken):
                break
        taken.append(label.get_window_extent())


def _folder(settings):
    return (places.folder_of if places.OUTPUT in os.environ else places.interactive_folder)(settings, "figures")


def lacks(settings, stem, told=None):
    """Say that there is nothing to draw; a picture of what there was before goes."""
    print(told or f"{stem}: not measured yet at the profile {settings.name}")
    for ending in ("png", "svg", "csv"):
        (_folder(settings) / f"{stem}.{ending}").unlink(missing_ok=True)


def save(figure, settings, stem, data):
    """Store a figure as PNG and SVG, and the numbers behind it as CSV; by hand, under outputs/interactive/."""
    folder = _folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    data.to_csv(folder / f"{stem}.csv", index=False, float_format="%.6g")
    for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        figure.savefig(folder / f"{stem}.{suffix}", bbox_inches="tight", metadata=metadata)


def stored(settings, stem):
    """Display a stored figure, or say that there is none."""
    path = places.folder_of(settings, "figures") / f"{stem}.png"
    if path.exists():
        display(Image(path.read_bytes(), width=760))
    else:
        print(f"{stem} has not been drawn at the profile {settings.name}")
