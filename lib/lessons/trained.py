"""A trained model, loaded to be looked at; computed first where it is missing."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from lib import codec, data, job, study, weights
from lib.batch import checks, places
from lib.deploy import stored
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
            missing = study.needs(listed, [name], here)
            by_hand.provide(settings, listed, sorted(missing, key=list(listed).index))
    folder = here(item.name)
    print(f"the model is {folder.relative_to(study.ROOT)}", flush=True)
    pipeline, result = stored.pipeline(folder)
    step_1 = here(pretrained)
    places.check_weights(step_1)
    unpruned = stored.network(weights.load(step_1), places.read_result(step_1))
    return Trained(pipeline, unpruned, data.dataset(settings.data.name, settings.data.root, settings.data.side),
                   data.class_names(settings.data.name, settings.data.root), result)
