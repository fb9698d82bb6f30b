"""The device half in eight bits: static quantisation with onnxruntime, and what it does to accuracy, size and time."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lib import InputError, channel as channels, data
from lib.deploy.graphs import add_graph
from lib.device import timing
from lib.device.client import read_link, session

FLOAT, EIGHT_BITS = "device.onnx", "device-int8.onnx"
CALIBRATION = 512  # training images whose activations set the ranges


def quantise(folder: Path, images: np.ndarray) -> Path:
    """Write `device-int8.onnx` beside `device.onnx`, its weights in eight bits for each channel; returns its path.

    `images` uint8 [N, 3, 32, 32], of the training set, calibrate the ranges of activations (QDQ format: any runtime
    that does not know eight bits can still compute the graph). link.json names the new file too.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quant_pre_process,
        quantize_static,
    )

    read_link(folder)

    class Images(CalibrationDataReader):
        def __init__(self):
            self.batches = iter(np.array_split(images, max(1, len(images) // 32)))

        def get_next(self):
            batch = next(self.batches, None)
            return None if batch is None else {"image": batch}

    path, prepared = Path(folder) / EIGHT_BITS, Path(folder) / "device-prepared.onnx"
    logging.getLogger().setLevel(logging.ERROR)  # it advises what is done here already
    try:
        quant_pre_process(Path(folder) / FLOAT, prepared, skip_symbolic_shape=True)
        # The convolutions alone: GDN's squares and the power constraint span too many orders of magnitude.
        quantize_static(prepared, path, Images(), quant_format=QuantFormat.QDQ, per_channel=True,
                        op_types_to_quantize=["Conv", "MaxPool", "Relu"], nodes_to_exclude=_normalisation(prepared),
                        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
    finally:
        prepared.unlink(missing_ok=True)
    add_graph(Path(folder), path.name)
    return path


def _normalisation(path):
    """GDN's own 1×1 convolution, by its weight, which is computed from γ and is no convolution's of the network."""
    import onnx

    graph = onnx.load(path).graph
    squared = {output for node in graph.node if node.op_type in ("Mul", "Pow") for output in node.output}
    return [node.name for node in graph.node if node.op_type == "Conv" and node.input[0] in squared]


def symbols(folder: Path, graph: str, images: np.ndarray, batch: int = 250) -> np.ndarray:
    """What a device graph sends of uint8 images [N, 3, 32, 32]: [N, B]."""
    run = session(Path(folder) / graph).run
    return np.concatenate([run(None, {"image": part})[0] for part in np.array_split(images, -(-len(images) // batch))])


def accuracy(folder: Path, sent: np.ndarray, labels: np.ndarray, snr_db: float, draw: int = 0) -> float:
    """The share of images that the edge gets right of symbols [N, B] sent over AWGN at an SNR."""
    run = session(Path(folder) / "edge.onnx").run
    torch.manual_seed(draw)
    received = channels.AWGN(snr_db)(torch.from_numpy(sent)).numpy()
    logits = [run(None, {"symbols": part})[0] for part in np.array_split(received, -(-len(sent) // 250))]
    return float((np.concatenate(logits).argmax(1) == labels).mean())


def compare(folder: Path, dataset: data.Dataset, snrs_db: list[float], draws: int = 2) -> pd.DataFrame:
    """Bytes of both device graphs, p50 (ms) of one image, and accuracy (%) over SNR under the same noise."""
    if not (Path(folder) / EIGHT_BITS).exists():
        raise InputError(f"{folder} has no {EIGHT_BITS}: `python -m lib.deploy quantise {folder}` writes it.")
    images, labels = dataset.test_images.numpy(), dataset.test_labels.numpy()
    runs = [session(Path(folder) / graph).run for graph in (FLOAT, EIGHT_BITS)]
    seconds = timing.times([lambda run=run: run(None, {"image": images[:1]}) for run in runs])
    rows = []
    for graph, of_one in zip((FLOAT, EIGHT_BITS), seconds, strict=True):
        sent = symbols(folder, graph, images)
        size = (Path(folder) / graph).stat().st_size
        rows.append({"graph": graph, "bytes": size, "p50_ms": 1e3 * np.median(of_one)} | {
            f"{snr_db:g} dB": 100 * np.mean([accuracy(folder, sent, labels, snr_db, draw) for draw in range(draws)])
            for snr_db in snrs_db})
    return pd.DataFrame(rows)
