"""Study files changed at random: each is refused in one sentence, or listed to an end that means what it says.

MUTATIONS=2000 tries that many of each kind; otherwise 200 of a usual study, and 30 or 60 of each that goes past it.
"""

import copy
import json
import os

import pytest
import yaml
from hypothesis import HealthCheck, given, settings, strategies as st
from PIL import Image

from helpers import QUICK, refusal, written
from lib import InputError, geometry, study
from lib.ladder import records

PAST = {**QUICK, "baselines": None, "deciding": {}}  # other schemes are of AWGN and VGG16 alone
FADING = {"name": "fading", "k_db": 6.0, "equaliser": "mmse", "trained_on": {"name": "erasure", "p": 0.2, "packet": 4}}

VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 70), st.sampled_from([10**6, 10**30, -10**12, 2**31]),
    st.floats(allow_nan=True), st.floats(-70, 70), st.floats(0, 1), st.sampled_from([-0.0, 0.5, 1e-320, 14.5000001]),
    st.text(max_size=5), st.sampled_from(["1e-3", "~", "a\0b", "../x", "longer_step4", "step", "adam", "no_gdn"]),
    st.lists(st.one_of(st.integers(-2, 3000), st.floats(-1, 20)), max_size=3), st.builds(dict), st.builds(lambda: [[]]))


def places_in(content, before=()):
    """The paths to everything in nested values."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield (*before, key)
        yield from places_in(value, (*before, key))


def mutate(content, data):
    """Replace, remove, double or add one thing, anywhere."""
    path = data.draw(st.sampled_from(sorted(places_in(content), key=str)))
    *above, last = path
    section = content
    for key in above:
        section = section[key]
    change = data.draw(st.sampled_from(["replace", "replace", "scale", "remove", "add"]))
    if change == "remove":
        del section[last]
    elif change == "scale" and isinstance(section[last], int | float) and not isinstance(section[last], bool):
        section[last] = type(section[last])(section[last] * data.draw(st.sampled_from([-1, 0, 2, 3, 10])))
    elif change == "add" and isinstance(section, list):
        section.append(copy.deepcopy(section[last]) if data.draw(st.booleans()) else data.draw(VALUES))
    elif change == "add":
        section[data.draw(st.sampled_from(["momentum", "nesterov", "milestones", "warm_up", "matched_snr_db", "seed"]))
                ] = data.draw(VALUES)
    else:
        section[last] = data.draw(VALUES)


def check_meaning(loaded, content):
    """The list is whole: what the file asks for is there, once, can be built, and says all that it depends on."""
    listed = study.runs(loaded)
    names = [item.name for item in listed]
    assert len(set(names)) == len(names) and all(set(item.upstream) <= set(names[:number])
                                                 for number, item in enumerate(listed))
    models = {tuple(item.parameters[key] for key in ("pool", "ratio", "bandwidth", "snr_db", "seed"))
              for item in listed if item.step == "end_to_end"}
    five = content["figure5"]
    for bandwidth in five["bandwidths"]:
        for seed in content["seeds"]:
            assert (five["pool"], five["ratio"], bandwidth, five.get("fixed_snr_db", 14.5), seed) in models
            channels = geometry.symbol_channels(five["pool"], bandwidth, loaded.data.side, loaded.network.name)
            assert bandwidth % channels == 0
            if (loaded.network.name, loaded.data.side) == ("vgg16_bn", 32):
                assert channels * geometry.SYMBOLS_PER_CHANNEL[five["pool"]] == bandwidth
    for item in listed:
        assert len(item.name.split("/")) == 2 and ".." not in item.name
        again = study.resolved(loaded, item)
        assert json.loads(json.dumps(again)) == again
        schedule = again.get(item.step, {})
        if item.step == "pretrain":
            assert schedule["epochs"] == content["pretrain"]["epochs"] and schedule["lr"] == content["pretrain"]["lr"]


def check_ladder(loaded, content):
    """Each rung has a file of its own, which no other has, and means the point that the file says."""
    ladder = records.ladder(loaded)
    names = [*(record for name in ladder.rungs for record in records.seeds(loaded, name)), *ladder.over,
             records.SEPARATION, records.ONE, records.CLEAN, *(f"{records.NET}{name}" for name in ladder.nets)]
    assert len(set(names)) == len(names) and all("/" not in name and len(name) < 200 for name in names)
    for name, rung in content["ladder"]["rungs"].items():
        said = records.parameters(loaded, name)
        assert json.loads(json.dumps(said)) == said
        for part in ("bandwidth", "snr_db"):
            given = rung.get(part)
            assert said[part] == (content["ladder"][part] if given is None else given) and abs(said[part]) <= 2**16


def check(path, content, meaning):
    """A study's file is refused in one sentence, or `meaning` finds what it says."""
    file = written(path, yaml.safe_dump(content))
    try:
        loaded = study.load(file)
    except InputError:
        refusal(file)
    else:
        meaning(loaded, content)


def changed(content, data):
    """A copy with one or two changes."""
    content = copy.deepcopy(content)
    for _ in range(data.draw(st.integers(1, 2))):
        mutate(content, data)
    return content


def many(usual):
    return settings(max_examples=int(os.environ.get("MUTATIONS", usual)), derandomize=True,
                    suppress_health_check=list(HealthCheck))


@many(200)
@given(data=st.data())
def test_a_changed_study_is_refused_in_one_sentence_or_means_what_it_says(tmp_path_factory, data):
    check(tmp_path_factory.getbasetemp(), changed(QUICK, data), check_meaning)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    for name in ("cat", "dog", "ox"):
        (root / name).mkdir()
        for number in range(10):
            Image.new("RGB", (8, 8), (20 * number, 0, 0)).save(root / name / f"{number}.png")
    return str(root)


@pytest.mark.parametrize("changes", [
    {"channel": FADING}, {"network": {"name": "resnet18", "width": 0.25}},
    {"network": {"name": "mobilenet_v2", "width": 0.25}, "channel": {"name": "peak_limited", "papr_db": 3.0}},
    {"data": {"name": "folder", "side": 32}}], ids=["channel", "resnet18", "mobilenet_v2", "folder"])
@many(60)
@given(data=st.data())
def test_so_is_a_changed_study_past_the_paper(tmp_path_factory, pictures, changes, data):
    base = {**PAST, **changes, "figure3": {**QUICK["figure3"], "ladders": []}}
    if "data" in changes:
        base["data"] = {**changes["data"], "root": pictures}
    check(tmp_path_factory.getbasetemp(), changed(base, data), check_meaning)


@pytest.mark.parametrize("name", ["best", "channels"])
@many(30)
@given(data=st.data())
def test_so_is_a_changed_ladder(tmp_path_factory, name, data):
    whole = yaml.safe_load((study.ROOT / "params" / f"{name}.yaml").read_text())
    # The ladder alone is changed: the rest is as in every study.
    content = {**whole, "name": "changed", "ladder": changed(whole["ladder"], data)}
    check(tmp_path_factory.getbasetemp(), content, check_ladder)
