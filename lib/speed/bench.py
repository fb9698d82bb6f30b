"""Speed on this machine: each part beside what it is compared with, in the same rounds.

    ./run_all.sh bench      writes outputs/bench/<machine>.csv and .md, and <machine>-layers.csv

All parts take turns in one process, each between two runs of the machine's own float32 matrix product: on a
shared machine only ratios within a round mean anything.
"""

import functools
import importlib.metadata
import itertools
import platform
import re
import resource
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import torch

from lib import data, study
from lib.batch import places
from lib.evidence import provenance
from lib.speed import memory
from lib.speed.bench_device import device_half, pruned_layers
from lib.speed.bench_training import Row, Scale, faster_step, gpu_training, matrix_rate, training_step

LIBRARIES = ("torch", "torchvision", "numpy")
# In one process, by turns: what a neighbour takes hits all of them alike.
PARTS = (training_step, faster_step, device_half, gpu_training)


def main(scale: Scale | None = None, folder: Path = study.ROOT / "outputs" / "bench") -> int:
    """Measure, print and store the tables; returns the exit code."""
    scale = scale or Scale()
    # As every run does, so that what is measured is what runs have.
    memory.keep_memory()
    torch.manual_seed(0)
    images = data.dataset("mini")
    rows, layers = [], []
    matrix_rate(scale.matrix)  # warms up
    after = matrix_rate(scale.matrix)
    for number, part in itertools.product(range(scale.rounds), PARTS):
        before, began = after, time.perf_counter()
        measured = list(part(scale, images))
        # Each product serves the part before it and the part after it.
        after = matrix_rate(scale.matrix)
        rows += [replace(row, product=(before + after) / 2) for row in measured]
        print(f"round {number + 1} of {scale.rounds}, {part.__name__}: {time.perf_counter() - began:.0f} s", flush=True)
    for _ in range(scale.rounds):
        layers += pruned_layers(scale, images)
    store(table(rows), layer_table(layers), scale, folder)
    return 0


def table(rows: Iterable[Row]) -> pd.DataFrame:
    """One line for every `what`: median, least and most over the rounds, and whether the median meets the target."""
    # By name, in the order of the first round.
    rounds: dict[str, list[Row]] = {}
    for row in rows:
        rounds.setdefault(row.what, []).append(row)
    lines = []
    for what, found in rounds.items():
        first = found[0]
        values = pd.Series([row.shown for row in found])
        # Of the median: one disturbed round must not decide.
        target, reached = judged(first, values.median())
        lines.append({"what": what, "against": first.against, "median": values.median(), "least": values.min(),
                      "most": values.max(), "unit": first.unit, "repeats": values.count(),
                      "product_gflops": pd.Series([row.product for row in found], dtype=float).median() / 1e9,
                      "target": target, "reached": reached})
    return pd.DataFrame(lines)


def judged(row: Row, median: float) -> tuple[str, str]:
    """(the row's target, whether a median reaches it), as text."""
    # Most rows have no target and are there to be read.
    if row.at_least is not None:
        target, met = f"≥ {row.at_least:,g} {row.unit}", median >= row.at_least
    elif row.below is not None:
        target, met = f"< {row.below:g} {row.unit}", median < row.below
    else:
        return "", "not measured here" if pd.isna(median) else ""
    if pd.isna(median):
        return target, "not measured here"
    return target, "yes" if met else "no"


def layer_table(rounds: list[dict[str, float]]) -> pd.DataFrame:
    """The layers of the pruned device half: what each saves of its MACs and of its time, and the seconds lost.

    `lost_ms` is the time that the pruned layer takes beyond what its MACs promise.
    """
    # Median over rounds before any ratio.
    layers = pd.DataFrame(rounds).groupby("layer").median()
    return pd.DataFrame({
        "filters": layers.filters.astype(int), "left": layers.left.astype(int),
        "macs_saved_percent": 100 * (1 - layers.macs_left / layers.macs),
        "time_saved_percent": 100 * (1 - layers.seconds_left / layers.seconds),
        "ms": 1e3 * layers.seconds, "ms_left": 1e3 * layers.seconds_left,
        "lost_ms": 1e3 * (layers.seconds_left - layers.seconds * layers.macs_left / layers.macs)}).reset_index()


def machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The GPU's name, else the processor's with its family and model.

    The numbers tell generations apart where a virtual machine calls all of them "AMD EPYC".
    """
    name = provenance.device()
    if torch.cuda.is_available() or not cpuinfo.exists():
        return name
    # The first processor's lines: a later one overwrites them with the same.
    numbers = dict(re.findall(r"^(cpu family|model)\s*: (\d+)$", cpuinfo.read_text(), flags=re.MULTILINE))
    return ", ".join([name, *(f"{key.removeprefix('cpu ')} {number}" for key, number in numbers.items())])


def store(lines: pd.DataFrame, layers: pd.DataFrame, scale: Scale, folder: Path) -> None:
    """Write both tables as CSV and together as Markdown, headed by the machine and the versions; print them."""
    write(folder, machine(), lines, layers, page(lines, layers, scale))


def write(folder: Path, title: str, lines: pd.DataFrame, layers: pd.DataFrame, text: str) -> None:
    """Store two tables and their Markdown under names made from a title, and print the Markdown."""
    # The title has the machine in it, so that tables of several stand beside each other in git.
    stem = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in ((f"{stem}.csv", lines.to_csv(index=False, float_format="%.5g")),
                          (f"{stem}-layers.csv", layers.to_csv(index=False, float_format="%.5g")),
                          (f"{stem}.md", text)):
        places.replace(folder / name, functools.partial(Path.write_text, data=content))
    print(text)


def page(lines: pd.DataFrame, layers: pd.DataFrame, scale: Scale) -> str:
    """Both tables as Markdown, after a line that says where, when and with what they were measured."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    # KiB on Linux, here in GiB.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    medians = [f"{line.median:.3g} {line.unit} ({line.least:.3g} to {line.most:.3g})" if line.repeats else ""
               for line in lines.itertuples()]
    return "\n".join([
        f"{machine()}; {torch.get_num_threads()} threads; Python {platform.python_version()}, {versions}; "
        f"{datetime.now(UTC):%Y-%m-%d}; {scale.rounds} rounds, the variants by turns; peak memory {peak:.1f} GiB.",
        "", markdown(pd.DataFrame({
            "what": lines.what, "against": lines.against, "median (least to most)": medians,
            f"{scale.matrix}³ product": [f"{rate:.0f} GFLOP/s" if rate > 0 else "" for rate in lines.product_gflops],
            "target": lines.target, "reached": lines.reached})),
        "", "Each layer of the pruned device half (ratio 0.5, pool 2), with the ReLU and pooling after it:", "",
        markdown(layers.map("{:.3g}".format)), ""])


def markdown(frame: pd.DataFrame) -> str:
    """A data frame as a Markdown table."""
    return "\n".join("| " + " | ".join(map(str, cells)) + " |"
                     for cells in [frame.columns, ["---"] * len(frame.columns), *frame.itertuples(index=False)])
