"""The command line behind ./run_all.sh: what it refuses, what it says, and what it hands to Snakemake."""

import json
import logging
import os
import runpy
import shutil
import socket
import subprocess
import sys

import pytest
from snakemake import cli

from helpers import MODEL, PRETRAIN, PRUNE, TINY
from lib import study
from lib.batch import places
from lib.evidence import fingerprint, manifest, provenance
from lib.execution import estimate, processes


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A project without results: the parameters of the profiles, and a tiny study beside them."""
    shutil.copytree(study.ROOT / "params", tmp_path / "params")
    (tmp_path / "params" / "tiny.yaml").write_text(TINY)
    (tmp_path / "notebooks").symlink_to(study.ROOT / "notebooks")
    monkeypatch.setattr(study, "ROOT", tmp_path)
    return tmp_path


@pytest.fixture
def command(root, monkeypatch, capsys):
    """`python -m lib` with arguments: (exit code, standard output, standard error); Snakemake is not started."""
    handed = []

    def instead_of_snakemake(arguments):
        handed.append(arguments)
        sys.exit(command.snakemake_ends_with)

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["lib", *arguments])
        monkeypatch.delitem(sys.modules, "lib.__main__", raising=False)
        with pytest.raises(SystemExit) as end:
            runpy.run_module("lib", run_name="__main__")
        return end.value.code, *capsys.readouterr()

    command.handed, command.snakemake_ends_with = handed, 0
    monkeypatch.setattr(cli, "main", instead_of_snakemake)
    monkeypatch.setattr(processes, "serve", lambda settings, with_data: None)
    return command


def everything_below(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


def store(name, fits=True, metrics=()):
    """A finished run of the tiny study, entered in its manifest, of today's code and parameters if it `fits`."""
    settings = study.load("tiny")
    today = fingerprint.expected(settings, study.runs(settings)).get(name, [["02_prune", "0" * 16, "0" * 16]])
    made_by = today if fits else [[notebook, "0" * 16, version] for notebook, _, version in today]
    place = places.folder_of(settings, name)
    place.mkdir(parents=True)
    (place / "result.json").write_text(json.dumps({
        "name": name, "study": "tiny", "step": name.split("/")[0], "hash": fingerprint.digest(str(made_by)),
        "made_by": made_by, "parameters": {}, "metrics": dict(metrics), "evaluation": [],
        "provenance": {"device": provenance.device(), "seconds": 10.0, "commit": None,
                       "end": "2026-01-01T00:00:00+00:00"}}))
    if name in listed():
        manifest.enter_run(settings, listed()[name])


def listed():
    return {item.name: item for item in study.runs(study.load("tiny"))}


# What is refused: exit code 2, one sentence, nothing written

@pytest.mark.parametrize("arguments, culprit", [
    (["nonsense"], "'nonsense'"), (["tiny", "--only", "nonsense"], "'nonsense'"),
    (["tiny", "--only", "figure6"], "figure6"),
    (["tiny", "--only", "figure4c"], "figure4c"), (["tiny", "--only", "figure33"], "figure33"),
    (["tiny", "--jobs", "0"], "--jobs"), (["tiny", "--jobs", "-1"], "--jobs"), (["tiny", "desk"], "only one"),
    (["tiny", "desk", "paper"], "only one"), (["tiny", "--jobs", "two"], "--jobs"), (["tiny", "--quick"], "--quick"),
    (["statsu", "tiny"], "'statsu' is no command"), (["choose", "tiny", "--macs", "-5"], "--macs"),
    (["choose", "tiny", "--drop", "nan"], "--drop"),
    (["report", "nonsense"], "'nonsense'"), (["verify", "nonsense"], "'nonsense'"),
    (["nowhere/mine.yaml"], "nowhere/mine.yaml")],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_bad_calls_are_refused(root, command, arguments, culprit):
    before = everything_below(root)
    code, out, err = command(*arguments)
    assert code == 2 and culprit in err and err.count("\n") == 1 and err.endswith(".\n")
    assert out == "" and everything_below(root) == before and command.handed == []


@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["", "dry run"])
def test_an_unknown_parameter_is_refused(root, command, dry):
    path = root / "params" / "mine.yaml"
    # Misspelt, and so missing too: the name that stands there is what helps.
    path.write_text(TINY.replace("seeds:", "colour:"))
    before = everything_below(root)
    code, out, err = command("mine", *dry)
    assert (code, out, err.count("\n")) == (2, "", 1) and "colour" in err and "mine.yaml" in err
    assert everything_below(root) == before and command.handed == []


def without_data(root, monkeypatch, data_root):
    """The tiny study on all of CIFAR-100, with nothing in `data_root` and no network."""
    def refuse(*arguments, **options):
        raise OSError("no network in this test")

    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    (root / "params" / "far.yaml").write_text(
        TINY.replace("name: tiny", "name: far").replace("name: mini", f"name: cifar100, root: '{data_root}'"))


@pytest.mark.parametrize("exists", [True, False], ids=["empty folder", "no folder"])
def test_a_study_whose_data_is_missing_is_refused(root, command, monkeypatch, exists):
    place = root / "images"
    if exists:
        place.mkdir()
    without_data(root, monkeypatch, place)
    before = everything_below(root)
    code, _, err = command("far")
    assert code == 2 and err.count("\n") == 1 and str(place / "cifar-100-python") in err
    assert everything_below(root) == before and command.handed == []


def test_a_missing_notebook_is_refused(root, command):
    (root / "notebooks").unlink()
    shutil.copytree(study.ROOT / "params", root / "notebooks")  # a folder, without notebooks
    code, _, err = command("tiny")
    assert code == 2 and err.count("\n") == 1 and ".ipynb" not in err and "notebook" in err and command.handed == []


@pytest.mark.parametrize("what, flag", [
    (what, flag) for what, flags in {"report": ["--only figure5", "--dry-run", "--rerun-stale"],
                                     "verify": ["--only figure5", "--dry-run", "--rerun-stale", "--jobs 2"],
                                     "bench": ["--dry-run", "--jobs 2"]}.items() for flag in flags])
def test_a_flag_that_does_not_apply_is_refused(root, command, what, flag):
    before = everything_below(root)
    assert command(what, *flag.split()) == (2, "", f"{what} does not take {flag.split()[0]}.\n")
    assert everything_below(root) == before and command.handed == []


def test_a_dry_run_whose_reader_has_read_enough_ends_quietly():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing) as closed:
        done = subprocess.run([sys.executable, "-m", "lib", "quick", "--dry-run"], cwd=study.ROOT, stdout=closed,
                              stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")


def test_asking_for_help_is_no_error(command):
    code, out, err = command("--help")
    assert code == 0 and "--dry-run" in out and err == ""


# A dry run

def test_a_dry_run_lists_what_is_left_and_how_long_it_takes_and_writes_nothing(root, command):
    before = everything_below(root)
    code, out, err = command("tiny", "--dry-run")
    summary, *names = out.splitlines()
    assert code == 0 and err == "" and summary == f"tiny: {len(listed())} of {len(listed())} runs to do, " + (
        summary.split("to do, ")[1])
    assert "about" in summary and summary.split("about ")[1].split()[1] in ("min", "hours")
    assert [name.strip() for name in names] == list(listed())
    assert everything_below(root) == before and command.handed == []


def test_a_dry_run_leaves_out_what_is_finished(root, command):
    store(PRETRAIN)
    place = places.folder_of(study.load("tiny"), PRETRAIN)
    (place / "model-00001-of-00002.safetensors").touch()
    code, out, _ = command("tiny", "--dry-run")
    assert code == 0 and f"{len(listed()) - 1} of {len(listed())} runs" in out and PRETRAIN not in out


@pytest.mark.parametrize("arguments, said", [(["--dry-run"], True), ([], True), (["--rerun-stale"], False)])
def test_results_that_no_longer_fit_are_counted_before_a_study_starts(root, command, arguments, said):
    store(PRETRAIN, fits=False)
    code, out, _ = command("tiny", *arguments)
    assert code == 0 and ("\n1 finished results no longer fit" in out and "--rerun-stale" in out) == said


def test_a_dry_run_counts_the_finished_runs_that_are_made_again_for_their_weights(root, command):
    store(PRETRAIN)
    code, out, _ = command("tiny", "--dry-run")
    assert code == 0 and "\n1 of these runs are finished and made again" in out and "no longer fit" not in out
    store(PRUNE, fits=False)
    assert "\n2 of these" in command("tiny", "--dry-run")[1]
    assert "\n1 of these" in command("tiny", "--dry-run", "--rerun-stale")[1]


def test_a_dry_run_of_one_figure_lists_its_runs(root, command):
    code, out, _ = command("tiny", "--dry-run", "--only", "figure5")
    names = [line.strip() for line in out.splitlines()[1:]]
    assert code == 0 and names[0] == PRETRAIN and names[-1] == MODEL and not any("baselines" in name for name in names)


def test_a_dry_run_takes_a_file(root, command):
    path = root / "mine.yml"
    path.write_text(TINY.replace("name: tiny", "name: mine"))
    code, out, _ = command(str(path), "--dry-run")
    assert code == 0 and out.startswith("mine: ")


def test_a_file_is_handed_on_by_a_path_that_holds_anywhere(root, command, monkeypatch):
    (root / "mine.yaml").write_text(TINY.replace("name: tiny", "name: mine"))
    monkeypatch.chdir(root)
    assert command("mine.yaml")[0] == 0 and f'profile="{root / "mine.yaml"}"' in command.handed[0]


def test_the_estimate_follows_what_finished_runs_took(root, command, monkeypatch):
    """A finished run on this device is the measure: ten times as slow, ten times as long."""
    monkeypatch.setattr(estimate, "_measure", lambda settings: pytest.fail("measured although a run has finished"))
    loaded, minutes = study.load("tiny"), []
    for seconds in (10_000.0, 100_000.0):
        shutil.rmtree(root / "outputs", ignore_errors=True)
        store(PRETRAIN)
        path = places.folder_of(loaded, PRETRAIN) / "result.json"
        path.write_text(path.read_text().replace('"seconds": 10.0', f'"seconds": {seconds}'))
        number, unit = command("tiny", "--dry-run")[1].splitlines()[0].split("about ")[1].split()[:2]
        minutes.append(float(number) * (60 if unit == "hours" else 1))
    assert minutes[1] == pytest.approx(10 * minutes[0], rel=0.05)


# A study

def test_a_study_is_handed_to_snakemake(root, command):
    code, out, _ = command("tiny", "--jobs", "3", "--only", "figure5", "--rerun-stale")
    (arguments,) = command.handed
    assert code == 0 and arguments[arguments.index("--cores") + 1] == "3" and "gpu=3" in arguments
    assert {'profile="tiny"', "only=figure5", "rerun_stale=1", "report_only=0"} <= set(arguments)
    assert "report/index.html" in out


def test_snakemake_by_hand_refuses_a_study_that_is_not_there_in_one_sentence(tmp_path):
    done = subprocess.run([sys.executable, "-m", "snakemake", "--snakefile", study.ROOT / "Snakefile", "--directory",
                           tmp_path, "--cores", "1", "--config", "profile=nosuch"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 2 and done.stderr.startswith("There is no study 'nosuch'")
    assert done.stderr.count("\n") == 1


def test_the_cores_that_the_command_may_use_are_used_unless_told(root, command, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 2, 5})
    command("tiny")
    assert command.handed[0][command.handed[0].index("--cores") + 1] == "3"


def test_quick_is_the_default(root, command):
    assert command()[1].startswith("quick: ") and 'profile="quick"' in command.handed[0]


def test_a_study_in_which_a_run_fails_ends_with_an_error(root, command):
    command.snakemake_ends_with = 1
    code, out, err = command("tiny")
    assert code == 1 and "a run failed" in err and "index.html" not in out


def test_a_folder_that_cannot_be_written_is_named_before_anything_starts(root, command):
    (root / ".snakemake").write_text("a file")
    code, _, err = command("tiny")
    assert code == 2 and err.startswith(f"{root / '.snakemake'} cannot be written") and command.handed == []


def test_snakemakes_own_error_is_told_in_short_and_kept_whole(root, command, monkeypatch):
    def fails(arguments):
        logger = logging.getLogger("snakemake.logging")
        logger.error("Error in rule run, jobid: 3")
        logger.error("Traceback (most recent call last):\n  File cli.py, line 1\nPermissionError: 'the place'")
        sys.exit(1)

    monkeypatch.setattr(cli, "main", fails)
    code, _, err = command("tiny")
    said, end = err.splitlines()
    assert code == 1 and said == "Snakemake: PermissionError: 'the place'"
    log = root / ".snakemake" / "log" / "tiny.errors.log"
    assert str(log.relative_to(root)) in end and "File cli.py" in log.read_text()


def test_another_workflows_profile_does_not_reach_snakemake(root, command, monkeypatch):
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "cluster")
    command("tiny")
    assert "SNAKEMAKE_PROFILE" not in os.environ
    assert command.handed[0][command.handed[0].index("--workflow-profile") + 1] == "none"


def test_a_report_is_written_from_the_results_there_are(root, command):
    code, _, _ = command("report", "tiny")
    assert code == 0 and {'profile="tiny"', "report_only=1"} <= set(command.handed[0])


# verify

def test_verify_is_content_with_results_that_fit(root, command):
    store(PRETRAIN)
    code, out, err = command("verify", "tiny")
    assert (code, out, err) == (0, "tiny: 1 finished results, 0 stale, 0 altered, 0 not in the study\n", "")


def test_verify_names_the_altered_result(root, command):
    store(PRETRAIN)
    file = places.folder_of(study.load("tiny"), PRETRAIN) / "result.json"
    file.write_text(file.read_text().replace('"seconds": 10.0', '"seconds": 11.0'))
    code, out, _ = command("verify", "tiny")
    assert code == 1 and "1 altered" in out and f"altered: {PRETRAIN}: not what was stored" in out


@pytest.mark.parametrize("arguments", [
    ["recheck", "tiny"], ["recheck", "tiny", PRETRAIN, "--sample", "2"], ["recheck"], ["prove"], ["status"],
    ["status", "tiny", "desk"], ["prove", "a", "b"], ["tiny", "--sample", "1"], ["verify", "--upstream"],
    ["recheck", "tiny", "--sample", "0"], ["recheck", "tiny", PRETRAIN]], ids=" ".join)
def test_commands_that_make_no_sense_are_one_sentence(root, command, arguments):
    before = everything_below(root)
    code, out, err = command(*arguments)
    assert (code, out) == (2, "") and err.count("\n") == 1 and everything_below(root) == before


def test_status_says_what_is_done_broken_off_and_left(root, command):
    store(PRETRAIN)
    partial = places.folder_of(study.load("tiny"), PRUNE)
    partial.mkdir(parents=True)
    (partial / "notebook.partial.ipynb").write_text("{}")
    code, out, _ = command("status", "tiny")
    assert code == 0 and "1 of 6 runs are done, 0 of them stale" in out
    assert f"broken off: {PRUNE} (outputs/tiny/{PRUNE}/notebook.partial.ipynb)" in out and f"next: {PRUNE}" in out


def test_status_names_a_stale_result_that_is_under_way_again(root, command):
    for name in listed():
        store(name, fits=name != MODEL)
    (places.folder_of(study.load("tiny"), MODEL) / "notebook.partial.ipynb").write_text("{}")
    code, out, _ = command("status", "tiny")
    assert code == 0 and "6 of 6 runs are done, 1 of them stale" in out
    assert f"under way, failed or broken off: {MODEL}" in out


def test_verify_names_the_stale_result(root, command):
    store(PRETRAIN, fits=False)
    code, out, _ = command("verify", "tiny")
    assert code == 1 and "1 stale" in out and f"stale: {PRETRAIN}" in out


def test_verify_names_a_result_that_the_study_does_not_list(root, command):
    store("prune/pool2-r0.33-s0")
    code, out, _ = command("verify", "tiny")
    assert code == 0 and "not in the study: prune/pool2-r0.33-s0" in out


def test_verify_names_damaged_weights(root, command):
    store(PRETRAIN)
    place = places.folder_of(study.load("tiny"), PRETRAIN)
    result = json.loads((place / "result.json").read_text())
    (place / "result.json").write_text(json.dumps({**result, "weights": {"model.safetensors": "0" * 64}}))
    manifest.enter_run(study.load("tiny"), listed()[PRETRAIN])
    assert command("verify", "tiny")[0] == 0  # most weights are not committed
    (place / "model.safetensors").write_bytes(b"other")
    code, out, _ = command("verify", "tiny")
    assert code == 1 and f"missing or damaged: {place / 'model.safetensors'}" in out


def test_verify_goes_through_every_profile_that_has_results(root, command):
    assert command("verify")[:2] == (0, "")
    store(PRETRAIN, fits=False)
    (root / "outputs" / "quick").mkdir()
    code, out, _ = command("verify")
    assert code == 1 and [line.split(":")[0] for line in out.splitlines() if "finished" in line] == ["quick", "tiny"]


def test_verify_writes_nothing(root, command):
    store(PRETRAIN, fits=False)
    before = everything_below(root)
    command("verify", "tiny")
    assert everything_below(root) == before and command.handed == []
