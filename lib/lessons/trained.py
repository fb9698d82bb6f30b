"""A trained model, loaded to be looked at; computed first where it is missing."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lib import codec, data, job, study, vgg, weights
from lib.batch import checks, places
from lib.execution import by_hand


@dataclass
class Trained:
    """An end-to-end model in evaluation mode, on the CPU, the unpruned network, their data, and what was stored."""

    pipeline: codec.Pipeline
    unpruned: nn.Module
    images: data.Dataset
    names: list[str]  # of the classes
    result: dict[str, Any]


def load(profile: str, interactive: bool = False, **parameters: Any) -> Trained:
    """The end-to-end model of these parameters (pool, ratio, bandwidth, snr_db, seed, variant) of a study.

    At a small study what is missing is computed first, under outputs/interactive/; InputError names the command that
    computes it at a large one. `interactive` prefers a model that was computed by hand.
    """
    settings = study.load(profile)
    parameters = checks.run_parameters("end_to_end", parameters)
    checks.check_point(settings, parameters)
    item, listed = job.describe(settings, "end_to_end", parameters)

    def here(name):
        return places.find(settings, name, interactive=interactive)

    pretrained = study.name("pretrain", seed=parameters["seed"])
    for name in (pretrained, item.name):
        if here(name) is None:
            missing = study.needs(listed, name, here)
            by_hand.provide(settings, listed, sorted(missing, key=list(listed).index))
    folder = here(item.name)
    print(f"the model is {folder.relative_to(study.ROOT)}", flush=True)
    state, result = _read(folder)
    pipeline = codec.Pipeline(
        network := _network(state, result, settings), parameters["pool"],
        codec.link(parameters["pool"], vgg.channels_at(network, parameters["pool"]), parameters["bandwidth"],
                   parameters["snr_db"], gdn=parameters["variant"] != "no_gdn"))
    pipeline.link.load_state_dict(weights.part(state, "link"))
    unpruned = _network(*_read(here(pretrained)), settings)
    return Trained(pipeline.eval(), unpruned, data.dataset(settings.data.name, settings.data.root),
                   data.class_names(settings.data.name, settings.data.root), result)


def _read(folder):
    """Weights and result of a run, which must fit each other."""
    places.check_weights(folder)
    return weights.load(folder), places.read_result(folder)


def _network(state: dict[str, torch.Tensor], result: dict, settings: study.Study) -> vgg.VGG:
    """The network of a result, at its pruned widths."""
    state = weights.part(state, "network") or state
    network = vgg.vgg16_bn(settings.classes, channels=result["channels"], bias="features.0.bias" in state)
    network.load_state_dict(state)
    return network.eval()
