"""The sums behind the lessons' pictures, and numbers as a person writes them."""

import contextlib
import copy
import io
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import nn

from lib import checkpoint, evaluation, flops, networks, study, torchvision_ops
from lib.batch import places
from lib.networks import structure
from lib.networks.layers import Network
from lib.networks.vgg import VGG

# What each of the other schemes puts on the channel.
SENDS = {"PNG": "the image, without loss", "JPEG": "the image, with loss", "WebP": "the image, with loss",
         "BottleNet": "reduced features as a JPEG", "BottleNet++": "learned symbols of the features",
         "JALAD": "quantised features, entropy coded", "Two-step pruning": "pruned features, quantised and coded",
         "DeepJSCC image": "learned symbols of the image", "Separation": "our features, quantised to fit capacity",
         "Label code": "the class, as a point on a sphere",
         "ours (step 4)": "learned symbols of pruned features"}


def percent(share: float) -> str:
    """0.6571 as 65.7 %."""
    return f"{100 * share:.1f} %"


def millions(count: float) -> str:
    """1808640 as 1.81 million, and 8900 as 8.9 thousand."""
    return f"{count / 1e6:.3g} million" if count >= 1e5 or count == 0 else f"{count / 1e3:.3g} thousand"


def spread(available: int, count: int = 500) -> torch.Tensor:
    """`count` indices, evenly spaced (all, if there are fewer): the shipped subset is sorted by class."""
    return torch.linspace(0, available - 1, min(count, available)).long()


def masked(model: Network, removed: Mapping[str, Sequence[int]]) -> Network:
    """A copy of the model in which the channels {layer: indices} are zero where they have their last effect."""
    model = copy.deepcopy(model)
    for filters in structure.filters(model):
        for path in filters.seen if filters.name in removed else ():
            model.get_submodule(path).register_forward_hook(
                lambda module, inputs, output, indices=removed[filters.name]: output.index_fill(
                    1, torch.tensor(indices, device=output.device), 0))
    return model


def full_network(name: str = "vgg16_bn") -> Network:
    """A network, unpruned, 100 classes at full width, without numbers in it: to count, not to compute."""
    with torch.device("meta"):
        return networks.build(name).eval()


def operations_by_layer(network: VGG) -> pd.DataFrame:
    """A row for each convolution and linear layer of the network, for one image of 32×32 pixels.

    `ours` are its multiply-accumulates, `ptflops` what ptflops counts for it, with the batch norm, the activation and
    the pooling that follow it, in the columns `bias`, `batch norm`, `activation` and `pooling`.
    """
    rows, shape = [], (3, 32, 32)
    for module in [*network.features, *network.classifier]:
        counted = _ptflops(module, shape)
        if isinstance(module, nn.Conv2d | nn.Linear):
            ours = flops.count_macs(module, shape)
            kind = "convolution" if isinstance(module, nn.Conv2d) else "linear"
            rows.append({"layer": f"{kind} {1 + sum(row['kind'] == kind for row in rows)}", "kind": kind, "ours": ours,
                         "ptflops": 0, "bias": 0, "batch norm": 0, "activation": 0, "pooling": 0})
            rows[-1]["bias"] += counted - ours
        for part, kinds in (("batch norm", nn.BatchNorm2d), ("activation", nn.ReLU), ("pooling", nn.MaxPool2d)):
            rows[-1][part] += counted if isinstance(module, kinds) else 0
        rows[-1]["ptflops"] += counted
        with torch.no_grad():
            shape = tuple(module(torch.zeros(1, *shape, device=_device(network))).shape[1:])
    return pd.DataFrame(rows)


def _device(module):
    return next((parameter.device for parameter in module.parameters()), torch.device("meta"))


def _ptflops(module, shape):
    """What ptflops counts for one module on an input of this shape."""
    torchvision_ops.mend()  # ptflops imports torchvision, and that takes a second: only where it is needed
    from ptflops import get_model_complexity_info

    with contextlib.redirect_stdout(io.StringIO()):
        counted, _ = get_model_complexity_info(
            nn.Sequential(copy.deepcopy(module)), shape, as_strings=False, print_per_layer_stat=False,
            backend="pytorch", backend_specific_config={"count_functional": False})  # else ReLU would count twice
    return int(counted)


def pruning_chain(job: Any, steps: Sequence[int], done: int, count: int = 500) -> pd.DataFrame:
    """Accuracy on `count` test images after each cut of a pruning run, and after the training that follows it.

    Columns removed (filters), state (cut or trained), accuracy. The networks are those of the run's checkpoints, which
    lie in its folder until it is finished; after that, what was measured before is given again.
    """
    images, rows = job.data, []
    tried = spread(len(images.test_images), count)
    for step in steps:
        done, channels = done + step, None
        for state, stage in (("cut", f"-{done}-network"), ("trained", f"-{done}")):
            stored = checkpoint.load(job.folder / f"checkpoint{stage}.pt", job.key(stage), torch.device("cpu"))
            if stored is None:  # no epoch of training was asked for
                continue
            channels = stored.get("channels", channels)
            with torch.random.fork_rng(devices=[]):  # a network begins with random weights
                network = job.rebuild(stored["model"], channels, job.study.classes)
            accuracy = evaluation.accuracy(network, images.test_images[tried], images.test_labels[tried],
                                           images.normalise, engine=job.engine)
            rows.append({"removed": done, "state": state, "accuracy": accuracy})
    if rows:
        job.measured_chain = pd.DataFrame(rows)
    return getattr(job, "measured_chain", pd.DataFrame(columns=["removed", "state", "accuracy"]))


def four_steps(job: Any, clean: float, at_snr: float) -> pd.DataFrame:
    """Accuracy after each step that led to a run of step 4, in order; its own are given.

    Columns step, `without noise` and `at the SNR`; steps 1 and 2 know no channel.
    """
    names = {"pretrain": "1 pretrain", "prune": "2 prune", "autoencoder": "3 autoencoder"}
    rows = [{"step": "4 end to end", "without noise": clean, "at the SNR": at_snr}]
    upstream = job.run.upstream
    while upstream:
        # as the run itself found it, or, where the weights have gone since, what is left
        folder = job.find(upstream[0]) or job.find(upstream[0], weights=False)
        result = places.read_result(folder)
        name = names[result["step"]]
        if result["step"] == "prune":  # there may be several, each a stop on the way to a higher ratio
            name += f" to {result['parameters']['ratio']:g}"
        rows.insert(0, {"step": name, "without noise": result["metrics"]["accuracy_clean"],
                        "at the SNR": result["metrics"].get("accuracy_at_snr", float("nan"))})
        upstream = result["upstream"]
    return pd.DataFrame(rows)


def fill(job: Any, pipeline: nn.Module) -> bool:
    """Give a pipeline the weights that this run of another scheme has trained; whether there were any.

    They are those of its last checkpoint, which lies in the run's folder until it is finished, and is kept once read.
    """
    stage = "-phase2"
    stored = checkpoint.load(job.folder / f"checkpoint{stage}.pt", job.key(stage), torch.device("cpu"))
    if stored is not None:
        job.trained_pipeline = stored["model"]
    if hasattr(job, "trained_pipeline"):
        pipeline.load_state_dict(job.trained_pipeline)
    return hasattr(job, "trained_pipeline")


def moved(before: nn.Module, after: nn.Module) -> dict[str, float]:
    """{part of a pipeline: how far training moved its weights}, as a share of what they were (L2 norms)."""
    found = {}
    for part in ("device_half", "link", "edge_half"):
        old, new = (torch.cat([weights.detach().float().cpu().flatten()
                               for weights in pipeline.get_submodule(part).parameters()])
                    for pipeline in (before, after))
        found[part] = ((new - old).norm() / old.norm()).item()
    return found


def schemes(job: Any, metrics: Mapping[str, Any]) -> pd.DataFrame:
    """The other schemes at a run's SNR, those of its study that are finished, this run, and ours; fewest symbols first.

    Ours are the models of Figure 5.
    """
    snr_db, five = job.run.parameters["snr_db"], job.study.figure5
    found = {job.run.name: (job.run.parameters["pool"], metrics)}
    for file in sorted(places.folder_of(job.study, "baselines").glob("*/result.json")):
        result = places.read_result(file.parent)
        if result["parameters"]["snr_db"] == snr_db:
            found.setdefault(result["name"], (result["parameters"]["pool"], result["metrics"]))
    for bandwidth in five.bandwidths:
        name = study.name("end_to_end", five.pool, five.ratio, bandwidth, snr_db, job.seed)
        if folder := job.find(name, weights=False):
            found[name] = five.pool, {"scheme": "ours (step 4)", **places.read_result(folder)["metrics"]}
    rows = [{"scheme": values["scheme"], "sends": SENDS[values["scheme"]], "after pooling": str(pool or ""),
             "symbols": values["symbols"], "device operations (millions)": values["device_macs"] / 1e6,
             f"accuracy at {snr_db:g} dB (%)": 100 * values["accuracy_at_snr"]} for pool, values in found.values()]
    return pd.DataFrame(rows).sort_values("symbols", ignore_index=True)
