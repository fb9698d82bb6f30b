"""Where a number came from: a hash over the code that made it, and a record of machine, versions and time."""

import ast
import hashlib
import importlib.metadata
import json
import os
import platform
import resource
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import torch

from lib import run, study

ROOT = Path(__file__).resolve().parent.parent
# Modules that carry, draw or judge numbers but do not make them, and cpu and gpu, which change the time alone (their
# tests hold them to PyTorch's own results): an edit there makes no result stale.
PRESENTATION = {"run", "forks", "job", "study", "parameters", "estimate", "results", "figures", "claims", "provenance",
                "torchvision_ops", "bench", "cpu", "gpu", "workers"}
# Edits of other modules that were found to change no number: the digest of a module, and the earlier one it stands for.
SAME_NUMBERS = {
    "90bb55a207a90416": "f81cb6aeb75fdc1e",  # pruning: Taylor scores, equal to the bit, no longer keep activations
    "4f6fc572b2012415": "34ad943f40dd8095",  # training: what was bfloat16 was on a GPU, where nothing changed
}
LIBRARIES = ("torch", "torchvision", "numpy", "papermill")


def digest(text):
    """A short hash of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fingerprint(loaded, item, with_code=True, code_of=None):
    """A hash over what decides the run's numbers: parameters, code without comments, upstream hashes.

    A checkpoint is told by the hash without the code, so that an edit does not cost a night of training. `code_of`
    is `code`, or one that remembers notebooks.
    """
    upstream = [finished_hash(loaded, name) for name in item.upstream]
    modules = None
    if with_code:
        modules = {name: SAME_NUMBERS.get(found, found) for name, found in (code_of or code)(item.notebook).items()}
    content = [study.resolved(loaded, item), modules, upstream]
    return digest(json.dumps(content, sort_keys=True))


def finished_hash(loaded, name):
    folder = run.find(loaded, name, weights=False)
    return run.read_result(folder)["hash"] if folder else None


def code(notebook):
    """The notebook's code cells and the lib modules it imports, directly or not, as syntax trees."""
    cells = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text())["cells"]
    source = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    trees, queue = {"notebook": ast.parse(source)}, ["notebook"]
    while queue:
        for module in sorted(_imports(trees[queue.pop()]) - PRESENTATION - set(trees)):
            trees[module] = ast.parse((ROOT / "lib" / f"{module}.py").read_text())
            queue.append(module)
    return {name: digest(_dump(_without_docstrings(tree))) for name, tree in sorted(trees.items())}


def _dump(node):
    """A syntax tree as text without its empty fields, of which each Python version has others."""
    if isinstance(node, ast.AST):
        fields = ", ".join(f"{name}={_dump(value)}" for name, value in ast.iter_fields(node) if value not in (None, []))
        return f"{type(node).__name__}({fields})"
    return f"[{', '.join(map(_dump, node))}]" if isinstance(node, list) else repr(node)


def _imports(tree):
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "lib":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lib."):
            found.add(node.module.split(".")[1])
    return {module for module in found if (ROOT / "lib" / f"{module}.py").exists()}


def _without_docstrings(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def origin(notebook):
    """The commit that a run starts with, whether files differ from it (None without git), and each module's hash."""
    changes = _git("status", "--porcelain", "lib", "notebooks")
    return {"commit": _git("rev-parse", "HEAD"), "uncommitted_changes": None if changes is None else bool(changes),
            "code": code(notebook)}


def record(job, trained_seconds):
    """Who, when, where: enough to tell how a number came about; of a resumed run, all its training counts."""
    ended = datetime.now(UTC)
    return {
        **job.origin, "seed": job.seed, "threads": torch.get_num_threads(),
        "device": device(),
        "precision": "bfloat16" if job.engine.bfloat16 else "float32",
        "versions": {"python": platform.python_version(),
                     **{name: importlib.metadata.version(name) for name in LIBRARIES if _installed(name)}},
        "start": job.started.isoformat(timespec="seconds"), "end": ended.isoformat(timespec="seconds"),
        "seconds": round(max((ended - job.started).total_seconds(), float(trained_seconds)), 1),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}


def _installed(name):
    try:
        return bool(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return False


def _git(*arguments):
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # there is no git
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def device():
    """The GPU's name, else the processor's with its number of threads."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} threads"
