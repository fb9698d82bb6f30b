"""Whether two versions of the code give the same numbers: both compute one small study, compared to the bit.

    ./run_all.sh prove COMMIT      today's code against that of a commit

Where they agree, the hashes of their code count as equal from then on (`proven.json`), so that no
result becomes stale by an edit that changes no number. What runs only on a GPU counts as proven
just where one computed it.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from lib import InputError
from lib.evidence import fingerprint, provenance
from lib.evidence.definitions import Tree

STUDY = fingerprint.ROOT / "params" / "proof.yaml"
# Outputs and tests make no number, and data is linked.
PARTS = ("lib", "notebooks", "params")
# Before November 28, 2026 `lib` was one folder; what was around the science then, and what a job did to its numbers.
FLAT_AROUND = tuple(f"lib.{name}" for name in (
    "run", "forks", "study", "parameters", "estimate", "results", "figures", "claims", "provenance",
    "torchvision_ops", "bench", "workers", "__main__"))
FLAT_STAGE = (("lib.job", "Job"),)


def main(commit: str, study_file: Path = STUDY) -> int:
    """Compute, compare, record; the exit code is 0 when all numbers are equal."""
    with tempfile.TemporaryDirectory(prefix="prove-") as folder:
        old, today = Path(folder, "old"), Path(folder, "today")
        extract(commit, old)
        copy_project(today)
        names = {}
        for tree in (old, today):
            link_data(tree)
            # Both: a GPU's or newer processor's bfloat16 takes other paths through the code.
            names[tree] = [compute(tree, study_file, asked) for asked in ("float32", "bfloat16")]
        # A version that fell back to float32 is not compared with one that did not.
        comparable = [name for name in names[today] if precision(old, name) == precision(today, name)]
        unequal = [line for name in comparable for line in compare(old / "outputs" / name, today / "outputs" / name)]
        runs = [result.parent for name in comparable for result in (today / "outputs" / name).glob("*/*/result.json")]
        for line in unequal:
            print(line)
        # No runs prove nothing.
        if unequal or not runs:
            print(f"{len(unequal)} of {len(runs)} runs differ from those of {commit}: nothing is recorded.")
            return 1
        precisions = sorted(precision(today, name) for name in comparable)
        record(commit, old, today, precisions, sorted({f"{run.parent.name}/{run.name}" for run in runs}))
    print(f"{len(runs)} runs, in {' and in '.join(precisions)}, are equal to those of {commit} to the bit.")
    return 0


def copy_project(folder: Path) -> None:
    """Copy what makes numbers, as it is now, into `folder`: what is edited meanwhile plays no part."""
    for part in PARTS:
        shutil.copytree(fingerprint.ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))


def link_data(folder: Path) -> None:
    """Let a copy of the project use the data sets that are here."""
    (folder / "data").mkdir()
    for path in (fingerprint.ROOT / "data").iterdir():
        # Linked, not copied: all of CIFAR-100 is large, and nothing writes to it.
        (folder / "data" / path.name).symlink_to(path)


def call(folder: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess:
    """Run a module of the copy in `folder`, `python -m …`, and of no other project that the environment names."""
    # Else the copy would import the project's own lib, and prove that it equals itself.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run([sys.executable, "-m", *arguments], cwd=folder, env=environment, check=False, **options)


def extract(commit: str, folder: Path) -> None:
    """The files of a commit that make numbers, in `folder`; InputError where there is no such commit."""
    # `git archive` reads the commit alone: the working tree and its index stay as they are.
    done = subprocess.run(["git", "archive", commit, *PARTS], cwd=fingerprint.ROOT, capture_output=True, check=False)
    if done.returncode:
        raise InputError(f"There is no commit {commit!r} to compare with.")
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")


def compute(tree: Path, study_file: Path, asked: str) -> str:
    """Let a version of the code compute the study, asked for in one precision; returns its name there."""
    name = f"{study_file.stem}-{asked}"
    # The asked study, not the commit's own: both versions compute the same.
    content = yaml.safe_load(study_file.read_text()) | {"name": name, "precision": asked}
    (tree / "params" / f"{name}.yaml").write_text(yaml.safe_dump(content))
    # By `lib.workers`, which every version has and which makes no report.
    done = call(tree, "lib.workers", name, capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"The code in {tree.name} could not compute the study: "
                         f"{(done.stderr.strip() or 'no reason was given').splitlines()[-1]}")
    return name


def precision(tree: Path, name: str) -> str:
    """What a study was computed in: on this processor, a version of the code may not use bfloat16."""
    result = next((tree / "outputs" / name).glob("pretrain/*/result.json"))
    return json.loads(result.read_text())["provenance"]["precision"]


def compare(old: Path, today: Path) -> Iterator[str]:
    """The runs of two folders whose numbers differ, with what differs, a line each."""
    # Of both: a run that one version no longer lists differs too.
    names = {str(file.parent.relative_to(root)) for root in (old, today) for file in root.glob("*/*/result.json")}
    for name in sorted(names):
        ours, theirs = numbers(today / name), numbers(old / name)
        different = [key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)]
        if different:
            yield f"{today.name} {name}: {', '.join(sorted(different))}"


def numbers(folder: Path) -> dict:
    """All that a run says except where and when it was made."""
    if not (folder / "result.json").exists():
        return {}
    # Until 28 November 2026 NaN was stored where null is now.
    result = json.loads((folder / "result.json").read_text(),
                        parse_constant=lambda name: None if name == "NaN" else float(name))
    history = folder / "history.csv"
    # How long an epoch took is no number of the study.
    curve = pd.read_csv(history).drop(columns="seconds").to_csv() if history.exists() else None
    return {"history": curve, **{key: result.get(key) for key in ("metrics", "evaluation", "channels", "weights")}}


def record(commit: str, old: Path, today: Path, precisions: list[str], covered: list[str]) -> None:
    """Write into `proven.json` that the code of each notebook equals that of the commit."""
    flat = not (old / "lib" / "batch").exists()
    older = Tree(old, FLAT_AROUND if flat else fingerprint.AROUND)
    newer = Tree(today, fingerprint.AROUND)  # the copy that computed, whatever has been edited since
    stored, equal = json.loads(fingerprint.PROVEN.read_text()), {}
    for notebook in ("01_pretrain", "02_prune", "03_autoencoder", "04_end_to_end", "05_baselines"):
        # Hashed by today's rules: what the commit hashed in its own way cannot be compared.
        before = fingerprint.code(notebook, older, FLAT_STAGE if flat else fingerprint.STAGE)[0]
        now = fingerprint.code(notebook, newer)[0]
        # Known already, directly or by way of others: nothing to add.
        if fingerprint.canonical(before) != fingerprint.canonical(now):
            equal[now] = before
    if equal:
        stored["records"].append({
            "equal": equal, "older": commit, "newer": provenance.origin(), "date": f"{pd.Timestamp.now():%Y-%m-%d}",
            "device": provenance.device(), "precisions": precisions, "runs": covered})
        fingerprint.PROVEN.write_text(json.dumps(stored, indent=1) + "\n")
