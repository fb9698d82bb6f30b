# The DAG of papermill runs of one study; `./run_all.sh` calls it. By hand, or on a cluster:
#     python -m snakemake --cores 2 --config profile=desk [--executor slurm …]
# What is still to do is decided by lib.results.pending (a run is finished when its result.json exists), so the
# only outputs declared here are markers: nothing that Snakemake deletes or reruns can cost a result.
import sys
from pathlib import Path

import torch

sys.path.insert(0, workflow.basedir)
from lib import InputError, results, study

try:
    SETTINGS = study.load(config.get("profile", "quick"))
except InputError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
PROFILE = SETTINGS.source
ONLY = config.get("only") or None
LISTED = {run.name: run for run in study.runs(SETTINGS)}
PENDING = {run.name: run for run in results.pending(PROFILE, bool(config.get("rerun_stale")), ONLY)}
if config.get("report_only"):
    PENDING = {}
MARKS = f".snakemake/done/{SETTINGS.name}"
GPU = int(torch.cuda.is_available())
for name in (*PENDING, *(f"report/{notebook}" for notebook in study.REPORT)):
    Path(MARKS, name).unlink(missing_ok=True)  # a marker of something that is to do is an old one


def upstream(wildcards):
    return [f"{MARKS}/{name}" for name in LISTED[wildcards.run].upstream if name in PENDING]


wildcard_constraints:
    run=r"(pretrain|prune|autoencoder|end_to_end|baselines)/[^/]+",
    notebook=r"[0-9]+_[a-z0-9]+",


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
    priority: lambda wildcards: len(LISTED) - list(LISTED).index(wildcards.run)  # the study's order
    shell:
        "{sys.executable} -m lib.forks {PROFILE:q} {wildcards.run:q}"


rule report:
    output:
        touch(MARKS + "/report/{notebook}"),
    input:
        lambda wildcards: [f"{MARKS}/{name}" for name in PENDING] + (
            [f"{MARKS}/report/{other}" for other in study.REPORT[:3]] if wildcards.notebook == "20_claims" else []),
    shell:
        "{sys.executable} -m lib.forks {PROFILE:q} report/{wildcards.notebook:q}"
