"""What a command may use of a machine: cores, folders, standard streams."""

import os
import subprocess
import sys

import pytest

from lib import study
from lib.execution import machine


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Control groups /a/b of a machine with 8 cores; `groups(place, limit)` sets the limit of one."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(machine, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "OWN_CGROUP", tmp_path / "own")
    (tmp_path / "cgroup" / "a" / "b").mkdir(parents=True)
    (tmp_path / "own").write_text("1:cpu:/else\n0::/a/b\n")
    return lambda place, limit: (tmp_path / "cgroup" / place / "cpu.max").write_text(limit)


@pytest.mark.parametrize("limits, cores", [
    ({}, 8), ({"": "max 100000"}, 8), ({"": "200000 100000"}, 2), ({"a/b": "150000 100000"}, 2),
    ({"a/b": "10000 100000"}, 1), ({"": "400000 100000", "a": "300000 100000", "a/b": "max 100000"}, 3)])
def test_cores_are_those_of_the_tightest_control_group(groups, limits, cores):
    for place, limit in limits.items():
        groups(place, limit)
    assert machine.cores() == cores


def test_cores_are_no_more_than_the_affinity_mask_has(groups, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3})
    groups("", "400000 100000")
    assert machine.cores() == 1


def test_on_a_system_without_control_groups_all_cores_count(groups, monkeypatch):
    monkeypatch.setattr(machine, "OWN_CGROUP", machine.CGROUPS / "none")
    assert machine.cores() == 8


def test_a_closed_stream_does_not_give_its_number_to_the_next_file(tmp_path):
    code = ("import sys\nfrom lib.execution import machine\nmachine.open_closed_streams()\n"
            f"file = open({str(tmp_path / 'file')!r}, 'w')\n"
            "print('lost', flush=True)\nprint('lost too', file=sys.stderr, flush=True)\nsys.exit(file.fileno())")
    done = subprocess.run(["bash", "-c", '"$@" <&- >&- 2>&-', "bash", sys.executable, "-c", code], cwd=study.ROOT,
                          check=False)
    assert done.returncode > 2 and (tmp_path / "file").read_text() == ""


@pytest.mark.parametrize("place, expected", [("there", True), ("there/new/newer", True), ("a file/below", False)])
def test_a_folder_can_be_written_where_the_first_one_above_it_can(tmp_path, place, expected):
    (tmp_path / "there").mkdir()
    (tmp_path / "a file").touch()
    assert machine.writable(tmp_path / place) == expected
