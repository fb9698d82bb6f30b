"""A study without Snakemake: the same numbers, in an order that the runs' upstream runs allow."""

import json

import pytest

from helpers import MODEL, NAMES, PNG, PRETRAIN, PRUNE, command, copy_project
from lib.batch import places

pytestmark = pytest.mark.slow


def work(root, *arguments):
    return command(root, "lib.workers", *arguments)


@pytest.fixture(scope="module")
def forked(tmp_path_factory):
    """A copy of the project whose tiny study two workers have computed, and what they said."""
    root = copy_project(tmp_path_factory.mktemp("forked"))
    return root, work(root, "tiny", "--jobs", "2")


def test_the_results_are_those_of_snakemake(forked, computed):
    root, done = forked
    assert done.returncode == 0, done.stderr
    for name in NAMES:
        found, expected = (json.loads((place / "outputs/tiny" / name / "result.json").read_text())
                           for place in (root, computed))
        for part in ("hash", "metrics", "evaluation", "channels", "parameters", "weights", "upstream_weights"):
            assert found.get(part) == expected.get(part), (name, part)
        assert not list((root / "outputs/tiny" / name).glob("*.unfinished"))


@pytest.mark.parametrize("name", NAMES)
def test_every_executed_notebook_is_kept(forked, name):
    book = json.loads((forked[0] / "outputs/tiny" / name / "notebook.ipynb").read_text())
    assert any("image/png" in output.get("data", {}) for cell in book["cells"] for output in cell.get("outputs", ()))


def test_each_run_comes_after_those_upstream_of_it(forked):
    said = [line.split("] ")[1].split(":")[0] for line in forked[1].stdout.splitlines()]
    assert sorted(said) == sorted(NAMES) and forked[1].stdout.rstrip().endswith(" 0 left")
    assert said.index(PRETRAIN) == 0 and said.index(PRUNE) < said.index(MODEL)


def test_what_rests_on_a_failed_run_is_left(tmp_path):
    root = copy_project(tmp_path)
    notebook = root / "notebooks" / "02_prune.ipynb"
    text = notebook.read_text()
    assert "unpruned = job.network()" in text
    notebook.write_text(text.replace("unpruned = job.network()", "raise OSError('the disk is full')"))
    done = work(root, "tiny", "--jobs", "2")
    assert done.returncode == 1
    assert done.stderr == (f"{PRUNE} failed: OSError: the disk is full (the notebook so far is "
                           "notebook.partial.ipynb in its folder)\n")
    assert f"{PRUNE}: failed" in done.stdout
    folder = root / "outputs" / "tiny"
    assert places.finished(folder / PRETRAIN) and places.finished(folder / PNG)
    assert not places.finished(folder / PRUNE) and not (folder / MODEL).exists()


def test_when_the_time_is_up_no_run_begins(tmp_path):
    root = copy_project(tmp_path)
    done = work(root, "tiny", "--seconds", "0")
    assert (done.returncode, done.stdout) == (1, "") and not (root / "outputs").exists()


def test_a_finished_study_has_nothing_left(computed):
    assert (work(computed, "tiny").returncode, work(computed, "tiny").stdout) == (0, "")


@pytest.mark.parametrize("arguments", [("tiny", "--jobs", "0"), ("tiny", "--only", "figure6"), ("nowhere",)])
def test_impossible_arguments_are_one_sentence(computed, arguments):
    done = work(computed, *arguments)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
