"""Accuracy, over SNR and over independent noise draws (Sec. III-A)."""

import base64
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import nn

from lib.data import balanced_halves
from lib.training import CPU, Engine


@torch.inference_mode()
def forward(module: nn.Module, inputs: torch.Tensor, prepare: Callable = torch.Tensor.float,
            batch_size: int | None = None, engine: Engine = CPU) -> torch.Tensor:
    """The module's outputs for all inputs, in evaluation mode and float32; the mode of its parts is left as it was."""
    # A network in training mode may have frozen parts in evaluation mode: each gets its own back.
    training = [part for part in module.modules() if part.training]
    module = engine.place(module).eval()
    outputs = []
    for batch in inputs.split(batch_size or engine.batch_size):
        with engine.autocast():
            outputs.append(module(prepare(batch.to(engine.device))))
    for part in training:
        part.training = True
    # Ties and sums in float32, whatever the precision of the layers.
    return torch.cat(outputs).float()


def right(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, prepare: Callable,
          batch_size: int | None = None, engine: Engine = CPU) -> torch.Tensor:
    """Which images [N, ...] have their label as their largest logit: bool [N]."""
    return forward(model, images, prepare, batch_size, engine).argmax(1).cpu() == labels


def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, prepare: Callable,
             batch_size: int | None = None, engine: Engine = CPU) -> float:
    """The share of images [N, ...] whose largest logit is their label."""
    return right(model, images, labels, prepare, batch_size, engine).float().mean().item()


def score(correct: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """Accuracy over all images, over the half that selects models and over the half that reports, of bool [N]."""
    # Figure 3 picks models by one half of the test images and reports them by the other.
    selects = balanced_halves(labels)
    return {"accuracy": correct.float().mean().item(),
            "accuracy_selecting": correct[selects].float().mean().item(),
            "accuracy_reporting": correct[~selects].float().mean().item()}


def point(snr_db: float, draw: int, correct: torch.Tensor, labels: torch.Tensor, classes: int) -> dict:
    """A row of an evaluation: `score`, the right answers by class (counts, as text), and which images were right."""
    # By class: differences between models are paired by it where single images were not kept.
    by_class = torch.bincount(labels[correct], minlength=classes).tolist()
    return {"snr_db": snr_db, "draw": draw, **score(correct, labels),
            "right_by_class": " ".join(map(str, by_class)), "right": pack(correct)}


def pack(correct: torch.Tensor) -> str:
    """Bool [N] as text, eight images a byte in base64: with it two models can be compared image by image."""
    return base64.b64encode(np.packbits(correct.numpy()).tobytes()).decode()


def unpack(text: str, images: int) -> torch.Tensor:
    """The inverse of `pack` for this number of images."""
    bits = np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8), count=images)
    return torch.from_numpy(bits.astype(bool))


def right_images(points: pd.DataFrame, snr_db: float) -> dict[str, str]:
    """Of an evaluation table: which images were right without noise and, in the first noise draw, at an SNR."""
    first = points[points.draw == 0].set_index("snr_db").right.dropna()
    names = {"clean": float("inf"), "at_snr": snr_db}
    return {name: first[snr] for name, snr in names.items() if snr in first.index}


@torch.inference_mode()
def over_snr(transmit: Callable, receive: Callable, channel: nn.Module, images: torch.Tensor, labels: torch.Tensor,
             prepare: Callable, snrs_db: Sequence[float], draws: int, batch_size: int | None = None,
             engine: Engine = CPU) -> pd.DataFrame:
    """Accuracy for each SNR and noise draw, a row (`point`) each; `transmit` runs once an image for all of them.

    `transmit(float images)` gives channel symbols, `receive(symbols)` applies `channel` (an AWGN, whose
    `snr_db` is set) and gives logits. A draw sees the same noise at every SNR and in every model, up to its
    strength, so differences between models are paired. Without noise (SNR inf) one draw is enough.
    Raises ValueError in training mode.
    """
    for function in (transmit, receive):
        owner = getattr(function, "__self__", function)
        if isinstance(owner, nn.Module) and any(module.training for module in owner.modules()):
            raise ValueError("The model must be in evaluation mode: batch norm would mix the test images.")
    # One model is evaluated at SNRs that it was not trained for; afterwards it is as before.
    trained_snr_db = channel.snr_db
    # Without noise all draws would be the same.
    correct = {(snr, draw): [] for snr in snrs_db for draw in range(draws if snr < float("inf") else 1)}
    batch_size = batch_size or engine.batch_size
    with torch.random.fork_rng(devices=[engine.device] if engine.device.type == "cuda" else []):
        for number, batch in enumerate(images.split(batch_size)):
            # Compared batch by batch: logits of 10,000 images at 12 SNRs and 8 draws would fill the
            # memory.
            truth = labels[number * batch_size:][:batch_size]
            with engine.autocast():
                # The device half, most of the work, runs once for all SNRs and draws.
                symbols = transmit(prepare(batch.to(engine.device)))
                for snr, draw in correct:
                    channel.snr_db = snr
                    # The same seed at every SNR, so that points of one curve share their noise; a
                    # large prime keeps draws from sharing the seed of another batch.
                    torch.manual_seed(1_000_003 * (draw + 1) + number)
                    correct[snr, draw].append(receive(symbols).argmax(1).cpu() == truth)
    channel.snr_db = trained_snr_db
    classes = int(labels.max()) + 1
    return pd.DataFrame([point(snr, draw, torch.cat(parts), labels, classes)
                         for (snr, draw), parts in correct.items()])


def turned_wrong(pipeline: nn.Module, images: torch.Tensor, labels: torch.Tensor, prepare: Callable, snr_db: float,
                 count: int = 400, engine: Engine = CPU) -> tuple[list[int], list[int]]:
    """Of `count` images, evenly spaced, those right without noise and wrong at `snr_db`: (indices, what was read)."""
    tried = torch.linspace(0, len(images) - 1, min(count, len(images))).long()
    trained_snr_db, answers = pipeline.link.channel.snr_db, []
    for snr in (float("inf"), snr_db):
        pipeline.link.channel.snr_db = snr
        answers.append(forward(pipeline, images[tried], prepare, engine=engine).argmax(1).cpu())
    pipeline.link.channel.snr_db = trained_snr_db
    flipped = (answers[0] == labels[tried]) & (answers[1] != labels[tried])
    return tried[flipped].tolist(), answers[1][flipped].tolist()
