"""Study files changed at random: each is refused in one sentence, or listed to an end that means what it says.

MUTATIONS=2000 tries that many; 200 otherwise.
"""

import copy
import json
import os

import yaml
from hypothesis import HealthCheck, given, settings, strategies as st

from helpers import QUICK, refusal, written
from lib import InputError, geometry, study

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
            assert geometry.symbol_channels(five["pool"], bandwidth) * geometry.SYMBOLS_PER_CHANNEL[five["pool"]
                                                                                                    ] == bandwidth
    for item in listed:
        assert len(item.name.split("/")) == 2 and ".." not in item.name
        again = study.resolved(loaded, item)
        assert json.loads(json.dumps(again)) == again
        schedule = again.get(item.step, {})
        if item.step == "pretrain":
            assert schedule["epochs"] == content["pretrain"]["epochs"] and schedule["lr"] == content["pretrain"]["lr"]


@settings(max_examples=int(os.environ.get("MUTATIONS", "200")), deadline=None, derandomize=True,
          suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_changed_study_is_refused_in_one_sentence_or_means_what_it_says(tmp_path_factory, data):
    content = copy.deepcopy(QUICK)
    for _ in range(data.draw(st.integers(1, 2))):
        mutate(content, data)
    path = written(tmp_path_factory.getbasetemp(), yaml.safe_dump(content))
    try:
        loaded = study.load(path)
    except InputError:
        refusal(path)
    else:
        check_meaning(loaded, content)
