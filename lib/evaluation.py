"""Accuracy, over SNR and over independent noise draws (Sec. III-A)."""

import pandas as pd
import torch

from lib.data import balanced_halves
from lib.training import CPU


@torch.inference_mode()
def forward(module, inputs, prepare=torch.Tensor.float, batch_size=None, engine=CPU):
    """The module's outputs for all inputs, in evaluation mode and float32; the mode of its parts is left as it was."""
    training = [part for part in module.modules() if part.training]
    module = engine.place(module).eval()
    outputs = []
    for batch in inputs.split(batch_size or engine.batch_size):
        with engine.autocast():
            outputs.append(module(prepare(batch.to(engine.device))))
    for part in training:
        part.training = True
    return torch.cat(outputs).float()


def accuracy(model, images, labels, prepare, batch_size=None, engine=CPU):
    """The share of images [N, ...] whose largest logit is their label."""
    return (forward(model, images, prepare, batch_size, engine).argmax(1).cpu() == labels).float().mean().item()


def accuracy_by_half(model, images, labels, prepare, batch_size=None, engine=CPU):
    """Clean accuracy over all images, the half that selects models and the half that reports (a dict)."""
    right = forward(model, images, prepare, batch_size, engine).argmax(1).cpu() == labels
    selects = balanced_halves(labels)
    return {"accuracy_clean": right.float().mean().item(),
            "accuracy_selecting_clean": right[selects].float().mean().item(),
            "accuracy_reporting_clean": right[~selects].float().mean().item()}


@torch.inference_mode()
def over_snr(transmit, receive, channel, images, labels, prepare, snrs_db, draws, batch_size=None, engine=CPU):
    """Accuracy for each SNR and noise draw; `transmit` runs once an image for all of them.

    `transmit(float images)` gives channel symbols, `receive(symbols)` applies `channel` (an AWGN, whose
    `snr_db` is set) and gives logits. A draw sees the same noise at every SNR and in every model, up to its
    strength, so differences between models are paired. Without noise (SNR inf) one draw is enough.
    Returns one row per SNR and draw: `accuracy` over all images, over the half that selects models and over the
    half that reports, and the right answers by class (counts, as text). Raises ValueError in training mode.
    """
    for function in (transmit, receive):
        owner = getattr(function, "__self__", function)
        if isinstance(owner, torch.nn.Module) and any(module.training for module in owner.modules()):
            raise ValueError("The model must be in evaluation mode: batch norm would mix the test images.")
    selects, classes = balanced_halves(labels), int(labels.max()) + 1
    trained_snr_db = channel.snr_db
    right = {(snr, draw): [] for snr in snrs_db for draw in range(draws if snr < float("inf") else 1)}
    batch_size = batch_size or engine.batch_size
    with torch.random.fork_rng(devices=[engine.device] if engine.device.type == "cuda" else []):
        for number, batch in enumerate(images.split(batch_size)):
            truth = labels[number * batch_size:][:batch_size]
            with engine.autocast():
                symbols = transmit(prepare(batch.to(engine.device)))
                for snr, draw in right:
                    channel.snr_db = snr
                    torch.manual_seed(1_000_003 * (draw + 1) + number)
                    right[snr, draw].append(receive(symbols).argmax(1).cpu() == truth)
    channel.snr_db = trained_snr_db
    rows = []
    for (snr, draw), parts in right.items():
        correct = torch.cat(parts)
        rows.append({"snr_db": snr, "draw": draw, "accuracy": correct.float().mean().item(),
                     "accuracy_selecting": correct[selects].float().mean().item(),
                     "accuracy_reporting": correct[~selects].float().mean().item(),
                     "right_by_class": " ".join(map(str, torch.bincount(labels[correct], minlength=classes).tolist()))})
    return pd.DataFrame(rows)


def turned_wrong(pipeline, images, labels, prepare, snr_db, count=400, engine=CPU):
    """Of `count` images, evenly spaced, those right without noise and wrong at `snr_db`: (indices, what was read)."""
    tried = torch.linspace(0, len(images) - 1, min(count, len(images))).long()
    trained_snr_db, answers = pipeline.link.channel.snr_db, []
    for snr in (float("inf"), snr_db):
        pipeline.link.channel.snr_db = snr
        answers.append(forward(pipeline, images[tried], prepare, engine=engine).argmax(1).cpu())
    pipeline.link.channel.snr_db = trained_snr_db
    flipped = (answers[0] == labels[tried]) & (answers[1] != labels[tried])
    return tried[flipped].tolist(), answers[1][flipped].tolist()
