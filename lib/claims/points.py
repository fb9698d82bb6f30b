"""What each figure shows: the rows of a study's table that belong to it, one function a figure."""

import numpy as np
import pandas as pd

from lib.batch.parameters import Readings
from lib.claims import statistics
from lib.evaluation import unpack
from lib.results import baseline_accuracy, end_to_end, matched
from lib.study import Study

COLUMNS = ["run", "reading", "label", "pool", "ratio", "bandwidth", "train_snr_db", "seed",
           "snr_db", "draw", "accuracy"]


def specification(settings: Study, figure: str) -> Readings:
    """The part of the study's parameters that describes Figure 4a, 4b or 5."""
    return settings.figure5 if figure == "figure5" else settings.figure4


def curve_column(figure: str) -> str:
    """What distinguishes the curves of Figure 4a, 4b or 5."""
    return "bandwidth" if figure == "figure5" else "ratio"


def figure_points(table: pd.DataFrame, settings: Study, figure: str) -> pd.DataFrame:
    """The points of Figure 4a, 4b or 5: COLUMNS and `right_by_class`; attrs carry the baseline's accuracy.

    A model trained at the study's fixed SNR is a curve of the reading `fixed`. A curve of the
    reading `matched` has a model for each SNR, at least three, and each of them only at its SNR.
    """
    chosen = _of_figure(end_to_end(table), settings, figure)
    fixed_snr_db = specification(settings, figure).fixed_snr_db
    fixed = chosen[chosen.train_snr_db == fixed_snr_db].assign(reading="fixed")
    each = matched(chosen).assign(reading="matched")
    # The model trained at the fixed SNR is always there: alone it would pass for a matched curve.
    # Two SNRs would still be a straight line.
    snrs_of_curve = each.groupby(curve_column(figure)).snr_db.nunique()
    each = each[each[curve_column(figure)].isin(snrs_of_curve[snrs_of_curve >= 3].index)]
    points = pd.concat([each, fixed], ignore_index=True)[[*COLUMNS, "right_by_class"]]
    points.attrs["baseline"] = baseline_accuracy(table)
    return points


def matched_points(table: pd.DataFrame, settings: Study, figure: str) -> pd.DataFrame:
    """The models of Figure 4a, 4b or 5, each at the SNR that it was trained for, however few a curve has."""
    return matched(_of_figure(end_to_end(table), settings, figure)).assign(reading="matched")


def separation_points(table: pd.DataFrame, settings: Study, figure: str) -> pd.DataFrame:
    """The same for the separation baseline: `matched`, a design for each SNR; `fixed`, the cliff of one design.

    That design is right at its SNR and above it, where it has the accuracy of its SNR, and chance
    below.
    """
    # Its runs store, for each SNR, the accuracy of a code designed for that SNR.
    chosen = _of_figure(table[table.scheme == "Separation"], settings, figure)
    fixed_snr_db = specification(settings, figure).fixed_snr_db
    # A rate that fits the capacity at one SNR fits at any higher one, so that the same bits arrive
    # there.
    cliff = chosen.assign(reading="fixed")
    accuracy_of_run = cliff[cliff.snr_db == fixed_snr_db].set_index("run").accuracy
    decodes, chance = cliff.snr_db >= fixed_snr_db, 1 / settings.classes
    cliff["accuracy"] = cliff.run.map(accuracy_of_run).where(decodes, chance)
    return pd.concat([chosen.assign(reading="matched"), cliff], ignore_index=True)[COLUMNS]


def _of_figure(rows: pd.DataFrame, settings: Study, figure: str) -> pd.DataFrame:
    """The rows at a figure's points, each with its curve's label, in the order of the legend."""
    if figure == "figure5":
        point, numbers = settings.figure5, 3 * settings.data.side**2
        rows = rows[(rows.pool == point.pool) & (rows.ratio == point.ratio)
                    & rows.bandwidth.isin(point.bandwidths)]
        # The widest first: from the top curve down, as they lie in the picture.
        rows = rows.sort_values("bandwidth", ascending=False)
        return rows.assign(label=[f"B = {b:.0f} (B/{numbers} = {b / numbers:.2f})" for b in rows.bandwidth])
    point = settings.figure4.panels[figure.removeprefix("figure4")]
    rows = rows[(rows.pool == point.pool) & (rows.bandwidth == point.bandwidth)]
    rows = rows[rows.ratio.isin(settings.figure4.ratios)].sort_values("ratio")
    return rows.assign(label=[f"ratio {ratio:g}" for ratio in rows.ratio])


def figure3_models(table: pd.DataFrame, settings: Study, variant: str = "proposed") -> pd.DataFrame:
    """All models of Figure 3 at its SNR, of the first seed; ours are those of `variant`.

    Beside scheme, run, pool, ratio, device_macs, symbols and accuracies (means over draws), it says
    of each model whether it is `within` the tolerance of the baseline on the half of the test
    images that selects; its `loss` on the other half; whether it `holds` on that half too; its loss
    on all test images (`loss_all`), the standard `error` of that and how it is `paired` (by image,
    by class, unpaired); whether it is `denied`, outside of the tolerance on all images by two of
    these errors, or by two of the unpaired test (`denied_unpaired`, the criterion until 28 November
    2026); and whether it is `selected`.
    """
    spec, table = settings.figure3, table[table.seed == settings.seeds[0]]
    rows = table[(table.snr_db == spec.snr_db) & (table.train_snr_db == spec.snr_db)]
    ours = (rows.step == "end_to_end") & (rows.variant == variant)
    rows = rows[ours | (rows.step == "baselines") & (rows.scheme != "Separation")]
    if spec.finite_blocklength:
        # Our own models store no such number: they send symbols, not bits.
        rows = rows.assign(symbols=rows.symbols_finite.fillna(rows.symbols))
    keys = ["scheme", "run", "pool", "ratio", "device_macs", "symbols"]
    accuracies = ["accuracy", "accuracy_selecting", "accuracy_reporting"]
    # PNG has no pooling and no ratio: without `dropna=False` it would vanish.
    models = rows.groupby(keys, dropna=False)[accuracies].mean().reset_index()
    # Each half is compared with the baseline's accuracy on the same half: they share the luck of
    # the draw.
    least = baseline_accuracy(table, "accuracy_selecting_clean") - spec.tolerance
    # By one half alone: the other stays free of the luck of who tried most.
    models["within"] = models.accuracy_selecting >= least
    models["loss"] = baseline_accuracy(table, "accuracy_reporting_clean") - models.accuracy_reporting
    models["holds"] = models.within & (models.loss <= spec.tolerance)
    # Looked up once, and in a table without the thousands of other models that there may be.
    draws, others = dict(iter(rows.groupby("run"))), table[table.step.isin(["pretrain", "baselines"])]
    compared = [_on_all_images(draws[run], others, settings) for run in models.run]
    columns = ["loss_all", "error", "paired", "denied", "denied_unpaired"]
    models = models.join(pd.DataFrame(compared, columns=columns, index=models.index))
    # Only models within the tolerance can dominate: a cheap one that is too poor is no choice.
    models["selected"] = False
    for _, scheme in models[models.within].groupby("scheme"):
        costs = scheme[["symbols", "device_macs"]].to_numpy(float)
        models.loc[scheme.index, "selected"] = [not _dominated(cost, costs) for cost in costs]
    return models


def _on_all_images(draws: pd.DataFrame, table: pd.DataFrame, settings: Study) -> tuple[float, float, str, bool, bool]:
    """A model's loss to the baseline on all test images, its error, how it is paired, and whether it is too much.

    PNG loses nothing, so that what its images are taken for are the baseline's answers, where the
    result of step 1 does not have them.
    """
    best, accuracy, tolerance = baseline_accuracy(table), draws.accuracy.mean(), settings.figure3.tolerance
    images, loss = settings.data.counts[2], best - accuracy
    # Binomial, as if the two had seen different images: what was done until 28 November.
    unpaired = ((best * (1 - best) + accuracy * (1 - accuracy)) / images) ** 0.5
    denied_unpaired = loss - tolerance > 2 * unpaired
    png = table[(table.scheme == "PNG") & (table.snr_db == settings.figure3.snr_db)]
    # Step 1 of older runs kept no list of right images; PNG's is the same list, as the docstring
    # says.
    right_of_baseline = (_stored(table[table.step == "pretrain"], "right_clean")
                         or _stored(png, "right_at_snr"))
    right_of_model = _stored(draws, "right_at_snr")
    if right_of_baseline and right_of_model:
        first = unpack(right_of_baseline, images).numpy()
        second = unpack(right_of_model, images).numpy()
        # One side of a two-sided test, hence half the level.
        denied = statistics.mcnemar(first, second, tolerance) < statistics.LEVEL / 2
        return loss, statistics.image_error(first, second), "by image", denied, denied_unpaired
    if _stored(png, "right_by_class") and _stored(draws, "right_by_class"):
        # A mean over draws has no single images, but still its classes.
        first, second = (np.mean(rows.right_by_class.tolist(), axis=0) for rows in (png, draws))
        error = statistics.class_error(first, second, images / settings.classes)
        return loss, error, "by class", loss - tolerance > 2 * error, denied_unpaired
    return loss, unpaired, "unpaired", denied_unpaired, denied_unpaired


def _stored(rows: pd.DataFrame, column: str):
    """The first row's value, where runs have stored one."""
    # Results of older code have no such column.
    values = rows[column].dropna() if column in rows else rows.iloc[:0].run
    return values.iloc[0] if len(values) else None


def _dominated(cost: np.ndarray, others: np.ndarray) -> bool:
    """Whether another, a row of [N, 2], has no more symbols and no more operations, and fewer of one of them."""
    # Two models that are equal in both leave each other standing.
    return bool(((others <= cost).all(1) & (others < cost).any(1)).any())
