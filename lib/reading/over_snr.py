"""Figures 4 and 5 in numbers, and the models that were computed by hand beside them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lib import results
from lib.report.style import MARKERS

LABELS = {"bandwidth": "B = {:.0f}", "ratio": "ratio {:g}"}


def curves(points: pd.DataFrame, column: str) -> pd.DataFrame:
    """Accuracy (%) of a figure's points: a row for each value of `column`, a column for each SNR in dB.

    The mean over seeds and draws, of `matched` models where there are any; attrs say of which `reading`.
    """
    reading = "matched" if "matched" in set(points.reading) else "fixed"
    rows = points[points.reading == reading].astype({"accuracy": float})
    found = 100 * rows.pivot_table(index=column, columns="snr_db", values="accuracy")
    # In words, since a table would round a ratio of 0.25.
    found = found.rename(index=LABELS.get(column, "{}").format).rename_axis(index="curve", columns=None)
    found.attrs["reading"] = reading
    return found


def falls(accuracy: pd.DataFrame, snr_db: float) -> pd.DataFrame:
    """How far each of the `curves` falls from the highest SNR to the measured one that is nearest to this."""
    if accuracy.empty:
        return accuracy
    high, low = accuracy.columns.max(), min(accuracy.columns, key=lambda measured: abs(measured - snr_db))
    lost = accuracy[high] - accuracy[low]
    return pd.DataFrame({
        f"at {high:g} dB (%)": accuracy[high], f"at {low:g} dB (%)": accuracy[low], "falls by (points)": lost,
        "share lost (%)": 100 * lost / accuracy[high]}).reset_index()


def beside(table: pd.DataFrame, column: str, train_snr_db: float, **point: float) -> pd.DataFrame:
    """Of one point, the study's models that were trained at this SNR, and all that were computed by hand.

    Rows of `loaded.load` with a label, in which `column` tells curves apart, as `figures.accuracy_over_snr` draws them.
    """
    models = results.end_to_end(table, **point)
    models = models[models.by_hand | (models.train_snr_db == train_snr_db)].sort_values(["by_hand", column])
    # The SNR of training too, which by hand may be any.
    labels = [LABELS[column].format(value) + f", {snr_db:g} dB" + ", by hand" * bool(by_hand) for value, snr_db, by_hand
              in zip(models[column], models.train_snr_db, models.by_hand, strict=True)]
    models = models.assign(label=labels, reading="fixed")
    # As many curves as there are markers; those by hand come last, and stay.
    return models[models.label.isin(models.label.unique()[-len(MARKERS):])]


def at_equal_energy(accuracy: pd.DataFrame, bandwidths: Sequence[float]) -> pd.DataFrame:
    """`curves` of these bandwidths, each moved so that a column has the energy an image that the widest has at its SNR.

    With one power a symbol, B symbols have the energy of the widest at an SNR that is 10·log10(B_max / B) dB higher.
    Interpolated over the SNR; NaN beyond the measured ones.
    """
    snrs_db, moved = accuracy.columns.to_numpy(dtype=float), accuracy.copy()
    for (curve, row), bandwidth in zip(accuracy.iterrows(), bandwidths, strict=True):
        higher = snrs_db + 10 * np.log10(max(bandwidths) / bandwidth)
        moved.loc[curve] = np.interp(higher, snrs_db, row.to_numpy(dtype=float), right=np.nan)
    return moved
