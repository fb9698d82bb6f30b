"""The label code beside ours: its curve in Figures 4 and 5, where joint coding beats it, and where it does not.

It decides no claim. Its device always computes the whole network, so that ours, wherever it is split, computes less:
what can be asked is which of the two is right more often at an SNR, and with how many symbols.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lib import results
from lib.claims import points, statistics
from lib.evaluation import unpack
from lib.results import PROPOSED
from lib.study import Study

LABEL = "Label code"
COLOR = "#4d4d4d"  # no scheme of the paper has a grey
SHORT = 16  # symbols of a code that a bad channel does harm
FIGURES = ("figure4a", "figure4b", "figure5")
EXPLAINED = """\
The device could also classify by itself and send the class: a fixed point on a sphere for each. Nothing in that is
trained for the channel, and the device computes the whole network. It decides no claim. In the first table, ours is
the most accurate model of Figure 3 that has no more symbols. In the second, a positive number is where joint coding is
right more often than a label code with at most as many symbols; it computes less in all of them.
"""


def curve(table: pd.DataFrame, settings: Study, figure: str) -> pd.DataFrame:
    """The label codes of Figure 4a, 4b or 5, unpruned, over the SNR: rows as those of `points.figure_points`.

    Of those that are measured, the longest with no more symbols than any curve of the figure, and that of `SHORT`.
    """
    least = (min(settings.figure5.bandwidths) if figure == "figure5"
             else settings.figure4.panels[figure.removeprefix("figure4")].bandwidth)
    codes = table[(table.scheme == LABEL) & (table.ratio == 0) & (table.bandwidth <= least)]
    codes = codes[codes.bandwidth.isin([SHORT, codes.bandwidth.max()])].sort_values("bandwidth", kind="stable")
    return codes.assign(reading="", label=[f"label code, B = {bandwidth:.0f}" for bandwidth in codes.bandwidth])


def draw(axis: Axes, rows: pd.DataFrame) -> None:
    """The curves, the mean over noise draws, in grey: the marks stand out where they lie on the dashed baseline."""
    for label, code in rows.groupby("label"):
        mean = 100 * code.groupby("snr_db").accuracy.mean()
        style, marker = ("-.", "d") if code.bandwidth.iloc[0] == SHORT else ("-", "x")
        axis.plot(mean.index, mean, ls=style, lw=1.2, marker=marker, ms=4, color=COLOR, zorder=1, label=label)


def behind(rows: pd.DataFrame, readings: list[str]) -> list[pd.DataFrame]:
    """The curve for a figure's CSV, once for each of its panels: no reading of the SNR changes it."""
    columns = [*points.COLUMNS, "scheme", "other_weights"]
    return [rows.assign(reading=reading, other_weights=False)[columns] for reading in readings if len(rows)]


def few_symbols(table: pd.DataFrame, settings: Study) -> pd.DataFrame:
    """Beside C4 and C5: each label code of Figure 3, and the most accurate of ours with no more symbols.

    Accuracies on all test images at Figure 3's SNR, in percent, operations in 10⁶. `ours − label` is in points, ± one
    standard error (paired by image), and missing where the study has no model of ours with so few symbols.
    """
    models, rows = points.figure3_models(table, settings), []
    ours = models[models.scheme == PROPOSED].sort_values("accuracy")
    right = table.drop_duplicates("run").set_index("run").right_at_snr
    for code in models[models.scheme == LABEL].sort_values(["ratio", "symbols"]).itertuples():
        row = {"symbols": f"{code.symbols:.0f}", "ratio": f"{code.ratio:g}", "label code": 100 * code.accuracy,
               "its operations": code.device_macs / 1e6}
        few = ours[ours.symbols <= code.symbols]
        if len(few):
            best = few.iloc[-1]
            row |= {"ours": 100 * best.accuracy, "of pool": f"{best.pool:.0f}", "of ratio": f"{best.ratio:g}",
                    "with symbols": f"{best.symbols:.0f}", "operations of ours": best.device_macs / 1e6,
                    "ours − label": _difference(best, code, right, settings)}
        rows.append(row)
    return pd.DataFrame(rows)


def _difference(ours, code, right: pd.Series, settings: Study) -> str:
    """In points, with its standard error where both say which images were right."""
    difference, stored = 100 * (ours.accuracy - code.accuracy), [right[ours.run], right[code.run]]
    if not all(isinstance(text, str) for text in stored):
        return f"{difference:+.1f}".replace("-", "−")
    first, second = (unpack(text, settings.data.counts[2]).numpy() for text in stored)
    error = 100 * statistics.image_error(first, second)
    return f"{difference:+.1f} ± {error:.1f}".replace("-", "−")


def of_pruned(codes: pd.DataFrame, ours: pd.DataFrame, symbols: int = 8, snr_db: float = 14.5) -> pd.DataFrame:
    """Label codes of pruned networks, a row a ratio, beside ours of the same split, ratio and `symbols`.

    `codes` and `ours` are tables of two studies, whose step 2 may differ. Accuracies in percent on all test images,
    seed 0, operations in 10⁶.
    """
    codes = codes[(codes.scheme == LABEL) & (codes.ratio > 0) & (codes.seed == 0)]
    ours = results.end_to_end(ours, bandwidth=symbols, train_snr_db=snr_db, snr_db=snr_db, seed=0)
    rows = []
    for (pool, ratio), code in codes.groupby(["pool", "ratio"]):
        accuracy = 100 * code.groupby(["bandwidth", "snr_db"]).accuracy.mean()
        same = ours[(ours.pool == pool) & (ours.ratio == ratio)]
        rows.append({"ratio": f"{ratio:g}", "operations": code.device_macs.iloc[0] / 1e6,
                     **{f"B = {count:.0f}, {snr:g} dB".replace("-", "−"): accuracy.get((count, snr), np.nan)
                        for count, snr in ((5, snr_db), (symbols, snr_db), (symbols, 0.0), (16, -5.0))},
                     f"ours, B = {symbols}": 100 * same.accuracy.mean(),
                     "operations of ours": same.device_macs.mean() / 1e6})
    return pd.DataFrame(rows)


def over_snr(table: pd.DataFrame, settings: Study) -> pd.DataFrame:
    """Points by which ours lie above the label code, a row a curve of Figures 4 and 5, a column per SNR.

    Of each curve the reading `matched`, where it has one; the mean over seeds and noise draws. `operations` is the
    share of the label code's, in percent.
    """
    macs = table.drop_duplicates("run").set_index("run").device_macs
    rows = []
    for figure in FIGURES:
        if figure.removeprefix("figure4") not in (*settings.figure4.panels, "figure5"):
            continue
        shown = points.figure_points(table, settings, figure)
        for label, ours in shown.groupby("label", sort=False):
            reading = "matched" if "matched" in set(ours.reading) else "fixed"
            ours = ours[ours.reading == reading]
            code = curve(table, settings, figure)
            if code.empty:
                continue
            code = code[code.bandwidth == code.bandwidth.max()]
            above = 100 * (ours.groupby("snr_db").accuracy.mean() - code.groupby("snr_db").accuracy.mean()).dropna()
            share = 100 * macs[ours.run].mean() / macs[code.run].mean()
            rows.append({"figure": figure.removeprefix("figure"), "ours": f"{label}, {reading}",
                         "label code": f"B = {code.bandwidth.iloc[0]:.0f}", "operations": share,
                         **{f"{snr:g} dB".replace("-", "−"): np.round(value, 1) for snr, value in above.items()}})
    return pd.DataFrame(rows)


def verdict(table: pd.DataFrame, settings: Study) -> str:
    """Where joint coding beats the label code in these tables and where it does not, in two sentences."""
    few, above = few_symbols(table, settings), over_snr(table, settings)
    if few.empty:
        return "No label code is measured yet."
    sentences = []
    if "ours" in few and few.ours.notna().any():
        asked = few[few.ours.notna()]
        ahead = (asked.ours > asked["label code"]).sum()
        sentences.append(f"At {settings.figure3.snr_db:g} dB and with no more symbols, ours is ahead of {ahead} of "
                         f"{len(asked)} label codes in accuracy.")
    if len(above):
        values = above.filter(like=" dB")
        sentences.append(f"Over the SNR, ours is ahead at {(values > 0).sum().sum()} of {values.notna().sum().sum()} "
                         f"points of Figures 4 and 5, and needs {above.operations.min():.0f} to "
                         f"{above.operations.max():.0f} % of the label code's operations.")
    return " ".join(sentences)
