# The DAG of papermill runs of one study; `./run_all.sh` calls it. By hand, or on a cluster:
#     python -m snakemake --cores 2 --force-use-threads --config profile=desk [--executor slurm …]
# What is still to do is decided by lib.results.pending (a run is finished when its result.json exists), so the
# only outputs declared here are markers: nothing that Snakemake deletes or reruns can cost a result.
import functools
import shutil
import sys
import time

from snakemake.exceptions import WorkflowError

sys.path.insert(0, workflow.basedir)
from lib import InputError, results, run as one_run, study
from lib.execution import processes

try:
    SETTINGS = study.load(config.get("profile", "quick"))
except InputError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
ONLY = config.get("only") or None
BEGAN = time.time_ns()
LISTED = {run.name: run for run in study.runs(SETTINGS)}
PLACE = {name: number for number, name in enumerate(LISTED)}
PENDING = {run.name: run for run in results.pending(SETTINGS, bool(config.get("rerun_stale")), ONLY)}
if config.get("report_only"):
    PENDING = {}
# When the runs were listed, in ns: two commands at once have markers of their own, and jobs on a cluster, which read
# this file again, those of their command. By hand there is no such time.
SINCE = int(config.get("since", 0)) or None
MARKS = f".snakemake/done/{SETTINGS.name}/{SINCE or 'by-hand'}"
# Whether there is a GPU, without importing torch: NVIDIA's driver brings this command.
GPU = int(shutil.which("nvidia-smi") is not None)
if workflow.is_main_process:
    shutil.rmtree(MARKS, ignore_errors=True)  # what is to do has no marker yet


def upstream(wildcards):
    return [f"{MARKS}/{name}" for name in LISTED[wildcards.run].upstream if name in PENDING]


@functools.cache
def say_once(sentence):
    print(sentence, file=sys.stderr, flush=True)


def check(function, *arguments):
    """Do a run; tell Snakemake if it has failed, which prints nothing of that, as the run has done so."""
    try:
        code = function(SETTINGS, *arguments)
    except InputError as error:
        with processes.LOCK:  # of the threads that come here at once, the first one says it
            say_once(str(error))
        code = 2
    if code:
        raise WorkflowError(f"exit code {code}")


wildcard_constraints:
    run=r"(pretrain|prune|autoencoder|end_to_end|baselines)/[^/]+",
    notebook=r"[0-9]+_[a-z0-9]+",


onstart:
    processes.stop_on_signals()  # Snakemake itself would wait for the runs that are under way


rule all:
    input:
        f"{MARKS}/report/20_claims",


rule run:
    output:
        touch(MARKS + "/{run}"),
    input:
        upstream,
    threads: lambda wildcards: SETTINGS.threads_of(wildcards.run.split("/")[0])
    resources:
        gpu=GPU,
    retries: 1
    priority: lambda wildcards: len(LISTED) - PLACE[wildcards.run]  # the study's order
    run:
        check(one_run.compute, LISTED[wildcards.run], SINCE or BEGAN, PENDING)


rule report:
    output:
        touch(MARKS + "/report/{notebook}"),
    input:
        lambda wildcards: [f"{MARKS}/{name}" for name in PENDING] + (
            [f"{MARKS}/report/{other}" for other in study.REPORT[:3]] if wildcards.notebook == "20_claims" else []),
    run:
        check(one_run.report, wildcards.notebook)
