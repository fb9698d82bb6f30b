"""A study's channel: what is refused, what it adds to names, and that nothing shipped is renamed."""

import pytest
from pydantic import ValidationError

from helpers import QUICK, quick_with, refusal, written
from lib import InputError, study
from lib.batch import checks
from lib.channels.parameters import Channel, StudyChannel

ERASURE = {"name": "erasure", "p": 0.2}


def without_schemes(tmp_path, **changes):
    content = {key: value for key, value in QUICK.items() if key != "baselines"}
    return written(tmp_path, {**content, **changes})


@pytest.mark.parametrize("given, words", [
    ({"name": "erasure", "p": 1.0}, "channel.p"), ({"name": "erasure", "p": -0.1}, "channel.p"),
    ({"name": "erasure"}, "'erasure' needs p"), ({"name": "peak_limited"}, "needs papr_db"),
    ({"name": "awgn", "p": 0.1}, "'awgn' takes no p"), ({"name": "fading", "papr_db": 3.0}, "takes no papr_db"),
    ({"name": "rayleigh"}, "channel.name"), ({"name": "fading", "k_db": "3"}, "channel.k_db"),
    ({"name": "fading", "receiver_knows": False, "equaliser": "mmse"}, "no equaliser"),
    ({"name": "fading", "k_db": 90.0}, "channel.k_db"), ({"name": "erasure", "p": 0.1, "packet": 0}, "channel.packet"),
    ({"name": "erasure", "p": 0.1, "packet": 60_000}, "more than the"),
    ({**ERASURE, "trained_on": ERASURE}, "the same channel, erasure0.2"),
    ({"trained_on": {}}, "the same channel, awgn"),
    ({"speed": 3}, "channel.speed")])
def test_channels_that_do_not_fit_are_refused(tmp_path, given, words):
    assert words in refusal(without_schemes(tmp_path, channel=given))


def test_an_odd_number_of_symbols_cannot_be_paired(tmp_path):
    ladders = {"ladders": [{"pool": 5, "ratios": [0.5], "bandwidths": [7]}]}
    for given in ({"name": "fading"}, {"name": "peak_limited", "papr_db": 3.0}, {"trained_on": {"name": "fading"}}):
        message = refusal(without_schemes(tmp_path, channel=given, figure3=ladders))
        assert "must be even, not 7" in message
    study.load(without_schemes(tmp_path, channel=ERASURE, figure3=ladders))


def test_other_schemes_beside_another_channel_are_refused(tmp_path):
    assert "over awgn alone" in refusal(quick_with(tmp_path, channel=ERASURE))


@pytest.mark.parametrize("given, label", [
    ({}, "awgn"), ({"name": "fading"}, "rayleigh"), ({"name": "fading", "k_db": 3.0}, "rician3"),
    ({"name": "fast_fading", "receiver_knows": False}, "fast-rayleigh-unknown"),
    ({"name": "fading", "k_db": -2.5, "equaliser": "mmse"}, "rician-2.5-mmse"), (ERASURE, "erasure0.2"),
    ({"name": "erasure", "p": 0.25, "packet": 8}, "erasure0.25x8"),
    ({"name": "peak_limited", "papr_db": 3.0}, "papr3")])
def test_each_channel_has_a_label_of_its_own(given, label):
    assert Channel(**given).label == label


def names(path):
    return {item.step: item.name for item in study.runs(study.load(path))}


def test_only_another_channel_is_part_of_a_runs_name(tmp_path):
    usual = names(without_schemes(tmp_path))
    assert names(without_schemes(tmp_path, channel={"name": "awgn"})) == usual
    over = names(without_schemes(tmp_path, channel=ERASURE))
    assert over == {**usual, "autoencoder": usual["autoencoder"] + "-erasure0.2",
                    "end_to_end": usual["end_to_end"] + "-erasure0.2"}
    mixed = names(without_schemes(tmp_path, channel={**ERASURE, "trained_on": {}}))
    assert mixed == {**usual, "end_to_end": usual["end_to_end"] + "-over-erasure0.2"}
    other = names(without_schemes(tmp_path, channel={"trained_on": {"name": "fading"}}))
    assert other["autoencoder"].endswith("-rayleigh") and other["end_to_end"].endswith("-rayleigh-over-awgn")


def test_the_channel_counts_in_what_decides_a_runs_numbers_where_it_is_another(tmp_path):
    def decides(**changes):
        settings = study.load(without_schemes(tmp_path, **changes))
        return {item.step: study.resolved(settings, item, defaults=False) for item in study.runs(settings)}

    usual, over = decides(), decides(channel=ERASURE)
    assert "channel" not in usual["end_to_end"] and "channel" not in over["prune"] and "channel" not in over["pretrain"]
    assert over["end_to_end"]["channel"] == over["autoencoder"]["channel"] == ERASURE
    mixed = decides(channel={**ERASURE, "trained_on": {}})
    assert mixed["autoencoder"] == usual["autoencoder"]  # the very same model
    assert mixed["end_to_end"] != usual["end_to_end"]


def test_a_notebook_opened_by_hand_finds_its_run_by_the_same_name(tmp_path):
    from lib import job

    settings = study.load(without_schemes(tmp_path, channel=ERASURE))
    parameters = checks.run_parameters("end_to_end", {"pool": 2, "ratio": 0.5, "bandwidth": 512, "snr_db": 14.5,
                                                      "seed": 0, "variant": "proposed"})
    item, listed = job.describe(settings, "end_to_end", parameters)
    assert item.name == "end_to_end/pool2-r0.50-b512-snr14.5-s0-erasure0.2" and item.upstream[0] in listed


def test_the_example_is_a_study_over_fading():
    settings = study.load(study.ROOT / "params" / "examples" / "fading.yaml")
    assert settings.channel.label == "rayleigh-mmse"
    assert all(run.name.endswith("-rayleigh-mmse") for run in study.runs(settings) if run.step == "end_to_end")


def test_what_trains_is_the_evaluated_channel_unless_another_is_named():
    assert StudyChannel(**ERASURE).training.name == "erasure"
    assert StudyChannel(**ERASURE, trained_on=Channel()).training.name == "awgn"
    with pytest.raises((InputError, ValidationError)):
        Channel(name="erasure", p=2.0)
