"""Steps 3 and 4 of a study over another channel: trained and evaluated there, and trained elsewhere."""

import pandas as pd
import yaml

from helpers import AUTOENCODER, MODEL, TINY, execute, folder, result, runs
from lib import results, study
from lib.channel import Erasure, Fading
from lib.deploy import stored
from lib.evidence import fingerprint

ERASURE = {"name": "erasure", "p": 0.5, "packet": 16}


def over(workspace, channel):
    """The tiny study over a channel, without other schemes."""
    content = {**yaml.safe_load(TINY), "channel": channel}
    del content["baselines"]
    (workspace / "params" / "tiny.yaml").write_text(yaml.safe_dump(content))
    return [name for name in runs() if "end_to_end" in name][0]


def accuracies(name):
    return pd.DataFrame(result(name)["evaluation"]).groupby("snr_db").accuracy.mean()


def test_a_model_is_trained_and_tried_over_the_studys_channel_and_is_told_apart(workspace):
    usual = result(MODEL)
    name = over(workspace, ERASURE)
    assert name == MODEL + "-erasure0.5x16" and runs()[name].upstream == [AUTOENCODER + "-erasure0.5x16"]
    for step in (AUTOENCODER + "-erasure0.5x16", name):
        execute(step)
    assert result(MODEL) == usual  # the other model is still there
    assert result(name)["parameters"]["channel"]["p"] == 0.5
    pipeline, _ = stored.pipeline(folder(name))
    assert isinstance(pipeline.link.channel, Erasure) and pipeline.link.channel.packet == 16
    table = results.load("tiny")
    rows = table[table.run == name]
    assert set(rows.channel) == set(rows.trained_on) == {"erasure0.5x16"}
    assert not results.stale("tiny")[0]


def test_what_is_trained_on_noise_is_tried_over_another_channel_and_fares_worse(workspace):
    usual, before = accuracies(MODEL), result(AUTOENCODER)
    name = over(workspace, {"name": "fading", "receiver_knows": False, "trained_on": {"name": "awgn"}})
    assert name == MODEL + "-over-rayleigh-unknown" and runs()[name].upstream == [AUTOENCODER]
    execute(name)
    assert result(AUTOENCODER) == before
    # The same training, to the last weight: only what came after it differs.
    assert result(name)["weights"] == result(MODEL)["weights"]
    assert accuracies(name)[14.5] < usual[14.5]
    table = results.load("tiny")
    row = table[table.run == name].iloc[0]
    assert (row.channel, row.trained_on) == ("rayleigh-unknown", "awgn")
    pipeline, _ = stored.pipeline(folder(name))
    assert isinstance(pipeline.link.channel, Fading) and not pipeline.link.channel.receiver_knows


def test_a_study_that_says_awgn_has_the_runs_of_one_that_says_nothing(project):
    settings = study.load("tiny")
    said = settings.model_copy(update={"channel": type(settings.channel)(name="awgn")})
    for item in study.runs(said):
        assert fingerprint.origin(said, item, [], "code") == fingerprint.origin(settings, item, [], "code")
    assert [item.name for item in study.runs(said)] == list(runs())
