"""Many runs in forked processes: the numbers of papermill's runs, in an order that their upstream runs allow."""

import json
import os
import subprocess
import sys
import time

import psutil
import pytest
import torch

from helpers import MODEL, NAMES, PNG, PRETRAIN, PRUNE, copy_project, work_in
from lib import study, workers
from lib.batch import places

pytestmark = pytest.mark.slow


def work(root, *arguments):
    return subprocess.run([sys.executable, "-m", "lib.workers", *arguments], cwd=root, capture_output=True, text=True,
                          check=False)


@pytest.fixture(scope="module")
def forked(tmp_path_factory):
    """A copy of the project whose tiny study two workers have computed, and what they said."""
    root = copy_project(tmp_path_factory.mktemp("forked"))
    return root, work(root, "tiny", "--jobs", "2")


def test_the_numbers_are_those_of_papermill(forked, computed):
    root, done = forked
    assert done.returncode == 0, done.stderr
    for name in NAMES:
        found, expected = (json.loads((place / "outputs/tiny" / name / "result.json").read_text())
                           for place in (root, computed))
        for part in ("hash", "metrics", "evaluation", "channels", "parameters"):
            assert found[part] == expected[part], (name, part)
        assert not list((root / "outputs/tiny" / name).glob("*.unfinished"))


def test_each_run_comes_after_those_upstream_of_it(forked):
    said = [line.split("] ")[1].split(":")[0] for line in forked[1].stdout.splitlines()]
    assert sorted(said) == sorted(NAMES) and forked[1].stdout.rstrip().endswith(" 0 left")
    assert said.index(PRETRAIN) == 0 and said.index(PRUNE) < said.index(MODEL)


def test_what_rests_on_a_failed_run_is_left(tmp_path):
    root = copy_project(tmp_path)
    notebook = root / "notebooks" / "02_prune.ipynb"
    notebook.write_text(notebook.read_text().replace("curves = []", "raise OSError('the disk is full')"))
    done = work(root, "tiny", "--jobs", "2")
    assert done.returncode == 1
    assert "OSError: the disk is full" in done.stderr and f"{PRUNE}: failed" in done.stdout
    folder = root / "outputs" / "tiny"
    assert places.finished(folder / PRETRAIN) and places.finished(folder / PNG)
    assert not places.finished(folder / PRUNE) and not (folder / MODEL).exists()


def test_when_the_time_is_up_no_run_begins(tmp_path):
    root = copy_project(tmp_path)
    done = work(root, "tiny", "--seconds", "0")
    assert (done.returncode, done.stdout) == (1, "") and not (root / "outputs").exists()


def test_a_finished_study_has_nothing_left(computed):
    assert (work(computed, "tiny").returncode, work(computed, "tiny").stdout) == (0, "")


def test_a_kill_ends_the_runs_too_and_the_same_command_goes_on(tmp_path):
    root = copy_project(tmp_path)
    process = subprocess.Popen([sys.executable, "-m", "lib.workers", "tiny"], cwd=root, stdout=subprocess.DEVNULL)
    while not (root / "outputs/tiny" / PRETRAIN / "checkpoint.pt").exists():
        time.sleep(0.02)
    children = psutil.Process(process.pid).children()
    process.kill()
    process.wait()
    assert children and not psutil.wait_procs(children, timeout=5)[1]
    assert not places.finished(root / "outputs/tiny" / PRETRAIN)
    assert work(root, "tiny").returncode == 0 and places.finished(root / "outputs/tiny" / MODEL)


def test_no_run_begins_once_lib_has_been_edited(tmp_path, monkeypatch):
    versions = iter([1, 1, 2, 2, 2])
    monkeypatch.setattr("lib.forks.code_version", lambda: next(versions))
    began = []
    monkeypatch.setattr(workers, "start", lambda settings, item: began.append(item.name) or os.posix_spawn(
        "/bin/true", ["true"], {}))
    items = [study.Run(name, "", {}, []) for name in "abc"]
    assert workers.work(None, items, jobs=1) == 1 and began == ["a"]


@pytest.mark.parametrize("arguments", [("tiny", "--jobs", "0"), ("tiny", "--only", "figure6"), ("nowhere",)])
def test_impossible_arguments_are_one_sentence(computed, arguments):
    done = work(computed, *arguments)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr


def test_workers_fork_before_anything_touches_the_gpu(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("CUDA would not survive the fork"))
    monkeypatch.setattr(torch.cuda, "_lazy_init", lambda: pytest.fail("CUDA would not survive the fork"))
    work_in(copy_project(tmp_path), monkeypatch)
    monkeypatch.setattr("lib.data.dataset", lambda *_: None)
    workers.preload(study.load("tiny"))
