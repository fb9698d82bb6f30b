"""Where the report page's figures put their curves and points: plain dictionaries that the template writes as SVG."""

import math

import pandas as pd

from lib import results
from lib.claims.verdicts import PAPER_HALF
from lib.opponent.label import LABEL
from lib.report.style import DIGITAL, SCHEMES
from lib.study import Study

# Of the axes, in the units of the drawing's viewBox, 560 × 380.
LEFT, RIGHT, TOP, BOTTOM = 62, 548, 14, 330
POINT = {"hollow": False, "faint": False, "dot": False, "joined": True}
BEND = 1e5  # device operations are drawn linearly below this, by their logarithm above


# Rounded to a tenth of a unit: invisible, and the page stays small.
def _scale(low, high, start, end, bend=lambda value: value):
    """Maps a value to its place on an axis, through `bend` (a logarithm) where the axis has one."""
    low, high = bend(low), bend(high)
    return lambda value: round(start + (bend(value) - low) / (high - low) * (end - start), 1)


def over_snr(rows: pd.DataFrame, place: dict[str, int]) -> list[dict]:
    """The panels (matched, fixed) of Figure 4a, 4b or 5: curves of means over seeds and draws, with their bands.

    `rows` are those of the figure's CSV; `place` gives a run's number on the page.
    """
    # To whole tens, so that the axis ends at its labels.
    low, high = 10 * math.floor(10 * rows.accuracy.min()), 10 * math.ceil(10 * rows.accuracy.max())
    # A decibel of room on both sides of −5 to 20 dB.
    x, y = _scale(-6, 21, LEFT, RIGHT), _scale(low, high, BOTTOM, TOP)
    # A digital curve has the colour of the one that it stands beside.
    rows = rows.assign(label=rows.label.str.removesuffix(DIGITAL))
    # Over both readings, so that a curve keeps its colour and marker where another is missing.
    ordered = rows[rows.scheme != LABEL].sort_values(["ratio", "bandwidth"], ascending=[True, False])
    labels = list(dict.fromkeys(ordered.label))
    panels = []
    for reading in [name for name in ("matched", "fixed") if name in set(rows.reading)]:
        curves = []
        for (scheme, label), curve in rows[rows.reading == reading].groupby(["scheme", "label"]):
            digital, cliff = scheme != results.PROPOSED, scheme == "Separation" and reading == "fixed"
            points = [_mean(snr, group, x, y, place) for snr, group in curve.groupby("snr_db")]
            # One code: at every SNR what it gives at its own, or chance.
            if cliff:
                points = [point | {"snr": curve.train_snr_db.iloc[0]} for point in points]
            apart = scheme == LABEL  # which has a colour of its own
            curves.append({"label": label + DIGITAL if digital and not apart else label,
                           "style": SCHEMES.index(LABEL) if apart else labels.index(label),
                           "digital": digital, "stepped": cliff, "banded": not digital, "points": points})
        # The digital curves come last in the legend, each after the scheme that it stands beside.
        curves.sort(key=lambda curve: (curve["digital"], curve["style"]))
        panels.append({"reading": reading, "curves": curves,
                       "x_label": "SNR (dB), on real symbols", "y_label": "test accuracy (%)",
                       "x_ticks": [(x(value), f"{value}") for value in range(-5, 21, 5)],
                       "y_ticks": [(y(value), f"{value}") for value in range(low, high + 1, 10)],
                       "rule": y(100 * rows.baseline.iloc[0])})
    return panels


def _mean(snr, group, x, y, place):
    """One point: the mean over seeds of the means over noise draws; its band spans the seeds, or draws of one seed."""
    # In a fixed order, so that the same results give the same page.
    group = group.sort_values(["seed", "run"], kind="stable")
    seeds = group.groupby("seed").accuracy.mean() * 100
    # As in the printed figures: a band never mixes seeds and draws.
    spread = seeds if len(seeds) > 1 else group.accuracy * 100
    draws = group.groupby("run").draw.nunique().max()
    what = f"mean of {len(seeds)} seeds" if len(seeds) > 1 else "one seed"
    if draws > 1:
        what += f" and {draws} noise draws" + " of each" * (len(seeds) > 1)
    if len(spread) > 1:
        what += f"; {spread.min():.1f} to {spread.max():.1f}"
    return POINT | {"x": x(snr), "y": y(seeds.mean()), "low": y(spread.min()), "high": y(spread.max()), "snr": snr,
                    "hollow": bool(group.other_weights.any()), "runs": [place[name] for name in group.run.unique()],
                    "text": f" at {snr:g} dB: {seeds.mean():.1f} % ({what})"}


def trade_off(rows: pd.DataFrame, settings: Study, place: dict[str, int]) -> list[dict]:
    """The one panel of Figure 3: symbols over device operations, a curve through each scheme's selected models."""
    # From a little below 0, or the pictures' points, which need no operation, would lie on the
    # axis.
    x = _scale(-2e4, 1e9, LEFT, RIGHT, _bent)
    # A factor of room on a logarithmic axis is what a margin is on a linear one.
    y = _scale(rows.symbols.min() / 1.6, rows.symbols.max() * 1.6, BOTTOM, TOP, math.log10)
    curves = []
    # Sorted by operations, because the line through the selected models is drawn from point to point.
    for scheme, models in rows.sort_values("device_macs").groupby("scheme"):
        points = [POINT | {"x": x(model.device_macs), "y": y(model.symbols), "hollow": not model.selected,
                           "joined": model.selected, "dot": model.holds, "faint": model.loss > 0.1 or scheme == LABEL,
                           "snr": settings.figure3.snr_db, "runs": [place[model.run]],
                           "text": _model(model, settings.network.place)}
                  for model in models.itertuples()]
        # A scheme that has been tried and has nothing within stays in the legend.
        curves.append({"label": scheme + ("" if models.selected.any() else " (none within)"), "points": points,
                       "style": SCHEMES.index(scheme), "digital": False, "stepped": True, "banded": False})
    panel = {"reading": "", "curves": sorted(curves, key=lambda curve: curve["style"]),
             "x_label": "device operations (MACs), linear below 10⁵", "y_label": "real symbols per image",
             "x_ticks": [(x(0), "0"), *((x(10**power), f"10^{power}") for power in range(5, 10))],
             "y_ticks": [(y(10**power), f"10^{power}") for power in range(1, 5)
                         if rows.symbols.min() / 1.6 <= 10**power <= rows.symbols.max() * 1.6]}
    # Of a narrower network the paper says nothing.
    if settings.network.width == 1:
        png = rows[rows.scheme == "PNG"].symbols
        panel |= {"half": x(PAPER_HALF), "stated": [(x(PAPER_HALF), y(8)), *((x(4e6), y(size / 3)) for size in png)]}
    return [panel]


def _bent(macs):
    return macs / BEND if macs < BEND else 1 + math.log10(macs / BEND)


def _model(model, split):
    """A model of Figure 3 in words."""
    # Pictures have no split, and only pruned networks have a ratio.
    parts = [] if math.isnan(model.pool) else [f"{split} {model.pool:.0f}"]
    parts += [] if math.isnan(model.ratio) else [f"ratio {model.ratio:g}"]
    parts += [f"{model.symbols:,.0f} symbols", f"{model.device_macs / 1e6:,.1f}·10⁶ operations",
              f"{100 * model.accuracy_reporting:.1f} %, {100 * model.loss:.1f} points below the baseline, on the half "
              "that selects nothing"]
    state = ("within the tolerance on both halves" if model.holds else
             f"{'within' if model.within else 'outside'} the tolerance on the half that selects")
    return f": {', '.join(parts)}; {'selected, ' if model.selected else ''}{state}"
