"""The nine claims, a function each: its verdict, the numbers in words, and the names of the runs that both rest on.

Of C3, C4, C5 and C9, `models` are all those of Figure 3. One speaks for a claim if it is within the tolerance on both
halves of the test images (`holds`), and against it if it is outside on all of them by two standard errors (`denied`).
C6, C7 and C8 rest on the `matched` models of Figures 4 and 5 alone.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pandas as pd

from lib import flops, results, vgg
from lib.claims import statistics
from lib.claims.statistics import NOT_REPRODUCED, REPRODUCED, UNMEASURED, UNRESOLVED, percent
from lib.results import PROPOSED
from lib.study import Study

PAPER_HALF = 156e6  # operations the paper allows the device, half of its full network
MOST_SYMBOLS = 64 * 16 * 16  # of BottleNet++: the map after pooling 1
Judged = tuple[str, str, list[str]]  # verdict, numbers, runs


def c1(settings: Study) -> Judged:
    """Operations of the unpruned network, which no run has to train."""
    macs = flops.count_macs(vgg.vgg16_bn(settings.classes, settings.network.width), (3, 32, 32))
    near = abs(macs / (2 * PAPER_HALF) - 1) <= 0.02
    return REPRODUCED if near else NOT_REPRODUCED, f"{macs / 1e6:.1f}·10⁶ multiply-accumulates", []


def c2(table: pd.DataFrame) -> Judged:
    """Operations of the device half after pooling 2 at ratio 0.5, alone or with the encoder at any B."""
    models = results.end_to_end(table.drop_duplicates("run"), pool=2, ratio=0.5)
    if models.empty:
        return UNMEASURED, "", []
    # The paper does not say whether its count has the encoder in it.
    near = any(abs(macs / 24.3e6 - 1) <= 0.1 for macs in (*models.device_half_macs, *models.device_macs))
    whole = [f"{_millions(rows.device_macs)} (B = {bandwidth:.0f})" for bandwidth, rows in models.groupby("bandwidth")]
    return (REPRODUCED if near else NOT_REPRODUCED,
            f"device half {_millions(models.device_half_macs)} ·10⁶; with its encoder {', '.join(whole)} ·10⁶",
            models.run.tolist())


def _millions(counts: pd.Series) -> str:
    """Counts in 10⁶, as a range where the networks of several seeds differ."""
    least, most = f"{counts.min() / 1e6:.1f}", f"{counts.max() / 1e6:.1f}"
    return least if least == most else f"{least} to {most}"


def c3(models: pd.DataFrame, longer: pd.DataFrame) -> Judged:
    """Some model after pooling 1 within 4.8·10⁶ operations and PNG/2.5 symbols."""
    png = models[models.scheme == "PNG"]
    if png.empty:
        return UNMEASURED, "needs the PNG baseline", []
    symbols = png.symbols.iloc[0]
    verdict, numbers, runs = _within_budget(models, longer, 1, 4.8e6, symbols / 2.5)
    return verdict, f"PNG {symbols:.0f} symbols; {numbers}", [*png.run, *runs]


def c4(models: pd.DataFrame, longer: pd.DataFrame) -> Judged:
    """Some model after pooling 5 with 8 symbols within 160·10⁶ operations."""
    return _within_budget(models[models.symbols == 8], longer[longer.symbols == 8], 5, 160e6, 8)


def _within_budget(models: pd.DataFrame, longer: pd.DataFrame, pool: int, most_macs: float,
                   most_symbols: float) -> Judged:
    """Whether a model of ours after this pooling is good enough within the budget.

    The ablations' longer step 4 stands beside it and decides nothing: Figure 3's models all have the study's step 4.
    """
    ours, longer = (rows[(rows.scheme == PROPOSED) & (rows.pool == pool)] for rows in (models, longer))
    if ours.empty:
        return UNMEASURED, f"needs models after pooling {pool}", []
    cheap = (ours.device_macs <= most_macs) & (ours.symbols <= most_symbols)
    costly = (ours.device_macs >= most_macs) & (ours.symbols >= most_symbols)
    # where no model is within the budget, those that exceed it can still deny the claim
    asked = ours[cheap] if cheap.any() else ours[costly]
    verdict = UNRESOLVED
    if (cheap & ours.holds).any():
        verdict = REPRODUCED
    elif len(asked) and asked.denied.all():
        verdict = NOT_REPRODUCED
    # Of good models the cheapest speaks for the claim; where none is, the one that comes nearest.
    if asked.within.any():
        good = asked[asked.holds] if asked.holds.any() else asked[asked.within]
        best = good.sort_values("symbols").iloc[0]
    else:
        best = (asked if len(asked) else ours).sort_values("loss").iloc[0]
    numbers = [_in_words(best)]
    numbers += [f"not counted, after a longer step 4: {_in_words(model)}" for model in longer.itertuples()]
    return verdict, "; ".join(numbers), ours.run.tolist()


def _in_words(model) -> str:
    return (f"{model.symbols:.0f} symbols at {model.device_macs / 1e6:.1f}·10⁶ operations, {100 * model.loss:.1f} "
            "points below the baseline on the half that selected nothing")


def c5(models: pd.DataFrame) -> Judged:
    """The fewest symbols of BottleNet++ within the paper's operations, against ours."""
    budget = models[models.device_macs <= PAPER_HALF]
    theirs, ours = budget[budget.scheme == "BottleNet++"], budget[budget.scheme == PROPOSED]
    if not {"BottleNet++", PROPOSED} <= set(models.scheme):
        return UNMEASURED, "needs BottleNet++", []
    fewest = []
    for scheme, tried in (("BottleNet++", theirs), (PROPOSED, ours)):
        symbols = tried[tried.within].symbols.min()
        fewest.append(f"no model of {scheme}" if np.isnan(symbols) else f"{scheme} {symbols:.0f} symbols")
    # a fewest number of symbols that no model has is NaN, which decides nothing
    # At least: the fewest that theirs may need over what ours surely does; at most, the other way round.
    least = theirs[~theirs.denied].symbols.min() / ours[ours.holds].symbols.min()
    most = np.fmin(theirs[theirs.holds].symbols.min(), MOST_SYMBOLS) / ours[~ours.denied].symbols.min()
    verdict = UNRESOLVED
    if least >= 1024:
        verdict = REPRODUCED
    elif most < 1024:
        verdict = NOT_REPRODUCED
    return verdict, f"within the budget and the tolerance: {', '.join(fewest)}", [*theirs.run, *ours.run]


def c6(table: pd.DataFrame, settings: Study) -> Judged:
    """Up to ratio 0.5, the mean loss to ratio 0 is smaller at ≤ 0 dB than at ≥ 14.5 dB."""
    verdicts, numbers, runs = [], [], []
    for name, unpruned, pruned, found in _against_ratio_0(table, settings, lambda ratio: ratio <= 0.5):
        # at chance there is nothing to lose
        usable = [snr_db for snr_db in unpruned if unpruned[snr_db].mean() > 5 / settings.classes]
        low, high = [snr_db for snr_db in usable if snr_db <= 0], [snr_db for snr_db in usable if snr_db >= 14.5]
        if low and high:
            loss_low, loss_high = (np.mean([unpruned[snr_db] - pruned[snr_db] for snr_db in part], axis=0)
                                   for part in (low, high))
            verdicts.append(statistics.decide_positive(loss_high - loss_low))
            numbers.append(f"{name}: loss {percent(loss_low)} at ≤ 0 dB, {percent(loss_high)} at ≥ 14.5 dB")
            runs += found[found.snr_db.isin(low + high)].run.tolist()
    return statistics.all_of(verdicts), "; ".join(numbers), runs


def c7(table: pd.DataFrame, settings: Study) -> Judged:
    """Above ratio 0.5, the drop from 20 to 0 dB is within 3 points of that at ratio 0."""
    verdicts, numbers, runs = [], [], []
    for name, unpruned, pruned, found in _against_ratio_0(table, settings, lambda ratio: ratio > 0.5):
        if {0.0, 20.0} <= set(unpruned):
            difference = (pruned[20.0] - pruned[0.0]) - (unpruned[20.0] - unpruned[0.0])
            # "The same trend" can fail on either side.
            mean, error = statistics.mean_and_error(difference)
            verdicts.append(statistics.decide_at_most(0.03, abs(mean), error))
            numbers.append(f"{name}: drop from 20 to 0 dB {_drop(pruned)}, at ratio 0 {_drop(unpruned)}")
            runs += found[found.snr_db.isin([0.0, 20.0])].run.tolist()
    return statistics.all_of(verdicts), "; ".join(numbers), runs


def _against_ratio_0(table: pd.DataFrame, settings: Study, wanted: Callable) -> Iterator[tuple]:
    """Of each wanted ratio in each panel: its name, ratio 0's and its curve at the SNRs that both have, the points."""
    for panel in settings.figure4.panels:
        found = statistics.paired_points(table, settings, f"figure4{panel}")
        curves = statistics.curves_by_class(found, "ratio")
        for ratio in settings.figure4.ratios:
            if ratio > 0 and wanted(ratio) and ratio in curves and 0.0 in curves:
                common = sorted(set(curves[0.0]) & set(curves[ratio]))
                unpruned, pruned = ({snr_db: curves[key][snr_db] for snr_db in common} for key in (0.0, ratio))
                yield f"4{panel}, ratio {ratio:g}", unpruned, pruned, found[found.ratio.isin([0.0, ratio])]


def _drop(curve: dict) -> str:
    """The drop from 20 to 0 dB in points, and as a share of the accuracy at 20 dB."""
    drop, top = curve[20.0] - curve[0.0], curve[20.0].mean()
    return f"{percent(drop)} of {100 * top:.1f} points ({100 * drop.mean() / top:.1f} %)"


def c8(table: pd.DataFrame, settings: Study) -> Judged:
    """At 20 dB the bandwidths are within 2 points; to 0 dB, each drops by more than the next larger one."""
    found = statistics.paired_points(table, settings, "figure5")
    curves = statistics.curves_by_class(found, "bandwidth")
    bandwidths = sorted(bandwidth for bandwidth in curves if {0.0, 20.0} <= set(curves[bandwidth]))
    if len(bandwidths) < 2:
        return UNMEASURED, "", []
    # "Agree" is about the two that differ most.
    at_20_db = sorted((curves[bandwidth][20.0] for bandwidth in bandwidths), key=np.mean)
    spread = at_20_db[-1] - at_20_db[0]
    drops = {bandwidth: curves[bandwidth][20.0] - curves[bandwidth][0.0] for bandwidth in bandwidths}
    verdicts = [statistics.decide_at_most(0.02, *statistics.mean_and_error(spread))]
    verdicts += [statistics.decide_positive(drops[small] - drops[large]) for small, large in pairwise(bandwidths)]
    falls = ", ".join(f"{percent(drop)} (B = {bandwidth:.0f})" for bandwidth, drop in drops.items())
    used = found[found.bandwidth.isin(bandwidths) & found.snr_db.isin([0.0, 20.0])]
    return (statistics.all_of(verdicts), f"spread {percent(spread)} points at 20 dB; drop to 0 dB {falls}",
            used.run.tolist())


def c9(models: pd.DataFrame) -> Judged:
    """Every point of BottleNet++ and BottleNet needs more operations and symbols than one of ours."""
    names = ("BottleNet++", "BottleNet", PROPOSED)
    if not set(names) <= set(models.scheme):
        return UNMEASURED, "needs BottleNet++ and BottleNet", []
    ours, theirs = models[models.scheme == PROPOSED], models[models.scheme.isin(names[:2])]
    selected, missing = theirs[theirs.selected], set(names) - set(models[models.within].scheme)
    numbers = []
    if len(selected):
        dominated = sum(_beaten(selected, ours[ours.within]))
        numbers.append(f"{dominated} of {len(selected)} selected points of theirs are dominated")
    if missing:
        numbers.append(f"no model of {' or '.join(sorted(missing, key=names.index))} is within the tolerance")
    # What surely is good enough is compared with what may be, so that noise can leave the claim open.
    verdict = REPRODUCED
    if not all(_beaten(theirs[theirs.holds], ours[~ours.denied])):
        verdict = NOT_REPRODUCED
    elif missing - {PROPOSED} or not all(_beaten(theirs[~theirs.denied], ours[ours.holds])):
        verdict = UNRESOLVED
    return verdict, "; ".join(numbers), [*theirs.run, *ours.run]


def _beaten(theirs: pd.DataFrame, ours: pd.DataFrame) -> list[bool]:
    """For each of their models, whether one of ours needs less of both."""
    return [bool(((ours.symbols < model.symbols) & (ours.device_macs < model.device_macs)).any())
            for model in theirs.itertuples()]
