"""One model for all SNRs and bandwidths against models that were trained for their point: computed, stored, compared.

The record, outputs/STUDY/ladder/one_model.json, has a row for each model and each point where it was tried; that of a
variant has those of the one model alone. What is broken off goes on with the model that it was at (*.checkpoint).
"""

import copy
import time
from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch

from lib import checkpoint, training as loop
from lib.ladder import records
from lib.recipe import training
from lib.recipe.any_point import AnyPointLink
from lib.recipe.parameters import OneModel
from lib.study import Study
from lib.training import CPU

ONE, OWN = "one", "own"


def measure(climb: Any, name: str = records.ONE) -> None:
    """Train the one model and those for each point by the same recipe, try them, and store the rows; or a variant."""
    spec, kept = climb.ladder.ones[name], records.folder(climb.settings) / f"{name}.checkpoint"
    print(f"{name}: {spec.about}", flush=True)
    features, targets, _ = climb.training_set(spec)
    key = records.fingerprint([records.parameters(climb.settings, name),
                               records.weights_under(climb.settings, name)])
    done = checkpoint.load(kept, key, CPU.device) or {"models": [], "seconds": 0.0}
    points = [(bandwidth, snr_db) for bandwidth in spec.bandwidths for snr_db in spec.snrs_db if name == records.ONE]
    for point in [None, *points][len(done["models"]):]:
        began = time.monotonic()
        bandwidths, snr_range = ([point[0]], [point[1]] * 2) if point else (spec.bandwidths, spec.snr_range)
        model = train(climb, features, targets, spec, bandwidths, snr_range)
        done["models"].append([row for bandwidth in bandwidths for row in _tried(climb, model, bandwidth, point)])
        done["seconds"] += time.monotonic() - began
        checkpoint.save(kept, key, done)
    rows = [row for model in done["models"] for row in model]
    records.store(climb.settings, name, {"metrics": {"seconds": done["seconds"]}, "points": rows,
                                         **records.made_here()})
    kept.unlink()


def _tried(climb, model, bandwidth, point):
    """A row an SNR: the one model (`point` is None) and the models of `fixed_db` at all, others at their own."""
    spec, trained_db = climb.ladder.one_model, point[1] if point else None
    model.link.bandwidth = bandwidth
    tried = training.accuracy(model, climb.test_features, climb.stage.data.test_labels,
                              spec.snrs_db if trained_db in (None, spec.fixed_db) else [trained_db],
                              climb.settings.evaluation.draws, climb.ladder.batch_size)
    for snr_db, draws in tried.groupby("snr_db").accuracy:
        kind = OWN if point else ONE
        print(f"{kind}, {bandwidth} symbols, {snr_db:g} dB: {100 * draws.mean():.2f} %", flush=True)
        # No numpy scalars, which a checkpoint does not take.
        yield {"model": kind, "bandwidth": bandwidth, "train_snr_db": trained_db, "snr_db": float(snr_db),
               "accuracy": float(draws.mean()), "draws": draws.tolist()}


def train(climb: Any, features: Any, targets: Any, spec: OneModel, bandwidths: Sequence[int],
          snr_range: Sequence[float]) -> training.OnFeatures:
    """A model for these bandwidths and SNRs, on stored features [N, C, 1, 1]: the same start and images for each."""
    torch.manual_seed(climb.ladder.seed)
    link = AnyPointLink(features.shape[1], bandwidths, snr_range, spec.hidden)
    model = training.OnFeatures(link, copy.deepcopy(climb.classifier).requires_grad_())
    loop.fit(model, features, targets, training.task_loss(spec.distil, spec.temperature), spec.schedule,
             seed=climb.ladder.seed, report=lambda line: None)
    return model.eval()


def compared(settings: Study) -> pd.DataFrame:
    """A row for each bandwidth and SNR: accuracy in percent of `one`, of its `own` model, of the `fixed` one.

    Behind them a column for each variant that is stored. Empty where the record of the one model is not there.
    """
    ones = records.ladder(settings).ones
    found = {name: pd.DataFrame(record["points"]) for name in ones if (record := records.read(settings, name))}
    columns = ["bandwidth", "snr_db", "one", "own", "fixed"]
    if records.ONE not in found:
        return pd.DataFrame(columns=columns)
    rows = found.pop(records.ONE)
    fixed_db = ones[records.ONE].fixed_db
    point = ["bandwidth", "snr_db"]
    own = rows[rows.model == OWN]
    parts = {"one": rows[rows.model == ONE], "own": own[own.train_snr_db == own.snr_db],
             "fixed": own[own.train_snr_db == fixed_db], **found}
    table = pd.concat({name: 100 * part.set_index(point).accuracy for name, part in parts.items()}, axis=1)
    return table.reset_index()[[*columns, *found]]
