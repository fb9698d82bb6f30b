"""The runs of a study without Snakemake and papermill, for a lent GPU whose image lacks them and whose time is short.

    python -m lib.workers STUDY [--jobs 8] [--seconds S] [--only FIGURE]

Each run is a process forked from this one, which has imported everything and read the data set. Runs, order, files
and numbers are those of `./run_all.sh STUDY`, which goes on from them and makes the report; executed notebooks are
not kept. One small model cannot fill a GPU: several share its cores under NVIDIA's MPS (`nvidia-cuda-mps-control -d`).
"""

import argparse
import ctypes
import importlib
import json
import os
import signal
import sys
import time
import traceback

from lib import InputError, forks, run, study
from lib.batch import checks, places

PR_SET_PDEATHSIG = 1  # of Linux's prctl.h


def main(arguments):
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
    settings = study.load(options.study)
    os.environ.update(forks.threading_environment(1))  # no threads here: they would not survive a fork
    from lib import results

    todo = results.pending(options.study, only=options.only)
    if not todo:
        return 0
    preload(settings)
    return work(settings, todo, options.jobs, options.seconds)


def preload(settings):
    """Import what runs need and read the data set, without a word to the GPU, which would not survive a fork."""
    import functools

    import matplotlib
    import torch

    from lib import data
    matplotlib.use("agg")
    for module in forks.COMPUTING:
        importlib.import_module(module)
    torch.set_num_threads(1)
    data.dataset = functools.cache(data.dataset)
    data.dataset(settings.data.name, settings.data.root)


def work(settings, todo, jobs, seconds=float("inf")):
    """Do runs in the given order, each once those upstream of it are done; what rests on a failed one is left."""
    began, waiting, running, failed = time.monotonic(), {item.name: item for item in todo}, {}, set()
    version = forks.code_version()
    while True:
        if forks.code_version() != version:  # a result would tell of code that did not make it
            print("lib has been edited: no further run begins.", file=sys.stderr, flush=True)
            seconds = 0
        unfinished = {*waiting, *(item.name for item, _ in running.values()), *failed}
        for item in list(waiting.values()):
            if len(running) == jobs or time.monotonic() - began >= seconds:
                break
            if unfinished.isdisjoint(item.upstream):
                running[start(settings, waiting.pop(item.name))] = item, time.monotonic()
        if not running:
            return 1 if waiting or failed else 0
        pid, status = os.wait()
        item, started = running.pop(pid)
        if status:
            failed.add(item.name)
        print(f"[{time.monotonic() - began:.0f} s] {item.name}: {'failed' if status else 'done'} after "
              f"{time.monotonic() - started:.1f} s, {len(waiting) + len(running)} left", flush=True)


def start(settings, item):
    """Fork a process that does a run and ends; returns its number."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # end with the process that began it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        run.execute(settings, item, executor=execute_cells)
        status = 0
    except BaseException:
        print(f"{item.name}:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
    os._exit(status)


def execute_cells(notebook, output, folder, threads, parameters):
    """Execute a notebook's code in this process; the arguments are those of `run.papermill_run`."""
    os.environ[places.OUTPUT] = str(folder)
    os.chdir(notebook.parent)
    namespace = {}
    for number, cell in enumerate(json.loads(notebook.read_text())["cells"]):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{notebook.name}, cell {number}", "exec"), namespace)
            if "parameters" in cell["metadata"].get("tags", []):
                namespace.update(parameters)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
