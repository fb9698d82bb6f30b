"""Where the report page's figures put their curves and points: plain dictionaries that the template writes as SVG."""

import math

import pandas as pd

from lib import results
from lib.claims.verdicts import PAPER_HALF
from lib.report.style import SCHEMES
from lib.study import Study

LEFT, RIGHT, TOP, BOTTOM = 62, 548, 14, 330  # of the axes, in the units of the drawing's viewBox, 560 × 380
POINT = {"hollow": False, "faint": False, "dot": False, "joined": True, "snr": None}
BEND = 1e5  # device operations are drawn linearly below this, by their logarithm above


def _scale(low, high, start, end, bend=lambda value: value):
    """Maps a value to its place on an axis, through `bend` (a logarithm) where the axis has one."""
    low, high = bend(low), bend(high)
    return lambda value: round(start + (bend(value) - low) / (high - low) * (end - start), 1)


def over_snr(rows: pd.DataFrame, place: dict[str, int]) -> list[dict]:
    """The panels (matched, fixed) of Figure 4a, 4b or 5: curves of means over seeds and draws, with their bands.

    `rows` are those of the figure's CSV; `place` gives a run's number on the page.
    """
    low, high = math.floor(10 * rows.accuracy.min()) * 10, math.ceil(10 * rows.accuracy.max()) * 10
    x, y = _scale(-6, 21, LEFT, RIGHT), _scale(low, high, BOTTOM, TOP)
    # Over both readings, so that a curve keeps its colour and marker where another is missing.
    labels = list(dict.fromkeys(rows.sort_values(["ratio", "bandwidth"], ascending=[True, False]).label))
    panels = []
    for reading in [name for name in ("matched", "fixed") if name in set(rows.reading)]:
        curves = []
        for (scheme, label), curve in rows[rows.reading == reading].groupby(["scheme", "label"]):
            digital = scheme != results.PROPOSED
            points = [_mean(snr, group, x, y, place) for snr, group in curve.groupby("snr_db")]
            if digital and reading == "fixed":  # one code: at every SNR what it gives at its own, or chance
                points = [point | {"snr": curve.train_snr_db.iloc[0]} for point in points]
            curves.append({"label": f"{label}: {scheme.lower()}" if digital else label, "style": labels.index(label),
                           "digital": digital, "stepped": digital and reading == "fixed", "banded": not digital,
                           "points": points})
        curves.sort(key=lambda curve: (curve["digital"], curve["style"]))
        panels.append({"reading": reading, "curves": curves,
                       "x_label": "SNR (dB), on real symbols", "y_label": "test accuracy (%)",
                       "x_ticks": [(x(value), f"{value}") for value in range(-5, 21, 5)],
                       "y_ticks": [(y(value), f"{value}") for value in range(low, high + 1, 10)],
                       "rule": y(100 * rows.baseline.iloc[0])})
    return panels


def _mean(snr, group, x, y, place):
    """One point: the mean over seeds of the means over noise draws; its band spans the seeds, or draws of one seed."""
    group = group.sort_values(["seed", "run"], kind="stable")
    seeds = group.groupby("seed").accuracy.mean() * 100
    spread = seeds if len(seeds) > 1 else group.accuracy * 100
    draws = group.groupby("run").draw.nunique().max()
    what = f"mean of {len(seeds)} seeds" if len(seeds) > 1 else "one seed"
    if draws > 1:
        what += f" and {draws} noise draws" + " of each" * (len(seeds) > 1)
    if len(spread) > 1:
        what += f"; {spread.min():.1f} to {spread.max():.1f}"
    return POINT | {"x": x(snr), "y": y(seeds.mean()), "low": y(spread.min()), "high": y(spread.max()), "snr": snr,
                    "hollow": bool(group.other_weights.any()), "runs": [place[name] for name in group.run.unique()],
                    "text": f"at {snr:g} dB: {seeds.mean():.1f} % ({what})"}


def trade_off(rows: pd.DataFrame, settings: Study, place: dict[str, int]) -> list[dict]:
    """The one panel of Figure 3: symbols over device operations, a curve through each scheme's selected models."""
    x = _scale(-2e4, 1e9, LEFT, RIGHT, lambda macs: macs / BEND if macs < BEND else 1 + math.log10(macs / BEND))
    y = _scale(rows.symbols.min() / 1.6, rows.symbols.max() * 1.6, BOTTOM, TOP, math.log10)
    curves = []
    # Sorted by operations, because the line through the selected models is drawn from point to point.
    for scheme, models in rows.sort_values("device_macs").groupby("scheme"):
        points = [POINT | {"x": x(model.device_macs), "y": y(model.symbols), "hollow": not model.selected,
                           "joined": model.selected, "dot": model.holds, "faint": model.loss > 0.1,
                           "runs": [place[model.run]], "text": _model(model)} for model in models.itertuples()]
        none = "" if models.selected.any() else " (none within)"
        curves.append({"label": scheme + none, "style": SCHEMES.index(scheme), "digital": False, "stepped": True,
                       "banded": False, "points": points})
    panel = {"reading": "", "curves": sorted(curves, key=lambda curve: curve["style"]),
             "x_label": "device operations (MACs), linear below 10⁵", "y_label": "real symbols per image",
             "x_ticks": [(x(0), "0"), *((x(10**power), f"10^{power}") for power in range(5, 10))],
             "y_ticks": [(y(10**power), f"10^{power}") for power in range(1, 5)
                         if rows.symbols.min() / 1.6 <= 10**power <= rows.symbols.max() * 1.6]}
    if settings.network.width == 1:
        png = rows[rows.scheme == "PNG"].symbols
        panel |= {"half": x(PAPER_HALF), "stars": [(x(PAPER_HALF), y(8)), *((x(4e6), y(size / 3)) for size in png)]}
    return [panel]


def _model(model):
    """A model of Figure 3 in words."""
    parts = []
    if not math.isnan(model.pool):
        parts.append(f"pool {model.pool:.0f}")
    if not math.isnan(model.ratio):
        parts.append(f"ratio {model.ratio:g}")
    parts += [f"{model.symbols:,.0f} symbols", f"{model.device_macs / 1e6:,.1f}·10⁶ operations",
              f"{100 * model.accuracy_reporting:.1f} % on the reporting half"]
    state = "selected" if model.selected else "within the tolerance" if model.within else "outside the tolerance"
    return f"{', '.join(parts)}; {state}"
