"""docs/your-own-study.md: every command in it does what it says, at a tiny size."""

import os
import re
import signal
import subprocess
import sys

import pytest
import yaml

from helpers import TINY, wait_for
from lib import study

PAGE = (study.ROOT / "docs" / "your-own-study.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.M | re.S)
[CHANGES], [FIGURE] = ([text for kind, text in BLOCKS if kind == language] for language in ("yaml", "python"))
COMMANDS = [line for kind, text in BLOCKS if not kind for line in text.splitlines()]


def test_the_changed_lines_are_lines_of_quick_and_make_a_valid_study(tmp_path):
    path = tmp_path / "my-study.yaml"
    path.write_text(changed((study.ROOT / "params" / "quick.yaml").read_text()))
    ours, quick = study.load(path), study.load("quick")
    assert (ours.name, ours.end_to_end.epochs, quick.end_to_end.epochs) == ("my-study", 4, 2)
    assert len(CHANGES.splitlines()) == 3 and len(study.runs(ours)) == len(study.runs(quick))


def changed(text):
    """A study's file with the lines of the page in the places of its own."""
    for line in CHANGES.splitlines():
        key = line.split(":")[0]
        text, count = re.subn(rf"^{key}: .*$", line, text, flags=re.M)
        assert count == 1, key
    return text


@pytest.mark.slow
def test_the_commands_compute_resume_and_compare(workspace):
    """In a copy of the project, where `tiny` stands for quick and gpu."""
    assert [command.split()[0] for command in COMMANDS] == ["cp", *["./run_all.sh"] * 3]
    file = workspace / "my-study.yaml"
    settings = yaml.safe_load(changed(TINY))
    settings["end_to_end"] = {**yaml.safe_load(TINY)["end_to_end"], "epochs": 4}
    file.write_text(yaml.safe_dump(settings))

    def lib(command):
        return [sys.executable, "-m", "lib", *command.split()[1:]]

    def said(command):
        done = subprocess.run(lib(command), cwd=workspace, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    _, dry_run, compute, status = COMMANDS
    assert "my-study: 6 of 6 runs to do" in said(dry_run) and not (workspace / "outputs/my-study").exists()
    begun = subprocess.Popen(lib(compute), cwd=workspace, start_new_session=True, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    wait_for((workspace / "outputs/my-study/pretrain/s0/result.json").exists)
    os.killpg(begun.pid, signal.SIGINT)
    begun.wait()
    assert begun.returncode == 130 and not list((workspace / "outputs/my-study").glob("end_to_end/*/result.json"))
    assert re.search(r"[1-3] of 6 runs are done", said(status))
    assert "4 of 6 runs are done" in said(compute) + said(status)
    code = FIGURE.replace('"gpu"', '"tiny"')
    subprocess.run([sys.executable, "-c", code], cwd=workspace, check=True,
                   env={**os.environ, "MPLBACKEND": "Agg"})
    assert (workspace / "my-study.png").stat().st_size > 10_000
