"""The claims over SNR, C6, C7 and C8: they rest on the `matched` models of Figures 4 and 5 alone.

The criterion of a claim is known by its date (`claims.yaml`); what was decided otherwise before
says since when.
"""

from collections.abc import Callable, Iterator
from itertools import combinations, pairwise

import numpy as np
import pandas as pd

from lib.claims import points, statistics
from lib.claims.basis import Basis, Judged
from lib.claims.statistics import NOT_REPRODUCED, STUDENT, UNMEASURED, UNRESOLVED, Question, percent

# The paper names no SNRs for "high" and "low": 20 dB is the highest that models are trained for, 0
# dB was fixed with the criterion, before there were results.
ENDS = {0.0, 20.0}  # SNRs between which accuracy drops
Curve = dict[float, np.ndarray]  # {snr_db: accuracies [seeds, classes]}


def paired_curves(found: pd.DataFrame, column: str, curves: list[float],
                  wanted: Callable[[float], bool], images: float) -> tuple[list[Curve], list[str]]:
    """The curves at the wanted SNRs at which some seed has all of them, of the seeds that have all of that; the runs.

    `found` are matched points, `column` says to which curve one belongs, `images` are the test images of a class.
    """
    # Only what every curve has: else the luck of a seed that one curve lacks would pass for an
    # effect.
    found = found[found[column].isin(curves) & found.snr_db.map(wanted)]
    count = found.groupby(["snr_db", "seed"])[column].nunique().unstack()
    # SNRs first, then seeds: a seed that is still being computed drops out and takes no SNR with
    # it.
    count = (count == len(curves)).loc[lambda whole: whole.any(axis=1)]
    seeds = count.columns[count.all()]
    found = found[found.snr_db.isin(count.index) & found.seed.isin(seeds)]
    result = []
    for curve in curves:
        # In the order of seeds, which `groupby` sorts: row by row, two curves are of the same
        # seeds.
        by_class: Curve = {}
        for snr_db, rows in found[found[column] == curve].groupby("snr_db"):
            # Over noise draws first: they are no repetitions of the training.
            right = [np.mean(draws.right_by_class.tolist(), axis=0) for _, draws in rows.groupby("seed")]
            by_class[snr_db] = np.stack(right) / images
        result.append(by_class)
    return result, list(dict.fromkeys(found.run))


def c6(basis: Basis) -> Judged:
    """Up to ratio 0.5, the mean loss to ratio 0 is smaller at ≤ 0 dB than at ≥ 14.5 dB, where there is a loss."""
    questions, names, measurable, runs = [], [], [], []
    at_ends = _against_ratio_0(basis, lambda ratio: ratio <= 0.5, lambda snr_db: snr_db <= 0 or snr_db >= 14.5)
    for name, unpruned, pruned, used in at_ends:
        # at chance there is nothing to lose
        # The factor of 5 was fixed with the criterion, before there were results.
        least = 5 / basis.settings.classes
        usable = [snr_db for snr_db in unpruned if unpruned[snr_db].mean() > least]
        low = [snr_db for snr_db in usable if snr_db <= 0]
        high = [snr_db for snr_db in usable if snr_db >= 14.5]
        if low and high:
            loss_low, loss_high = (np.mean([unpruned[snr_db] - pruned[snr_db] for snr_db in part], axis=0)
                                   for part in (low, high))
            # The mean over SNRs before the test: the claim is about low against high, not about
            # single SNRs, and Holm's correction grows with every test.
            questions.append(Question(loss_high - loss_low))
            names.append(f"{name}: loss {percent(loss_low)} at ≤ 0 dB, {percent(loss_high)} at ≥ 14.5 dB")
            measurable.append(basis.date < STUDENT or statistics.is_above_zero(loss_high))
            runs += used
    # Holm counts the curves that are left out too: the same data choose them.
    verdicts, numbers = statistics.decide(questions, basis.date), []
    for name, question, verdict, counts in zip(names, questions, verdicts, measurable, strict=True):
        text = f"{verdict}, smaller by {statistics.interval(question.difference)}"
        numbers.append(f"{name}, {text if counts else 'left out: nothing measurable to lose at ≥ 14.5 dB'}")
    counted = [verdict for verdict, counts in zip(verdicts, measurable, strict=True) if counts]
    verdict = statistics.all_of(counted)
    if questions and not any(measurable):
        # Nothing was lost at high SNR, so that nothing could shrink: that neither speaks for the
        # claim nor against it.
        verdict = UNRESOLVED
    return verdict, "; ".join(numbers), list(dict.fromkeys(runs))


def c7(basis: Basis) -> Judged:
    """Above ratio 0.5, the drop from 20 to 0 dB is within 3 points, and 3 % of the accuracy, of that at ratio 0."""
    in_points, shares, numbers, runs = [], [], [], []
    at_ends = _against_ratio_0(basis, lambda ratio: ratio > 0.5, lambda snr_db: snr_db in ENDS)
    for name, unpruned, pruned, used in at_ends:
        if not set(unpruned) >= ENDS:
            continue
        ends = [(curve[20.0], curve[0.0]) for curve in (pruned, unpruned)]
        drop, drop_0 = (high - low for high, low in ends)
        share, share_0 = (statistics.share_lost(high, low) for high, low in ends)
        # A pruned network starts lower, so that an equal drop in points is a larger share: "similar
        # trend" can mean either.
        in_points.append(Question(drop - drop_0, 0.03))
        shares.append(Question(share - share_0, 0.03))
        numbers.append(
            f"{name}: drop from 20 to 0 dB {percent(drop)} of {100 * pruned[20.0].mean():.1f} points "
            f"({percent(share)} %), at ratio 0 {percent(drop_0)} of {100 * unpruned[20.0].mean():.1f} "
            f"({percent(share_0)} %), more by {statistics.interval(drop - drop_0)} points "
            f"and {statistics.interval(share - share_0)} %")
        runs += used
    if basis.date < STUDENT:
        return statistics.all_of(statistics.decide(in_points, basis.date)), "; ".join(numbers), runs
    # One family, which Holm corrects together: the claim must hold in both readings.
    verdicts = statistics.decide(in_points + shares, basis.date)
    readings = [statistics.all_of(verdicts[:len(in_points)]),
                statistics.all_of(verdicts[len(in_points):])]
    if numbers:
        numbers.insert(0, f"in points: {readings[0]}; as a share of the accuracy: {readings[1]}")
    return statistics.all_of(readings), "; ".join(numbers), list(dict.fromkeys(runs))


def _images(basis: Basis) -> float:
    """Test images a class; of unequal classes their mean, so that the mean over classes stays the accuracy."""
    return basis.settings.data.counts[2] / basis.settings.classes


def _against_ratio_0(basis: Basis, ratios: Callable, snrs_db: Callable) -> Iterator[tuple[str, Curve, Curve, list]]:
    """Of each wanted ratio in each panel: its name, ratio 0's and its curve at the wanted SNRs, the runs of both."""
    for panel in basis.settings.figure4.panels:
        found = points.matched_points(basis.table, basis.settings, f"figure4{panel}")
        for ratio in sorted(set(found.ratio) - {0.0}):
            if ratios(ratio):
                # Pair by pair: a ratio that has one seed less would cost all others that seed.
                (unpruned, pruned), used = paired_curves(found, "ratio", [0.0, ratio], snrs_db, _images(basis))
                yield f"4{panel}, ratio {ratio:g}", unpruned, pruned, used


def c8(basis: Basis) -> Judged:
    """At 20 dB any two bandwidths are within 2 points; to 0 dB, each drops by more than the next larger one.

    The smallest and the largest bandwidth of the study are enough to judge from.
    """
    found = points.matched_points(basis.table, basis.settings, "figure5")
    at_ends = found[found.snr_db.isin(ENDS)].groupby("bandwidth").snr_db.nunique()
    listed = sorted(basis.settings.figure5.bandwidths)
    bandwidths = sorted(at_ends.index[at_ends == len(ENDS)])
    # Without both ends of the list, the curves would agree more than the claim says.
    if len(bandwidths) < 2 or not {listed[0], listed[-1]} <= set(bandwidths):
        return UNMEASURED, "", []
    curves, runs = paired_curves(found, "bandwidth", bandwidths, lambda snr_db: snr_db in ENDS, _images(basis))
    if not set(curves[0]) >= ENDS:
        return UNMEASURED, "", []
    tops, drops = [curve[20.0] for curve in curves], [curve[20.0] - curve[0.0] for curve in curves]
    # For reading, and no test since 28 November: the data choose this pair, and would then test it.
    spread = max(tops, key=np.mean) - min(tops, key=np.mean)
    # Any two, so that no pair has to be chosen first.
    agree = [Question(one - other, 0.02) for one, other in combinations(tops, 2)]
    # Neighbours suffice: if each drops by more than the next, the order is whole.
    sharper = [Question(smaller - larger) for smaller, larger in pairwise(drops)]
    falls = ", ".join(f"{percent(drop)} (B = {b:.0f})" for b, drop in zip(bandwidths, drops, strict=True))
    numbers = f"spread {percent(spread)} points at 20 dB, {statistics.interval(spread)}; drop to 0 dB {falls}"
    if basis.date < STUDENT:
        agree = [Question(spread, 0.02)]
    verdict = statistics.all_of(statistics.decide(agree + sharper, basis.date))
    # The spread without an error, and of the falls that of the ends alone.
    if basis.date < "2026-11-25":
        contrary = NOT_REPRODUCED in statistics.decide(sharper, basis.date)
        ends = statistics.decide([Question(drops[0] - drops[-1])], basis.date)[0]
        verdict = NOT_REPRODUCED if spread.mean() > 0.02 or contrary else ends
    absent = [f"B = {bandwidth}" for bandwidth in listed if bandwidth not in bandwidths]
    return verdict, numbers + (f"; without {', '.join(absent)}" if absent else ""), runs
