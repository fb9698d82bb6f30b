"""Stop a study at random moments, again and again, and see that nothing is lost and nothing is wrong.

    .venv/bin/python tests/soak/kills.py [--kills 100] [--seconds 3600] [--seed 0]

Each time one of the commands that compute is started in a copy of the project, and after a random time SIGKILL or
SIGTERM ends the command, one of its runs or reports, the server that these are forked from, or all of them. Whenever
the study is finished it is compared with one that nobody has stopped, and begun anew. Ends after so many kills or
seconds, whichever comes first; the exit code is 1 if anything was wrong.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
import watched

from helpers import NAMES

SHARE = 1 / 3  # of the time that the whole study takes: after that, at most, a command is struck
PATIENCE = 600  # seconds after which a command that has not ended counts as hanging


def main() -> int:
    """Strike until it is enough; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=0, help="of the moments and of who is struck")
    options = parser.parse_args()
    chance, began = random.Random(options.seed), time.monotonic()
    faults, counts = [], Counter()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        project = watched.Project(Path(folder, "killed"))  # first: what is edited meanwhile plays no part
        started = time.monotonic()
        unbroken = watched.compute(Path(folder, "unbroken"))
        longest = SHARE * (time.monotonic() - started)
        print(f"a command is struck after {longest:.0f} s at most", flush=True)
        while counts["kills"] < options.kills and time.monotonic() - began < options.seconds:
            found = one_command(project, chance, counts, longest)
            if is_finished(project):
                found += close(project, unbroken, counts)
            faults += tell(found)
        faults += tell(finish(project, unbroken, counts))
    print(f"{counts['kills']} kills in {time.monotonic() - began:.0f} s ("
          + ", ".join(f"{count} {what}" for what, count in sorted(counts.items()) if what != "kills")
          + f"): {len(faults)} faults")
    return 1 if faults else 0


def tell(faults: list[str]) -> list[str]:
    """Print faults; returns them."""
    for fault in faults:
        print(f"WRONG: {fault}", flush=True)
    return faults


def one_command(project: watched.Project, chance: random.Random, counts: Counter, longest: float) -> list[str]:
    """Start a command, strike it once or more, so many seconds apart at most, until it ends; returns what was wrong."""
    arguments = command(project, chance)
    process, faults, struck = project.start(*arguments), [], False
    while (end := moment(project, process, chance, longest)) is None:
        victim, processes = choose(project, process, chance)
        number = chance.choice([signal.SIGKILL, signal.SIGTERM])
        for one in processes:
            try:
                one.send_signal(number)
            except psutil.NoSuchProcess:
                continue
        struck = True
        counts["kills"] += 1
        counts[f"{number.name} of {victim}"] += 1
        print(f"{counts['kills']}: {number.name} of {victim} in `{' '.join(arguments)}`, "
              f"{len(project.finished())} results", flush=True)
        if victim in ("the command", "all"):  # else it goes on, and tries once more what was ended
            end = wait(process, PATIENCE)
            break
    if end is None:
        faults.append(f"{arguments} hangs after it was struck")
        process.kill()
    faults += [f"{arguments} left {one}" for one in project.orphans()]
    if "Traceback" in project.said():
        faults.append(f"{arguments} ended with a traceback:\n{project.said()[-2000:]}")
    if not struck and end:
        faults.append(f"{arguments} failed by itself ({end}):\n{project.said()[-2000:]}")
    counts["commands ended by themselves" if not struck else "commands struck"] += 1
    return faults


def moment(project: watched.Project, process: psutil.Popen, chance: random.Random, longest: float) -> int | None:
    """Let a random time go by; the command's exit code if it has ended meanwhile.

    A command needs most of its time to begin, so that most of the times are counted from where a run is under way.
    """
    if chance.random() < 0.15:
        return wait(process, chance.uniform(0.05, longest))
    while wait(process, 0.2) is None:
        if family(project, process)[1]:
            return wait(process, min(longest, chance.expovariate(12 / longest)))
    return process.returncode


def command(project: watched.Project, chance: random.Random) -> tuple[str, ...]:
    """One of the commands that compute something that is still to do."""
    left = [name for name in NAMES if name not in project.finished()]
    kinds = [("lib", "tiny", "--jobs", "2")] * 4
    if left:
        kinds += [("lib.workers", "tiny", "--jobs", "2"), ("lib.run", "tiny", chance.choice(left))]
    else:
        kinds += [("lib", "report", "tiny"), ("lib.run", "tiny", "report/20_claims")]
    return chance.choice(kinds)


def choose(project: watched.Project, process: psutil.Popen, chance: random.Random) -> tuple[str, list[psutil.Process]]:
    """Who is struck: the command, a run or report (mostly, if there is one), their server, or all at once."""
    servers, runs, others = family(project, process)
    kinds = [("the command", [process])] * 2 + [("all", [process, *others])]
    kinds += [("a run", [chance.choice(runs)])] * 6 if runs else []
    kinds += [("the server", servers)] if servers else []
    return chance.choice(kinds)


def family(project: watched.Project, process: psutil.Popen) -> tuple[list[psutil.Process], ...]:
    """The server that a command's runs are forked from (in a list), its runs and reports, and all of these."""
    others = [one for one in project.alive() if one.pid != process.pid]
    servers = [one for one in others if "forkserver" in " ".join(cmdline(one)) and parent(one) == process.pid]
    runs = [one for one in others if any(parent(one) == server.pid for server in servers)]
    return servers, runs, others


def parent(process: psutil.Process) -> int | None:
    """The number of a process's parent; None of one that has ended."""
    try:
        return process.ppid()
    except psutil.Error:
        return None


def cmdline(process: psutil.Process) -> list[str]:
    """A process's arguments; none of one that has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def wait(process: psutil.Popen, seconds: float) -> int | None:
    """The exit code of a process, None if it goes on after some seconds."""
    try:
        return process.wait(seconds)
    except psutil.TimeoutExpired:
        return None


def is_finished(project: watched.Project) -> bool:
    """Whether all runs are done and the report has been written."""
    page = project.root / "outputs" / "tiny" / "report" / "index.html"
    return page.exists() and set(project.finished()) == set(NAMES)


def finish(project: watched.Project, unbroken: watched.Project, counts: Counter) -> list[str]:
    """After the last kill: the same command goes on to the end."""
    process = project.start("lib", "tiny", "--jobs", "2")
    if process.wait(PATIENCE):
        return [f"the last command failed:\n{project.said()[-2000:]}"]
    return [f"the last command left {one}" for one in project.orphans()] + close(project, unbroken, counts)


def close(project: watched.Project, unbroken: watched.Project, counts: Counter) -> list[str]:
    """Compare a finished study, then begin anew; returns what was wrong."""
    # What was killed while it wrote the report is written again.
    process = project.start("lib", "tiny")
    faults = [f"the report failed:\n{project.said()[-2000:]}"] if process.wait(PATIENCE) else []
    faults += project.faults(unbroken)
    counts["studies finished and compared"] += 1
    print(f"a study is finished: {len(faults)} faults", flush=True)
    for place in (project.root / "outputs", project.root / ".snakemake"):
        shutil.rmtree(place, ignore_errors=True)
    project.log.unlink(missing_ok=True)
    return faults


if __name__ == "__main__":
    sys.exit(main())
