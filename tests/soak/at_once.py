"""Two commands at once in one clone: two studies, one study twice, and one study by two ways.

    .venv/bin/python tests/soak/at_once.py

Each pair must end well, with the numbers of a study that had the machine to itself, and no run computed by both. The
exit code is 1 if anything was wrong.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import watched

from helpers import TINY

PAIRS = {"two studies": (("lib", "tiny"), ("lib", "other")), "one study twice": (("lib", "tiny"), ("lib", "tiny")),
         "one study by two ways": (("lib", "tiny"), ("lib.workers", "tiny", "--jobs", "2"))}


def main() -> int:
    """All pairs, one after the other; returns the exit code."""
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="at-once-") as folder:
        unbroken = watched.compute(Path(folder, "unbroken"))
        for number, (what, pair) in enumerate(PAIRS.items()):
            project = watched.Project(Path(folder, str(number)))
            (project.root / "params" / "other.yaml").write_text(TINY.replace("name: tiny", "name: other"))
            started = [psutil.Popen([sys.executable, "-m", *arguments], cwd=project.root, env=project.environment,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for arguments in pair]
            said = [process.communicate()[0] for process in started]
            faults = [f"{arguments} failed:\n{text[-2000:]}" for arguments, process, text
                      in zip(pair, started, said, strict=True) if process.returncode or "Traceback" in text]
            for study in {arguments[1] for arguments in pair}:
                faults += project.faults(unbroken, study)
            faults += [f"{pair} left {one}" for one in project.orphans()]
            for fault in faults:
                print(f"WRONG: {what}: {fault}")
            print(f"{what}: {sum(project.put_in_place().values())} runs computed, {len(faults)} faults", flush=True)
            wrong += len(faults)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
