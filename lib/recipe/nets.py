"""Networks that another one becomes: trained on by today's recipe, or pruned and taught by what it was before.

The paper's step 2 recovers with cross-entropy alone, on images that its network knows by heart.
"""

import copy
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from lib import checkpoint, flops, geometry, pruning, training
from lib.networks import structure
from lib.recipe import net_parameters, stored
from lib.recipe.net_parameters import Net
from lib.recipe.training import task_loss
from lib.schedule import Schedule
from lib.stage import Stage


class Taught(nn.Module):
    """A student and, where there is one, its teacher, which is not trained: images to (logits, the teacher's)."""

    def __init__(self, student: nn.Module, teacher: nn.Module | None):
        super().__init__()
        self.student = student
        # Not a submodule: it is no part of a checkpoint, and stays in evaluation mode.
        self._teacher = [teacher]

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits, teacher = self.student(images), self._teacher[0]
        with torch.no_grad():
            return logits, torch.zeros_like(logits) if teacher is None else teacher(images)

    @property
    def link(self) -> nn.Module:
        """That of a student which has one, and which may be trained at a rate of its own."""
        return self.student.link


def loss(spec: net_parameters.Taught) -> Callable:
    """loss((student's logits, teacher's), labels) of `training.fit`."""
    of_targets = task_loss(spec.distil, spec.temperature, spec.smoothing)

    def value(outputs: tuple[torch.Tensor, torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        logits, teacher = outputs
        return of_targets(logits, torch.cat([labels[:, None].float(), teacher.float()], 1))
    return value


def harder(spec: net_parameters.Taught, normalise: Callable) -> Callable:
    """What becomes of a batch of cropped and flipped images: zoomed, with a hole, normalised."""
    def prepare(images: torch.Tensor) -> torch.Tensor:
        # The default generator: training seeds it anew for each epoch.
        if spec.least < 1:
            images = stored.zoom(images, spec.least, torch.default_generator)
        if spec.hole:
            images = stored.cut_out(images, spec.hole, torch.default_generator)
        return normalise(images)
    return prepare


def fit(spec: net_parameters.Taught, student: nn.Module, teacher: nn.Module | None, stage: Stage, checkpoint: Path,
        key: str, schedule: Schedule | None = None, report: Callable = print) -> pd.DataFrame:
    """Train the student, images to logits, in place, by the schedule of `spec` or another; returns its curve.

    `checkpoint` is resumed where it carries the `key`. The teacher stays as it is, and is used where `spec` distils.
    """
    teacher = copy.deepcopy(teacher).eval().requires_grad_(False) if spec.distil else None
    images = stage.data
    return stage.fit(Taught(student, teacher), images.train_images, images.train_labels,
                     loss(spec), schedule or spec.schedule, checkpoint.stem, prepare=harder(spec, images.normalise),
                     augmented=True, report=report, checkpoint=checkpoint, key=key)


def train(net: Net, before: nn.Module, teacher: nn.Module, stage: Stage, folder: Path, key: str,
          report: Callable = print) -> nn.Module:
    """What the network `before` becomes, in evaluation mode; it and the teacher stay as they are.

    `folder` holds checkpoints, which are resumed where they carry the `key`.
    """
    network, done = copy.deepcopy(before), 0
    folder.mkdir(parents=True, exist_ok=True)

    def taught(network, schedule, name):
        fit(net, network, teacher, stage, folder / f"{name}.checkpoint", f"{key} {name}", schedule, report)

    counts = cuts(network, net)
    for number, count in enumerate(counts, 1):
        done += count
        network = _cut(network, net, count, stage, folder / f"network{done}.checkpoint", f"{key} {done}")
        if number < len(counts):
            taught(network, net.prune.between, f"cut{done}")
    taught(network, net.schedule, "last")
    return network.eval()


def cuts(network: nn.Module, net: Net) -> list[int]:
    """How many filters each cut takes from a network that has lost none yet; none where it is not pruned."""
    if net.prune is None:
        return []
    total = sum(layer.out_channels for layer in structure.convolutions(network, net.prune.pool).values())
    return geometry.pruning_steps(total, net.prune.ratio, 0, net.prune.filters_per_step)


def operations_saved(network: nn.Module, pool: int, image: tuple[int, int, int]) -> dict[str, int]:
    """Multiply-accumulates of the device's half, before a split, that one filter of each of its layers costs.

    Its own, and those of the following layers that read it.
    """
    def of_device(whole):
        return flops.count_macs(structure.split(whole, pool)[0], image)

    before = of_device(network)
    return {name: before - of_device(pruning.remove_filters(network, {name: [0]}))
            for name in structure.convolutions(network, pool)}


def _cut(network, net, count, stage, path, key):
    """The network without the `count` filters of the lowest scores; chosen once, also where a run is broken off."""
    kept = checkpoint.load(path, key, torch.device("cpu"))
    if kept is None:
        images, chosen = stage.data, torch.randperm(len(stage.data.train_images),
                                                    generator=torch.Generator().manual_seed(stage.seed))
        parts = chosen[:net.prune.score_images].split(training.CPU.batch_size)
        scores = pruning.taylor_scores(stage.engine.place(network.eval()), (
            (images.normalise(images.train_images[part].to(stage.engine.device)),
             images.train_labels[part].to(stage.engine.device)) for part in parts), net.prune.pool)
        if net.prune.per_operation:
            saved = operations_saved(network, net.prune.pool, stage.image)
            scores = {name: values / saved[name] ** net.prune.per_operation for name, values in scores.items()}
        network = pruning.remove_filters(network, pruning.select(scores, count))
        checkpoint.save(path, key, {"model": network.state_dict(), "channels": structure.channels(network)})
        return network
    return stage.rebuild(kept["model"], kept["channels"], int(stage.data.train_labels.max()) + 1)
