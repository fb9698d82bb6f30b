"""The runs of a study without Snakemake, for a lent GPU whose image lacks it and whose time is short.

    python -m lib.workers STUDY [--jobs 8] [--seconds S] [--only FIGURE]

Runs, order, files and numbers are those of `./run_all.sh STUDY`, which goes on from them and makes the report. One
small model cannot fill a GPU: several share its cores under NVIDIA's MPS (`nvidia-cuda-mps-control -d`).
"""

import argparse
import time
from graphlib import TopologicalSorter
from multiprocessing import connection

from lib import InputError, results, study
from lib.batch import checks
from lib.execution import atomic, processes


def main(arguments: list[str]) -> int:
    """Do the runs of a study that are still to do; returns the exit code, 0 when none is left."""
    parser = argparse.ArgumentParser(prog="python -m lib.workers")
    parser.add_argument("study")
    parser.add_argument("--jobs", type=int, default=8, help="runs at once (8)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no run after this many seconds")
    parser.add_argument("--only", metavar="FIGURE")
    options = parser.parse_args(arguments)
    checks.check_figure(options.only)
    if options.jobs < 1:
        raise InputError("--jobs must be at least 1.")
    # As `./run_all.sh` does: what is left of the study, in its order.
    settings, since = study.load(options.study), time.time_ns()
    return work(settings, results.pending(options.study, only=options.only), options.jobs, options.seconds, since)


def work(settings: study.Study, todo: list[study.Run], jobs: int, seconds: float = float("inf"),
         since: int | None = None) -> int:
    """Do runs in the given order, each once those upstream of it are done; what rests on a failed one is left."""
    began, items, position = time.monotonic(), {}, {}
    for item in todo:
        position[item.name], items[item.name] = len(items), item
    # Of what is to do alone: what is finished upstream holds nobody up.
    order = TopologicalSorter({name: items.keys() & set(item.upstream) for name, item in items.items()})
    order.prepare()
    ready, running = [], {}
    while True:
        # Of those that can start, the first in the study's list: what is worth most comes first.
        ready = sorted([*ready, *order.get_ready()], key=position.get)
        # No run begins that the lent time would cut off; those under way go on to their end.
        while ready and len(running) < jobs and time.monotonic() - began < seconds:
            name = ready.pop(0)
            process = processes.start(settings, name, atomic.execute, items[name], None, since, quiet=True)
            running[process.sentinel] = process, time.monotonic()
        if not running:
            # Still active: something failed, or the time was over.
            return 1 if order.is_active() else 0
        for sentinel in connection.wait(running):
            process, started = running.pop(sentinel)
            code = processes.join(process)
            # A failed run is never `done`, so that nothing that rests on it becomes ready.
            if code == 0:
                order.done(process.name)
                del items[process.name]
            print(f"[{time.monotonic() - began:.0f} s] {process.name}: {'failed' if code else 'done'} after "
                  f"{time.monotonic() - started:.1f} s, {len(items)} left", flush=True)


if __name__ == "__main__":
    processes.command_line(main)
