"""The networks of a ladder beside the pretrained one: trained once, kept with their parameters, measured.

The record of a net is outputs/STUDY/ladder/net-NAME.json. Its weights lie beside it in half precision, and are what
is measured. Git keeps those of `best` on which a rung takes minutes, and no others.
"""

import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lib import InputError, evaluation, flops, networks, weights
from lib.batch import places
from lib.ladder import records
from lib.networks import structure
from lib.recipe import nets
from lib.recipe.net_parameters import SCRATCH
from lib.schemes.label import LabelCode
from lib.stage import Stage
from lib.study import Study

LABEL_SYMBOLS = (4, 5, 8, 16)


def load(settings: Study, stage: Stage, name: str | None, pretrained: nn.Module) -> nn.Module:
    """The net of this name, computed if it has no record, and those before it; `pretrained` for None.

    `scratch` has random weights, which the seed decides.

    Raises InputError where its record is here and its weights are not, or are others.
    """
    if name is None:
        return pretrained
    if name == SCRATCH:
        torch.manual_seed(stage.seed)
        return stage.engine.place(networks.build(settings.network.name, settings.classes, settings.network.width))
    folder = _folder(settings, name)
    stored = records.read(settings, records.NET + name)
    if stored is None:
        train(settings, stage, name, pretrained)
        stored = records.read(settings, records.NET + name)
    elif not here(settings, name):
        # Trained again it may differ in its last bits, and what rests on it would be stale.
        raise InputError(f"The weights of {name} are not here, and its results are: python -m lib.ladder "
                         f"{settings.source} {name} trains it again, in about {stored['metrics']['seconds'] / 60:.0f} "
                         f"min; python -m lib verify {settings.source} then says what no longer rests on it.")
    found = places.weight_files(folder)
    if stored.get("weights", found) != found:  # records before 28 November 2026, 14:00, do not say
        raise InputError(f"{folder} does not hold the weights of {name}: delete it, and they are computed again.")
    return stage.rebuild(weights.load(folder), stored["channels"], settings.classes)


def teacher(settings: Study, stage: Stage, name: str | None, pretrained: nn.Module) -> nn.Module:
    """What a net learns from: the one it names, or the one it was made of.

    The pretrained network is its own, and so is a net from scratch that names none.
    """
    net = None if name is None else records.ladder(settings).nets[name]
    if net is None or net.teacher is None and net.of == SCRATCH:
        return load(settings, stage, name, pretrained)
    return load(settings, stage, net.teacher or net.of, pretrained)


def here(settings: Study, name: str) -> bool:
    """Whether a net is computed and its weights are here: two files hold them."""
    return (records.read(settings, records.NET + name) is not None
            and len(list(_folder(settings, name).glob("model*.safetensors"))) == 2)


def _folder(settings: Study, name: str) -> Path:
    # By its parameters too: weights of others are never taken for these.
    return records.folder(settings) / "nets" / f"{name}-{key(settings, name)}"


def key(settings: Study, name: str) -> str:
    """A short hash of all that decides what a net is."""
    # Without defaults: an option that is added changes no net that does not take it.
    return records.fingerprint(records.parameters(settings, records.NET + name, defaults=False))


def train(settings: Study, stage: Stage, name: str, pretrained: nn.Module) -> None:
    """Train a net, keep its weights, measure and store it."""
    spec, began, folder = records.ladder(settings).nets[name], time.monotonic(), _folder(settings, name)
    start = load(settings, stage, spec.of, pretrained)
    taught_by = load(settings, stage, spec.teacher, pretrained) if spec.teacher else start
    print(f"{name}: {spec.about}", flush=True)
    network = nets.train(spec, start, taught_by, stage, folder, key(settings, name),
                         lambda line: print(line, flush=True))
    for file, part in weights.files(network.state_dict(), half=True).items():
        places.replace(folder / file, lambda path, part=part: weights.save(path, part))
    for file in folder.glob("*.checkpoint"):
        file.unlink()
    channels = structure.channels(network)
    network = stage.rebuild(weights.load(folder), channels, settings.classes)
    found = measure(network, stage, settings)
    records.store(settings, records.NET + name, {
        "channels": channels, "weights": places.weight_files(folder), **found, **records.made_here(),
        "metrics": {**found["metrics"], "seconds": time.monotonic() - began}})
    print(f"{name}: {100 * found['metrics']['accuracy']:.2f} %", flush=True)


def measure(network: nn.Module, stage: Stage, settings: Study) -> dict[str, Any]:
    """Test accuracy without a channel, operations after every pooling, and the label code over SNR."""
    images, spec = stage.data, settings.evaluation
    logits = evaluation.forward(network, images.test_images, images.normalise, engine=stage.engine).cpu().float()
    macs = {pool: flops.count_macs(structure.split(network, pool)[0], stage.image) for pool in range(1, 6)}
    classifier = flops.count_macs(network, stage.image) - macs[5]
    rows = []
    for symbols in LABEL_SYMBOLS:
        code = LabelCode(settings.classes, symbols, spec.snr_db[0]).eval()
        points = evaluation.over_snr(code.encode, lambda sent, code=code: code.decode(code.channel(sent)), code.channel,
                                     logits, images.test_labels, torch.clone, spec.snr_db, spec.draws, spec.batch_size)
        rows += [{"symbols": symbols, "snr_db": snr, "accuracy": accuracy}
                 for snr, accuracy in points.groupby("snr_db").accuracy.mean().items()]
    whole = networks.build(settings.network.name, settings.classes, settings.network.width)
    left = sum(structure.channels(network)) / sum(structure.channels(whole))
    return {"metrics": {"accuracy": (logits.argmax(1) == images.test_labels).float().mean().item(),
                        "filters_left": left, "classifier_macs": classifier},
            "device_macs": macs, "label": rows}
