"""A study's list of runs: what is on it, in which order, and what decides the numbers of each."""

import itertools
import time

import pytest

from helpers import quick_with
from lib import InputError, study
from lib.batch import parameters

PROFILES = ("quick", "desk", "gpu", "paper")


# Many points

def test_ten_thousand_runs_are_read_and_listed_in_seconds(tmp_path):
    """With each point looked up among all others it took a minute and a half."""
    ladder = {"pool": 4, "ratios": [number / 20 for number in range(10)], "bandwidths": list(range(1, 501))}
    path = quick_with(tmp_path, figure3__ladders=[ladder])
    began = time.process_time()
    listed = study.runs(study.load(path))
    assert len(listed) > 10_000 and time.process_time() - began < 10


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


def test_quick_has_at_most_50_runs():
    assert len(study.runs(study.load("quick"))) <= 50


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

    for _, of_one_split in itertools.groupby(sorted(stops, key=split), split):
        ordered = sorted(of_one_split, key=lambda item: item.parameters["ratio"])
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
    expected = loaded.end_to_end, loaded.ablations[number].longer_step4
    assert schedules == [schedule.model_dump(mode="json") for schedule in expected]
    assert schedules[1]["epochs"] == epochs


def test_a_longer_step_4_by_hand_takes_the_first_schedule():
    loaded = study.load("gpu")
    point = {"pool": 4, "ratio": 0.5, "bandwidth": 128, "snr_db": 0.0, "variant": "longer_step4"}
    assert study.settings_for(loaded, point).end_to_end.epochs == 60


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
                      for path in sorted((study.ROOT / folder).rglob(kind))).replace("spec.", "baselines.")
    fields = getattr(parameters, section.capitalize()).model_fields
    assert [name for name in fields if f"{section}.{name}" not in sources] == []


def test_runs_that_decide_claims_come_first_and_are_marked_with_all_upstream_of_them():
    listed = study.runs(study.load("paper"))
    marked = [item for item in listed if "claims" in item.figures]
    names = [item.name for item in listed]
    assert names[:6] == ["pretrain/s0", "prune/pool5-r0.30-s0", "prune/pool5-r0.40-s0", "prune/pool5-r0.50-s0",
                         "autoencoder/pool5-r0.50-b8-snr14.5-s0", "end_to_end/pool5-r0.50-b8-snr14.5-s0"]
    assert all(set(item.upstream) <= {other.name for other in marked} for item in marked)
    assert "baselines/bottlenet_plus-pool5-b64-snr14.5-s0" in {item.name for item in marked}
    models = [item for item in listed if item.step in ("pretrain", "prune", "autoencoder", "end_to_end")]
    count = sum("claims" in item.figures for item in models)
    assert all("claims" in item.figures for item in models[:count])


def test_what_is_off_by_default_is_no_part_of_a_runs_origin():
    settings = study.load("quick")
    item = study.runs(settings)[0]
    whole, short = study.resolved(settings, item), study.resolved(settings, item, defaults=False)
    assert whole["pretrain"]["momentum"] == 0.9 and "momentum" not in short["pretrain"]
    assert short["pretrain"].items() <= whole["pretrain"].items() and short["seed"] == 0


READINGS = """
  own_rate: {about: of step 4, end_to_end: {link_lr: 0.5}}
  signed: {about: of step 2, prune: {criterion: signed_taylor, training: {lr: 0.25}}}
  clipped: {about: of step 3, autoencoder: {clip_norm: 1.0}}
"""


def with_readings(folder, readings=READINGS, variants="[own_rate, signed, clipped]"):
    text = (study.ROOT / "params" / "quick.yaml").read_text().replace("name: quick", "name: other")
    text = text.replace("variants: [no_step3, no_gdn]", f"variants: {variants}")
    (folder / "other.yaml").write_text(f"{text}\nreadings:{readings}")
    return study.load(folder / "other.yaml")


def test_a_reading_branches_off_at_the_first_step_that_it_changes(tmp_path):
    listed = {item.name: item for item in study.runs(with_readings(tmp_path))}
    point = "pool2-r0.50-b512-snr14.5-s0"
    assert listed[f"end_to_end/{point}-own_rate"].upstream == [f"autoencoder/{point}"]
    assert listed[f"autoencoder/{point}-clipped"].upstream == ["prune/pool2-r0.50-s0"]
    assert listed[f"autoencoder/{point}-signed"].upstream == ["prune/pool2-r0.50-s0-signed"]
    assert listed["prune/pool2-r0.50-s0-signed"].upstream == ["pretrain/s0"]


def test_a_readings_runs_have_its_parameters_and_no_others_do(tmp_path):
    settings = with_readings(tmp_path)
    for item in study.runs(settings):
        values, variant = study.resolved(settings, item), item.parameters.get("variant")
        assert values.get("end_to_end", {}).get("link_lr") == (
            0.5 if (variant, item.step) == ("own_rate", "end_to_end") else None)
        if item.step == "prune":
            assert values["prune"]["criterion"] == ("signed_taylor" if variant == "signed" else "taylor")
            assert values["prune"]["training"]["lr"] == (0.25 if variant == "signed" else 0.01)
            assert values["prune"]["training"]["batch_size"] == 64  # what a reading does not name stays


@pytest.mark.parametrize("readings, variants, culprit", [
    ("\n  random: {about: x, end_to_end: {lr: 1.0}}", "[no_gdn]", "variant of this name"),
    ("\n  same: {about: x, end_to_end: {epochs: 2}}", "[no_gdn]", "changes nothing"),
    ("\n  odd: {about: x, end_to_end: {rate: 1.0}}", "[no_gdn]", "rate"),
    ("\n  fine: {about: x, end_to_end: {lr: 1.0}}", "[another]", "no variant 'another'")])
def test_a_reading_that_makes_no_sense_is_refused(tmp_path, readings, variants, culprit):
    with pytest.raises(InputError, match=culprit):
        with_readings(tmp_path, readings, variants)
