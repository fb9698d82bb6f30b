"""Let the disk become full at many places of a study, give it room again, and see that it goes on to the same numbers.

    sudo .venv/bin/python tests/soak/full_disk.py [--times 12] [--seed 0] [--least 0] [--most 1]

The copy of the project lies in a small file system of its own (tmpfs, hence the rights), of which a file leaves free a
random number of bytes, between two shares of what the study's outputs take. A command that runs out of them must end by
itself, with an error that says so; with that file gone, the same command goes on. The exit code is 1 if anything was
wrong.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import watched

ROOM = 64 * 2**20  # bytes of the file system, of which a tiny study takes a fifth


def main() -> int:
    """Fill, fail, make room and finish, so many times; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--least", type=float, default=0)
    parser.add_argument("--most", type=float, default=1)  # more: checkpoints are there only meanwhile
    options = parser.parse_args()
    chance, wrong = random.Random(options.seed), 0
    with tempfile.TemporaryDirectory(prefix="full-disk-") as folder:
        unbroken = watched.compute(Path(folder, "unbroken"))
        needed = sum(path.stat().st_size for path in (unbroken.root / "outputs").rglob("*") if path.is_file())
        for number in range(options.times):
            small = Path(folder, str(number))
            small.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", small], check=True)
            try:
                # Evenly over the study's course, with some chance: each time another write is the one that fails.
                share = (number + chance.random()) / options.times
                free = int(needed * (options.least + share * (options.most - options.least)))
                faults = once(watched.Project(small / "place"), unbroken, free)
            finally:
                subprocess.run(["umount", small], check=True)
            for fault in faults:
                print(f"WRONG: with {free:,} bytes: {fault}")
            wrong += len(faults)
    return 1 if wrong else 0


def once(project: watched.Project, unbroken: watched.Project, free: int) -> list[str]:
    """One study that runs out of disk after about so many bytes; returns what was wrong."""
    filler = project.root.parent / "filler"
    space = os.statvfs(project.root)
    filler.write_bytes(bytes(max(0, space.f_bavail * space.f_frsize - free)))
    # What it says must not need the full disk.
    failed = subprocess.run([sys.executable, "-m", "lib", "tiny", "--jobs", "2"], cwd=project.root, text=True,
                            env={**project.environment, "SOAK_LOG": "/dev/null"}, capture_output=True, check=False)
    before = project.finished()
    text = failed.stdout + failed.stderr
    print(f"{free:,} bytes free: exit code {failed.returncode}, {len(before)} results; "
          f"{failed.stderr.strip().splitlines()[:1]}", flush=True)
    faults = [f"left {one}" for one in project.orphans()]
    if failed.returncode == 0:
        return [*faults, *project.faults(unbroken)]  # it had enough
    if "No space left" not in text and "ENOSPC" not in text:
        faults.append(f"it does not say that the disk is full:\n{text[-1500:]}")
    if "Traceback" in text:
        faults.append(f"a traceback:\n{text[-2500:]}")
    filler.unlink()
    again = subprocess.run([sys.executable, "-m", "lib", "tiny", "--jobs", "2"], cwd=project.root, text=True,
                           env=project.environment, capture_output=True, check=False)
    if again.returncode:
        return [*faults, f"with room again it failed:\n{(again.stdout + again.stderr)[-2000:]}"]
    computed_again = [name for name in before if any(name in path for path in project.put_in_place())]
    faults += [f"{name} was computed again" for name in computed_again]
    return faults + project.faults(unbroken)


if __name__ == "__main__":
    sys.exit(main())
