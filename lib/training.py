"""The one training loop, for all four steps (Sec. II-D) and for the baselines."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from lib import checkpoint as checkpoints, data
from lib.codec import GDN
from lib.schedule import Schedule
from lib.speed import convolutions, graphs


@dataclass(frozen=True)
class Engine:
    """Where and how arithmetic runs: bfloat16 pays on GPUs and a few CPUs; CUDA graphs are of GPUs."""

    device: torch.device = torch.device("cpu")
    bfloat16: bool = False
    cuda_graphs: bool = False
    batch_size: int = 250  # of evaluations

    def autocast(self) -> AbstractContextManager:
        """The context of a forward pass: its precision and, on a CPU, faster convolutions."""
        if self.device.type == "cpu":
            return convolutions.autocast_bfloat16() if self.bfloat16 else convolutions.matrix_convolutions()
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)

    def place(self, module: nn.Module) -> nn.Module:
        """The module on the device, channels last: faster on CPUs (narrow networks, inference) and GPUs alike."""
        return module.to(self.device, memory_format=torch.channels_last)


CPU = Engine()


def fit(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor | None, loss: Callable,
        schedule: Schedule, *, seed: int,
        prepare: Callable = torch.Tensor.float, augmented: bool = False, evaluate: Callable | None = None,
        checkpoint: Path | None = None, key: str | None = None, engine: Engine = CPU,
        report: Callable = print) -> pd.DataFrame:
    """Train `model` in place and return its learning curve, one row an epoch.

    `inputs` [N, ...] are batched, augmented if asked (uint8 images), prepared (to float) and fed; `targets`
    [N, ...] likewise, None meaning the prepared inputs themselves. `loss(output, target)` is a mean over the batch,
    and `evaluate()` adds columns to the curve. The random numbers of an epoch depend on the seed and the epoch alone,
    and a `checkpoint` (a path) that carries this `key` is resumed, so a broken run ends with the numbers of an
    unbroken one. Raises FloatingPointError when the loss is not finite.
    """
    model, inputs = engine.place(model), inputs.to(engine.device)
    targets = None if targets is None else targets.to(engine.device)
    images = min(schedule.images_per_epoch or len(inputs), len(inputs))  # of all, drawn anew each epoch
    recorded = engine.cuda_graphs and all(getattr(module, "capturable", True) for module in model.modules())
    optimizer, rates = _optimizer(model, schedule, recorded)
    scheduler = _scheduler(optimizer, rates, schedule, -(-images // schedule.batch_size))
    history = _resume(checkpoints.load(checkpoint, key, engine.device, report), model, optimizer, scheduler)
    if history:
        report(f"resumed after epoch {len(history)} of {schedule.epochs}")
    total = torch.zeros((), device=engine.device)  # read when an epoch ends: each batch, it would stall a GPU
    step = _training_step(model, optimizer, inputs, targets, loss, prepare, augmented, engine, total,
                          schedule.clip_norm)
    if recorded:
        step = graphs.Recorded(step)
    for epoch in range(len(history), schedule.epochs):
        start = time.perf_counter()
        model.train()
        _train_epoch(step, scheduler, _draw(seed, epoch, len(inputs), images, augmented, engine.device),
                     schedule.batch_size, total)
        mean = _finite(total, epoch, schedule) / images
        seconds = time.perf_counter() - start
        history.append({"epoch": epoch + 1, "loss": mean, **(evaluate() if evaluate else {}),
                        "lr": float(scheduler.get_last_lr()[0]), "seconds": round(seconds, 2)})
        report(_in_words(history[-1], schedule.epochs, images / seconds))
        checkpoints.save(checkpoint, key, _state(model, optimizer, scheduler, history, schedule.epochs))
    model.eval()
    return pd.DataFrame(history)


def _training_step(model, optimizer, inputs, targets, loss, prepare, augmented, engine, total, clip_norm):
    """A function of a batch's indices (and its crops and flips) that trains on it and adds its loss to `total`."""

    def step(chosen, choices=None):
        batch = inputs[chosen]
        if augmented:
            # Augmented as uint8, then normalised: the padding is black, not the mean colour.
            batch = data.augment(batch, choices)
        batch = prepare(batch)
        # Step 3 restores what it is given: its target is the prepared batch.
        target = batch if targets is None else targets[chosen]
        with engine.autocast():
            value = loss(model(batch), target)
        # To None, not zero: the next backward pass writes gradients and need not add.
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        if clip_norm:
            nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        optimizer.step()
        # By its images, because the last batch of an epoch is smaller.
        total.add_(value.detach() * len(chosen))

    return step


def _draw(seed, epoch, available, images, augmented, device):
    """The images of an epoch in their order, and their crops and flips if they are augmented."""
    # Seeded by epoch: a resumed run draws what an unbroken one would. The prime keeps the epochs of
    # neighbouring seeds apart.
    generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
    torch.manual_seed(seed * 100_003 + epoch)  # the channel's noise
    drawn = [torch.randperm(available, generator=generator)[:images].to(device)]
    if augmented:
        drawn.append(data.draw_augmentation(images, generator).to(device))
    return drawn


def _train_epoch(step, scheduler, drawn, batch_size, total):
    """One pass over the drawn images; `total` becomes the sum of their losses."""
    total.zero_()
    for first in range(0, len(drawn[0]), batch_size):
        # Sliced from what was drawn at once; no loader, because all images are in memory.
        step(*(part[first:first + batch_size] for part in drawn))
        scheduler.step()


def _finite(total, epoch, schedule):
    """The sum of losses as a number, which must be one."""
    # A diverged network predicts one class: better no result than that one.
    if not torch.isfinite(total):
        raise FloatingPointError(f"The training loss is not finite after epoch {epoch + 1} "
                                 f"(learning rate {schedule.lr}): training has diverged.")
    return total.item()


def _in_words(row, epochs, rate):
    values = ", ".join(f"{name} {value:.4g}" for name, value in row.items() if name != "epoch")
    return f"epoch {row['epoch']}/{epochs}: {values}, {rate:.0f} images/s"


def _optimizer(model, schedule, recorded=False):
    """(the optimizer, the learning rates of its groups of parameters).

    L2 on every parameter but GDN's β and γ, which it would pull to zero; a rate of its own for the link, if asked.
    For a step that is recorded, the learning rates are tensors, which a scheduler changes in place.
    """
    exempt = {id(p) for module in model.modules() if isinstance(module, GDN) for p in module.parameters()}
    # By identity: a parameter has no name here that tells where it belongs.
    link = {id(p) for p in model.link.parameters()} if schedule.link_lr else set()
    # Step 3 freezes the device half.
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups, rates = [], []
    for in_link, lr in ((False, schedule.lr), (True, schedule.link_lr)):
        for of_gdn, weight_decay in ((False, schedule.weight_decay), (True, 0.0)):
            chosen = [p for p in trainable if (id(p) in link, id(p) in exempt) == (in_link, of_gdn)]
            if chosen:
                rate = torch.tensor(lr, device=chosen[0].device) if recorded else lr
                groups.append({"params": chosen, "weight_decay": weight_decay, "lr": rate})
                rates.append(lr)
    if schedule.optimizer == "adam":
        # Fused: one kernel for all parameters.
        return torch.optim.Adam(groups, schedule.lr, fused=True, capturable=recorded), rates
    return torch.optim.SGD(groups, schedule.lr, schedule.momentum, nesterov=schedule.nesterov, fused=True), rates


def _scheduler(optimizer, rates, schedule, batches):
    """What sets the rates before every batch; `batches` are those of an epoch."""
    rising = round(schedule.warm_up * batches)
    if schedule.decay == "one_cycle":
        # One step more than batches: the scheduler steps once after the last of them. Momentum is
        # not cycled, which the default would do.
        usual = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, rates, total_steps=max(2, schedule.epochs * batches - rising) + 1, cycle_momentum=False)
    else:
        # In batches, because the rate may change within an epoch (one-cycle, warm-up).
        milestones = [epoch * batches - rising for epoch in schedule.milestones] if schedule.decay == "step" else []
        usual = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, schedule.gamma)
    if not rising:
        return usual
    warm_up = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.01, total_iters=rising)
    return torch.optim.lr_scheduler.SequentialLR(optimizer, [warm_up, usual], milestones=[rising])


def _resume(stored, model, optimizer, scheduler):
    """Continue from a checkpoint's content; returns the learning curve so far."""
    if stored is None:
        return []
    model.load_state_dict(stored["model"])
    if "optimizer" in stored:
        optimizer.load_state_dict(stored["optimizer"])
        scheduler.load_state_dict(stored["scheduler"])
    return stored["history"]


def _state(model, optimizer, scheduler, history, epochs):
    """A checkpoint's content; after the last epoch the optimizer, as large as the model, is no longer needed."""
    state = {"model": model.state_dict(), "history": history}
    if len(history) < epochs:
        state |= {"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}
    return state
