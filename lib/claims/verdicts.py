"""The claims about operations and Figure 3, a function each; C6, C7 and C8 are in over_snr.py.

Of C3, C4, C5 and C9, `models` are all those of Figure 3. One speaks for a claim if it is within the
tolerance on both halves of the test images (`holds`), and against it if it is outside on all of
them (`denied`). The criterion of a claim is known by its date (`claims.yaml`).
"""

import numpy as np
import pandas as pd

from lib import flops, results, vgg
from lib.claims.basis import Basis, Judged
from lib.claims.statistics import NOT_REPRODUCED, REPRODUCED, STUDENT, UNMEASURED, UNRESOLVED
from lib.results import PROPOSED

# The paper's FLOPs are multiply-accumulates, which is why they are compared with
# `flops.count_macs`.
PAPER_HALF = 156e6  # operations the paper allows the device, half of its full network
PAPER_POOL2 = 24.3e6  # and those it states for the device half after pooling 2 at ratio 0.5
MOST_SYMBOLS = 64 * 16 * 16  # of BottleNet++: the map after pooling 1
BOTH_HALVES = "2026-11-26"  # since when the half of the test images that selects nothing is asked too
MOST_COUNT = "2026-11-26 10:55"  # since when more than BottleNet++ can send refutes C5
ERRORS = "2026-11-26 11:13"  # since when only a model that is outside by two errors speaks against a claim


def c1(basis: Basis) -> Judged:
    """Operations of the unpruned network, which no run has to train."""
    network = vgg.vgg16_bn(basis.settings.classes, basis.settings.network.width)
    macs = flops.count_macs(network, (3, 32, 32))
    near = abs(macs / (2 * PAPER_HALF) - 1) <= 0.02
    return REPRODUCED if near else NOT_REPRODUCED, f"{macs / 1e6:.1f}·10⁶ multiply-accumulates", []


def c2(basis: Basis) -> Judged:
    """Operations of the device half after pooling 2 at ratio 0.5, alone or with the encoder at any B."""
    table = basis.table.drop_duplicates("run")
    models = results.end_to_end(table, pool=2, ratio=0.5)
    if models.empty:
        return UNMEASURED, "", []
    # The paper does not say whether its 24.3·10⁶ has the encoder in it.
    near = any(_near_paper(macs) for macs in (*models.device_half_macs, *models.device_macs))
    whole = [f"{_millions(rows.device_macs)} (B = {bandwidth:.0f})"
             for bandwidth, rows in models.groupby("bandwidth")]
    numbers = [f"device half {_millions(models.device_half_macs)} ·10⁶; "
               f"with its encoder {', '.join(whole)} ·10⁶"]
    # Beside the verdict: where random pruning passes too, this count says little about Taylor's.
    for variant in ("random", "magnitude"):
        other = results.end_to_end(table, variant, pool=2, ratio=0.5).device_half_macs
        if len(other):
            passes = "passes too" if other.map(_near_paper).all() else "does not pass"
            numbers.append(f"{variant} pruning's device half {passes}, with {_millions(other)} ·10⁶")
    return REPRODUCED if near else NOT_REPRODUCED, "; ".join(numbers), models.run.tolist()


def _near_paper(macs: float) -> bool:
    return abs(macs / PAPER_POOL2 - 1) <= 0.1


def _millions(counts: pd.Series) -> str:
    """Counts in 10⁶, as a range where the networks of several seeds differ."""
    least, most = f"{counts.min() / 1e6:.1f}", f"{counts.max() / 1e6:.1f}"
    return least if least == most else f"{least} to {most}"


def _speaking(models: pd.DataFrame, date: str) -> pd.DataFrame:
    """With what a model says under the criterion of a date: it `holds`, and it is `possible` that it does."""
    if date < BOTH_HALVES:
        return models.assign(holds=models.within, possible=models.within)
    if date < ERRORS:
        return models.assign(possible=models.within)
    return models.assign(possible=~(models.denied if date >= STUDENT else models.denied_unpaired))


def c3(basis: Basis) -> Judged:
    """Some model after pooling 1 within 4.8·10⁶ operations and PNG/2.5 symbols."""
    png = basis.models[basis.models.scheme == "PNG"]
    if png.empty:
        return UNMEASURED, "needs the PNG baseline", []
    symbols = png.symbols.iloc[0]
    # Sec. III-B says 4·10⁶ and "approximately 3×": a fifth more operations, and 2.5, fit these
    # words.
    verdict, numbers, runs = _within_budget(basis, basis.models, basis.longer, 1, 4.8e6, symbols / 2.5)
    return verdict, f"PNG {symbols:.0f} symbols; {numbers}", [*png.run, *runs]


def c4(basis: Basis) -> Judged:
    """Some model after pooling 5 with 8 symbols within 160·10⁶ operations."""
    # 156·10⁶ of the paper with some room for the encoder.
    models, longer = (rows[rows.symbols == 8] for rows in (basis.models, basis.longer))
    return _within_budget(basis, models, longer, 5, 160e6, 8)


def _within_budget(basis: Basis, models: pd.DataFrame, longer: pd.DataFrame, pool: int, most_macs: float,
                   most_symbols: float) -> Judged:
    """Whether a model of ours after this pooling is good enough within the budget.

    The ablations' longer step 4 stands beside it and decides nothing: Figure 3's models all have
    the study's step 4.
    """
    ours = models[(models.scheme == PROPOSED) & (models.pool == pool)]
    longer = longer[(longer.scheme == PROPOSED) & (longer.pool == pool)]
    if ours.empty:
        return UNMEASURED, f"needs models after pooling {pool}", []
    ours = _speaking(ours, basis.date)
    # `cheap` can prove the claim. `costly` has more of both, and can only refute it: what fails
    # with more would hardly hold with less.
    cheap = (ours.device_macs <= most_macs) & (ours.symbols <= most_symbols)
    costly = (ours.device_macs >= most_macs) & (ours.symbols >= most_symbols)
    if basis.date < ERRORS or cheap.any():
        asked = ours[cheap]
        verdict = UNRESOLVED if asked.possible.any() else NOT_REPRODUCED
        if asked.holds.any():
            verdict = REPRODUCED
    else:  # where no model is within the budget, those that exceed it can still deny the claim
        asked = ours[costly]
        verdict = UNMEASURED if asked.possible.any() or asked.empty else NOT_REPRODUCED
    # The model shown is the one that the verdict is about; where none is good, the closest.
    if asked.within.any():
        good = asked[asked.holds] if asked.holds.any() else asked[asked.within]
        best = good.sort_values("symbols").iloc[0]
    else:
        best = (asked if len(asked) else ours).sort_values("loss").iloc[0]
    numbers = [_in_words(best)]
    numbers += [f"not counted, after a longer step 4: {_in_words(model)}" for model in longer.itertuples()]
    if verdict == UNMEASURED:
        numbers.insert(0, "no model within the budget is finished")
    return verdict, "; ".join(numbers), ours.run.tolist()


def _in_words(model) -> str:
    return (f"{model.symbols:.0f} symbols at {model.device_macs / 1e6:.1f}·10⁶ operations, {100 * model.loss:.1f} "
            f"points below the baseline on the half that selected nothing, {100 * model.loss_all:.1f} ± "
            f"{100 * model.error:.1f} on all images ({model.paired})")


def c5(basis: Basis) -> Judged:
    """The fewest symbols of BottleNet++ within the paper's operations, against ours."""
    budget = _speaking(basis.models[basis.models.device_macs <= PAPER_HALF], basis.date)
    # BottleNet++ is not pruned: after pooling 3 and later its device half is over the budget.
    theirs, ours = budget[budget.scheme == "BottleNet++"], budget[budget.scheme == PROPOSED]
    if theirs.empty or ours.empty:
        return UNMEASURED, "needs a model of BottleNet++ and one of ours within the budget", []
    fewest = []
    for scheme, tried in (("BottleNet++", theirs), (PROPOSED, ours)):
        # NaN where no model is within the tolerance: `min` of nothing.
        symbols = tried[tried.within].symbols.min()
        fewest.append(f"no model of {scheme}" if np.isnan(symbols) else f"{scheme} {symbols:.0f} symbols")
    # Where 1024 times ours is more than its largest map holds, no training of it can make that
    # true.
    can_send = MOST_SYMBOLS if basis.date >= MOST_COUNT else np.inf
    # a fewest number of symbols that no model has is NaN, which decides nothing
    # A ratio of two minima, each between what surely holds and what may: the smallest such ratio,
    # and the largest.
    least = theirs[theirs.possible].symbols.min() / ours[ours.holds].symbols.min()
    # `fmin` passes over NaN: where no model of theirs holds, they are still bounded by what they
    # can send.
    most = np.fmin(theirs[theirs.holds].symbols.min(), can_send) / ours[ours.possible].symbols.min()
    verdict = UNRESOLVED
    # Comparisons with NaN are false, so that a ratio that is not known leaves the claim open.
    if least >= 1024:
        verdict = REPRODUCED
    elif most < 1024:
        verdict = NOT_REPRODUCED
    numbers = f"within the budget and, on the half that selects, the tolerance: {', '.join(fewest)}"
    if most < 1024:
        numbers += f"; with every model of ours that is not ruled out, at most {most:.0f}× less"
    return verdict, numbers, [*theirs.run, *ours.run]


def c9(basis: Basis) -> Judged:
    """Every point of BottleNet++ and BottleNet needs more operations and symbols than one of ours."""
    models, names = _speaking(basis.models, basis.date), ("BottleNet++", "BottleNet", PROPOSED)
    if not set(names) <= set(models.scheme):
        return UNMEASURED, "needs BottleNet++ and BottleNet", []
    ours, theirs = models[models.scheme == PROPOSED], models[models.scheme.isin(names[:2])]
    # While runs are missing, the models that would decide may still come.
    if basis.missing and not (ours.within.any() and theirs.selected.any()):
        return UNMEASURED, "needs a model of theirs and one of ours within the tolerance", []
    # For reading; the verdict asks all of their models that hold, or may.
    selected, without = theirs[theirs.selected], set(names) - set(models[models.within].scheme)
    numbers = []
    if len(selected):
        dominated, surely = (sum(_beaten(selected, ours[good])) for good in (ours.within, ours.holds))
        numbers.append(f"{dominated} of {len(selected)} selected points of theirs are dominated, {surely} by a model "
                       "of ours that is within the tolerance on both halves")
    if without:
        schemes = " or ".join(sorted(without, key=names.index))
        numbers.append(f"no model of {schemes} is within the tolerance")
    return _dominates(ours, theirs, without, basis.date), "; ".join(numbers), [*theirs.run, *ours.run]


def _dominates(ours: pd.DataFrame, theirs: pd.DataFrame, without: set[str], date: str) -> str:
    """The verdict on C9; `without` are the schemes that have no model within the tolerance."""
    # A scheme of theirs without a model within the tolerance leaves the claim open: its training
    # may have been too short. Where ours has none, `_beaten` finds that.
    open_for_want_of = without - {PROPOSED}
    if date < ERRORS:
        open_for_want_of = without
    if date < BOTH_HALVES and theirs.within.any():  # one of the two other schemes was enough
        open_for_want_of = without & {PROPOSED}
    # Refuted by one of theirs that surely holds and that none of ours beats, even of those that
    # only may hold. For "reproduced" it is the other way round.
    refuted = not all(_beaten(theirs[theirs.holds], ours[ours.possible]))
    if refuted and (date >= ERRORS or ours.possible.any()):
        return NOT_REPRODUCED
    if open_for_want_of or not all(_beaten(theirs[theirs.possible], ours[ours.holds])):
        return UNRESOLVED
    return REPRODUCED


def _beaten(theirs: pd.DataFrame, ours: pd.DataFrame) -> list[bool]:
    """For each of their models, whether one of ours needs less of both."""
    return [bool(((ours.symbols < model.symbols) & (ours.device_macs < model.device_macs)).any())
            for model in theirs.itertuples()]
