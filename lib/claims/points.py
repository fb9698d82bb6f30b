"""What each figure shows: the rows of a study's table that belong to it, one function a figure."""

import pandas as pd

from lib.batch.parameters import Readings
from lib.results import baseline_accuracy, end_to_end, matched
from lib.study import Study

COLUMNS = ["run", "reading", "label", "pool", "ratio", "bandwidth", "train_snr_db", "seed", "snr_db", "draw",
           "accuracy"]


def specification(settings: Study, figure: str) -> Readings:
    """The part of the study's parameters that describes Figure 4a, 4b or 5."""
    return settings.figure5 if figure == "figure5" else settings.figure4


def curve_column(figure: str) -> str:
    """What distinguishes the curves of Figure 4a, 4b or 5."""
    return "bandwidth" if figure == "figure5" else "ratio"


def figure_points(table: pd.DataFrame, settings: Study, figure: str) -> pd.DataFrame:
    """The points of Figure 4a, 4b or 5: COLUMNS and `right_by_class`; attrs carry the baseline's accuracy.

    A model trained at the study's fixed SNR is a curve of the reading `fixed`. A curve of the reading `matched`
    has a model for each SNR, at least three, and each of them only at its SNR.
    """
    chosen = _of_figure(end_to_end(table), settings, figure)
    fixed = chosen[chosen.train_snr_db == specification(settings, figure).fixed_snr_db].assign(reading="fixed")
    each = matched(chosen).assign(reading="matched")
    # The model trained at the fixed SNR is always there: alone it would pass for a matched curve.
    snrs_of_curve = each.groupby(curve_column(figure)).snr_db.nunique()
    each = each[each[curve_column(figure)].isin(snrs_of_curve[snrs_of_curve >= 3].index)]
    points = pd.concat([each, fixed], ignore_index=True)[[*COLUMNS, "right_by_class"]]
    points.attrs["baseline"] = baseline_accuracy(table)
    return points


def separation_points(table: pd.DataFrame, settings: Study, figure: str) -> pd.DataFrame:
    """The same for the separation baseline: `matched`, a design for each SNR; `fixed`, the cliff of one design.

    That design is right at its SNR and above it, where it has the accuracy of its SNR, and chance below.
    """
    # Its runs store, for each SNR, the accuracy of a code designed for that SNR.
    chosen = _of_figure(table[table.scheme == "Separation"], settings, figure)
    fixed_snr_db = specification(settings, figure).fixed_snr_db
    cliff = chosen.assign(reading="fixed")
    accuracy_of_run = cliff[cliff.snr_db == fixed_snr_db].set_index("run").accuracy
    cliff["accuracy"] = cliff.run.map(accuracy_of_run).where(cliff.snr_db >= fixed_snr_db, 1 / settings.classes)
    return pd.concat([chosen.assign(reading="matched"), cliff], ignore_index=True)[COLUMNS]


def _of_figure(rows: pd.DataFrame, settings: Study, figure: str) -> pd.DataFrame:
    """The rows at a figure's points, each with its curve's label, in the order of the legend."""
    if figure == "figure5":
        point = settings.figure5
        rows = rows[(rows.pool == point.pool) & (rows.ratio == point.ratio) & rows.bandwidth.isin(point.bandwidths)]
        rows = rows.sort_values("bandwidth", ascending=False)
        return rows.assign(label=[f"B = {b:.0f} (B/3072 = {b / 3072:.2f})" for b in rows.bandwidth])
    point = settings.figure4.panels[figure.removeprefix("figure4")]
    rows = rows[(rows.pool == point.pool) & (rows.bandwidth == point.bandwidth)]
    rows = rows[rows.ratio.isin(settings.figure4.ratios)].sort_values("ratio")
    return rows.assign(label=[f"ratio {ratio:g}" for ratio in rows.ratio])


def figure3_models(table: pd.DataFrame, settings: Study, variant: str = "proposed") -> pd.DataFrame:
    """All models of Figure 3 at its SNR, of the first seed; ours are those of `variant`.

    Beside scheme, run, pool, ratio, device_macs, symbols and accuracies (means over draws), it says of each model
    whether it is `within` the tolerance of the baseline on the half of the test images that selects; its `loss` on
    the other half; whether it `holds` on that half too; whether it is `denied`, outside of the tolerance on all
    test images by more than two binomial standard errors; and whether it is `selected`.
    """
    spec, table = settings.figure3, table[table.seed == settings.seeds[0]]
    rows = table[(table.snr_db == spec.snr_db) & (table.train_snr_db == spec.snr_db)]
    ours = (rows.step == "end_to_end") & (rows.variant == variant)
    rows = rows[ours | (rows.step == "baselines") & (rows.scheme != "Separation")]
    # Analogue symbols have no block length; digital ones need a few more than capacity says.
    if spec.finite_blocklength:
        rows = rows.assign(symbols=rows.symbols_finite.fillna(rows.symbols))
    # `dropna` keeps what has no split, as PNG.
    keys = ["scheme", "run", "pool", "ratio", "device_macs", "symbols"]
    accuracies = ["accuracy", "accuracy_selecting", "accuracy_reporting"]
    models = rows.groupby(keys, dropna=False)[accuracies].mean().reset_index()
    # each half is compared with the baseline's accuracy on the same half, which share the luck of the draw
    least = baseline_accuracy(table, "accuracy_selecting_clean") - spec.tolerance
    models["within"] = models.accuracy_selecting >= least
    models["loss"] = baseline_accuracy(table, "accuracy_reporting_clean") - models.accuracy_reporting
    models["holds"] = models.within & (models.loss <= spec.tolerance)
    # Against a model all test images count, which tell twice as much as a half; in its favour, both halves.
    best, images = baseline_accuracy(table), 100 * settings.classes
    variance = (best * (1 - best) + models.accuracy * (1 - models.accuracy)) / images
    models["denied"] = best - models.accuracy - spec.tolerance > 2 * variance**0.5
    # Each scheme is selected among its models alone: one scheme does not hide another.
    models["selected"] = False
    for _, scheme in models[models.within].groupby("scheme"):
        models.loc[scheme.index, "selected"] = [not _dominated(row, scheme) for row in scheme.itertuples()]
    return models


def _dominated(model, others: pd.DataFrame) -> bool:
    """Whether another has no more symbols and no more operations, and fewer of one of them."""
    no_more = (others.symbols <= model.symbols) & (others.device_macs <= model.device_macs)
    fewer = (others.symbols < model.symbols) | (others.device_macs < model.device_macs)
    return bool((no_more & fewer).any())
