"""Climb the ladder of a study: compute the rungs that are not stored yet (docs/best.md tells what came of it).

    python -m lib.ladder best [RUNG or NET …]
    python -m lib.ladder best one_model               or one of its variants
    python -m lib.ladder channels [RUNG or ENTRY …]     a rung over several channels, too (docs/channels.md)

A rung is stored as outputs/STUDY/ladder/RUNG.json, and trained with another seed as seed1-RUNG.json; one whose
parameters have changed since is computed again. Features are stored beside them and not committed: with them a rung
takes minutes. A net takes longer, and is computed when a rung asks for it; a checkpoint an epoch is kept until it is
finished. Of most nets the weights are not committed: one that is stored without them is trained again when it is named.
"""

import copy
import dataclasses
import time
import zlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from lib import InputError, evaluation, flops, study, vgg, weights
from lib.batch import places
from lib.execution import processes
from lib.ladder import nets, one_model, over, records
from lib.recipe import nets as recipe, stored, training
from lib.recipe.parameters import EARLIEST_ON_FEATURES, OneModel, Rung
from lib.stage import Stage
from lib.training import CPU, Engine

POOL = 5  # where the split lies, if a rung does not say


class Climb:
    """What all rungs of one net and split share: the study's data, the network and its features."""

    def __init__(self, settings: study.Study):
        self.settings, self.ladder, self.at = settings, records.ladder(settings), (None, POOL)
        self.stage = Stage(settings, self.ladder.seed, settings.threads.others)
        self.engine = dataclasses.replace(self.stage.engine, batch_size=self.ladder.batch_size)
        folder = places.find(settings, study.name("pretrain", seed=self.ladder.seed))
        if folder is None:
            raise InputError(f"The pretrained network of {settings.name} is not here.")
        places.check_weights(folder)
        channels = places.read_result(folder)["channels"]
        self.pretrained = self.stage.rebuild(weights.load(folder), channels, settings.classes)
        self.scores: dict[str | None, dict[str, float]] = {}  # of nets without a channel; all splits share them
        self._take(self.pretrained)

    def _take(self, network):
        self.device, self.classifier = vgg.split(network, self.at[1])
        self.classifier = self.classifier.float()

    def on(self, net: str | None, pool: int = POOL) -> "Climb":
        """The same of another net, which is computed where it is not here, or of another split."""
        if self.at == (net, pool):
            return self
        other = copy.copy(self)
        # Its own results, not those that are kept of this one.
        for own in ("test_features", "device_macs"):
            vars(other).pop(own, None)
        other.at = net, pool
        other._take(nets.load(self.settings, self.stage, net, self.pretrained))
        return other

    def features(self, view: str) -> torch.Tensor:
        """Of the training images as a view takes and changes them; computed once."""
        spec, seed = self.ladder.views[view], zlib.crc32(view.encode())
        images = self.stage.data.train_images[::spec.every]
        if spec.crops:
            def changed():
                return stored.augmented(images, seed, spec.hole, spec.least)
        else:
            def changed():
                return images
        return self._once(records.fingerprint({"view": view, **spec.model_dump()}), changed)

    @cached_property
    def test_features(self) -> torch.Tensor:
        return self._once("test", lambda: self.stage.data.test_images)

    def _once(self, name, images):
        net, pool = self.at
        # By the weights, too: a net may have been trained again.
        of = records.fingerprint([net and nets.key(self.settings, net), records.weights(self.settings, net)])
        file = records.folder(self.settings) / "features" / f"{net or 'pretrained'}-{of}-pool{pool}-{name}.safetensors"
        if not file.exists():
            began = time.monotonic()
            file.parent.mkdir(parents=True, exist_ok=True)
            found = stored.features(self.device, images(), self.stage.data.normalise, self.engine)
            places.replace(file, lambda path: save_file({"features": found.contiguous()}, path))
            print(f"features {name}: {time.monotonic() - began:.0f} s", flush=True)
        return load_file(file)["features"]

    @property
    def behind(self) -> Engine:
        """How what lies behind the split is evaluated.

        Few and small layers in float32, since their inputs were rounded already; most of a network as all of it is.
        """
        return CPU if self.at[1] >= EARLIEST_ON_FEATURES else self.engine

    @cached_property
    def device_macs(self) -> int:
        return flops.count_macs(self.device, (3, 32, 32))

    def alone(self, net: str | None) -> dict[str, float]:
        """What a net has without a channel, on all test images and on each half; measured once."""
        if net not in self.scores:
            network, images = nets.load(self.settings, self.stage, net, self.pretrained), self.stage.data
            right = evaluation.right(network, images.test_images, images.test_labels, images.normalise,
                                     engine=self.engine)
            self.scores[net] = evaluation.score(right, images.test_labels)
        return self.scores[net]

    def training_set(self, rung: Rung | OneModel) -> tuple[torch.Tensor, torch.Tensor, dict[str, float]]:
        """Features and targets of a rung's views, and how often the network is right on each of them."""
        features = [self.features(view) for view in rung.views]
        labels = [self.stage.data.train_labels[::self.ladder.views[view].every] for view in rung.views]
        targets = [training.teacher_targets(self.classifier, *part, self.behind)
                   for part in zip(features, labels, strict=True)]
        right = {view: (target[:, 1:].argmax(1) == target[:, 0]).float().mean().item()
                 for view, target in zip(rung.views, targets, strict=True)}
        return torch.cat(features), torch.cat(targets), right

    def rung(self, name: str) -> None:
        """Train one rung, or one with another seed (`seed1-logits`), measure it and store it."""
        of, seed = records.of_seed(name) or (name, self.ladder.seed)
        rung, began = self.ladder.rungs[of], time.monotonic()
        print(f"{name}: {rung.about}", flush=True)
        # First, since the weights of one of them may not be here.
        compared = {"reference": self.alone(self.ladder.unpruned(self.at[0])),
                    **({"control": self.alone(rung.control)} if rung.control else {})}
        features, targets, right = self.training_set(rung)
        bandwidth, snr_db = records.point(self.settings, of)
        model, curve = training.train(rung, self.classifier, features, targets, bandwidth=bandwidth, snr_db=snr_db,
                                      seed=seed)
        checkpoint, test_features = records.folder(self.settings) / "whole" / f"{name}.checkpoint", self.test_features
        if rung.whole:
            test_features, curve = self.together(name, rung, seed, model, checkpoint)
        snrs_db = sorted({*self.settings.evaluation.snr_db, snr_db})
        points = training.accuracy(model, test_features, self.stage.data.test_labels, snrs_db,
                                   self.settings.evaluation.draws, self.ladder.batch_size, self.behind)
        means = points.groupby("snr_db")[["accuracy", "accuracy_selecting", "accuracy_reporting"]].mean()
        mean = means.accuracy
        macs = self.device_macs + flops.count_macs(model.link.encoder, tuple(self.test_features.shape[1:]))
        records.store(self.settings, name, {
            "metrics": {**means.loc[snr_db], "device_macs": macs, "seconds": time.monotonic() - began,
                        "right_on_views": right, **compared},
            "over_snr": mean.to_dict(), "history": curve.to_dict("list"), **records.made_here()})
        checkpoint.unlink(missing_ok=True)
        print(f"{name}: {100 * mean[snr_db]:.2f} % at {snr_db:g} dB", flush=True)

    def together(self, name: str, rung: Rung, seed: int, model: nn.Module,
                 checkpoint: Path) -> tuple[torch.Tensor, pd.DataFrame]:
        """Train a copy of the device half, and a rung's `model` in place, as one on images.

        Returns the test images' features after that half, and the learning curve.
        """
        device, images, stage = copy.deepcopy(self.device), self.stage.data, copy.copy(self.stage)
        stage.seed = seed
        teacher = nets.teacher(self.settings, self.stage, self.at[0], self.pretrained)
        key = records.fingerprint(records.parameters(self.settings, name, defaults=False))
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        model.edge.requires_grad_(True)  # a codec that learnt features has left it as it was
        curve = recipe.fit(rung.whole, training.OnImages(device, model), teacher, stage, checkpoint, key,
                           report=lambda line: print(line, flush=True))
        return stored.features(device, images.test_images, images.normalise, self.engine), curve

    def bounds(self) -> None:
        """What no rung is trained for: the network itself on the test features."""
        right = evaluation.right(self.classifier, self.test_features, self.stage.data.test_labels, torch.Tensor.float)
        records.store(self.settings, records.CLEAN, {"metrics": {"accuracy": right.float().mean().item()}})


def main(arguments: list[str]) -> int:
    """Compute what is asked (all rungs), in the order of the study; returns the exit code."""
    if not arguments:
        raise InputError("usage: python -m lib.ladder STUDY [RUNG …]")
    climb(study.load(arguments[0]), arguments[1:])
    return 0


def climb(settings: study.Study, names: Sequence[str] = ()) -> None:
    """Compute those of the names (all, where none is given) that are not stored, in the order of the study.

    A net that is named and whose weights are not here is trained again.
    """
    ladder = records.ladder(settings)
    known = records.names(settings)
    if unknown := set(names) - set(known):
        raise InputError(f"The ladder of {settings.name} has no rung {min(unknown)}.")
    todo = records.missing(settings, [name for name in known if name in names or not names])
    again = [name for name in known if name in names and name in ladder.nets and not nets.here(settings, name)]
    todo = [*dict.fromkeys([*again, *todo])]
    for name in todo:
        for spec in over.required(ladder, name):
            spec.require()
    if not todo:
        return
    shared = Climb(settings)
    if records.missing(settings, [records.CLEAN]):  # elsewhere it may differ in the last bits
        shared.bounds()
    for name in todo:
        if name == records.SEPARATION:
            over.separation(shared)
        elif name in ladder.ones:
            one_model.measure(shared.on(ladder.one_model.net), name)
        elif name in ladder.over:
            rung = ladder.rungs[ladder.over[name].rung]
            over.measure(shared.on(rung.net, rung.pool), name)
        elif name in ladder.nets:
            if not nets.here(settings, name):
                nets.train(settings, shared.stage, name, shared.pretrained)
        else:
            rung = ladder.rungs[(records.of_seed(name) or [name])[0]]
            shared.on(rung.net, rung.pool).rung(name)


if __name__ == "__main__":
    processes.command_line(main)
