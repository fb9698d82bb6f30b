"""./run_all.sh: which environment it takes and makes, what of the user's settings it lets in, and on which systems."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from lib import study

STAMP = "device-edge-inference.stamp"
# Stands for an environment's Python: prints its arguments and PYTHON variables; `-m venv` makes another such one.
PYTHON = r"""#!{python}
import json, os, shutil, sys
from pathlib import Path
variables = sorted(name for name in os.environ if name.startswith("PYTHON"))
with open("{log}", "a") as log:
    log.write(json.dumps([sys.argv[0], sys.argv[1:], variables]) + "\n")
if sys.argv[1:3] == ["-m", "venv"]:
    target = Path(sys.argv[-1], "bin", "python")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(sys.argv[0], target)
"""


class Call:
    """A copy of run_all.sh in a project whose pythons are stubs; calling it gives the process that has ended."""

    def __init__(self, folder):
        self.folder, self.project, self.log = folder, folder / "project", folder / "calls"
        self.project.mkdir()
        for name in ("run_all.sh", "requirements.txt", "requirements.lock"):
            shutil.copy(study.ROOT / name, self.project)
        self.environment = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "HOME": str(folder)}
        self.stub(folder / "bin" / "python3")

    def stub(self, place):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(PYTHON.format(python=sys.executable, log=self.log))
        place.chmod(0o755)

    def make(self, environment):
        """An environment that is whole and ours."""
        self.stub(environment / "bin" / "python")
        command = f"cat requirements.txt requirements.lock | cksum >'{environment / STAMP}'"
        subprocess.run(command, cwd=self.project, shell=True, check=True)

    def __call__(self, *arguments, shell=(), **environment):
        program = self.project / "run_all.sh"
        return subprocess.run([*shell, program, *arguments], cwd=self.folder, text=True, capture_output=True,
                              env={**self.environment, **environment}, check=False)

    def calls(self):
        """(program, arguments, PYTHON variables) of each call of a stub."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []


@pytest.fixture
def run_all(tmp_path):
    return Call(tmp_path)


@pytest.fixture
def ready(run_all):
    """The same, with an environment."""
    run_all.make(run_all.project / ".venv")
    return run_all


# What it hands on

@pytest.mark.parametrize("arguments, handed", [
    ([], "quick"), (["desk", "--jobs", "2"], "desk --jobs 2"), (["mine.yaml"], "{here}/mine.yaml"),
    (["--jobs", "2", "sub/mine.yml", "--dry-run"], "--jobs 2 {here}/sub/mine.yml --dry-run"),
    (["my study.yaml"], "{here}/my study.yaml"), (["verify", "/else/mine.yaml"], "verify /else/mine.yaml")])
def test_a_studys_file_is_where_the_caller_says(ready, arguments, handed):
    assert ready(*arguments).returncode == 0
    (program, given, _), = ready.calls()
    assert program.endswith(".venv/bin/python")
    assert " ".join(given) == f"-m lib {handed.format(here=ready.folder)}"


def test_tests_get_all_arguments(ready):
    ready("test", "-m", "not slow")
    assert ready.calls()[0][1] == ["-m", "pytest", "--numprocesses", "auto", "--dist", "loadgroup", "-m", "not slow"]


def test_set_up_takes_no_other_arguments(ready):
    done = ready("setup", "extra")
    assert (done.returncode, done.stdout) == (2, "") and "extra" in done.stderr and done.stderr.count("\n") == 1


def test_modules_options_and_start_up_files_of_the_user_stay_out(ready):
    ready("status", "quick", PYTHONPATH="/else", PYTHONSAFEPATH="1", PYTHONSTARTUP="/x.py", PYTHONOPTIMIZE="2",
          PYTHONWARNINGS="error", CDPATH="/")
    assert ready.calls()[0][2] == ["PYTHONNOUSERSITE", "PYTHONUTF8"]


def test_it_can_be_called_by_a_link(ready):
    for name, target in (("link", "project/run_all.sh"), ("second", ready.folder / "link")):
        (ready.folder / name).symlink_to(target)
    done = subprocess.run([ready.folder / "second", "status", "x"], cwd="/", env=ready.environment, check=False)
    assert done.returncode == 0 and ready.calls()[0][1] == ["-m", "lib", "status", "x"]


def test_it_works_without_flock_and_a_readlink_that_follows_all_links_as_on_macos(run_all):
    tools = run_all.folder / "bin"
    for name in ("bash", "cat", "cksum", "dirname", "rm", "env"):
        (tools / name).symlink_to(shutil.which(name))
    (tools / "readlink").write_text("#!/bin/sh\n[ $# -eq 1 ] || exit 1\nexec /usr/bin/readlink \"$1\"\n")
    (tools / "readlink").chmod(0o755)
    run_all.environment["PATH"] = str(tools)
    done = run_all("quick", shell=[shutil.which("bash"), "--posix"])
    assert done.returncode == 0, done.stderr
    assert run_all.calls()[-1][:2] == [str(run_all.project / ".venv/bin/python"), ["-m", "lib", "quick"]]


# Environments

def test_without_an_environment_it_makes_one_and_does_not_do_so_again(run_all):
    assert run_all("setup").returncode == 0 and run_all("setup").returncode == 0
    programs = [(program, " ".join(arguments[:3])) for program, arguments, _ in run_all.calls()]
    made = [program for program, arguments in programs if arguments == "-m venv --clear"]
    assert made == [str(run_all.folder / "bin/python3")] and programs[-1] == (".venv/bin/python", "-m pip install")


@pytest.mark.parametrize("name", ["other", "base", ""])
def test_an_active_environment_that_is_not_ours_is_left_as_it_is(run_all, name):
    """Of conda, micromamba and pixi alike: all set these two variables."""
    other = run_all.folder / "other"
    run_all.stub(other / "bin" / "python")
    before = sorted(other.rglob("*"))
    done = run_all("quick", CONDA_PREFIX=str(other), CONDA_DEFAULT_ENV=name)
    assert done.returncode == 0 and sorted(other.rglob("*")) == before
    assert not [program for program, _, _ in run_all.calls() if program.startswith(str(other))]
    assert ("setup --active" in done.stderr) == (name == "other")


def test_an_active_environment_is_used_once_told_so(run_all):
    other = run_all.folder / "other"
    run_all.stub(other / "bin" / "python")
    active = {"CONDA_PREFIX": str(other), "CONDA_DEFAULT_ENV": "other"}
    assert run_all("setup", "--active", **active).returncode == 0
    assert run_all("quick", **active).returncode == 0
    assert {program for program, _, _ in run_all.calls()} == {str(other / "bin/python")}
    assert run_all.calls()[-1][1] == ["-m", "lib", "quick"]


def test_the_environment_of_environment_yml_is_used_without_conda(run_all):
    """`conda env create -f environment.yml` has made it; no command of conda's is needed."""
    ours = run_all.folder / "envs" / "device-edge-inference"
    run_all.stub(ours / "bin" / "python")
    done = run_all("quick", CONDA_PREFIX=str(ours), CONDA_DEFAULT_ENV="device-edge-inference")
    assert done.returncode == 0 and {program for program, _, _ in run_all.calls()} == {str(ours / "bin/python")}
    assert "name: device-edge-inference" in (study.ROOT / "environment.yml").read_text()


@pytest.mark.parametrize("active", [{}, {"CONDA_PREFIX": "/opt/conda", "CONDA_DEFAULT_ENV": "base"}])
def test_base_is_never_installed_into(run_all, active):
    done = run_all("setup", "--active", **active)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and run_all.calls() == []


def test_a_clone_by_git_for_windows_has_the_same_bytes(tmp_path):
    """Its core.autocrlf would give run_all.sh line ends that bash does not take, and files other digests."""
    root = tmp_path / "origin"
    root.mkdir()
    for name in (".gitattributes", "run_all.sh"):
        shutil.copy(study.ROOT / name, root)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "core.autocrlf=true"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *command], cwd=root, check=True)
    subprocess.run([*git, "clone", "-q", root, tmp_path / "clone"], check=True)
    assert (tmp_path / "clone" / "run_all.sh").read_bytes() == (study.ROOT / "run_all.sh").read_bytes()
