"""Standard errors and what they decide."""

import numpy as np
import pytest

from lib.claims import statistics


def test_standard_errors_are_over_classes_and_seeds():
    one = np.array([[0.1, 0.3, 0.2, 0.2]])
    assert statistics.mean_and_error(one) == pytest.approx((0.2, np.std(one, ddof=1) / 2))
    three = one + np.array([[0.0], [0.03], [0.06]])
    assert statistics.mean_and_error(three) == pytest.approx(
        (0.23, np.hypot(np.std(one, ddof=1) / 2, 0.03 / np.sqrt(3))))


@pytest.mark.parametrize("mean, verdict", [
    (0.03, statistics.REPRODUCED), (-0.03, statistics.NOT_REPRODUCED), (0.01, statistics.UNRESOLVED),
    (-0.01, statistics.UNRESOLVED)])
def test_a_difference_is_positive_when_it_is_above_two_standard_errors(mean, verdict):
    wobble = np.array([[0.01, -0.01]])  # its standard error is 0.01
    assert statistics.decide_positive(mean + wobble) == verdict


@pytest.mark.parametrize("value, verdict", [
    (0.01, statistics.REPRODUCED), (0.05, statistics.NOT_REPRODUCED), (0.019, statistics.UNRESOLVED),
    (0.021, statistics.UNRESOLVED)])
def test_two_standard_errors_must_leave_a_value_on_one_side_of_the_limit(value, verdict):
    assert statistics.decide_at_most(0.02, value, 0.001) == verdict


def test_the_worst_part_decides_a_claim_of_several_parts():
    reproduced, denied, unresolved = statistics.REPRODUCED, statistics.NOT_REPRODUCED, statistics.UNRESOLVED
    assert statistics.all_of([reproduced, reproduced]) == reproduced
    assert statistics.all_of([reproduced, unresolved]) == unresolved
    assert statistics.all_of([unresolved, denied, reproduced]) == denied
    assert statistics.all_of([]) == statistics.UNMEASURED
