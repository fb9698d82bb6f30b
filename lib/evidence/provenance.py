"""Where a number came from: a record of commit, seed, machine, versions and time."""

import importlib.metadata
import os
import platform
import resource
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
# Those that compute numbers or pixels, and papermill, which executes.
LIBRARIES = ("torch", "torchvision", "numpy", "papermill")


def origin() -> dict:
    """The commit that a run starts with, and whether files differ from it; None without git or outside a repository.

    A repository that the project only lies in, unknown to it, says nothing of the project.
    """
    if not _git("ls-files", "lib"):
        return {"commit": None, "uncommitted_changes": None}
    # These two alone: a study that is under way changes outputs/ all the time.
    # `git status` would name notebooks in which JupyterLab has saved outputs, which the filter of .gitattributes hides.
    changed = _git("diff", "HEAD", "--name-only", "--", "lib", "notebooks")
    new = _git("ls-files", "--others", "--exclude-standard", "lib", "notebooks")
    return {"commit": _git("rev-parse", "HEAD"),
            "uncommitted_changes": None if changed is None else bool(changed or new)}


def record(job: Any, trained_seconds: float) -> dict:
    """Who, when, where: enough to tell how a number came about; of a resumed run, all its training counts."""
    import torch  # here: what only names and counts results needs none of it, and its import takes seconds

    ended = datetime.now(UTC)
    return {
        **job.origin, "seed": job.seed, "threads": torch.get_num_threads(),
        "device": device(), "processor": processor(),
        "precision": "bfloat16" if job.engine.bfloat16 else "float32",
        "versions": {"python": platform.python_version(),
                     **{name: importlib.metadata.version(name) for name in LIBRARIES if _installed(name)}},
        "start": job.started.isoformat(timespec="seconds"), "end": ended.isoformat(timespec="seconds"),
        # Of a run that was resumed, the clock since its last start would be too short.
        "seconds": round(max((ended - job.started).total_seconds(), float(trained_seconds)), 1),
        # Linux counts in KiB.
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}


def _installed(name):
    try:
        return bool(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return False


def _git(*arguments):
    # of this folder, whatever a git hook's environment names, and also if another user has cloned it
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(["git", "-c", f"safe.directory={ROOT}", *arguments], cwd=ROOT, env=environment,
                              capture_output=True, text=True, check=False)
    except FileNotFoundError:  # there is no git
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def processor() -> str:
    """The processor's generation, which its name may hide: those called "AMD EPYC" differ in their arithmetic."""
    info = Path("/proc/cpuinfo")
    known = {}
    for line in info.read_text().splitlines() if info.exists() else []:
        key, _, value = line.partition(":")
        # The first core's: all others say the same.
        known.setdefault(key.strip(), value.strip())
    family, model = known.get("cpu family", "unknown"), known.get("model", "unknown")
    return f"{known.get('vendor_id', platform.machine())}, family {family}, model {model}"


def device() -> str:
    """The GPU's name, else the processor's with its number of threads."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} threads"
