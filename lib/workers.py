"""Many short runs on one GPU: a few long-lived processes execute the notebooks' cells, run after run.

    python -m lib.workers STUDY [--workers 6] [--seconds S] [--only FIGURE]

What a run by itself spends on imports, CUDA's start and reading the data, a worker spends once, and several
workers fill a GPU that one small model cannot. The runs, their order, files and numbers are those of
`./run_all.sh STUDY`, which goes on from them and makes the report; executed notebooks are not kept.
"""

import argparse
import gc
import json
import multiprocessing
import os
import sys
import time
import traceback
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait

from lib import InputError, results, run, study


def main(arguments):
    """Do the runs of a study that are still to do; returns the exit code: 0 when none is left, else 1."""
    parser = argparse.ArgumentParser(prog="python -m lib.workers")
    parser.add_argument("study")
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no run after this many seconds")
    parser.add_argument("--only", metavar="FIGURE")
    options = parser.parse_args(arguments)
    if options.workers < 1:
        raise InputError("--workers must be at least 1.")
    todo = results.pending(options.study, only=options.only)
    return work(options.study, todo, options.workers, options.seconds)


def work(profile, todo, workers, seconds):
    """Do runs in the study's order, each when those upstream of it are done; what depends on a failed one is left."""
    began, waiting, running, failed = time.monotonic(), {item.name: item for item in todo}, {}, 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, become_worker) as pool:
        while True:
            for item in list(waiting.values()):
                free = len(running) < workers and time.monotonic() - began < seconds
                if free and not any(name in waiting or name in running.values() for name in item.upstream):
                    del waiting[item.name]
                    running[pool.submit(execute, profile, item.name)] = item.name
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name, error, took = running.pop(future), *future.result()
                print(f"[{time.monotonic() - began:.0f} s] {name}: "
                      + (f"{took:.1f} s" if error is None else f"failed: {error}")
                      + f", {len(waiting) + len(running)} left", flush=True)
                if error is not None:
                    failed += 1
                    for other in depending(name, waiting):
                        del waiting[other]
    return 1 if waiting or failed else 0


def depending(name, waiting):
    """The names among the waiting runs that rest on this one, directly or not."""
    found = {name}
    for item in waiting.values():  # in dependency order
        if found & set(item.upstream):
            found.add(item.name)
    return found - {name}


def become_worker():
    """Remember the data set, and draw figures for nobody."""
    import functools

    import matplotlib

    from lib import data
    matplotlib.use("agg")
    data.dataset = functools.cache(data.dataset)
    os.chdir(study.ROOT / "notebooks")
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def execute(profile, name):
    """One run; returns (what went wrong, if anything, and seconds)."""
    began = time.monotonic()
    loaded = study.load(profile)
    item = next(item for item in study.runs(loaded) if item.name == name)
    try:
        run.execute(loaded, item, executor=execute_cells)
    except Exception as error:
        folder = run.folder_of(loaded, name)
        (folder / "error.log").write_text(traceback.format_exc())
        if "CUDA error" in str(error):
            os._exit(1)  # after one, CUDA does nothing more in this process: the pool breaks, and main ends
        return f"{type(error).__name__}: {error}", time.monotonic() - began
    return None, time.monotonic() - began


def execute_cells(notebook, output, folder, threads, parameters):
    """Execute a notebook's code in this process; the arguments are those of `run.papermill_run`."""
    import matplotlib.pyplot as plt
    import torch

    namespace = {}
    os.environ[run.OUTPUT] = str(folder)
    try:
        for number, cell in enumerate(json.loads(notebook.read_text())["cells"]):
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), f"{notebook.name}, cell {number}", "exec"), namespace)
                if "parameters" in cell["metadata"].get("tags", []):
                    namespace.update(parameters)
    finally:
        del os.environ[run.OUTPUT]
        plt.close("all")
        namespace.clear()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
