"""What `./run_all.sh bench` measures of training, and the parts' common ground; lib/speed/bench.py makes the table.

A part takes (scale, images) and yields rows; what it compares takes turns within the call.
"""

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F

from lib import data, flops, stage, training, vgg
from lib.schedule import Schedule
from lib.speed import convolutions


@dataclass(frozen=True)
class Scale:
    """How much is measured: tests measure less. The target rows hold at full scale only."""

    width: float = 1.0
    matrix: int = 4096
    batch: int = 128
    steps: int = 3  # timed training steps of the full network
    images: int = 250  # of an evaluation
    rounds: int = 3
    gpu_images: int = 50_000  # of a training epoch


@dataclass(frozen=True)
class Row:
    """One measured value; a rate of arithmetic is given in operations a second, and shown in % of the product."""

    what: str
    against: str
    value: float
    unit: str
    at_least: float | None = None
    below: float | None = None
    of_product: bool = False
    product: float | None = None  # operations a second of the matrix product in the same round

    @property
    def shown(self) -> float:
        """The value in its unit."""
        return 100 * self.value / self.product if self.of_product and self.product else self.value


# What `matrix_convolutions` is compared with: the engine's context without it.
class OneDNN(training.Engine):
    """float32 on the CPU with PyTorch's own convolutions, without those of lib/speed/convolutions.py."""

    def autocast(self) -> contextlib.AbstractContextManager:
        return contextlib.nullcontext()


def timed(function: Callable, *arguments: Any, **options: Any) -> tuple[float, Any]:
    """(seconds, result) of one call."""
    began = time.perf_counter()
    result = function(*arguments, **options)
    return time.perf_counter() - began, result


def matrix_rate(size: int) -> float:
    """Floating-point operations a second of a size³ float32 matrix product."""
    # Into memory that is there already: only the product is timed.
    a, b, product = torch.randn(size, size), torch.randn(size, size), torch.ones(size, size)
    return 2 * size**3 / timed(torch.matmul, a, b, out=product)[0]


def fit(width: float, images: data.Dataset, epochs: int, count: int, batch: int, engine: training.Engine) -> Any:
    """Learning curve of a new network in `training.fit`, which is what the studies run, with augmentation."""
    # Through `training.fit` itself, or the benchmark would measure a loop that no study runs.
    schedule = Schedule(epochs=epochs, lr=1e-3, batch_size=batch, images_per_epoch=count)
    return training.fit(vgg.vgg16_bn(100, width), images.train_images, images.train_labels, F.cross_entropy, schedule,
                        seed=0, prepare=images.normalise, augmented=True, engine=engine, report=lambda line: None)


def epoch_seconds(scale: Scale, images: data.Dataset, width: float, count: int, engine: training.Engine) -> float:
    """Seconds of an epoch of `count` images, after a step that warms up."""
    # Libraries choose their kernels in the first step.
    fit(width, images, 1, scale.batch, scale.batch, engine)
    return timed(fit, width, images, 1, count, scale.batch, engine)[0]


def load_seconds(images: data.Dataset, count: int, batch: int) -> float:
    """Seconds that the same epoch spends on drawing, gathering, augmenting and normalising its images."""
    # The same calls as in training, without the network.
    began, generator = time.perf_counter(), torch.Generator().manual_seed(0)
    order = torch.randperm(len(images.train_images), generator=generator)[:count]
    choices = data.draw_augmentation(count, generator)
    for chosen, choice in zip(order.split(batch), choices.split(batch), strict=True):
        images.normalise(data.augment(images.train_images[chosen], choice))
    return time.perf_counter() - began


def training_step(scale: Scale, images: data.Dataset) -> Iterator[Row]:
    """The training step, augmentation included, as a rate of arithmetic; and the share of loading in it."""
    # A narrow network takes more steps, to have a time worth measuring; loading weighs more in it.
    for width, limit, steps in ((scale.width, 2, scale.steps), (scale.width / 4, 10, 8 * scale.steps)):
        count = min(steps * scale.batch, len(images.train_images))
        seconds = epoch_seconds(scale, images, width, count, training.CPU)
        name = f"training step, width {width:g}, batch {scale.batch}"
        if width == scale.width:
            # three passes a step, two operations a multiply-accumulate
            operations = 6 * flops.count_macs(vgg.vgg16_bn(100, width), (3, 32, 32)) * count
            yield Row(name, f"{scale.matrix}³ float32 matrix product", operations / seconds, "%", at_least=85,
                      of_product=True)
        yield Row(f"{name}: rate", "", count / seconds, "images/s")
        yield Row(f"{name}: loading and augmentation", "the step",
                  100 * load_seconds(images, count, scale.batch) / seconds, "%", below=limit)


def faster_step(scale: Scale, images: data.Dataset) -> Iterator[Row]:
    """What matrix convolutions and bfloat16 gain in a training step, each against the step without it."""
    name = f"training step, batch {scale.batch}, width"
    for width, steps in ((scale.width, scale.steps), (scale.width / 4, 8 * scale.steps)):
        count = min(steps * scale.batch, len(images.train_images))
        # One after the other within the round.
        ours, usual = (epoch_seconds(scale, images, width, count, engine) for engine in (training.CPU, OneDNN()))
        yield Row(f"{name} {width:g}: matrix convolutions", "oneDNN's convolutions", usual / ours, "×", at_least=1)
        if width == scale.width:
            bfloat16 = float("nan")  # emulated where the processor does not multiply it, so not used there
            if convolutions.multiplies_bfloat16():
                bfloat16 = epoch_seconds(scale, images, width, count, training.Engine(bfloat16=True))
            yield Row(f"{name} {width:g}: bfloat16", "float32", ours / bfloat16, "×", at_least=1)
            yield Row(f"{name} {width:g}: bfloat16, rate", "", count / bfloat16, "images/s")


def gpu_training(scale: Scale, images: data.Dataset) -> Iterator[Row]:
    """What CUDA graphs and bfloat16 gain in training on a GPU, each against the same without it; and the rate."""
    name = f"GPU training, width {scale.width:g}"
    # NaN without a GPU: the rows are shown, as not measured here.
    rates = [float("nan")] * 3
    hopper = False
    if torch.cuda.is_available():
        recorded = stage.engine("bfloat16", True, 2000)
        eager = replace(recorded, cuda_graphs=False)
        rates = [gpu_rate(scale, images, engine) for engine in (recorded, eager, replace(eager, bfloat16=False))]
        torch.set_float32_matmul_precision("highest")  # again, for the parts on the CPU
        hopper = bool(re.search(r"H100|H200|GH200|B200", torch.cuda.get_device_name()))  # what 40,000 are meant for
    yield Row(f"{name}: recorded steps (CUDA graphs)", "the same steps, eager", rates[0] / rates[1], "×", at_least=1)
    yield Row(f"{name}: eager, bfloat16", "float32 (TF32)", rates[1] / rates[2], "×", at_least=1)
    yield Row(f"{name}: rate as in paper.yaml (bfloat16, CUDA graphs)", "", rates[0], "images/s",
              at_least=40_000 if hopper else None)


def gpu_rate(scale: Scale, images: data.Dataset, engine: training.Engine) -> float:
    """Images a second of `training.fit` on an engine, in the last of three epochs; the recording is in the first."""
    # The shipped subset, repeated to the size of CIFAR-100: speed does not depend on the images.
    chosen = torch.arange(scale.gpu_images) % len(images.train_images)
    enlarged = replace(images, train_images=images.train_images[chosen], train_labels=images.train_labels[chosen],
                       mean=images.mean.to(engine.device), std=images.std.to(engine.device))
    # The last epoch alone: before it kernels are chosen and steps recorded.
    curve = fit(scale.width, enlarged, 3, len(chosen), scale.batch, engine)
    return len(chosen) / curve.seconds.iloc[-1]
