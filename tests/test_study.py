"""A study's parameters and its list of runs: what is accepted, what is refused, what decides a number."""

import functools
import itertools
import re

import pytest
import yaml

from lib import InputError, baselines, codec, estimate, flops, parameters, study, vgg

PROFILES = ("quick", "desk", "gpu", "paper")
QUICK = {**yaml.safe_load((study.ROOT / "params" / "quick.yaml").read_text()), "name": "changed"}


def written(tmp_path, content):
    path = tmp_path / "changed.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def quick_with(tmp_path, **changes):
    """Quick's parameters with those at some dotted places changed: `quick_with(p, network__width=0.5)`."""
    content = yaml.safe_load(yaml.safe_dump(QUICK))
    for place, value in changes.items():
        *sections, last = place.split("__")
        section = content
        for part in sections:
            section = section[part]
        section[last] = value
    return written(tmp_path, content)


def refusal(path):
    """The message of a study that is refused: one sentence."""
    with pytest.raises(InputError) as error:
        study.load(path)
    message = str(error.value)
    assert "\n" not in message and message.endswith(".") and not re.search(r"[.!?] [A-Z]", message), message
    return message


# The shipped profiles

@pytest.mark.parametrize("profile", PROFILES)
def test_every_run_is_listed_once_and_after_what_it_needs(profile):
    seen = set()
    for item in study.runs(study.load(profile)):
        assert item.name not in seen and set(item.upstream) <= seen
        assert (item.step == "pretrain") == (not item.upstream)
        assert (study.ROOT / "notebooks" / f"{item.notebook}.ipynb").exists()
        seen.add(item.name)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_runs_name_is_made_from_its_parameters(profile):
    for item in study.runs(study.load(profile)):
        assert item.name == study.name(item.step, **item.parameters)


def test_a_name_reads_as_the_design_says():
    assert study.name("end_to_end", pool=2, ratio=0.5, bandwidth=2048, snr_db=14.5, seed=0, variant="proposed") == (
        "end_to_end/pool2-r0.50-b2048-snr14.5-s0")
    assert study.name("end_to_end", pool=5, ratio=0.0, bandwidth=8, snr_db=-5.0, seed=1, variant="no_gdn") == (
        "end_to_end/pool5-r0.00-b8-snr-5-s1-no_gdn")


def test_quick_has_at_most_45_runs():
    assert len(study.runs(study.load("quick"))) <= 45


@pytest.mark.parametrize("profile", PROFILES)
def test_one_pretrained_net_a_seed(profile):
    loaded = study.load(profile)
    assert [item.name for item in study.runs(loaded) if item.step == "pretrain"] == [
        f"pretrain/s{seed}" for seed in loaded.seeds]


def test_a_second_seed_repeats_figures_4_and_5_from_a_net_of_its_own(tmp_path):
    one, two = (study.runs(study.load(quick_with(tmp_path, seeds=seeds))) for seeds in ([0], [0, 7]))
    added = {item.name: item for item in two if item.name not in {item.name for item in one}}
    asked = {item.name.replace("-s0", "-s7").replace("/s0", "/s7") for item in one
             if item.figures & {"figure4a", "figure4b", "figure5"} and item.step != "baselines"}
    assert set(added) >= asked - {item.name for item in one}
    assert all("s7" in up for item in added.values() for up in item.upstream)


@pytest.mark.parametrize("profile", PROFILES)
def test_ratios_are_stops_on_one_chain_a_split(profile):
    stops = [item for item in study.runs(study.load(profile)) if item.step == "prune"]
    chain = {item.name: item for item in stops}

    def split(item):
        return item.parameters["pool"], item.parameters["seed"], item.parameters["variant"]

    for _, mine in itertools.groupby(sorted(stops, key=split), split):
        ordered = sorted(mine, key=lambda item: item.parameters["ratio"])
        assert ordered[0].upstream == [f"pretrain/s{ordered[0].parameters['seed']}"]
        for before, after in itertools.pairwise(ordered):
            assert after.upstream == [before.name] and before.name in chain


@pytest.mark.parametrize("profile", PROFILES)
def test_a_model_starts_from_its_own_ratio(profile):
    runs = {item.name: item for item in study.runs(study.load(profile))}
    for item in runs.values():
        ratio = item.parameters.get("ratio")
        if item.step in ("autoencoder", "end_to_end", "baselines"):
            start = item
            while start.step not in ("prune", "pretrain"):
                start = runs[start.upstream[0]]
            assert start.parameters.get("ratio", 0) == (ratio or 0)
            assert start.step == "pretrain" or start.parameters["pool"] == item.parameters["pool"]


def test_without_step_3_the_autoencoder_is_not_pretrained():
    runs = {item.name: item for item in study.runs(study.load("quick"))}
    assert runs["end_to_end/pool2-r0.50-b512-snr14.5-s0-no_step3"].upstream == ["prune/pool2-r0.50-s0"]
    assert runs["end_to_end/pool2-r0.50-b512-snr14.5-s0-no_gdn"].upstream == [
        "autoencoder/pool2-r0.50-b512-snr14.5-s0-no_gdn"]


@pytest.mark.parametrize("profile, number, point, epochs", [
    ("desk", 0, "pool2-r0.50-b512-snr14.5-s0", 2), ("gpu", 0, "pool2-r0.50-b512-snr14.5-s0", 60),
    ("gpu", 1, "pool5-r0.50-b8-snr14.5-s0", 22)])
def test_a_longer_step_4_starts_from_the_same_autoencoder_and_has_its_points_schedule(profile, number, point, epochs):
    loaded = study.load(profile)
    runs = {item.name: item for item in study.runs(loaded)}
    usual, longer = (runs[f"end_to_end/{point}{ending}"] for ending in ("", "-longer_step4"))
    assert longer.upstream == usual.upstream == [f"autoencoder/{point}"]
    schedules = [study.resolved(loaded, item)["end_to_end"] for item in (usual, longer)]
    assert schedules == [schedule.model_dump(mode="json") for schedule in (
        loaded.end_to_end, loaded.ablations[number].longer_step4)] and schedules[1]["epochs"] == epochs
    assert estimate.image_passes(loaded, longer) > 1.5 * estimate.image_passes(loaded, usual)


def test_a_longer_step_4_by_hand_takes_the_first_schedule():
    loaded = study.load("gpu")
    point = {"pool": 4, "ratio": 0.5, "bandwidth": 128, "snr_db": 0.0, "variant": "longer_step4"}
    assert study.of_run(loaded, point).end_to_end.epochs == 60


def test_the_separation_baseline_belongs_to_figures_4_and_5():
    for item in study.runs(study.load("paper")):
        if item.parameters.get("scheme") == "separation":
            expected = {4: "figure4b", 2: "figure5"}[item.parameters["pool"]]
            assert expected in item.figures, f"{item.name} is made for {item.figures}"


# The paper's numbers (Sec. II-D and III)

@pytest.mark.parametrize("step, epochs, lr, milestones", [
    ("pretrain", 60, 0.01, [20, 40]), ("prune", 10, 0.0001, None), ("autoencoder", 40, 0.1, None),
    ("end_to_end", 60, 0.0001, [20, 40])])
def test_the_papers_schedules_stand_in_paper_yaml(step, epochs, lr, milestones):
    schedule = getattr(study.load("paper"), step)
    schedule = schedule.training if step == "prune" else schedule
    assert (schedule.epochs, schedule.lr) == (epochs, lr)
    assert (schedule.optimizer, schedule.momentum) == ("sgd", 0.9)
    assert (schedule.nesterov, schedule.weight_decay) == (False, 5e-4)
    assert schedule.images_per_epoch is None  # every training image, every epoch
    if milestones:
        assert (schedule.decay, schedule.milestones, schedule.gamma) == ("step", milestones, 0.1)
    else:
        assert schedule.decay == "constant"


def test_the_papers_pruning_data_and_points_stand_in_paper_yaml():
    paper = study.load("paper")
    assert (paper.data.name, paper.network.width, paper.prune.filters_per_step) == ("cifar100", 1.0, 512)
    assert paper.evaluation.snr_db == sorted([*(-5 + 2.5 * step for step in range(11)), 14.5])
    a, b = paper.figure4.panels["a"], paper.figure4.panels["b"]
    assert (a.pool, a.bandwidth, b.pool, b.bandwidth) == (2, 2048, 4, 128)
    assert paper.figure4.ratios == paper.figure4.matched_ratios == [0, 0.25, 0.5, 0.75, 0.9]
    assert (paper.figure5.pool, paper.figure5.ratio, paper.figure5.bandwidths) == (2, 0.5, [256, 512, 1024, 2048])
    assert paper.figure4.matched_snr_db == paper.figure5.matched_snr_db == [-5, 0, 5, 10, 14.5, 20]
    assert (paper.figure3.snr_db, paper.figure3.tolerance) == (14.5, 0.02)


def test_figure_3s_ladder_reaches_what_the_claims_need():
    ladders = {ladder.pool: ladder for ladder in study.load("paper").figure3.ladders}
    assert {0.6, 0.7, 0.8} <= set(ladders[1].ratios) and {2048, 2560} <= set(ladders[1].bandwidths)
    assert len(ladders[3].ratios) == 2 and {0.3, 0.4, 0.5} <= set(ladders[5].ratios) and 8 in ladders[5].bandwidths
    assert any(run.scheme == "bottlenet_plus" and run.bandwidth == 8192 for run in study.load("paper").baselines.runs)


# What is refused, in one sentence that names the culprit

BAD = {
    "unknown name at the top": ({"epochs": 3}, "epochs"),
    "unknown name inside": ({"network__depth": 2}, "network.depth"),
    "unknown name two levels down": ({"prune__training__warm_up": 2}, "prune.training.warm_up"),
    "1e-3 is text": ({"autoencoder__lr": "1e-3"}, "autoencoder.lr", "1.0e-3"),
    "ratio over 1": ({"figure5__ratio": 1.2}, "1.2"),
    "ratio of 1": ({"figure5__ratio": 1.0}, "1.0"),
    "negative ratio": ({"figure4__ratios": [0.0, -0.1]}, "-0.1"),
    "ratio that is not a number": ({"figure5__ratio": float("nan")}, "nan"),
    "ratio forbidden by the floor": ({"figure4__ratios": [0.0, 0.99]}, "0.99", "fewer than 2"),
    "impossible bandwidth": ({"figure5__bandwidths": [256, 100]}, "100", "multiple of 16"),
    "impossible bandwidth in a panel": ({"figure4__panels__a__bandwidth": 2047}, "2047", "multiple of 16"),
    "bandwidth of zero": ({"figure5__bandwidths": [0]}, "0", "positive"),
    "bandwidth that is not whole": ({"figure5__bandwidths": [256.0]}, "figure5.bandwidths", "256.0"),
    "bandwidth as text": ({"figure4__panels__b__bandwidth": "128"}, "figure4.panels.b.bandwidth", "128"),
    "pool 6": ({"figure5__pool": 6}, "figure5.pool", "6"),
    "pool as text": ({"figure4__panels__a__pool": "2"}, "figure4.panels.a.pool"),
    "a third panel": ({"figure4__panels__c": {"pool": 2, "bandwidth": 64}}, "panels.c"),
    "no noise draw": ({"evaluation__draws": 0}, "evaluation.draws"),
    "no SNR": ({"evaluation__snr_db": []}, "evaluation.snr_db"),
    "SNR that is not a number": ({"evaluation__snr_db": [float("nan")]}, "evaluation.snr_db", "nan"),
    "negative rate": ({"pretrain__lr": -0.1}, "pretrain.lr", "-0.1"),
    "unbounded rate": ({"pretrain__lr": float("inf")}, "pretrain.lr", "inf"),
    "no epoch": ({"autoencoder__epochs": 0}, "autoencoder", "one epoch", "0"),
    "no epoch of another scheme": ({"baselines__frozen__epochs": 0}, "baselines.frozen", "one epoch"),
    "negative seed": ({"seeds": [-1]}, "seeds.0", "-1"),
    "seed that no generator takes": ({"seeds": [2**31]}, "seeds.0", "2147483648"),
    "ratio that removes nothing": ({"figure4__ratios": [0.0, 0.0001]}, "0.0001", "as 0"),
    "two ratios that remove the same": ({"figure4__ratios": [0.5, 0.5001]}, "0.5001", "as 0.5"),
    "truth for a number": ({"pretrain__epochs": True}, "pretrain.epochs"),
    "unknown data": ({"data__name": "cifar10"}, "data.name", "cifar10"),
    "unknown variant": ({"ablations__variants": ["no_step4"]}, "no_step4"),
    "longer step without its schedule": ({"ablations__variants": ["longer_step4"]}, "ablations", "longer_step4"),
    "ablations that are none": ({"ablations": False}, "ablations", "False"),
    "ablations of one point twice": (
        {"ablations": [{"pool": 2, "ratio": 0.5, "bandwidth": 64, "snr_db": 0.0, "variants": [variant]}
                       for variant in ("no_gdn", "no_step3")]}, "twice", "'bandwidth': 64"),
    "JPEG quality over 95": ({"baselines__jpeg_quality": 96}, "baselines.jpeg_quality", "96"),
    "name with a slash": ({"name": "../paper"}, "name", "../paper"),
    "section left empty": ({"pretrain": None}, "pretrain"),
    "unknown scheme": ({"baselines__runs": [{"scheme": "bottlnet", "pool": 2, "level": 4}]}, "bottlnet"),
    "scheme without its level": ({"baselines__runs": [{"scheme": "jpeg"}]}, "level"),
    "scheme without its split": ({"baselines__runs": [{"scheme": "jalad", "level": 4}]}, "pool"),
    "scheme's impossible bandwidth": (
        {"baselines__runs": [{"scheme": "bottlenet_plus", "pool": 2, "bandwidth": 100}]}, "100"),
    **{f"{scheme} of {values}": ({"baselines__runs": [{"scheme": scheme, **values}]}, *culprits)
       for scheme, values, *culprits in [
           ("jpeg", {"level": 101}, "1 to 100", "101"), ("webp", {"level": 101}, "1 to 100"),
           ("jpeg", {"level": 0}, "level", "0"), ("jalad", {"pool": 2, "level": 9}, "1 to 8", "9"),
           ("two_step", {"pool": 2, "ratio": 0.5, "level": 9}, "1 to 8"),
           ("bottlenet", {"pool": 2, "level": 33}, "32 channels", "33"),
           ("bottlenet", {"pool": 2, "level": 0}, "level", "0"),
           ("bottlenet_plus", {"pool": 2, "bandwidth": 2048 + 16}, "16 up to 512", "64 up to 2048", "2064"),
           ("bottlenet_plus", {"pool": 5, "bandwidth": 129}, "1 up to 128", "129"),
           ("deepjscc", {"bandwidth": 100}, "64", "100"), ("deepjscc", {"bandwidth": -64}, "bandwidth", "-64"),
           ("separation", {"pool": 2, "ratio": 0.5, "bandwidth": 0}, "bandwidth", "0"),
           ("png", {"bandwidth": 100}, "'png'", "no bandwidth"), ("png", {"ratio": 0.5}, "no ratio"),
           ("bottlenet", {"pool": 2, "level": 4, "ratio": 0.5, "bandwidth": 64}, "no ratio and no bandwidth")]},
    "pool that is not whole": ({"figure5__pool": 2.0}, "figure5.pool", "2.0"),
    "truth for a pool": ({"figure5__pool": True}, "figure5.pool"),
    "scheme's impossible ratio": (
        {"baselines__runs": [{"scheme": "two_step", "pool": 2, "ratio": 1.2, "level": 4}]}, "1.2"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_parameters_are_refused_in_one_sentence(tmp_path, case):
    changes, *culprits = BAD[case]
    message = refusal(quick_with(tmp_path, **changes))
    assert "changed.yaml" in message and all(culprit in message for culprit in culprits), message


@pytest.mark.parametrize("stem, name", [("changed", "quick"), ("interactive", "interactive"), ("bench", "bench")])
def test_a_name_that_leads_to_other_results_is_refused(tmp_path, stem, name):
    path = quick_with(tmp_path, name=name).rename(tmp_path / f"{stem}.yaml")
    assert f"{stem}.yaml" in (message := refusal(path)) and repr(name) in message


def test_a_file_elsewhere_does_not_take_a_shipped_studys_name(tmp_path):
    message = refusal(quick_with(tmp_path, name="quick").rename(tmp_path / "quick.yaml"))
    assert "params/quick.yaml" in message


def accepted(build, *arguments, **options):
    try:
        build(*arguments, **options)
    except InputError:
        return False
    return True


@pytest.mark.parametrize("pool, channels", enumerate((16, 32, 64, 128, 128), 1))
def test_the_bottlenets_that_are_accepted_are_those_that_can_be_built(pool, channels):
    check = functools.partial(study.check, study.load("quick"), pool=pool)
    for level in (1, channels, channels + 1):
        assert accepted(check, scheme="bottlenet", level=level) == (
            accepted(baselines.BottleNet, pool, channels, level)), level
    for bandwidth in (1, 8, 16, 20, 64, 100, 128, 129, 512, 516, 528, 1024, 2048, 2064, 4096, 4160, 8192):
        assert accepted(check, scheme="bottlenet_plus", bandwidth=bandwidth) == (
            accepted(baselines.bottlenet_plus, pool, channels, bandwidth, 10.0)), bandwidth


@pytest.mark.parametrize("bandwidth", [1, 64, 100, 128])
def test_the_image_links_that_are_accepted_are_those_that_can_be_built(tmp_path, bandwidth):
    path = quick_with(tmp_path, baselines__runs=[{"scheme": "deepjscc", "bandwidth": bandwidth}])
    assert accepted(study.load, path) == accepted(baselines.image_link, bandwidth, 10.0)


@pytest.mark.parametrize("greatest", [
    {"scheme": "jpeg", "level": 100}, {"scheme": "webp", "level": 100}, {"scheme": "jalad", "pool": 2, "level": 8}])
def test_the_greatest_levels_are_accepted(tmp_path, greatest):
    study.load(quick_with(tmp_path, baselines__runs=[greatest]))


def test_a_missing_section_is_named(tmp_path):
    content = {key: value for key, value in QUICK.items() if key != "end_to_end"}
    assert "end_to_end" in refusal(written(tmp_path, content))


def test_an_unknown_profile_is_named():
    assert "'quik'" in refusal("quik")


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert "nowhere.yaml" in refusal(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("content", ["", "- a list", "just text", "name: [unclosed", "\tname: tab"])
def test_what_is_not_a_study_is_refused(tmp_path, content):
    assert "changed.yaml" in refusal(written(tmp_path, content))


def test_a_binary_file_is_refused(tmp_path):
    path = tmp_path / "changed.yaml"
    path.write_bytes(b"\xff\xfe\x00\x01")
    assert "changed.yaml" in refusal(path)


def test_1e_3_without_a_point_is_text_in_a_yaml_file_too(tmp_path):
    path = written(tmp_path, yaml.safe_dump(QUICK).replace("lr: 0.005", "lr: 5e-3"))
    assert "end_to_end.lr" in refusal(path) and "1.0e-3" in refusal(path)


def test_a_whole_number_is_a_number(tmp_path):
    assert study.load(quick_with(tmp_path, evaluation__snr_db=[0, 5])).evaluation.snr_db == [0.0, 5.0]


def test_a_highest_possible_ratio_is_accepted(tmp_path):
    total, least = 16 + 16 + 32 + 32, 4 * 2  # quarter width, 2 filters in each of 4 layers
    loaded = study.load(quick_with(tmp_path, figure5__ratio=1 - least / total))
    assert any(item.parameters.get("ratio") == 1 - least / total for item in study.runs(loaded))
    refusal(quick_with(tmp_path, figure5__ratio=1 - (least - 1) / total))


def test_two_ratios_never_share_a_run(tmp_path):
    try:
        loaded = study.load(quick_with(tmp_path, figure4__ratios=[0.0, 0.122, 0.124]))
    except InputError:
        return  # refused, which is as good
    ratios = {item.parameters["ratio"] for item in study.runs(loaded) if "figure4a" in item.figures
              and item.step == "end_to_end"}
    assert ratios >= {0.122, 0.124}


# What decides a run's numbers

def resolved(loaded):
    return {item.name: study.resolved(loaded, item) for item in study.runs(loaded)}


def test_the_runs_do_not_depend_on_what_the_study_says_about_itself(tmp_path):
    assert study.runs(study.load(quick_with(tmp_path, about="something else"))) == study.runs(study.load("quick"))


@pytest.mark.parametrize("changes", [
    {"about": "something else"}, {"data__root": "elsewhere"}, {"threads": {"pretrain": 1, "others": 4}},
    {"seeds": [0, 1]}, {"figure3__ladders": []}, {"figure3__tolerance": 0.1}, {"figure4__ratios": [0.0, 0.5]},
    {"figure4__matched_ratios": [0.0], "figure4__matched_snr_db": [0.0, 14.5]}, {"figure5__bandwidths": [256]},
    {"ablations": None}, {"baselines__runs": [{"scheme": "png"}]}, {"cuda_graphs": False}],
    ids=lambda changes: " ".join(changes))
def test_what_decides_no_number_is_not_among_a_runs_parameters(tmp_path, changes):
    before, after = resolved(study.load("quick")), resolved(study.load(quick_with(tmp_path, **changes)))
    common = set(before) & set(after)
    assert "pretrain/s0" in common and {name: before[name] for name in common} == {name: after[name] for name in common}


@pytest.mark.parametrize("place, value, steps", [
    ("pretrain__lr", 0.2, {"pretrain"}), ("prune__training__lr", 0.2, {"prune", "baselines"}),
    ("prune__score_images", 9, {"prune", "baselines"}), ("autoencoder__epochs", 9, {"autoencoder"}),
    ("end_to_end__momentum", 0.5, {"end_to_end"}), ("baselines__frozen__epochs", 9, {"baselines"}),
    ("baselines__jpeg_quality", 30, {"baselines"}), ("baselines__block_error", 0.1, {"baselines"}),
    ("evaluation__draws", 9, {"end_to_end", "baselines"}),
    ("evaluation__snr_db", [0.0, 14.5], {"end_to_end", "baselines"}),
    ("precision", "bfloat16", {"pretrain", "prune", "autoencoder", "end_to_end", "baselines"}),
    ("network__width", 0.5, {"pretrain", "prune", "autoencoder", "end_to_end", "baselines"})])
def test_what_decides_a_number_is_among_its_runs_parameters(tmp_path, place, value, steps):
    before, after = resolved(study.load("quick")), resolved(study.load(quick_with(tmp_path, **{place: value})))
    assert {name.split("/")[0] for name in before if before[name] != after[name]} == steps
    assert {name for name in before if name.split("/")[0] in steps} == {
        name for name in before if before[name] != after[name]}


def test_a_models_evaluation_points_are_decided_by_its_parameters(tmp_path):
    """With `matched_across` off, only the models of `fixed_snr_db` are evaluated over all SNRs."""
    matched = {"matched_across": False, "snr_db": [0.0, 10.0, 14.5], "draws": 1}
    two = [study.load(quick_with(tmp_path, evaluation=matched, figure4__matched_ratios=[0.5],
                                 figure4__matched_snr_db=[10.0], figure4__fixed_snr_db=fixed))
           for fixed in (10.0, 14.5)]
    assert [loaded.snrs_db(10.0) for loaded in two] == [[0.0, 10.0, 14.5], [10.0]]
    name = "end_to_end/pool2-r0.50-b2048-snr10-s0"
    assert resolved(two[0])[name] != resolved(two[1])[name]


@pytest.mark.parametrize("section", ["evaluation", "baselines"])
def test_every_setting_is_used(section):
    sources = "".join(path.read_text() for folder, kind in (("lib", "*.py"), ("notebooks", "*.ipynb"))
                      for path in sorted((study.ROOT / folder).glob(kind))).replace("spec.", "baselines.")
    fields = getattr(parameters, section.capitalize()).model_fields
    assert [name for name in fields if f"{section}.{name}" not in sources] == []


@pytest.mark.parametrize("profile", PROFILES)
def test_every_run_has_an_estimate(profile):
    loaded = study.load(profile)
    assert all(estimate.image_passes(loaded, item) > 0 for item in study.runs(loaded))


@pytest.mark.parametrize("spans, length", [
    ([(0, 2), (5, 6)], 3), ([(0, 4), (1, 3), (2, 6)], 6), ([(5, 6), (0, 2), (1, 3)], 4), ([], 0)])
def test_the_time_of_runs_side_by_side_counts_once(spans, length):
    assert estimate._covered(spans) == length


@pytest.mark.parametrize("pool, bandwidth, channels", [(1, 2048, 64), (2, 512, 128), (4, 128, 512), (5, 8, 512)])
def test_the_estimates_share_of_the_link_is_what_its_layers_count(pool, bandwidth, channels):
    link = codec.link(pool, channels, bandwidth, 10.0)
    counted = flops.count_macs(link, (channels, 32 >> pool, 32 >> pool)) / flops.count_macs(vgg.vgg16_bn(), (3, 32, 32))
    assert estimate._link_share(1.0, pool, 0.0, bandwidth) == pytest.approx(counted, rel=0.01)
