"""Standard errors of accuracies, paired by class, seed and noise, and what they decide about a claim.

A curve's value at one SNR is an array [seeds, classes] of accuracies, each the mean over its noise draws. Two
curves are compared by their difference: what is hard about a class, or lucky about a seed, is in both.
"""

import numpy as np
import pandas as pd

from lib.claims import points
from lib.study import Study

REPRODUCED, NOT_REPRODUCED, UNRESOLVED = "reproduced", "not reproduced", "not resolved"
UNMEASURED = "not measured at this profile"
IMAGES = 100  # test images a class


def paired_points(table: pd.DataFrame, settings: Study, figure: str) -> pd.DataFrame:
    """The matched points of Figure 4a, 4b or 5, of the seeds that have every one of them."""
    found = points.figure_points(table, settings, figure)
    found = found[found.reading == "matched"]
    # A seed that has one curve and not the other would move the difference between them.
    seeds = set(found.seed)
    for _, point in found.groupby([points.curve_column(figure), "snr_db"]):
        seeds &= set(point.seed)
    return found[found.seed.isin(seeds)]


def curves_by_class(found: pd.DataFrame, column: str) -> dict:
    """{ratio or bandwidth: {snr_db: accuracies [seeds, classes]}} of paired points."""
    curves = {}
    for (curve, snr_db), rows in found.groupby([column, "snr_db"]):
        right = [np.mean(draws.right_by_class.tolist(), axis=0) for _, draws in rows.groupby("seed")]
        curves.setdefault(curve, {})[snr_db] = np.stack(right) / IMAGES
    return curves


def mean_and_error(by_class: np.ndarray) -> tuple[float, float]:
    """Mean of [seeds, classes] and its standard error over classes and, with several seeds, over these too."""
    seeds, classes = by_class.shape
    # Over classes: what is hard about one makes its images go wrong together.
    variance = by_class.mean(axis=0).var(ddof=1) / classes
    # Classes tell nothing of what another training would change; a single seed leaves that out.
    if seeds > 1:
        variance += by_class.mean(axis=1).var(ddof=1) / seeds
    return by_class.mean(), np.sqrt(variance)


def percent(by_class: np.ndarray) -> str:
    """Mean ± standard error of [seeds, classes], in points."""
    mean, error = mean_and_error(by_class)
    return f"{100 * mean:.1f} ± {100 * error:.1f}"


def decide_positive(by_class: np.ndarray) -> str:
    """The verdict on "this difference is above zero"."""
    mean, error = mean_and_error(by_class)
    if abs(mean) < 2 * error:
        return UNRESOLVED
    return REPRODUCED if mean > 0 else NOT_REPRODUCED


def decide_at_most(limit: float, value: float, error: float) -> str:
    """The verdict on "this value is at most the limit": two standard errors must leave it on one side."""
    if value + 2 * error <= limit:
        return REPRODUCED
    return NOT_REPRODUCED if value - 2 * error > limit else UNRESOLVED


def all_of(verdicts: list[str]) -> str:
    """The verdict on a claim that holds only if each of its parts does."""
    # From the worst to the best.
    for verdict in (NOT_REPRODUCED, UNRESOLVED, REPRODUCED):
        if verdict in verdicts:
            return verdict
    return UNMEASURED
