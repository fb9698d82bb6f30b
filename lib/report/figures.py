"""Pictures and tables that the notebooks show beside their steps; `paper_figures` draws Figures 3 to 5."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from IPython.display import HTML, Image, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lib import channel
from lib.batch import places
from lib.report.style import COLORS, MARKERS
from lib.study import Study


def table(values: dict[str, float]) -> pd.DataFrame:
    """{what: number} as a one-column table."""
    # Counts with their thousands, small numbers with three digits.
    return pd.Series(values).map(lambda v: f"{v:,.0f}" if abs(v) >= 100 else f"{v:.3g}").to_frame("value")


def show(frame: pd.DataFrame) -> None:
    """Display a table, its long texts whole and on the left."""
    # JupyterLab puts all cells on the right: good for numbers, bad for sentences.
    html = frame.to_html(index=False, na_rep="", justify="left", float_format=lambda v: f"{v:.1f}")
    display(HTML(html.replace("<td>", '<td style="text-align: left">')))


def stored(settings: Study, stem: str) -> None:
    """Display a figure of the study that was drawn before, or say that there is none."""
    path = places.folder_of(settings, "figures") / f"{stem}.png"
    # Notebooks run on any study, also before it has figures.
    if path.exists():
        display(Image(path.read_bytes(), width=760))
    elif stem.startswith("figure4") and stem[-1] not in settings.figure4.panels:
        print(f"The study {settings.name} has no Figure {stem[-2:]}")
    else:
        print(f"{stem} has not been drawn; ./run_all.sh report {settings.source} draws it from what is measured")


def pictures(images: torch.Tensor, titles: list[str]) -> Figure:
    """A row of uint8 images [N, 3, 32, 32], as many as there are titles."""
    columns = max(1, len(titles))  # where no image is to be shown, an empty figure
    # `squeeze=False`: one picture gives an array of axes too.
    figure, axes = plt.subplots(1, columns, figsize=(1.3 * columns, 1.7), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, image, title in zip(axes.flat, images, titles, strict=False):
        axis.imshow(image.permute(1, 2, 0))
        axis.set_title(title, fontsize=7)
    return figure


def png_sizes(sizes: torch.Tensor, snr_db: float) -> None:
    """Histogram of files' sizes [N] in bytes, with a second axis in real symbols at capacity."""
    axis = sns.histplot(np.asarray(sizes), color=COLORS[0], ax=plt.subplots()[1])
    # Figure 3's PNG point is the mean file, in symbols.
    axis.axvline(sizes.mean(), color="k", ls="--", label=f"mean {sizes.mean():.0f} bytes")
    axis.set(xlabel="PNG size (bytes)", ylabel="test images")
    symbols = 8 / channel.capacity(snr_db)
    # The same axis in another unit, which matplotlib needs both ways.
    above = axis.secondary_xaxis("top", functions=(lambda size: size * symbols, lambda count: count / symbols))
    above.set_xlabel(f"real symbols at capacity, {snr_db:g} dB")
    axis.legend()


def learning_curve(history: pd.DataFrame, title: str) -> None:
    """Loss and, where there is one, test accuracy over epochs."""
    axis = sns.lineplot(history, x="epoch", y="loss", color=COLORS[0], marker="o",
                        ax=plt.subplots(figsize=(4.6, 2.8))[1])
    axis.set(ylabel="training loss", title=title)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    # Step 3 trains without labels and has a loss alone.
    if "test_accuracy" in history:
        right = axis.twinx()
        sns.lineplot(x=history.epoch, y=100 * history.test_accuracy, color=COLORS[1], marker="s", ax=right)
        right.set_ylabel("test accuracy (%)", color=COLORS[1])
        right.grid(False)  # two grids of different spacing would cross


def filters_left(before: list[int], after: list[int]) -> None:
    """Filters of each convolution up to the split, before and after pruning."""
    # Counted from 1, as the paper and its figures count.
    layers = range(1, len(before) + 1)
    axis = plt.subplots(figsize=(4.6, 2.8))[1]
    axis.bar(layers, before, color="lightgrey", label="before")
    axis.bar(layers, after, color=COLORS[0], label="after")
    axis.set(xlabel="convolutional layer", ylabel="filters", xticks=list(layers))
    axis.grid(False, axis="x")
    axis.legend()


def accuracy_over_snr(points: pd.DataFrame, baseline: float, profile: str, title: str = "",
                      axis: Axes | None = None, labels: list[str] | None = None) -> Axes:
    """Curves of `points` (columns label, snr_db, accuracy), and the dashed accuracy without a channel.

    A curve is the mean, its band reaches from the least to the largest: of the seeds, each the mean
    of its noise draws; with one seed, of its draws. Colours go by `labels`, so that a curve that is
    missing moves no other one's.
    """
    axis = axis or plt.subplots()[1]
    labels = labels or list(points.label.unique())
    # Else the band would mix what noise does with what another training does.
    if "seed" in points and points.seed.nunique() > 1:
        points = points.groupby(["label", "snr_db", "seed"], as_index=False).accuracy.mean()
    # The percentile interval of 100 is the range itself; standard errors of two or three seeds would mislead.
    draw_curves(points, labels, axis, errorbar=("pi", 100), err_kws={"lw": 0})
    if not np.isnan(baseline):
        axis.axhline(100 * baseline, color="k", ls="--", lw=1, label="unpruned, no channel")
    # The profile stands in every title: a quick curve must not pass for the paper's.
    axis.set(xlabel="SNR (dB), on real symbols", ylabel="test accuracy (%)", title=f"{title} [{profile}]".strip())
    axis.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return axis


def draw_curves(points: pd.DataFrame, labels: list[str], axis: Axes, **options: Any) -> None:
    """Accuracy (%) over SNR with a colour and a marker for each label; options are seaborn's or matplotlib's."""
    # All labels, also those that are not in `points`: a curve keeps its look in both panels.
    sns.lineplot(points.assign(accuracy=100 * points.accuracy), x="snr_db", y="accuracy", hue="label", style="label",
                 hue_order=labels, style_order=labels, palette=COLORS[:len(labels)], markers=MARKERS[:len(labels)],
                 dashes=False, ax=axis, **options)
