"""What a ladder's file cannot ask for: refused before anything is computed, with the place of the fault."""

import copy

import pytest
import yaml

from helpers import refusal, written
from lib import InputError, study
from lib.ladder import records

CHANNELS = yaml.safe_load((study.ROOT / "params" / "channels.yaml").read_text()) | {"name": "changed"}


def changed(tmp_path, *path, value):
    content = copy.deepcopy(CHANNELS)
    section = content["ladder"]
    for part in path[:-1]:
        section = section[part]
    section[path[-1]] = value
    return written(tmp_path, content)


@pytest.mark.parametrize(("path", "value", "words"), [
    (["snr_db"], -400.0, "ladder.snr_db"), (["bandwidth"], 2**40, "ladder.bandwidth"),
    (["snrs_db"], [0.0, -0.0], "there twice"), (["over", "free", "seeds"], [1, 1], "over.free"),
    (["bandwidth"], 63, "even, not 63"), (["rungs", "recipe", "bandwidth"], 15, "15"),
    (["rungs", "recipe", "temperature"], 1e-320, "temperature"), (["views", "plain", "every"], 10**9, "every"),
    (["rungs", "recipe", "whole"], {"schedule": {"epochs": 1, "lr": 0.1}}, "not as a whole"),
    (["rungs", "clean"], CHANNELS["ladder"]["rungs"]["recipe"], "'clean'"),
    (["rungs", "a" * 300], CHANNELS["ladder"]["rungs"]["recipe"], "100 characters")])
def test_what_cannot_work_is_refused(tmp_path, path, value, words):
    assert words in refusal(changed(tmp_path, *path, value=value))


@pytest.mark.parametrize("network", [{"name": "resnet18"}, {"name": "mobilenet_v2", "width": 0.5}])
def test_a_ladder_of_another_network_is_refused(tmp_path, network):
    loaded = study.load(changed(tmp_path, "seed", value=0)).model_copy()
    other = loaded.model_copy(update={"network": type(loaded.network)(**network)})
    assert records.ladder(loaded) and loaded.network.name == "vgg16_bn"
    with pytest.raises(InputError, match=f"vgg16_bn.*{network['name']}"):
        records.ladder(other)
