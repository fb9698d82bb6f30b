"""A trained pipeline as two ONNX graphs: the device half up to the channel's input, and the edge half from its output.

The channel itself stands in neither: between them may be `lib.channel`, a file, or a radio.
"""

import copy
import itertools
import json
import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional

from lib import InputError, codec, data, flops
from lib.batch import places
from lib.deploy import stored
from lib.device import frames
from lib.evidence.manifest import file_digest
from lib.speed.bench_device import fold_batch_norm

SIDE = 32
MULTIPLE = 8  # onnxruntime's fast convolutions take channels in blocks; others cost up to a quarter more time
logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it lists what it could do without
# Of CIFAR-100's training images: what a pipeline was trained with unless somebody says otherwise.
CIFAR100_MEAN = (129.30416870117188, 124.06996154785156, 112.43405151367188)
CIFAR100_STD = (68.17024230957031, 65.39180755615234, 70.41837310791016)


class DeviceGraph(nn.Module):
    """uint8 images [N, 3, 32, 32] to channel symbols [N, B] of unit mean square an image; batch norm folded."""

    def __init__(self, pipeline: codec.Pipeline, mean: Tensor, std: Tensor):
        super().__init__()
        self.device_half = fold_batch_norm(pipeline.device_half)
        self.encoder = copy.deepcopy(pipeline.link.encoder)
        if not any(hasattr(layer, "begins") for layer in self.device_half):  # what blocks add must stay as wide
            pad_filters([*self.device_half, *self.encoder])
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, images: Tensor) -> Tensor:
        return codec.normalize_power(self.encoder(self.device_half((images.float() - self.mean) / self.std))).flatten(1)


def pad_filters(layers: Sequence[nn.Module], multiple: int = MULTIPLE) -> None:
    """Fill every convolution but the last up to a multiple of filters, with such as are zero: the same function.

    After folding, only ReLU and pooling stand between two convolutions, and both leave zeros as they are.
    """
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    for layer, following in itertools.pairwise(convolutions):
        missing = -layer.out_channels % multiple
        layer.weight = nn.Parameter(functional.pad(layer.weight, (0,) * 7 + (missing,)))
        layer.bias = nn.Parameter(functional.pad(layer.bias, (0, missing)))
        following.weight = nn.Parameter(functional.pad(following.weight, (0,) * 5 + (missing,)))
        layer.out_channels, following.in_channels = layer.weight.shape[0], layer.weight.shape[0]


class EdgeGraph(nn.Module):
    """What the channel made of the symbols, [N, B], to logits [N, classes]; batch norm folded."""

    def __init__(self, pipeline: codec.Pipeline, latent: torch.Size):
        super().__init__()
        self.decoder, self.edge_half = fold_batch_norm(pipeline.link.decoder), fold_batch_norm(pipeline.edge_half)
        self.latent = tuple(latent)

    def forward(self, symbols: Tensor) -> Tensor:
        return self.edge_half(self.decoder(symbols.unflatten(1, self.latent)))


def export(source: str | Path | codec.Pipeline, folder: str | Path, mean: Sequence[float] | None = None,
           std: Sequence[float] | None = None, side: int = SIDE) -> dict:
    """Write `device.onnx` (uint8 [N, 3, S, S] → float [N, B]), `edge.onnx` (float [N, B] → logits) and `link.json`.

    `source` is a finished run of step 4 (its folder) or a pipeline; `mean` and `std` of each channel, pixels in
    [0, 255], are by default those of the run's training set or, for a pipeline, of CIFAR-100's. Returns what link.json
    holds: B, classes, normalisation, training SNR, multiply-accumulates, parameters, checksums. Raises InputError for a
    folder without such a run, or one whose weights are not there.
    """
    about = {"data": "cifar100"}
    if not isinstance(source, codec.Pipeline):
        source, about, statistics = load(Path(source))
        mean, std = mean or statistics[0], std or statistics[1]
    pipeline = copy.deepcopy(source).cpu().float().eval()
    mean, std = (torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1)
                 for values in (mean or CIFAR100_MEAN, std or CIFAR100_STD))
    with torch.inference_mode():
        latent = pipeline.transmit(torch.zeros(1, 3, side, side)).shape[1:]
    device, edge = DeviceGraph(pipeline, mean, std).eval(), EdgeGraph(pipeline, latent).eval()
    if latent.numel() > frames.MOST_VALUES:
        raise InputError(f"{latent.numel()} symbols do not fit into one datagram, which holds {frames.MOST_VALUES}.")
    # Two, because the exporter takes a dimension of one as fixed.
    images = torch.zeros(2, 3, side, side, dtype=torch.uint8)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # Made elsewhere first: an export that fails leaves the folder as it was.
    with tempfile.TemporaryDirectory(dir=folder) as made:
        _write(device, images, Path(made) / "device.onnx", "image", "symbols")
        _write(edge, device(images).detach(), Path(made) / "edge.onnx", "symbols", "logits")
        sums = {file.name: file_digest(file) for file in Path(made).iterdir()}
        link = about | _agreed(pipeline, device, edge, mean, std, side) | {
            "bandwidth": latent.numel(), "classes": edge(device(images)).shape[1], "sha256": sums}
        for name in sums:
            (Path(made) / name).replace(folder / name)
    places.write_json(folder / "link.json", link)
    return link


def _agreed(pipeline, device, edge, mean, std, side):
    """What link.json says of the images, the training, and the size of both halves."""
    return {
        "side": side, "mean": mean.flatten().tolist(), "std": std.flatten().tolist(),
        "snr_db": pipeline.link.channel.snr_db,
        "device_macs": flops.count_macs(pipeline.device_half, (3, side, side)) + flops.count_macs(
            pipeline.link.encoder, pipeline.feature_shape((3, side, side))),
        "parameters": {name: sum(map(torch.numel, half.parameters())) for name, half in (
            ("device", device), ("edge", edge))}}


def _write(module, example, path, given, result):
    """One graph, with any number of images at once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages that the exporter would use if they were there
        torch.onnx.export(module, (example,), path, dynamo=True, verbose=False, external_data=False,
                          input_names=[given], output_names=[result], dynamic_shapes=({0: Dim("images")},))


def load(folder: Path) -> tuple[codec.Pipeline, dict, tuple[list[float], list[float]]]:
    """A finished step 4 from its folder: the pipeline, what link.json says of it, and (mean, std) of its images.

    Raises InputError for a folder without such a run, and names the command that makes missing weights again.
    """
    if not places.finished(folder):
        raise InputError(f"{folder} holds no finished run.")
    result = places.read_result(folder)
    if result["step"] != "end_to_end":
        raise InputError(f"{folder} is of the step {result['step']}; a pipeline is what step 4, end_to_end, trains.")
    if not any(folder.glob("model*.safetensors")):
        raise InputError(f"The weights of {result['name']} are not here: `./run_all.sh recheck {result['study']} "
                         f"{result['name']} --upstream` says how far they can be made again, and `python -m lib.run "
                         f"{result['study']} {result['name']}` makes them; the run took "
                         f"{result['provenance']['seconds']:.0f} s on {result['provenance']['device']}.")
    pipeline, _ = stored.pipeline(folder)
    chosen = result["parameters"]
    if chosen["data"] == "folder":  # a result does not say where it lies
        raise InputError(f"{result['name']} was trained on a folder of pictures: export it by notebook 42, which knows "
                         "its study.")
    loaded = data.dataset(chosen["data"])
    about = {"run": result["name"], "study": result["study"], "data": chosen["data"], "pool": chosen["pool"],
             "ratio": chosen["ratio"], "names": data.class_names(chosen["data"])}
    statistics = loaded.mean.flatten().tolist(), loaded.std.flatten().tolist()
    return pipeline, about, statistics


def add_graph(folder: Path, name: str) -> None:
    """Name one more graph of the device, with its checksum, in link.json."""
    link = json.loads((folder / "link.json").read_text())
    link["sha256"][name] = file_digest(folder / name)
    places.write_json(folder / "link.json", link)
