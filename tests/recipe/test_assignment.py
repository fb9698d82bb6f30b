"""Confused classes on neighbouring words: against counts by hand, and against all assignments of a few classes."""

import itertools
import math
from statistics import NormalDist

import numpy as np
import pytest
import torch

from lib.recipe import assignment


def test_confusions_are_shares_of_said_and_true_classes():
    logits = torch.tensor([[5.0, 0, 0], [5, 0, 0], [0, 0, 5], [0, 5, 0]])
    targets = torch.cat([torch.tensor([[0.0], [1], [1], [1]]), logits], 1)
    assert assignment.confusions(targets).tolist() == [[0.25, 0.25, 0], [0, 0.25, 0], [0, 0.25, 0]]


def test_transitions_of_two_opposite_words_are_those_of_the_tail():
    words = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    tail = NormalDist().cdf(-math.sqrt(2) / 10 ** (-2 / 20))
    found = assignment.transitions(words, 2.0)
    assert found.sum(1) == pytest.approx([1, 1])
    assert found[0, 1] == pytest.approx(tail, abs=4 * math.sqrt(tail / assignment.DRAWS))


@pytest.mark.parametrize("seed", range(5))
def test_no_assignment_of_a_few_classes_is_better(seed):
    generator = np.random.default_rng(seed)
    confused, received = generator.random((2, 6, 6))

    def value(words):
        near = received[np.ix_(words, words)]
        return (confused * (near + near.T)).sum() - 2 * (np.diag(confused) * np.diag(near)).sum()

    found = assignment.assign(confused.copy(), received.copy())
    assert sorted(found) == list(range(6))
    assert value(found) == pytest.approx(max(value(list(words)) for words in itertools.permutations(range(6))))


def test_a_ring_of_confusions_is_laid_on_a_ring_of_words():
    count = 8
    ring = (np.roll(np.eye(count), 1, 0) + np.roll(np.eye(count), -1, 0)) / count
    order = np.random.default_rng(1).permutation(count)
    words = assignment.assign(ring[np.ix_(order, order)], ring.copy())
    position = words[np.argsort(order)]  # of the classes along their ring
    steps = np.abs(np.diff(np.append(position, position[0])))
    assert set(np.minimum(steps, count - steps)) == {1}
