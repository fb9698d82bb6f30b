"""The paper's Fig. 1, the system as one picture: the README's, and each lesson's with its stage lit.

    system.draw(lit="prune")     # in a notebook
    system.write()               # docs/system.svg
"""

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from lib import study

FILE = study.ROOT / "docs" / "system.svg"
PALE, LIT, INK = "#f4f4f4", "#ffd27f", "#222222"
# From, to, colour, name.
AREAS = ((1.7, 7.3, "#0173b2", "device"), (9.75, 13.6, "#029e73", "edge server"))
PARTS = (  # name, left, width, what it is made of
    ("image", 0.1, 1.0, "32 × 32 × 3"),
    ("device half", 1.85, 1.6, "VGG16 up to a\npooling layer, some\nfilters pruned"),
    ("encoder", 3.85, 1.5, "3×3 convolution,\nGDN, PReLU"),
    ("power", 5.75, 1.4, "x constrained to\nmean square 1"),
    ("noisy channel", 7.75, 1.6, "y = x + z,\nB real symbols"),
    ("decoder", 9.9, 1.5, "convolution, IGDN,\nPReLU, upsampling,\nconvolution"),
    ("edge half", 11.8, 1.65, "the rest of VGG16"),
    ("class", 14.1, 1.0, "1 of 100"))
# The middle of the drawing, which step 3 trains and other schemes replace.
LINK = ("encoder", "power", "noisy channel", "decoder")
STAGES = {  # which parts a stage works on, and what it does
    "data": (("image",), "Data: CIFAR-100, and what it costs to send the picture itself"),
    "pretrain": (("device half", "edge half"), "Step 1: train the whole network, without a channel"),
    "prune": (("device half",), "Step 2: remove the least important filters of the device half"),
    "autoencoder": (LINK, "Step 3: train the link alone to carry the feature map"),
    "end_to_end": (("device half", *LINK, "edge half"), "Step 4: train everything together, through the noise"),
    "baselines": (LINK, "Other schemes: another link in the same place, under the same channel")}


def draw(lit: str | None = None) -> Figure:
    """The system from image to class; with `lit`, a key of STAGES, its parts are lit and a caption names it."""
    parts, caption = STAGES[lit] if lit else ((), "")
    figure, axis = plt.subplots(figsize=(11, 2.5 if lit else 2.2), layout="constrained")
    figure.patch.set_facecolor("white")  # readable on a dark page too
    # Lower with a caption, so that the boxes keep their size.
    axis.set(xlim=(0, 15.2), ylim=(-1.4 if lit else -1, 1.7), aspect="equal")
    axis.axis("off")
    for left, right, color, name in AREAS:
        _box(axis, left, right - left, (-0.95, 1.15), facecolor=color, alpha=0.12, lw=0)
        axis.text(left + 0.05, 1.3, name, color=color, fontsize=11, weight="bold")
    for name, left, width, made_of in PARTS:
        on, middle = name in parts, left + width / 2
        # lit by a thicker line too, for who does not see the colour
        _box(axis, left, width, (-0.75, 0.85), facecolor=LIT if on else PALE, edgecolor=INK, lw=2.6 if on else 0.9)
        axis.text(middle, 0.5, name, ha="center", fontsize=9.5, weight="bold", color=INK)
        axis.text(middle, 0.03, made_of, ha="center", va="center", fontsize=7.5, color=INK)
        # Little squares for filters, the pruned ones empty.
        for filter_number in range(8 if name.endswith("half") else 0):
            pruned = name == "device half" and filter_number in (1, 4, 5)
            axis.plot(middle - 0.56 + 0.16 * filter_number, -0.52, "s", ms=4.5, color=INK, mew=0.7,
                      mfc="none" if pruned else INK)
    for (_, left, width, _), (_, following, *_) in zip(PARTS, PARTS[1:], strict=False):
        _arrow(axis, (left + width, 0.05), (following, 0.05))
    axis.text(8.55, 1.42, "z ~ N(0, σ²)", ha="center", fontsize=8.5, color=INK)
    _arrow(axis, (8.55, 1.38), (8.55, 0.85))
    axis.text(7.6, -1.3, caption, ha="center", fontsize=10, color=INK)
    return figure


def _box(axis, left, width, vertical, **style):
    axis.add_patch(FancyBboxPatch((left, vertical[0]), width, vertical[1] - vertical[0],
                                  boxstyle="round,pad=0,rounding_size=0.12", **style))


def _arrow(axis, start, end):
    axis.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": INK, "shrinkA": 1, "shrinkB": 1})


def write(file: Path = FILE) -> Path:
    """Store the picture as SVG, of the same bytes every time; returns its path."""
    # whatever style the figures have set
    with plt.style.context(["default", {"svg.hashsalt": "device-edge", "font.family": "DejaVu Sans"}]):
        figure = draw()
        figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
    return file
