"""What of this machine a command may use: cores, files, standard streams. It needs nothing else of lib."""

import math
import os
import sys
from pathlib import Path

CGROUPS, OWN_CGROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def cores() -> int:
    """How many cores this process may use, by its affinity mask (taskset, Slurm) and cgroup v2 (containers).

    The machine may have more, and a run for each of them would only make all of them wait.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([allowed, *_limits()])


def _limits():
    """The limits in cores of this process's control group and of those that it is part of."""
    lines = OWN_CGROUP.read_text().splitlines() if OWN_CGROUP.exists() else []
    own = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    group = CGROUPS / own
    for place in (group, *group.parents):
        file = place / "cpu.max"  # microseconds of computing in each period, "max" without a limit
        if place.is_relative_to(CGROUPS) and file.exists():
            quota, period = file.read_text().split()
            if quota != "max":
                yield max(1, math.ceil(int(quota) / int(period)))


def writable(folder: Path) -> bool:
    """Whether files can be written into a folder, or into the first one above it that exists."""
    while not folder.exists():
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def open_closed_streams() -> None:
    """Open what of standard input, output and error is closed, to nowhere (`./run_all.sh >&-`).

    The next file that is opened would have its number, and would receive what is printed.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            os.set_inheritable(number, True)  # it may have been opened as this very number, which dup2 leaves as it is
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
