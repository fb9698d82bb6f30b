"""Speed on this machine: each part beside what it is compared with, in the same rounds.

    ./run_all.sh bench      writes outputs/bench/<machine>.csv and .md, and <machine>-layers.csv

All parts take turns in one process, each between two runs of the machine's own float32 matrix product: on a
shared machine only ratios within a round mean anything.
"""

import functools
import importlib.metadata
import itertools
import math
import os
import platform
import re
import resource
import time
from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import torch
import torch.nn.functional as F

from lib import cpu, data, estimate, parameters, stage, study, torchvision_ops, training, vgg
from lib.batch import places
from lib.bench_cpu import (
    Row,
    Scale,
    bfloat16_step,
    device_half,
    fold_batch_norm,  # noqa: F401
    matrix_rate,
    over_snr,
    pruned_layers,
    remove_filters,
    stored_features,
    training_step,
)
from lib.evidence import provenance
from lib.schedule import Schedule

LIBRARIES = ("torch", "torchvision", "numpy")


def main(scale=None, folder=study.ROOT / "outputs" / "bench"):
    """Measure, print and store the tables; returns the exit code."""
    scale = scale or Scale()
    cpu.keep_memory()
    torch.manual_seed(0)
    images = data.dataset("mini")
    parts = (training_step, bfloat16_step, over_snr, remove_filters, stored_features, device_half, gpu_training)
    rows, layers = [], []
    matrix_rate(scale.matrix)  # warms up
    after = matrix_rate(scale.matrix)
    for number, part in itertools.product(range(scale.rounds), parts):
        before, began = after, time.perf_counter()
        measured = list(part(scale, images))
        after = matrix_rate(scale.matrix)
        rows += [replace(row, product=(before + after) / 2) for row in measured]
        print(f"round {number + 1} of {scale.rounds}, {part.__name__}: {time.perf_counter() - began:.0f} s", flush=True)
    for _ in range(scale.rounds):
        layers += pruned_layers(scale, images)
    store(table([*rows, *shared_work()]), layer_table(layers), scale, folder)
    return 0


def shared_work():
    """Image passes of the studies as their files order them, against every point trained by itself; counted."""
    for profile in ("desk", "paper"):
        loaded = study.load(profile)
        listed = study.runs(loaded)
        points = [item for item in listed if item.step in ("end_to_end", "baselines")]
        alone = sum(estimate.image_passes(single, item) for point in points
                    for single in [only(loaded, point)] for item in study.runs(single))
        yield Row(f"image passes of the {len(listed)} runs of {profile}.yaml, counted",
                  f"each of the {len(points)} points by itself",
                  alone / math.fsum(estimate.image_passes(loaded, item) for item in listed), "×", at_least=3)


def only(loaded, point):
    """The study with nothing but one point: an end-to-end model or another scheme."""
    given = {key: value for key, value in point.parameters.items() if key != "seed"}
    parts = {"seeds": [point.parameters["seed"]], "figure3": parameters.Figure3(), "ablations": [], "baselines": None,
             "figure4": loaded.figure4.model_copy(update={"panels": {}}),
             "figure5": loaded.figure5.model_copy(update={"bandwidths": []})}
    if point.step == "baselines":
        parts["baselines"] = loaded.baselines.model_copy(update={"runs": [parameters.Baseline(**given)]})
    else:
        schedule = study.of_run(loaded, given).end_to_end
        parts["ablations"] = [parameters.Ablations(variants=[given.pop("variant")], longer_step4=schedule, **given)]
    return loaded.model_copy(update=parts)


def gpu_training(scale, images):
    """On a GPU, training as the paper's study does it, and as usual: eager, NCHW, float32, a DataLoader."""
    names = (f"GPU training, width {scale.width:g}: as paper.yaml does (bfloat16, CUDA graphs)", "GPU training rate")
    if not torch.cuda.is_available():
        yield Row(names[0], "eager float32 NCHW, DataLoader", float("nan"), "×", at_least=5)
        yield Row(names[1], "", float("nan"), "images/s", at_least=40_000)
        return
    usual = eager_rate(scale, images, torch.device("cuda"))
    ours = engine_rate(scale, images, stage.engine("bfloat16", True, 2000))
    torch.set_float32_matmul_precision("highest")  # again, for the parts on the CPU
    hopper = re.search(r"H100|H200|GH200|B200", torch.cuda.get_device_name())  # what the 40,000 are meant for
    yield Row(names[0], "eager float32 NCHW, DataLoader", ours / usual, "×", at_least=5)
    yield Row(names[1], "", ours, "images/s", at_least=40_000 if hopper else None)
    yield Row("GPU training rate, eager float32 NCHW, DataLoader", "", usual, "images/s")


def engine_rate(scale, images, engine):
    """Images a second of `training.fit` on an engine, in the last of three epochs; the recording is in the first."""
    chosen = torch.arange(scale.gpu_images) % len(images.train_images)
    images = replace(images, mean=images.mean.to(engine.device), std=images.std.to(engine.device))
    curve = training.fit(vgg.vgg16_bn(100, scale.width), images.train_images[chosen], images.train_labels[chosen],
                         F.cross_entropy, Schedule(epochs=3, lr=1e-3, batch_size=scale.batch), seed=0,
                         prepare=images.normalise, augmented=True, engine=engine, report=lambda line: None)
    return len(chosen) / curve.seconds.iloc[-1]


def eager_rate(scale, images, device):
    """Images a second of the usual loop: per-image transforms in worker processes, eager float32, NCHW."""
    torchvision_ops.mend()
    from torchvision import transforms

    torch.set_float32_matmul_precision("highest")  # PyTorch's default; convolutions may use TF32, as is usual
    ready = transforms.Compose([
        transforms.RandomCrop(32, data.PADDING), transforms.RandomHorizontalFlip(), transforms.ToTensor(),
        transforms.Normalize(images.mean.flatten() / 255, images.std.flatten() / 255)])
    to_picture = transforms.ToPILImage()
    pictures = [(to_picture(image), label) for image, label in zip(images.train_images, images.train_labels.tolist(),
                                                                   strict=True)]
    pairs = list(itertools.islice(itertools.cycle(pictures), scale.gpu_images))
    loader = torch.utils.data.DataLoader(
        pairs, scale.batch, shuffle=True, drop_last=True, num_workers=min(16, os.cpu_count()),
        collate_fn=functools.partial(transformed, ready), pin_memory=device.type == "cuda")
    network = vgg.vgg16_bn(100, scale.width).to(device).train()
    warm_up = len(loader) // 4
    optimizer = torch.optim.SGD(network.parameters(), 1e-3, 0.9, weight_decay=5e-4)
    for number, (batch_images, batch_labels) in enumerate(loader, 1):
        loss = F.cross_entropy(network(batch_images.to(device, non_blocking=True)), batch_labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if number == warm_up:
            loss.item()  # waits for the GPU
            began = time.perf_counter()
    loss.item()
    return (number - warm_up) * scale.batch / (time.perf_counter() - began)


def transformed(transform, pairs):
    """A batch of (picture, label) pairs as tensors; in a worker process."""
    pictures, labels = zip(*pairs, strict=True)
    return torch.stack([transform(picture) for picture in pictures]), torch.tensor(labels)


def table(rows):
    """One line for every `what`: median, least and most over the rounds, and whether the median meets the target."""
    lines = []
    for what in dict.fromkeys(row.what for row in rows):
        found = [row for row in rows if row.what == what]
        first = found[0]
        values = pd.Series([100 * row.value / row.product if row.of_product else row.value for row in found])
        median = values.median()
        target = (f"≥ {first.at_least:,g} {first.unit}" if first.at_least is not None
                  else f"< {first.below:g} {first.unit}" if first.below is not None else "")
        met = median >= first.at_least if first.at_least is not None else median < (first.below or 0)
        reached = "not measured here" if pd.isna(median) else "" if not target else "yes" if met else "no"
        lines.append({"what": what, "against": first.against, "median": median, "least": values.min(),
                      "most": values.max(), "unit": first.unit, "repeats": values.count(),
                      "product_gflops": pd.Series([row.product for row in found], dtype=float).median() / 1e9,
                      "target": target, "reached": reached})
    return pd.DataFrame(lines)


def layer_table(rounds):
    """The layers of the pruned device half: what each saves of its MACs and of its time, and the seconds lost.

    `lost_ms` is the time that the pruned layer takes beyond what its MACs promise.
    """
    layers = pd.DataFrame(rounds).groupby("layer").median()
    return pd.DataFrame({
        "filters": layers.filters.astype(int), "left": layers.left.astype(int),
        "macs_saved_percent": 100 * (1 - layers.macs_left / layers.macs),
        "time_saved_percent": 100 * (1 - layers.seconds_left / layers.seconds),
        "ms": 1e3 * layers.seconds, "ms_left": 1e3 * layers.seconds_left,
        "lost_ms": 1e3 * (layers.seconds_left - layers.seconds * layers.macs_left / layers.macs)}).reset_index()


def store(lines, layers, scale, folder):
    """Write both tables as CSV and together as Markdown, headed by the machine and the versions; print them."""
    machine = provenance.device()
    stem = folder / re.sub(r"[^a-z0-9]+", "-", machine.lower()).strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    page = "\n".join([
        f"{machine}; {torch.get_num_threads()} threads; Python {platform.python_version()}, {versions}; "
        f"{datetime.now(UTC):%Y-%m-%d}; {scale.rounds} rounds, the variants by turns; peak memory {memory:.1f} GiB.",
        "", markdown(pd.DataFrame({
            "what": lines.what, "against": lines.against,
            "median (least to most)": [f"{line.median:.3g} {line.unit} ({line.least:.3g} to {line.most:.3g})"
                                       if line.repeats else "" for line in lines.itertuples()],
            f"{scale.matrix}³ product": [f"{rate:.0f} GFLOP/s" if rate > 0 else "" for rate in lines.product_gflops],
            "target": lines.target, "reached": lines.reached})),
        "", "Each layer of the pruned device half (ratio 0.5, pool 2), with the ReLU and pooling after it:", "",
        markdown(layers.map("{:.3g}".format)), ""])
    for path, text in ((stem.with_suffix(".csv"), lines.to_csv(index=False, float_format="%.5g")),
                       (folder / f"{stem.name}-layers.csv", layers.to_csv(index=False, float_format="%.5g")),
                       (stem.with_suffix(".md"), page)):
        places.replace(path, lambda partial, text=text: partial.write_text(text))
    print(page)


def markdown(frame):
    """A data frame as a Markdown table."""
    return "\n".join("| " + " | ".join(map(str, cells)) + " |"
                     for cells in [frame.columns, ["---"] * len(frame.columns), *frame.itertuples(index=False)])
