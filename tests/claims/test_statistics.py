"""Standard errors, tests and what they decide."""

import math

import numpy as np
import pytest
from scipy import stats

from lib.claims import statistics
from lib.claims.statistics import NOT_REPRODUCED as NOT, REPRODUCED, UNMEASURED, UNRESOLVED, Question

NOW, BEFORE = "2026-11-28", "2026-11-26 22:44"


def spread(mean, error, classes=100):
    """[1, classes] of this mean and standard error."""
    wobble = np.tile([1, -1], classes // 2)
    return mean + wobble[None] * error * math.sqrt(classes) / wobble.std(ddof=1)


# Errors

def test_standard_errors_are_over_classes_and_seeds():
    one = np.array([[0.1, 0.3, 0.2, 0.2]])
    assert statistics.estimate(one) == pytest.approx((0.2, np.std(one, ddof=1) / 2, 3))
    three = one + np.array([[0.0], [0.03], [0.06]])
    assert statistics.estimate(three)[:2] == pytest.approx(
        (0.23, np.hypot(np.std(one, ddof=1) / 2, 0.03 / np.sqrt(3))))


def test_degrees_of_freedom_are_welchs():
    """The two variances stand as those of two independent samples do in Welch's test."""
    random = np.random.default_rng(0)
    classes, seeds = random.normal(size=100), random.normal(scale=0.3, size=3)
    found = statistics.estimate(classes + seeds[:, None])
    welch = stats.ttest_ind(classes, seeds, equal_var=False)
    assert found.freedom == pytest.approx(welch.df)
    assert found.error == pytest.approx((classes.mean() - seeds.mean()) / welch.statistic)


def test_three_seeds_that_differ_much_leave_two_degrees_of_freedom():
    found = statistics.estimate(np.array([[0.0], [0.5], [1.0]]) + spread(0, 0.001))
    assert found.freedom == pytest.approx(2, abs=0.01)
    assert found.interval()[1] - found.mean == pytest.approx(4.303 * found.error, rel=2e-3)  # of a printed table


def test_the_interval_of_one_seed_is_that_of_a_t_test():
    sample = np.random.default_rng(1).normal(size=100)
    expected = stats.ttest_1samp(sample, 0).confidence_interval(0.95)
    assert statistics.estimate(sample[None]).interval() == pytest.approx(tuple(expected))


def test_numbers_in_words():
    assert statistics.percent(spread(0.25, 0.01)) == "25.0 ± 1.0"
    assert statistics.interval(spread(0.25, 0.01)) == "25.0 [23.0 to 27.0]"


def test_the_share_lost_is_that_of_the_means_and_its_error_that_of_leaving_classes_out():
    random = np.random.default_rng(2)
    before = random.uniform(0.4, 0.9, (1, 100))
    after = before * random.uniform(0.7, 1.0, (1, 100))
    found = statistics.estimate(statistics.share_lost(before, after))
    assert found.mean == pytest.approx(1 - after.mean() / before.mean())
    left_out = [1 - np.delete(after, k).mean() / np.delete(before, k).mean() for k in range(100)]
    jackknife = np.sqrt(99 * np.var(left_out))
    assert found.error == pytest.approx(jackknife, rel=0.02)


# Paired by class and by image

def test_the_error_paired_by_class_is_that_of_a_paired_t_test():
    first, second = np.random.default_rng(3).integers(40, 90, (2, 100))
    test = stats.ttest_rel(first, second)
    assert statistics.class_error(first, second) == pytest.approx((first - second).mean() / 100 / test.statistic)


def images(both, only_first, only_second, neither):
    """Which images the two models get right."""
    first = np.repeat([True, True, False, False], [both, only_first, only_second, neither])
    second = np.repeat([True, False, True, False], [both, only_first, only_second, neither])
    return first, second


def test_the_error_paired_by_image_is_that_of_the_differences():
    first, second = images(500, 30, 10, 460)
    differences = first.astype(float) - second
    assert statistics.image_error(first, second) == pytest.approx(differences.std() / math.sqrt(1000))


def test_mcnemar_counts_the_images_that_one_of_the_two_gets_right():
    tosses = sum(math.comb(12, k) for k in range(10, 13)) / 2**12  # of 12, at least 10 heads
    assert statistics.mcnemar(*images(500, 10, 2, 100)) == pytest.approx(tosses)
    assert statistics.mcnemar(*images(7, 10, 2, 0)) == pytest.approx(tosses)
    assert statistics.mcnemar(*images(500, 2, 10, 100)) > 0.95
    assert statistics.mcnemar(*images(500, 0, 0, 100)) == 1


def test_mcnemar_with_a_margin_asks_for_more():
    pair = images(700, 60, 20, 220)  # 4 points apart, of 1,000 images
    assert statistics.mcnemar(*pair) < 1e-4
    heads = 0.5 + 20 / (2 * 80)  # 50 against 30 would be 2 points
    exact = sum(math.comb(80, k) * heads**k * (1 - heads)**(80 - k) for k in range(60, 81))
    assert statistics.mcnemar(*pair, margin=0.02) == pytest.approx(exact)
    assert statistics.mcnemar(*pair, margin=0.04) == pytest.approx(0.5, abs=0.1)  # right at the margin
    assert statistics.mcnemar(*pair, margin=0.1) == 1  # more than all discordant images


# Verdicts

@pytest.mark.parametrize("mean, verdict", [
    (0.03, REPRODUCED), (-0.03, NOT), (0.01, UNRESOLVED), (-0.01, UNRESOLVED), (0.0198, UNRESOLVED),
    (0.0199, REPRODUCED)])  # of 99 degrees of freedom: 1.984 errors
def test_a_difference_is_positive_when_the_interval_is_above_zero(mean, verdict):
    assert statistics.decide([Question(spread(mean, 0.01))], NOW) == [verdict]
    assert statistics.is_above_zero(spread(mean, 0.01)) == (verdict == REPRODUCED)


@pytest.mark.parametrize("mean, verdict", [
    (0.01, REPRODUCED), (-0.01, REPRODUCED), (0.05, NOT), (-0.05, NOT), (0.019, UNRESOLVED), (-0.021, UNRESOLVED)])
@pytest.mark.parametrize("date", [NOW, BEFORE])
def test_two_are_equivalent_when_the_interval_lies_within_the_margin(mean, verdict, date):
    assert statistics.decide([Question(spread(mean, 0.001), 0.02)], date) == [verdict]


def test_without_any_error_the_mean_decides():
    exact = [Question(np.full((1, 100), mean), 0.02) for mean in (0.01, 0.03)] + [Question(np.zeros((1, 100)))]
    assert statistics.decide(exact, NOW) == [REPRODUCED, NOT, UNRESOLVED]


@pytest.mark.parametrize("date, over_seeds", [("2026-11-23", False), ("2026-11-25", False), (BEFORE, True)])
def test_two_standard_errors_decided_before(date, over_seeds):
    contrary = np.array([[0.0], [0.06]]) + spread(0, 0.01)  # 3 ± 1 points over classes, ± 3 over seeds
    assert statistics.decide([Question(contrary)], date) == [UNRESOLVED if over_seeds else REPRODUCED]
    assert statistics.decide([Question(spread(0.0199, 0.01))], date) == [UNRESOLVED]


def test_holms_adjusted_p_values():
    """By hand: 4 × 0.005, 3 × 0.01, 2 × 0.03, 1 × 0.04, which is raised to the one before."""
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.6, 0.7]) == [1, 1] and statistics.holm([0.04]) == [0.04] and statistics.holm([]) == []


def test_the_tests_of_one_claim_are_corrected_together():
    clear = Question(spread(0.022, 0.01))  # p = 0.03
    assert statistics.decide([clear], NOW) == [REPRODUCED]
    assert statistics.decide([clear, clear], NOW) == [UNRESOLVED] * 2
    assert statistics.decide([clear, Question(spread(0.05, 0.01))], NOW) == [REPRODUCED] * 2
    assert statistics.decide([clear, clear], BEFORE) == [REPRODUCED] * 2


def test_the_worst_part_decides_a_claim_of_several_parts():
    assert statistics.all_of([REPRODUCED, REPRODUCED]) == REPRODUCED
    assert statistics.all_of([REPRODUCED, UNRESOLVED]) == UNRESOLVED
    assert statistics.all_of([UNRESOLVED, NOT, REPRODUCED]) == NOT
    assert statistics.all_of([]) == UNMEASURED
