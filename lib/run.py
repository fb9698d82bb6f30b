"""One run: a notebook executed by papermill, finished atomically, with its provenance.

    python -m lib.run STUDY RUN     e.g. quick end_to_end/pool2-r0.50-b2048-snr14.5-s0

Runs upstream whose weights are not here are computed before it. Progress over the whole study is printed. A finished
run that fits today's code and has its weights here is left as it is.
"""

import time
from collections.abc import Collection

from lib import InputError, study
from lib.batch import places
from lib.execution import atomic, processes


def main(arguments: list[str]) -> int:
    """One run, or one notebook of the report; returns the exit code."""
    if len(arguments) != 2:
        raise InputError("usage: python -m lib.run STUDY RUN")
    profile, name = arguments
    settings = study.load(profile)
    # A notebook of the report has no result and nothing downstream.
    if name.startswith("report/"):
        return report(settings, name.removeprefix("report/"))
    listed = {item.name: item for item in study.runs(settings)}
    if name not in listed:
        raise InputError(f"The study {settings.name} has no run {name}.")
    if left_as_it_is(settings, name):
        print(f"{name} is finished, and its weights are here: nothing to do. ./run_all.sh recheck {profile} {name} "
              "computes it again in a folder of its own, and compares.")
        return 0
    # Results whose weights are here stay as they are.
    todo, since = places.needs(settings, listed, [name]), time.time_ns()
    for needed in sorted(todo, key=list(listed).index):
        replaced = ": its result is replaced" if places.finished(places.folder_of(settings, needed)) else ""
        if needed != name or replaced:
            print(f"{needed} is computed {'again' if needed == name else 'first'}{replaced}", flush=True)
        code = compute(settings, listed[needed], since, todo)
        if code:
            return code
    return 0


def left_as_it_is(settings: study.Study, name: str) -> bool:
    """Whether a run is finished, with weights that are here and a result that fits."""
    if not places.finished(places.folder_of(settings, name), weights=True):
        return False
    from lib import results  # here: it imports pandas, which a run to be computed need not wait for

    return name not in results.stale(settings)[0]


def compute(settings: study.Study, item: study.Run, since: int | None = None, todo: Collection[str] = ()) -> int:
    """Execute a run in a process of its own and print how far the study is; returns the exit code.

    `since`: when it was listed as one to do, so that one that has been finished after that is not computed again.
    `todo`: the names of all that were listed so, finished ones among them that are stale or miss their weights.
    """
    # Before the process starts, so that a missing one is a sentence and no traceback.
    places.notebook_file(item.notebook)
    began = time.monotonic()
    # In a process of its own: random state, threads and settings of torch end with it.
    code = processes.run(settings, item.name, atomic.execute, item, None, since)
    if code == 0:
        print(progress(settings, item.name, time.monotonic() - began, since or 0, todo), flush=True)
    return code


def report(settings: study.Study, notebook: str) -> int:
    """Execute a notebook of the report in a process of its own; returns the exit code."""
    places.notebook_file(notebook)
    return processes.run(settings, f"report/{notebook}", atomic.report, notebook)


def progress(settings: study.Study, name: str, seconds: float, since: int = 0, todo: Collection[str] = ()) -> str:
    """A line on a run that took so long: how many of the study are done, and what the others will take.

    Of the runs that are computed again, `todo`, those are done whose result is newer than their list (`since`, ns).
    """
    # Here: only a run that has finished asks for it.
    from lib.execution import estimate

    listed = study.runs(settings)
    left = [item for item in listed
            if places.stored_at(places.folder_of(settings, item.name)) <= (since if item.name in todo else 0)]
    # That of the run, which may have been on a cluster's GPU.
    device = places.read_result(places.folder_of(settings, name))["provenance"]["device"]
    remaining, _ = estimate.remaining(settings, left, device)
    return (f"[{len(listed) - len(left)}/{len(listed)}] {name}: {seconds:.0f} s; "
            + (f"about {estimate.duration(remaining)} left" if left else "all runs are done"))


if __name__ == "__main__":
    processes.command_line(main)
