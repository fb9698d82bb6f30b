"""The pictures of the lessons. Each function draws one figure, which the notebook shows where its cell ends."""

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
import torch
import torch.nn.functional as F

from lib.lessons.measures import percent
from lib.report.style import COLORS
from lib.schemes.bottlenet import tile


def examples(images: torch.Tensor, labels: torch.Tensor, names: Sequence[str], rows: int = 10, each: int = 12) -> None:
    """A row of images for each of the first classes, with the number of images that the class has."""
    shown, counts = names[:rows], torch.bincount(labels).tolist()
    mosaic = torch.cat([torch.cat(list(images[labels == label][:each]), 2) for label in range(len(shown))], 1)
    axis = plt.subplots(figsize=(0.5 * each, 0.5 * len(shown)))[1]
    axis.imshow(mosaic.permute(1, 2, 0))
    axis.set(xticks=[], yticks=[32 * row + 16 for row in range(len(shown))],
             yticklabels=[f"{name}: {count}" for name, count in zip(shown, counts, strict=False)],
             title=f"{len(images):,} images of {len(names)} classes")
    axis.grid(False)


def operations(counts: pd.DataFrame) -> None:
    """`measures.operations_by_layer`: both counts side by side, and what ptflops counts besides."""
    parts = ["bias", "batch norm", "activation", "pooling"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
    (counts.set_index("layer")[["ours", "ptflops"]] / 1e6).plot.bar(ax=left, color=COLORS[:2], width=0.8)
    (counts.set_index("layer")[parts] / 1e6).plot.bar(ax=right, stacked=True, color=COLORS[2:6], width=0.8)
    left.set(xlabel="", ylabel="operations (millions)", title="an image through the full network")
    right.set(xlabel="", ylabel="operations (millions)", title="what ptflops counts besides")
    for axis in (left, right):
        axis.grid(False, axis="x")


def scores(ranking: Mapping[str, torch.Tensor], chosen: Mapping[str, Sequence[int]]) -> None:
    """Each filter's score, by layer; the chosen filters, which go first, are crosses."""
    axis = plt.subplots(figsize=(5.6, 3))[1]
    for number, (layer, values) in enumerate(ranking.items(), 1):
        goes = torch.zeros(len(values), dtype=torch.bool)
        goes[list(chosen.get(layer, []))] = True
        spread = number + torch.linspace(-0.3, 0.3, len(values))  # side by side, so that none hides another
        for mask, style in ((~goes, {"color": COLORS[0], "marker": "o"}), (goes, {"color": COLORS[3], "marker": "x"})):
            axis.scatter(spread[mask], values.cpu()[mask], s=18, **style)
    axis.scatter([], [], color=COLORS[0], marker="o", label="stays")
    axis.scatter([], [], color=COLORS[3], marker="x", label="goes first")
    axis.set(xlabel="convolutional layer", ylabel="score, normalised in its layer", xticks=range(1, len(ranking) + 1))
    axis.grid(False, axis="x")
    axis.legend()


def pruning_chain(chain: pd.DataFrame, total: int, start: tuple[int, float]) -> None:
    """`measures.pruning_chain`: down at each cut, up in the training after it.

    `total` is the number of filters, `start` where the run began: (filters removed, accuracy).
    """
    axis = plt.subplots(figsize=(5.6, 3))[1]
    share = 100 * pd.concat([pd.Series([start[0]]), chain.removed]) / total
    height = 100 * pd.concat([pd.Series([start[1]]), chain.accuracy])
    axis.plot(share, height, color="grey", lw=1)
    for state, marker, filled in (("cut", "v", "white"), ("trained", "o", COLORS[0])):
        rows = chain[chain.state == state]
        axis.plot(100 * rows.removed / total, 100 * rows.accuracy, marker, color=COLORS[0], mfc=filled,
                  label={"cut": "after the cut", "trained": "after its training"}[state])
    axis.set(xlabel="filters removed (%)", ylabel="test accuracy (%)")
    axis.legend()


def in_a_row(panels: Mapping[str, torch.Tensor]) -> None:
    """{title: image uint8 [3, H, W], or maps [C, h, w]}: maps as tiles, those of one shape on one scale of colours."""
    panels = {title: values.detach().cpu() for title, values in panels.items()}
    figure, axes = plt.subplots(1, len(panels), figsize=(2.1 * len(panels), 2.4), layout="constrained", squeeze=False)
    for axis, (title, values) in zip(axes.flat, panels.items(), strict=True):
        axis.set_title(title, fontsize=8)
        axis.axis("off")
        if values.dtype == torch.uint8:
            axis.imshow(values.permute(1, 2, 0))
            continue
        alike = torch.cat([other.float().flatten() for other in panels.values() if other.shape == values.shape])
        empty = -len(values) % math.ceil(math.sqrt(len(values)))  # `tile` would fill its last row with zeros
        framed = F.pad(values.float(), (0, 1, 0, 1, 0, empty), value=float("nan"))  # and a gap between tiles
        axis.imshow(tile(framed[None])[0], vmin=alike.min(), vmax=alike.max(), cmap="viridis")


def symbols(sent: torch.Tensor, received: torch.Tensor, snr_db: float) -> None:
    """Symbols before and after the noise: each against its own, and how often a value occurs."""
    sent, received, sigma = sent.detach().cpu().flatten(), received.detach().cpu().flatten(), 10 ** (-snr_db / 20)
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3), layout="constrained")
    ends = torch.stack([sent.min(), sent.max()])
    left.fill_between(ends, ends - sigma, ends + sigma, color=COLORS[1], alpha=0.3, lw=0, label="x ± σ")
    left.scatter(sent, received, s=6, color=COLORS[0], label="a symbol")
    left.set(xlabel="sent, x", ylabel="received, y = x + z",
             title=f"{len(sent)} symbols at {snr_db:g} dB, σ = {sigma:.2f}")
    left.legend()
    for values, name, color in ((sent, "sent", COLORS[0]), (received, "received", COLORS[1])):
        power = values.square().mean()
        right.hist(values.numpy(), 40, histtype="step", color=color, lw=1.6, label=f"{name}, mean square {power:.2f}")
    right.set(xlabel="value of a symbol", ylabel="symbols")
    right.legend()


def four_steps(steps: pd.DataFrame, snr_db: float, chance: float) -> None:
    """`measures.four_steps` as bars, without noise and at the SNR."""
    axis = plt.subplots(figsize=(5.8, 3))[1]
    columns = (("without noise", -0.2, COLORS[0]), ("at the SNR", 0.2, COLORS[1]))
    for column, shift, color in columns:
        bars = axis.bar([place + shift for place in range(len(steps))], 100 * steps[column], 0.38, color=color,
                        label=f"at {snr_db:g} dB" if column == "at the SNR" else column)
        axis.bar_label(bars, ["" if value != value else percent(value) for value in steps[column]], fontsize=7)
    axis.axhline(100 * chance, color="k", ls=":", lw=1, label="chance")
    axis.set(xticks=range(len(steps)), xticklabels=steps.step, ylabel="test accuracy (%)", ylim=(0, 100))
    axis.grid(False, axis="x")
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
