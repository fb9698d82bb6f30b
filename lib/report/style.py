"""The one plot style of the study, and where a figure is stored: as PNG, SVG and the CSV behind it."""

import os
from pathlib import Path

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from lib.batch import places
from lib.opponent import label as opponent
from lib.study import Study

# A scheme keeps its colour and its marker in every figure, whichever others are there.
SCHEMES = ("JSCC + pruning", "BottleNet++", "BottleNet", "PNG", "JPEG", "WebP", "JALAD", "Two-step pruning",
           "DeepJSCC image", "Separation", opponent.LABEL)
DIGITAL = ": separation"  # ends the label of a curve that sends the same features digitally
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "h", "p", "d")
COLORS = [*sns.color_palette("colorblind").as_hex(), opponent.COLOR]

# The font comes with matplotlib, and a fixed salt names the parts of an SVG: so that a figure drawn
# again from the same numbers is the same file.
sns.set_theme("paper", "ticks", "colorblind", font="DejaVu Sans", rc={
    "figure.figsize": (5.2, 3.6), "figure.dpi": 110, "savefig.dpi": 220, "svg.hashsalt": "device-edge",
    "axes.grid": True, "grid.alpha": 0.4, "axes.spines.top": False, "axes.spines.right": False,
    "lines.markersize": 5.5, "legend.fontsize": 7.5, "legend.framealpha": 0.9, "legend.edgecolor": "none"})


def folder(settings: Study) -> Path:
    """Where figures go: the study's folder, or outputs/interactive/ when a notebook is opened by hand."""
    if places.OUTPUT in os.environ:
        return places.folder_of(settings, "figures")
    # By hand nobody must overwrite what a study has drawn and its manifest lists.
    return places.interactive_folder(settings, "figures")


def save(figure: Figure, settings: Study, stem: str, data: pd.DataFrame) -> None:
    """Store a figure as PNG and SVG, and the numbers behind it as CSV."""
    place = folder(settings)
    place.mkdir(parents=True, exist_ok=True)
    # Six digits: more than a figure shows, without the noise of the last bits.
    data.to_csv(place / f"{stem}.csv", index=False, float_format="%.6g")
    # without the version of matplotlib and the date, which would differ where the picture does not
    figure.savefig(place / f"{stem}.png", bbox_inches="tight", metadata={"Software": None})
    figure.savefig(place / f"{stem}.svg", bbox_inches="tight", metadata={"Date": None})


def nothing_to_draw(settings: Study, stem: str, message: str | None = None) -> None:
    """Say so, and delete the figure of what was measured before: it would pass for today's."""
    print(message or f"{stem}: not measured yet; ./run_all.sh {settings.source} --only {stem} computes it")
    for ending in ("png", "svg", "csv"):
        (folder(settings) / f"{stem}.{ending}").unlink(missing_ok=True)
