"""The label code: its words, against constructions that are known to be the best, and its decoder."""

import math
from statistics import NormalDist

import numpy as np
import pytest
import torch

from lib import InputError
from lib.schemes import label


def angle(words, symbols):
    """Of the two closest words, in degrees."""
    code = label.spherical_code(words, symbols)
    return 2 * math.degrees(math.asin(label.minimum_distance(code) / 2 / math.sqrt(symbols)))


@pytest.mark.parametrize("words, symbols, best", [
    (4, 3, math.degrees(math.acos(-1 / 3))),  # the tetrahedron, a simplex
    (10, 16, math.degrees(math.acos(-1 / 9))),  # a simplex too: ten words fill nine of the dimensions
    (10, 5, 90.0),  # biorthogonal: ± five axes
    (8, 4, 90.0),
    (12, 3, math.degrees(math.atan(2))),  # the icosahedron
    (7, 2, 360 / 7)])  # a regular polygon
def test_words_are_as_far_apart_as_they_can_be(words, symbols, best):
    assert angle(words, symbols) == pytest.approx(best, abs=0.05)


def test_a_hundred_words_of_few_symbols_keep_their_distance():
    # the 600-cell, 120 words of 4 symbols, has 36°; of 5 to 16 symbols, what was found when this was written
    assert angle(100, 4) > 35.5
    assert angle(100, 5) > 45.5 and angle(100, 8) > 62 and angle(100, 16) > 76


@pytest.mark.parametrize("words, symbols", [(100, 5), (10, 16)])
def test_each_word_has_unit_power_in_exactly_its_symbols(words, symbols):
    code = label.LabelCode(words, symbols, 0.0)
    sent = code.encode(torch.eye(words))
    assert sent.shape == (words, symbols) and sent.dtype == torch.float32
    assert sent.double().square().mean(1).numpy() == pytest.approx(np.ones(words), abs=1e-6)
    assert torch.equal(sent, label.LabelCode(words, symbols, 14.5).words)  # the same code at every SNR


def test_the_minimum_distance_is_that_of_the_closest_pair():
    code = label.spherical_code(9, 4)
    pairs = [np.linalg.norm(code[i] - code[j]) for i in range(9) for j in range(i)]
    assert label.minimum_distance(code) == pytest.approx(min(pairs), abs=1e-9)


@pytest.mark.parametrize("words, symbols", [(10, 1), (1, 4)])
def test_a_code_of_one_word_or_symbol_is_refused(words, symbols):
    with pytest.raises(InputError, match=f"not {words} of {symbols}"):
        label.spherical_code(words, symbols)


def test_the_receiver_takes_the_nearest_word_in_low_precision_too():
    code, received = label.LabelCode(20, 6, 0.0), 3 * torch.randn(500, 6)
    nearest = torch.tensor([min(range(20), key=lambda word: (symbols - code.words[word]).norm().item())
                            for symbols in received])
    with torch.autocast("cpu", torch.bfloat16):
        found = code.decode(received)
    assert found.dtype == torch.float32 and torch.equal(found.argmax(1), nearest)
    assert -found[7, 3].item() == pytest.approx((received[7] - code.words[3]).square().sum().item(), rel=1e-5)


def test_the_most_likely_class_is_sent_whatever_its_logit():
    code = label.LabelCode(5, 3, float("inf"))
    logits = torch.tensor([[0.1, 0.2, 0.0, -1, -1], [-9, -8, -7, -6, -70]])
    assert code(logits).argmax(1).tolist() == [1, 3]
    assert torch.equal(code.encode(logits), code.words[[1, 3]])


def error_rate(words, symbols, snr_db, draws=200_000):
    code = label.LabelCode(words, symbols, snr_db)
    classes = torch.arange(draws) % words
    return (code(torch.eye(words)[classes]).argmax(1) != classes).float().mean().item()


@pytest.mark.parametrize("snr_db", [-3.0, 0.0])
def test_errors_of_a_simplex_are_those_of_the_closed_form(snr_db):
    """Of m equidistant words, P(right) = ∫ φ(t) Φ(t + a)^(m−1) dt with a = d / (√2 σ) (Proakis, Sec. 4.4)."""
    words, symbols = 4, 3
    noise = 10 ** (-snr_db / 20)
    separation = math.sqrt(2 * symbols * words / (words - 1)) / math.sqrt(2) / noise
    t = np.linspace(-8, 8, 4001)
    normal = NormalDist()
    below = np.array([normal.cdf(value + separation) for value in t])
    right = np.trapezoid(np.exp(-t**2 / 2) / math.sqrt(2 * math.pi) * below ** (words - 1), t)
    assert error_rate(words, symbols, snr_db) == pytest.approx(1 - right, abs=4 * math.sqrt(right * (1 - right) / 2e5))


@pytest.mark.parametrize("symbols, snr_db", [(4, 14.5), (8, 7.0)])
def test_errors_of_a_hundred_words_are_within_the_union_bound(symbols, snr_db):
    code = torch.from_numpy(label.spherical_code(100, symbols))
    distances, noise = torch.cdist(code, code).numpy(), 10 ** (-snr_db / 20)
    tails = np.array([[NormalDist().cdf(-distance / 2 / noise) for distance in row] for row in distances])
    bound = (tails.sum(1) - 0.5).mean()  # without a word's distance to itself
    nearest = np.sort(tails)[:, -2].mean()  # of one neighbour alone, from below
    found = error_rate(100, symbols, snr_db)
    margin = 4 * math.sqrt(bound / 2e5)
    assert nearest - margin < found < bound + margin
