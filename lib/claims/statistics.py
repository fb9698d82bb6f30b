"""Standard errors of accuracies, paired by class, seed, image and noise, and what they decide about a claim.

A curve's value at one SNR is an array [seeds, classes] of accuracies, each the mean over its noise
draws. Two curves are compared by their difference: what is hard about a class, or lucky about a
seed, is in both.
"""

from typing import NamedTuple

import numpy as np
from scipy import stats

REPRODUCED, NOT_REPRODUCED, UNRESOLVED = "reproduced", "not reproduced", "not resolved"
UNMEASURED = "not measured at this profile"
# In all of CIFAR-100 and in the subset of `quick` alike.
IMAGES = 100  # test images a class
LEVEL = 0.05  # two-sided
# Since when Student's t and Holm's correction decide; before, two standard errors did.
# Dates are compared as texts, which ISO dates allow, also where one has an hour behind it.
STUDENT = "2026-11-28"
SEEDS = "2026-11-26"  # since when errors cover the seeds too

EXPLAINED = """\
**What a band and a ± is.** A *band* in Figures 4 and 5 spans the seeds, each the mean of its noise draws; with one
seed, the noise draws. It says nothing about the test set, of which 10,000 images tell an accuracy to ±1 point (two
binomial standard errors). A *±* in a verdict is one standard error: over the classes of the test set (100 in
CIFAR-100) and, where there are several seeds, over these too (their variances are added). In the square brackets
behind it is the interval that holds the true value with 95 % confidence. It has Student's t with the degrees of
freedom of Welch and Satterthwaite: three seeds that differ much leave little more than two of them. With one seed it
does not cover what another training would change.

**What is paired.** Models are compared on the same test images, with the same noise and, curve against curve, from
the same seeds, so that only differences count. Where a comparison is *paired by class*, its error is that of the
differences of the class accuracies. This is conservative: it treats the classes as drawn from many, although they are
fixed and every model is asked about the same ones. Runs of 28 November 2026 and later store which test images were
right; where both models have that, the comparison is *paired by image* and McNemar's test decides: only images that
one of the two gets right count. Where not even the classes are known, the test is *unpaired*, as if each model had
seen images of its own.

**What decides.** The tests of one claim are corrected together by Holm, so that all of their verdicts hold at once
with 95 % confidence. *Agree* (C8) and *same trend* (C7) are equivalence tests: reproduced only if the interval lies
within the margin, not reproduced only if it lies outside. In Figure 3 a model speaks for a claim that is within the
tolerance on both halves of the test images, and against it one that is outside on all of them by two standard errors
(McNemar: p < 0.025). *Not resolved*: neither. *Not measured at this profile*: the study lacks runs that the claim
needs.
"""


class Question(NamedTuple):
    """About a difference of accuracies [seeds, classes]: is it above zero or, with a margin, within ± of that?"""

    # Paired already: seed by seed and class by class.
    difference: np.ndarray
    margin: float = 0.0


class Estimate(NamedTuple):
    mean: float
    error: float  # standard error
    freedom: float  # degrees of freedom of the error

    def interval(self) -> tuple[float, float]:
        """Of 95 % confidence."""
        half = stats.t.ppf(1 - LEVEL / 2, self.freedom) * self.error
        return self.mean - half, self.mean + half


def estimate(by_class: np.ndarray) -> Estimate:
    """Mean of [seeds, classes] and its standard error over classes and, with several seeds, over these too.

    What is left of noise in a single accuracy is in both variances, so their sum is rather too
    large. Degrees of freedom after Welch and Satterthwaite.
    """
    seeds, classes = by_class.shape
    # Averaged over seeds first, then classes vary; below the other way round.
    variances, freedoms = [by_class.mean(axis=0).var(ddof=1) / classes], [classes - 1]
    # One seed shows no variance, and the interval then covers the test set alone.
    if seeds > 1:
        variances.append(by_class.mean(axis=1).var(ddof=1) / seeds)
        freedoms.append(seeds - 1)
    variance = sum(variances)
    # The part that dominates the variance decides: few seeds that differ leave few degrees of
    # freedom.
    weights = sum(part**2 / freedom for part, freedom in zip(variances, freedoms, strict=True))
    freedom = variance**2 / weights if weights > 0 else classes - 1
    return Estimate(by_class.mean(), np.sqrt(variance), freedom)


def percent(by_class: np.ndarray) -> str:
    """Mean ± standard error of [seeds, classes], in points."""
    mean, error, _ = estimate(by_class)
    return f"{100 * mean:.1f} ± {100 * error:.1f}"


def interval(by_class: np.ndarray) -> str:
    """Mean and interval of 95 % confidence of [seeds, classes], in points."""
    found = estimate(by_class)
    low, high = found.interval()
    return f"{100 * found.mean:.1f} [{100 * low:.1f} to {100 * high:.1f}]"


def share_lost(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(before − after) / before of mean accuracies, as [seeds, classes] whose mean it is and whose spread its error.

    A ratio of means is linear in small errors: each class and seed counts with how far it moves the
    ratio.
    """
    # Not the mean of each class's ratio: a class that is hardly ever right loses all or nothing.
    share = 1 - after.mean() / before.mean()
    return share + (before - after - share * before) / before.mean()


def decide(questions: list[Question], date: str) -> list[str]:
    """The verdict on each question of one claim, under the criteria of a date."""
    if date < STUDENT:
        return [_by_two_errors(question, date >= SEEDS) for question in questions]
    found = [_p_value(question) for question in questions]
    verdicts = []
    for p, (_, holds) in zip(holm([p for p, _ in found]), found, strict=True):
        clear = REPRODUCED if holds else NOT_REPRODUCED
        verdicts.append(clear if p < LEVEL else UNRESOLVED)
    return verdicts


def is_above_zero(by_class: np.ndarray) -> bool:
    """Whether a difference is measurably positive, by itself."""
    # Not corrected by Holm: it chooses what is tested and is no verdict itself.
    return estimate(by_class).interval()[0] > 0


def _inside(question: Question, mean: float) -> float:
    """How far the mean is on the claim's side of what decides, the nearer bound of the margin."""
    # Positive inside the margin, negative outside: one number for both verdicts.
    return question.margin - abs(mean) if question.margin else mean


def _p_value(question: Question) -> tuple[float, bool]:
    """Two-sided p-value of Student's t, and whether the mean is on the claim's side.

    With a margin this is two one-sided tests (TOST), of which the one against the nearer bound
    decides.
    """
    mean, error, freedom = estimate(question.difference)
    inside = _inside(question, mean)
    # No spread at all: certain, unless the mean lies on the bound itself.
    if error == 0:
        return float(inside == 0), inside > 0
    # Doubled, so that the interval of 95 % must lie within; TOST at 5 % asks for that of 90 % only.
    return 2 * stats.t.sf(abs(inside) / error, freedom), inside > 0


def _by_two_errors(question: Question, over_seeds: bool) -> str:
    """The verdict as it was until 28 November 2026."""
    by_class = question.difference
    # Until 26 November the seeds were averaged first, and only classes had a variance.
    if not over_seeds:
        by_class = by_class.mean(axis=0, keepdims=True)
    mean, error, _ = estimate(by_class)
    inside = _inside(question, mean)
    if abs(inside) < 2 * error:
        return UNRESOLVED
    return REPRODUCED if inside > 0 else NOT_REPRODUCED


def holm(p_values: list[float]) -> list[float]:
    """Holm's adjusted p-values: the smallest times their number, the next times one less, never falling."""
    # Sorted for the correction; the argsort of the order brings each back to its question.
    order = np.argsort(p_values)
    factors = np.arange(len(p_values), 0, -1)
    # Never falling, else a larger p-value could be significant where a smaller one is not.
    adjusted = np.maximum.accumulate(np.asarray(p_values, dtype=float)[order] * factors).clip(max=1)
    return adjusted[np.argsort(order)].tolist()


def all_of(verdicts: list[str]) -> str:
    """The verdict on a claim that holds only if each of its parts does."""
    # In this order: one part that fails refutes the whole, one that is open leaves it open.
    for verdict in (NOT_REPRODUCED, UNRESOLVED, REPRODUCED):
        if verdict in verdicts:
            return verdict
    return UNMEASURED


def class_error(first: np.ndarray, second: np.ndarray, images: float = IMAGES) -> float:
    """Standard error of the difference of two accuracies, from right answers of each class [classes], paired."""
    difference = (first - second) / images
    return difference.std(ddof=1) / np.sqrt(len(difference))


def image_error(first: np.ndarray, second: np.ndarray) -> float:
    """Standard error of the difference of two accuracies, from which images were right, bool [images], paired."""
    # Images that both get right, or both wrong, say nothing about a difference.
    only_first, only_second = (first & ~second).mean(), (second & ~first).mean()
    return np.sqrt((only_first + only_second - (only_first - only_second)**2) / len(first))


def mcnemar(first: np.ndarray, second: np.ndarray, margin: float = 0.0) -> float:
    """One-sided exact p-value of "the first model is not better than the second by more than the margin".

    Of the images bool [images] that one of the two gets right, with a margin of 0 each has half:
    McNemar's test. A margin, as a share of all images, moves that half.
    """
    only_first, only_second = (first & ~second).sum(), (second & ~first).sum()
    discordant = only_first + only_second
    if discordant == 0:
        return 1.0
    # At the margin, `only_first` exceeds `only_second` by margin · images. A share of 1 or more is
    # beyond what so few discordant images can show.
    share = 0.5 + margin * len(first) / (2 * discordant)
    if share >= 1:
        return 1.0
    return stats.binomtest(only_first, discordant, share, alternative="greater").pvalue
