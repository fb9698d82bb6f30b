"""The ladder as bars, what was expected beside what came: docs/best.md and the lesson 43_best.

    python -m lib.pages.best        draws outputs/best/ladder/ladder.png and figures.png from what is computed
"""

import re

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from lib import results, study
from lib.ladder import records
from lib.opponent.label import COLOR, LABEL
from lib.pages import best_figures
from lib.reading import beside_paper, rungs
from lib.report import style
from lib.study import Study

PERCENT = re.compile(r"(\d+(?:\.\d+)?)(?: to (\d+(?:\.\d+)?))? %")
STARTS = {"features": "one layer, as in the paper", "perceptron": "two layers", "logits": "the device's classes",
          "words": "the label code"}
COLORS = dict(zip(STARTS, style.COLORS, strict=False))


def expected(text: str) -> tuple[float, float]:
    """(least, greatest) percentage that an expectation begins with; NaN where it says points or nothing."""
    found = PERCENT.search(text)
    if found is None:
        return float("nan"), float("nan")
    return float(found[1]), float(found[2] or found[1])


def bars(settings: Study) -> pd.DataFrame:
    """A row a computed rung at the ladder's SNR, in the order of the study, accuracies in percent.

    `net` is "" for the pretrained network, of which only rungs at the ladder's bandwidth are taken. `accuracy` and
    `deviation` are mean and standard deviation over the seeds of its trainings. `alone` is what its network has without
    a channel, `label code` what that has at the rung's point, `operations` are in 10⁶.
    """
    ladder, summary = records.ladder(settings), rungs.summary(settings)
    rows = []
    for rung in summary.rungs:
        own = summary.of[rung["net"]] if rung["net"] else {"accuracy": summary.clean, "label": _codes(settings)}
        here = rung["snr_db"] == ladder.snr_db and (rung["net"] or rung["bandwidth"] == ladder.bandwidth)
        if rung["accuracy"] is None or not here:
            continue
        least, most = expected(rung["expect"])
        rows.append({"net": rung["net"] or "", "rung": rung["name"], "begins as": rung["start"],
                     "pool": rung["pool"], "symbols": rung["bandwidth"], "least": least, "most": most,
                     "accuracy": rung["accuracy"], "deviation": rung["deviation"], "trainings": rung["trainings"],
                     "alone": own["accuracy"], "label code": own["label"].get((rung["bandwidth"], rung["snr_db"])),
                     "operations": rung["macs"]})
    return pd.DataFrame(rows, columns=["net", "rung", "begins as", "pool", "symbols", "least", "most", "accuracy",
                                       "deviation", "trainings", "alone", "label code", "operations"])


def _codes(settings):
    """{(symbols, SNR): accuracy in percent} of the pretrained network's label codes, which are runs of its study."""
    table = results.load(settings.pretrain_from or settings.name)
    if table.empty:
        return {}
    codes = table[(table.scheme == LABEL) & (table.ratio == 0) & (table.seed == records.ladder(settings).seed)]
    return (100 * codes.groupby(["bandwidth", "snr_db"]).accuracy.mean()).to_dict()


def draw(settings: Study, literal: float | None = None) -> Figure:
    """A panel a network, a bar a rung; lines are the network without a channel and the label code.

    In the first panel, `literal` is what the paper's own schedule has at the ladder's point, in percent.
    A bracket is what was expected, where that was a percentage; a grey bar spans two standard deviations to each side,
    where there are several seeds.
    """
    table, ladder = bars(settings), records.ladder(settings)
    panels = list(table.groupby("net", sort=False))
    heights = [len(rows) + 1 for _, rows in panels] or [1]
    figure, axes = plt.subplots(len(heights), squeeze=False, sharex=True, layout="constrained",
                                figsize=(6.5, 1.1 + 0.2 * sum(heights) + 0.15 * len(heights)), height_ratios=heights)
    for axis, (net, rows) in zip(axes[:, 0], panels, strict=False):
        _panel(axis, rows, net or "pretrained", ladder.bandwidth)
    if literal is not None:
        axes[0, 0].axvline(literal, color="black", ls=":", lw=1, label="the paper's own schedule, pruned to half")
    figure.suptitle(f"{ladder.bandwidth} symbols at {ladder.snr_db:g} dB after pooling 5, unless a label says "
                    f"otherwise [{settings.name}]", fontsize=9)
    axes[-1, 0].set(xlabel="test accuracy (%)")
    starts = [Patch(color=COLORS[start], label=STARTS[start]) for start in STARTS if start in set(table["begins as"])]
    lines, names = axes[0, 0].get_legend_handles_labels()
    figure.legend([*starts, *lines], [*(patch.get_label() for patch in starts), *names], ncols=3, fontsize=7,
                  loc="outside lower center")
    return figure


def _panel(axis, rows, net, bandwidth):
    labels = []
    for row in rows.itertuples():
        unusual = [f"pooling {row.pool}"] * (row.pool != 5) + [f"B = {row.symbols}"] * (row.symbols != bandwidth)
        labels.append(row.rung + (f" ({', '.join(unusual)})" if unusual else ""))
    places = range(len(rows))
    drawn = axis.barh(places, rows.accuracy, color=[COLORS[start] for start in rows["begins as"]], height=0.7)
    axis.bar_label(drawn, fmt="%.1f", fontsize=6.5, label_type="center", color="white")
    middle, half = (rows.least + rows.most) / 2, (rows.most - rows.least) / 2
    axis.errorbar(middle, places, xerr=half, fmt="|", color="black", ms=7, mew=1.2, capsize=2, label="expected")
    if rows.deviation.notna().any():
        axis.errorbar(rows.accuracy, places, xerr=2 * rows.deviation.astype(float), fmt="none", ecolor="0.55", lw=3,
                      alpha=0.7, label="two standard deviations")
    for value in rows.alone.dropna()[:1]:
        axis.axvline(value, color="black", ls="--", lw=1, label="the network without a channel")
    for value in rows[rows.symbols == bandwidth]["label code"].dropna()[:1]:
        # Broad and pale, since it is often as good as the network itself.
        axis.axvline(value, color=COLOR, lw=4, alpha=0.3, zorder=0, label="its label code")
    axis.set_yticks(places, labels, fontsize=7)
    axis.set_title(net, loc="left", fontsize=8)
    axis.set(ylim=(len(rows) - 0.4, -0.6))  # the first rung is the uppermost
    axis.grid(False, axis="y")


def draw_one_model(compared: pd.DataFrame) -> Figure:
    """A panel a bandwidth, accuracy over SNR: one model for all points, one for each, and one for a single SNR."""
    panels = list(compared.sort_values("snr_db").groupby("bandwidth"))
    figure, axes = plt.subplots(1, max(len(panels), 1), figsize=(2.2 + 1.9 * len(panels), 2.8), sharey=True,
                                squeeze=False, layout="constrained")
    for axis, (bandwidth, rows) in zip(axes[0], panels, strict=False):
        for column, look, name in (("own", "s", "trained for its point"), ("one", "o-", "one model for all"),
                                   ("fixed", ":", "trained for one SNR"),
                                   *((variant, ".-", variant) for variant in compared.columns[5:])):
            axis.plot(rows.snr_db, rows[column], look, ms=4, label=name)
        axis.set(title=f"{bandwidth} symbols", xlabel="SNR (dB)")
    axes[0, 0].set(ylabel="test accuracy (%)")
    if panels:
        axes[0, -1].legend(fontsize=7, loc="lower right")
    return figure


def main() -> None:
    """Draw what is computed of `best`, and store the numbers behind it."""
    settings = study.load("best")
    folder, points = records.folder(settings), beside_paper.points(settings)
    for name, table, figure in (("ladder", bars(settings), draw(settings, beside_paper.literal(settings))),
                                ("figures", points, best_figures.draw(settings, points))):
        table.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")
        figure.savefig(folder / f"{name}.png", dpi=150, bbox_inches="tight", metadata={"Software": None})


if __name__ == "__main__":
    main()
