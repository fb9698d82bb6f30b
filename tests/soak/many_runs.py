"""A study of very many points: how long the commands take that only list it, and what a long batch does to memory.

    .venv/bin/python tests/soak/many_runs.py [--points 5000] [--runs 500] [--jobs 2]

First `--dry-run` and `status` of a study of so many points, which list twice as many runs (steps 3 and 4 of each).
Then a study of so many real runs, the smallest that there are; the command and the server that forks its runs are
looked at every two seconds. Then the first study once more, as if all of its runs had finished: each gets the
files of a real run of its step, with its own name, parameters and origin. The exit code is 1 where a listing takes
more than five seconds, a run fails, the second half of the batch needs a tenth more memory or open files than the
first, or the report of all points is more than some minutes or megabytes.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import watched
import yaml

from helpers import TINY

SECONDS = 5  # that a listing may take
REPORT = {"seconds": 180, "MiB": 40}  # that the report of all points may take
# Run in the copy of the project: its own code says what each result must hold.
PRETEND = '''
import json, os, sys
from lib import study
from lib.batch import places
from lib.evidence import fingerprint, manifest

many, done, rows, digests = study.load("many"), study.load("batch"), [], {}
models, listed, own = {}, study.runs(many), {item.name for item in study.runs(done)}
for item in study.runs(done):
    models.setdefault(item.step, []).append(places.folder_of(done, item.name))
today = fingerprint.expected(many, listed)
for number, item in enumerate(listed):
    folder, others = places.folder_of(many, item.name), models[item.step]
    # That of the run itself, where the smaller study has it: the figures check what they draw.
    model = places.folder_of(done, item.name) if item.name in own else others[number % len(others)]
    folder.mkdir(parents=True)
    for file in model.iterdir():
        if file.suffix in (".csv", ".safetensors", ".ipynb"):
            os.link(file, folder / file.name)
    result = places.read_result(model)
    result |= {"name": item.name, "study": "many", "parameters": study.resolved(many, item), "upstream": item.upstream,
               "made_by": today[item.name], "hash": fingerprint.digest(json.dumps(today[item.name])),
               "upstream_weights": {name: places.read_result(places.folder_of(many, name))["weights"]
                                    for name in item.upstream}}
    places.write_json(folder / "result.json", result)
    digests[item.name] = manifest.digest(folder, [digests[name] for name in item.upstream])
    rows.append({"name": item.name, "digest": digests[item.name],
                 "upstream": " ".join(digests[name] for name in item.upstream)})
manifest.enter(many, rows)
'''
SMALLEST = {"epochs": 1, "lr": 0.01, "batch_size": 50, "images_per_epoch": 50}


def main() -> int:
    """List, compute, report; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    faults = []
    with tempfile.TemporaryDirectory(prefix="many-") as folder:
        project = watched.Project(Path(folder))
        write(project, "many", options.points)
        for arguments in (("many", "--dry-run"), ("status", "many")):
            seconds, said = timed(project, *arguments)
            print(f"{options.points} points, {' '.join(arguments)}: {seconds:.1f} s; {said.splitlines()[0]}")
            faults += [f"{arguments} took {seconds:.1f} s"] if seconds > SECONDS else []
        if options.runs:
            write(project, "batch", options.runs // 2)
            faults += batch(project, options.jobs)
            for arguments in (("batch", "--dry-run"), ("status", "batch"), ("verify", "batch"), ("report", "batch")):
                seconds, said = timed(project, *arguments)
                print(f"finished batch, {' '.join(arguments)}: {seconds:.1f} s; {said.splitlines()[:1]}", flush=True)
            print(f"the report: {page_of(project, 'batch'):.1f} MiB", flush=True)
            faults += everything(project)
    for fault in faults:
        print(f"WRONG: {fault}")
    return 1 if faults else 0


def write(project: watched.Project, name: str, points: int) -> None:
    """A study of so many models after pooling 4, at ten pruning ratios and as many bandwidths as it takes."""
    study = yaml.safe_load(TINY) | {"name": name}
    # Of 32 channels two must stay in each layer.
    ratios = [number / 20 for number in range(10)]
    bandwidths = list(range(1, -(-points // len(ratios)) + 1))
    study["figure3"] = {"ladders": [{"pool": 4, "ratios": ratios, "bandwidths": bandwidths}]}
    study["evaluation"] = {"snr_db": [14.5], "draws": 1, "curve_images": 10}
    study["prune"] |= {"training": SMALLEST}
    study |= {"pretrain": SMALLEST, "autoencoder": SMALLEST, "end_to_end": SMALLEST}
    study["baselines"] = None
    (project.root / "params" / f"{name}.yaml").write_text(yaml.safe_dump(study))


def everything(project: watched.Project) -> list[str]:
    """The study `many` as if it had finished: what its commands and its report take; returns what was wrong."""
    subprocess.run([sys.executable, "-c", PRETEND], cwd=project.root, env=project.environment, check=True)
    faults, limits = [], {"status many": SECONDS, "many --dry-run": SECONDS, "report many": REPORT["seconds"]}
    # The last draws the figures, a notebook each, and the report once more.
    for arguments in ("status many", "many --dry-run", "verify many", "report many", "many"):
        seconds, said = timed(project, *arguments.split())
        print(f"all points finished, {arguments}: {seconds:.1f} s; {said.splitlines()[:1]}", flush=True)
        faults += [f"{arguments} took {seconds:.1f} s"] if seconds > limits.get(arguments, float("inf")) else []
    size = page_of(project, "many")
    print(f"the report of all points: {size:.1f} MiB", flush=True)
    return faults + ([f"the report has {size:.1f} MiB"] if size > REPORT["MiB"] else [])


def page_of(project: watched.Project, name: str) -> float:
    """The size of a study's report page in MiB."""
    return (project.root / "outputs" / name / "report" / "index.html").stat().st_size / 2**20


def timed(project: watched.Project, *arguments: str) -> tuple[float, str]:
    """Processor seconds that a command took, whatever else the machine does, and what it said; all must end well."""
    began = used()
    done = subprocess.run([sys.executable, "-m", "lib", *arguments], cwd=project.root, env=project.environment,
                          capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{arguments} failed: {done.stdout}{done.stderr}")
    return used() - began, done.stdout


def used() -> float:
    """Processor seconds of the commands that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def batch(project: watched.Project, jobs: int) -> list[str]:
    """Compute the study `batch` and look at the command and at its server; returns what was wrong."""
    began, process, samples = time.monotonic(), project.start("lib", "batch", "--jobs", str(jobs)), []
    while process.poll() is None:
        try:
            server = next((one for one in process.children() if "forkserver" in " ".join(one.cmdline())), None)
            used = [(one.memory_info().rss / 2**20, one.num_fds()) for one in (process, server) if one]
        except psutil.NoSuchProcess:
            continue
        results = len(project.finished("batch"))
        if results and len(used) == 2:
            samples.append([results, *used[0], *used[1]])
            if len(samples) % 15 == 1:
                print("{} results: command {:.0f} MiB, {} files; server {:.0f} MiB, {} files".format(*samples[-1]),
                      flush=True)
        time.sleep(2)
    results = len(project.finished("batch"))
    print(f"{results} runs in {time.monotonic() - began:.0f} s, exit code {process.returncode}", flush=True)
    faults = [f"the batch failed:\n{project.said()[-2000:]}"] if process.returncode else []
    # From the tenth run on: what is imported late belongs to the start.
    steady = [sample for sample in samples if sample[0] >= 10]
    half = len(steady) // 2
    for column, what in ((1, "memory of the command"), (2, "files of the command"), (3, "memory of the server"),
                         (4, "files of the server")):
        first, second = (max(sample[column] for sample in part) for part in (steady[:half], steady[half:]))
        print(f"{what}: at most {first:.0f} in the first half, {second:.0f} in the second")
        if second > 1.1 * first:
            faults.append(f"{what} grew from {first:.0f} to {second:.0f}")
    return faults


if __name__ == "__main__":
    sys.exit(main())
