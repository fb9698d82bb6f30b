"""Models sent over channels: what the ladder's command computes of `over`, and what is stored of it.

One record an entry, outputs/STUDY/ladder/ENTRY.json: a row for each SNR of training, seed, channel and SNR that a model
was tried at. Beside them `separation`, what the features are worth when they are sent as so many bits.
"""

import time
from typing import Any

import pandas as pd
import torch

from lib import channel, evaluation
from lib.channels.parameters import Channel
from lib.ladder import records
from lib.recipe import training
from lib.recipe.parameters import Ladder, Over
from lib.schemes import features as coding
from lib.study import Study

LEARNING, TRIED = 2000, 500  # training images for the codes, and those of them that choose one
FRAMES = 20_000  # of which a tapped delay line's outage is counted
DESIGNS_DB = sorted([*(2.5 * step for step in range(-4, 11)), 14.5])  # SNRs whose capacity a code is made for


def send_over(entry: Over, spec: Channel, snr_db: float) -> torch.nn.Module:
    """The channel, behind the entry's constellation where it has one."""
    module = channel.build(spec, snr_db)
    if entry.symbols is None:
        return module
    return channel.Modulated(channel.Constellation(entry.symbols.order, entry.symbols.learned,
                                                   gradient=entry.symbols.gradient), module)


def required(ladder: Ladder, name: str) -> list[Channel]:
    """The channels that an entry sends over; none of what is no entry."""
    if name not in ladder.over:
        return []
    return [ladder.over[other].channel for other in (name, *ladder.over[name].also_over)]


def measure(climb: Any, name: str) -> None:
    """Train the models of an entry, try each over its own channel and the others it asks for, and store the rows."""
    entry, began = climb.ladder.over[name], time.monotonic()
    print(f"{name}: {entry.about}", flush=True)
    rung = climb.ladder.rungs[entry.rung]
    features, targets, _ = climb.training_set(rung)
    bandwidth, _ = records.point(climb.settings, entry.rung)
    rows = []
    for snr_db in entry.snrs_db or climb.ladder.snrs_db:
        for seed in entry.seeds or [climb.ladder.seed]:
            model, _ = training.train(rung, climb.classifier, features, targets, bandwidth=bandwidth, snr_db=snr_db,
                                      seed=seed, channel=send_over(entry, entry.channel, snr_db),
                                      report=lambda line: None)
            rows += [{"train_snr_db": snr_db, "seed": seed, **row} for row in _tried(climb, entry, name, model, snr_db)]
            print(f"{name}, {snr_db:g} dB, seed {seed}: {100 * rows[-1]['accuracy']:.2f} %", flush=True)
    records.store(climb.settings, name, {"metrics": {"seconds": time.monotonic() - began}, "points": rows,
                                         **_rates(entry, climb.ladder, bandwidth), **records.made_here()})


def _rates(entry, ladder, bandwidth):
    """Of a tapped delay line, the 201 half-percent quantiles of an image's capacity in bits per real symbol, by SNR.

    Stored, so that separation's outage can be said without Sionna.
    """
    if entry.channel.name != "tdl":
        return {}
    torch.manual_seed(0)
    powers = channel.build(entry.channel, 0.0).gains(FRAMES, bandwidth // 2, torch.device("cpu")).abs().square()
    shares = torch.linspace(0, 1, 201)
    return {"rates": {f"{snr_db:g}": torch.quantile(torch.log2(1 + powers * 10 ** (snr_db / 10)).mean(1) / 2,
                                                    shares).tolist() for snr_db in entry.snrs_db or ladder.snrs_db}}


def _tried(climb, entry, name, model, snr_db):
    """Rows of one model: over other channels at the SNR of its training, over its own at all."""
    trained_over = model.link.channel
    for other in [*entry.also_over, name]:
        spec = climb.ladder.over[other].channel
        tried = channel.build(spec, snr_db)
        if entry.symbols is not None:
            tried = channel.Modulated(trained_over.constellation, tried)
        model.link.channel = tried
        snrs_db = [snr_db] if other != name else sorted({*climb.settings.evaluation.snr_db, snr_db})
        points = training.accuracy(model, climb.test_features, climb.stage.data.test_labels, snrs_db,
                                   climb.settings.evaluation.draws, climb.ladder.batch_size, climb.behind)
        for at, draws in points.groupby("snr_db").accuracy:
            if other != name or at != snr_db:
                yield {"over": other, "snr_db": at, "accuracy": draws.mean(), "draws": draws.tolist()}
        own = points[points.snr_db == snr_db].accuracy
    # Last, so that it is the one that is printed.
    yield {"over": name, "snr_db": snr_db, "accuracy": own.mean(), "draws": own.tolist()}


def separation(climb: Any) -> None:
    """Store what the features are worth as bits: for each design SNR, of the codes that fit B symbols at its capacity,
    the one with which the classifier is right most often on training images, and its accuracy on test images.
    """
    images, (known, labels) = climb.stage.data, learning_set(climb)
    tried = torch.linspace(0, LEARNING - 1, TRIED).long()
    test, rows = climb.test_features.float(), []

    def right(code, features, labels):
        return evaluation.accuracy(climb.classifier, code(features)[0], labels, torch.Tensor.float, 1000)

    for design in DESIGNS_DB:
        codes = coding.feature_codes(known, climb.ladder.bandwidth, design)
        if codes:
            best = max(codes, key=lambda code: right(code, known[tried], labels[tried]))
            bits = best(test)[1].double()
            rows.append({"design_db": design, "rate": channel.capacity(design), "bits": bits.mean().item(),
                         "accuracy": right(best, test, images.test_labels)})
    records.store(climb.settings, records.SEPARATION, {"points": rows, **records.made_here()})


def learning_set(climb: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """(features, labels) of the training images that digital codes are learnt from."""
    labels = climb.stage.data.train_labels
    chosen = torch.linspace(0, len(labels) - 1, LEARNING).long()
    return climb.features("plain")[chosen].float(), labels[chosen]


def table(settings: Study) -> pd.DataFrame:
    """All stored rows: entry, train_snr_db, seed, over, snr_db, accuracy, draws."""
    rows = [{"entry": name, **row} for name in records.ladder(settings).over
            for row in (records.read(settings, name) or {"points": []})["points"]]
    return pd.DataFrame(rows, columns=["entry", "train_snr_db", "seed", "over", "snr_db", "accuracy", "draws"])
