"""Figures 3 to 5 of the profile `best`, with label codes; behind them the paper's recipe at the same splits, faint.

    python -m lib.pages.best        draws them, too: outputs/best/ladder/figures.png
"""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from lib.claims.verdicts import PAPER_HALF
from lib.ladder import records
from lib.opponent.label import COLOR, LABEL
from lib.reading.beside_paper import BEST, LATE, LONGER, ONE, PAPER
from lib.report import style
from lib.study import Study

TOLERANCE = 2.0  # points below the baseline: Figure 3's
FAINT = {"color": "0.72", "zorder": 1}


def draw(settings: Study, table: pd.DataFrame) -> Figure:
    """Figures 3 (operations and symbols), 4 (over SNR, by network) and 5 (by bandwidth) of `beside_paper.points`.

    Beside them Figure 4 of models after early poolings, where there are any.
    """
    early = table[(table.kind == BEST) & ~table.pool.isin(LATE)]
    rows, columns = (1, 3) if early.empty else (2, 2)
    figure, axes = plt.subplots(rows, columns, figsize=(4.67 * columns, 4 * rows), layout="constrained")
    axes = axes.ravel()
    ladder = records.ladder(settings)
    _figure3(axes[0], table[table.snr_db == ladder.snr_db])
    _figure4(axes[1], table, ladder)
    _figure5(axes[2], table, ladder)
    for axis in axes[3:]:
        _early(axis, early, table[table.kind.isin([PAPER, LONGER])])
    for axis in axes:
        axis.title.set_size(8)
        axis.legend(fontsize=6.5, loc="upper right" if axis is axes[0] else "lower right")
    return figure


def _figure3(axis: Axes, table: pd.DataFrame) -> None:
    """A colour a kind, a marker a pooling; filled within the tolerance of its own baseline, else hollow.

    All test images count. Of each net the most accurate rung with as many symbols, with and without a device that
    classifies.
    """
    same = ["net", "pool", "symbols", "classifies"]
    best = table[table.kind == BEST].sort_values("accuracy").drop_duplicates(same, keep="last")
    table = pd.concat([table[table.kind != BEST], best])
    markers = dict(zip(sorted(set(table.pool)), style.MARKERS, strict=False))
    looks = {PAPER: FAINT, LONGER: {"color": "0.45"}, LABEL: {"color": COLOR, "ms": 4},
             BEST: {"color": style.COLORS[0], "zorder": 3}}
    for kind, look in looks.items():
        for pool, models in table[table.kind == kind].groupby("pool"):
            within = models.accuracy >= models.baseline - TOLERANCE
            for rows, face, name in ((models[within], {}, kind), (models[~within], {"mfc": "none"}, f"{kind}, not")):
                axis.plot(rows.operations, rows.symbols, ls="", marker=markers[pool], label=f"_{name}, {pool}",
                          **face, **look)
        axis.plot([], [], "s", ms=5, color=look["color"], label=kind)
    for pool, marker in markers.items():
        axis.plot([], [], "k", ls="", marker=marker, label=f"after pooling {pool}")
    axis.plot([], [], "ko", mfc="none", label=f"hollow: over {TOLERANCE:g} points below")
    axis.axvline(PAPER_HALF / 1e6, color="grey", ls=":", lw=1, label="half of the network")
    axis.plot([PAPER_HALF / 1e6], [8], "kx", ms=8, mew=2, label="C4, as the paper claims it")
    axis.set_yscale("log", base=2)
    axis.set_ylim(top=32 * max(table.symbols, default=8))  # for the legend
    axis.yaxis.set_major_formatter(ScalarFormatter())
    axis.set(xlabel="device operations (10⁶ MACs)", ylabel="real symbols per image",
             title="Figure 3: operations and symbols")


def _figure4(axis: Axes, table: pd.DataFrame, ladder) -> None:
    """Of each network the rung that is most accurate at the ladder's point."""
    table = table[(table.symbols == ladder.bandwidth) & (table.pool == 5)]
    paper = table[table.kind == PAPER]
    _faint(axis, paper, "ratio", f"{PAPER}, ratio {paper.ratio.min():g} to {paper.ratio.max():g}")
    models = table[table.kind == BEST]
    for number, (net, rows) in enumerate(models.groupby("net", sort=False)):
        name = rows[rows.snr_db == ladder.snr_db].set_index("model").accuracy.idxmax()
        code = table[(table.kind == LABEL) & (table.net == net)]
        _line(axis, rows[rows.model == name], code, f"{net}: {name}", number)
    axis.plot([], [], "k:", lw=1, label="label code of the same network")
    axis.set(xlabel="SNR (dB)", ylabel="test accuracy (%)",
             title=f"Figure 4: {ladder.bandwidth} symbols, the best of each network, trained at {ladder.snr_db:g} dB")


def _figure5(axis: Axes, table: pd.DataFrame, ladder) -> None:
    """The one model's network at each bandwidth, by one set of weights."""
    models = table[table.kind == ONE]
    _faint(axis, table[(table.kind == PAPER) & (table.pool == 5) & (table.ratio == 0.5)], "symbols")
    for number, (symbols, rows) in enumerate(models.groupby("symbols")):
        code = table[(table.kind == LABEL) & table.net.isin(models.net) & (table.symbols == symbols)]
        _line(axis, rows, code, f"{ONE}, B = {symbols}", number)
    axis.plot([], [], "k:", lw=1, label="label code, the same symbols")
    axis.set(xlabel="SNR (dB)", ylabel="test accuracy (%)",
             title=f"Figure 5: pruned to half before pooling 5 (grey: trained at {ladder.snr_db:g} dB alone)")


def _early(axis: Axes, models: pd.DataFrame, paper: pd.DataFrame) -> None:
    """Each model over SNR, and of the paper's recipe those with as many symbols at the nearest pruning ratio."""
    styles = {PAPER: "--", LONGER: "-."}
    for number, (name, rows) in enumerate(models.groupby("model")):
        pool, symbols = rows.pool.iloc[0], rows.symbols.iloc[0]
        _line(axis, rows, rows[:0], f"{name}: pooling {pool}, B = {symbols}", number)
        beside = paper[(paper.pool == pool) & (paper.symbols == symbols)]
        away = (beside.ratio - rows.ratio.iloc[0]).abs()
        for (kind, model_name), model in beside[away == away.min()].groupby(["kind", "model"]):
            axis.plot(model.snr_db, model.accuracy, lw=1, ls=styles[kind], color=axis.lines[-1].get_color(),
                      label=f"_{model_name}")
    for kind, look in styles.items():
        axis.plot([], [], "k", ls=look, lw=1, label=kind)
    axis.set(xlabel="SNR (dB)", ylabel="test accuracy (%)",
             title="Figure 4, after early poolings (thin: as many symbols)")


def _line(axis, rows, code, label, number):
    """A model over SNR and, dotted in its colour, its label code."""
    color, marker = (looks[number % len(looks)] for looks in (style.COLORS, style.MARKERS))
    axis.plot(rows.snr_db, rows.accuracy, color=color, marker=marker, ms=4, label=label)
    axis.plot(code.snr_db, code.accuracy, color=color, ls=":", lw=1)


def _faint(axis, rows, by, name=PAPER):
    """The paper's recipe, `name` in the legend; by symbols told apart at the ends, by ratio they lie on one another."""
    for number, (value, model) in enumerate(rows.groupby(by)):
        axis.plot(model.snr_db, model.accuracy, lw=1, marker=".", label=None if number else name, **FAINT)
        if by == "symbols":
            axis.annotate(f"B = {value}", (model.snr_db.max(), model.accuracy.iloc[-1]), xytext=(4, -3),
                          textcoords="offset points", fontsize=6, color="0.5")
