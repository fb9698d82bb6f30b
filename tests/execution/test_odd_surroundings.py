"""Runs in odd surroundings: streams that are closed, a TMPDIR with a long path, the same command at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import PRETRAIN, result

pytestmark = pytest.mark.slow


@pytest.fixture
def usual(computed):
    """The numbers of the first run, computed in the usual way."""
    return json.loads((computed / "outputs" / "tiny" / PRETRAIN / "result.json").read_text())


def start(root, redirected="", **environment):
    """`python -m lib.run tiny pretrain/s0`, started by a shell that redirects its streams."""
    shell = ["bash", "-c", f'exec "$@" {redirected}', "bash", sys.executable, "-m", "lib.run", "tiny", PRETRAIN]
    return subprocess.Popen(shell, cwd=root, env={**os.environ, **environment}, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("redirected", [">&-", "<&- >&- 2>&-"], ids=["output", "all"])
def test_a_run_whose_streams_are_closed_gives_the_usual_numbers(empty, usual, redirected):
    process = start(empty, redirected)
    said = process.communicate()[0]
    assert (process.returncode, said) == (0, "")
    assert all(result(PRETRAIN)[part] == usual[part] for part in ("metrics", "weights", "hash"))


def test_a_run_whose_tmpdir_has_a_very_long_path_gives_the_usual_numbers(empty, usual):
    place = empty / Path(*["a long name of a folder"] * 20)
    place.mkdir(parents=True)
    process = start(empty, TMPDIR=str(place))
    said = process.communicate()[0]
    assert process.returncode == 0, said
    assert all(result(PRETRAIN)[part] == usual[part] for part in ("metrics", "weights", "hash"))


def test_of_the_same_command_twice_at_once_one_computes_and_both_end_well(empty, usual):
    both = [start(empty), start(empty)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert "".join(said).count("epoch 2/2") == 1
    assert all(result(PRETRAIN)[part] == usual[part] for part in ("metrics", "weights", "hash"))
