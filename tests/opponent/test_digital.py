"""Packets and entropy codes: closed forms, and with the optional packages the real thing."""

import math

import numpy as np
import pytest
import torch

from lib import InputError
from lib.channels.optional import optional
from lib.opponent import entropy, packets
from lib.opponent.packets import Format, Modem
from lib.pages import channels
from lib.schemes import features as coding, rates

FORM = Format(64, 64, 4)


def test_capacitys_snr_carries_exactly_the_formats_bits():
    assert FORM.symbols * rates.rate(packets.capacity_snr_db(FORM)) == pytest.approx(FORM.bits)
    assert packets.capacity_snr_db(FORM) == pytest.approx(10 * math.log10(3)) and FORM.coded == 128


@pytest.mark.parametrize("error", [1e-3, 0.1])
@pytest.mark.parametrize("snr_db", [0.0, 10.0])
def test_the_normal_approximation_is_the_inverse_of_the_rate_at_an_error(snr_db, error):
    bits = 500 * rates.rate(snr_db, 500, error)
    found = packets.normal_approximation(Format(bits, 500, 4), snr_db)
    assert found == pytest.approx(error, rel=1e-6)


def test_a_missing_package_is_one_sentence():
    with pytest.raises(InputError, match=r"^no_such_package is not installed: requirements-channels.txt"):
        optional("no_such_package")


def test_a_crossing_lies_on_the_line_in_the_logarithm():
    import pandas as pd

    points = pd.DataFrame({"snr_db": [0.0, 1.0, 2.0], "lost": [0.5, 0.1, 0.001], "normal": [0.001, 0.001, 0.001]})
    assert channels.crossing(points, "lost") == pytest.approx(1.5)
    assert channels.crossing(points, "normal") is None and channels.crossing(points, "lost", 1e-4) is None


@pytest.fixture
def code():
    generator = torch.Generator().manual_seed(0)
    known = torch.rand(400, 12, 2, 2, generator=generator).pow(4)
    return coding.feature_codes(known, 40, 10.0)[0], known


def test_a_message_comes_back_whole_and_is_as_short_as_estimated(code):
    pytest.importorskip("constriction")
    code, known = code
    coder, levels = entropy.Coder(code, 2, 2), entropy.levels_of(code, known[:100]).numpy()
    messages = [coder.message(image) for image in levels]
    for image, message in zip(levels, messages, strict=True):
        followed = np.concatenate([message, np.zeros(17, np.uint8)])
        assert np.array_equal(coder.levels(followed, image.shape), image)
    real, estimated = entropy.lengths(code, known[:100])
    assert real.tolist() == list(map(len, messages))
    # An interval of width p holds a number of ⌈−log₂ p⌉ + 1 bits, and rounded tables cost a little.
    assert (real <= estimated + 1).all() and real.mean() > estimated.mean() - 2


def test_sent_levels_are_those_that_the_receiver_restores(code):
    code, known = code
    received, _ = code(known)
    levels = entropy.levels_of(code, known)
    restored = torch.stack([values[level] for values, level in zip(code.values, levels.unbind(1), strict=True)], 1)
    assert torch.equal(received[:, code.sent], restored)


def test_packets_arrive_on_a_good_channel_and_not_on_a_bad_one_with_a_cliff_between():
    pytest.importorskip("sionna")
    modem, generator = Modem(FORM), torch.Generator().manual_seed(0)
    bits = torch.randint(0, 2, (300, FORM.bits), generator=generator).float()
    lost = [1 - modem.arrives(bits, snr_db, generator).float().mean().item() for snr_db in (2.0, 7.0, 14.0)]
    assert lost[0] > 0.9 and 0.02 < lost[1] < 0.9 and lost[2] == 0
    assert lost[1] > packets.normal_approximation(FORM, 7.0)  # no code is much better


def test_the_noise_is_that_of_the_snr_on_real_symbols():
    """Uncoded QPSK signs: Q(√snr) of them are wrong, as of real symbols of unit power."""
    pytest.importorskip("sionna")
    modem, generator = Modem(Format(32, 64, 2)), torch.Generator().manual_seed(0)
    heard = []
    modem.encoder, modem.decoder = (lambda bits: bits.repeat(1, 2)), (lambda llr: heard.append(llr) or llr[:, :32])
    bits = torch.randint(0, 2, (4000, 32), generator=generator).float()
    modem.arrives(bits, 3.0, generator)
    wrong = ((torch.cat(heard) > 0) != bits.repeat(1, 2).bool()).double().mean().item()
    assert wrong == pytest.approx(0.5 * math.erfc(10 ** (3 / 20) / math.sqrt(2)), rel=0.05)
