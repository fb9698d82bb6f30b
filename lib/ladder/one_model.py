"""One model for all SNRs and bandwidths against models that were trained for their point: computed, stored, compared.

The record, outputs/STUDY/ladder/one_model.json, has a row for each model and each point where it was tried.
"""

import copy
import time
from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch

from lib import training as loop
from lib.ladder import records
from lib.recipe import training
from lib.recipe.any_point import AnyPointLink
from lib.recipe.parameters import OneModel
from lib.study import Study

ONE, OWN = "one", "own"


def measure(climb: Any) -> None:
    """Train the one model and those for each point by the same recipe, try them, and store the rows."""
    spec, began = climb.ladder.one_model, time.monotonic()
    print(f"one_model: {spec.about}", flush=True)
    features, targets, _ = climb.training_set(spec)
    known, rows = (climb, features, targets), []

    def tried(kind, model, bandwidth, snrs_db, trained_db=None):
        model.link.bandwidth = bandwidth
        points = training.accuracy(model, climb.test_features, climb.stage.data.test_labels, snrs_db,
                                   climb.settings.evaluation.draws, climb.ladder.batch_size)
        for snr, draws in points.groupby("snr_db").accuracy:
            rows.append({"model": kind, "bandwidth": bandwidth, "train_snr_db": trained_db, "snr_db": snr,
                         "accuracy": draws.mean(), "draws": draws.tolist()})
            print(f"{kind}, {bandwidth} symbols, {snr:g} dB: {100 * draws.mean():.2f} %", flush=True)

    one = train(*known, spec, spec.bandwidths, spec.snr_range)
    for bandwidth in spec.bandwidths:
        tried(ONE, one, bandwidth, spec.snrs_db)
        for snr_db in spec.snrs_db:
            own = train(*known, spec, [bandwidth], [snr_db, snr_db])
            tried(OWN, own, bandwidth, spec.snrs_db if snr_db == spec.fixed_db else [snr_db], snr_db)
    records.store(climb.settings, records.ONE, {"metrics": {"seconds": time.monotonic() - began}, "points": rows,
                                                **records.made_here()})


def train(climb: Any, features: Any, targets: Any, spec: OneModel, bandwidths: Sequence[int],
          snr_range: Sequence[float]) -> training.OnFeatures:
    """A model for these bandwidths and SNRs, on stored features [N, C, 1, 1]: the same start and images for each."""
    torch.manual_seed(climb.ladder.seed)
    link = AnyPointLink(features.shape[1], bandwidths, snr_range)
    model = training.OnFeatures(link, copy.deepcopy(climb.classifier).requires_grad_())
    loop.fit(model, features, targets, training.task_loss(spec.distil, spec.temperature), spec.schedule,
             seed=climb.ladder.seed, report=lambda line: None)
    return model.eval()


def compared(settings: Study) -> pd.DataFrame:
    """A row for each bandwidth and SNR: accuracy in percent of `one`, of its `own` model, of the `fixed` one.

    Empty where the record is not there.
    """
    stored = records.read(settings, records.ONE)
    columns = ["bandwidth", "snr_db", "one", "own", "fixed"]
    if stored is None:
        return pd.DataFrame(columns=columns)
    rows = pd.DataFrame(stored["points"])
    fixed_db = records.ladder(settings).one_model.fixed_db
    point = ["bandwidth", "snr_db"]
    own = rows[rows.model == OWN]
    parts = {"one": rows[rows.model == ONE], "own": own[own.train_snr_db == own.snr_db],
             "fixed": own[own.train_snr_db == fixed_db]}
    table = pd.concat({name: 100 * part.set_index(point).accuracy for name, part in parts.items()}, axis=1)
    return table.reset_index()[columns]
