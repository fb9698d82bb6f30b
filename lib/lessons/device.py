"""The device half outside the notebook: both graphs, both processes, what crosses between them (notebook 42)."""

import contextlib
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from lib import InputError, codec, deploy, study
from lib.batch import places
from lib.device import frames, timing
from lib.device.client import Client, Encoder, session
from lib.lessons.trained import Trained
from lib.lessons.transmission import best_classes
from lib.networks import structure
from lib.report.style import COLORS


def export(model: Trained, profile: str) -> Path:
    """Both graphs of a trained model, under outputs/interactive/; returns their folder."""
    folder = places.interactive_folder(study.load(profile), f"device/{Path(model.result['name']).name}")
    deploy.export(model.pipeline, folder, model.images.mean.flatten().tolist(), model.images.std.flatten().tolist(),
                  model.images.test_images.shape[-1])
    return folder


def nodes(folder: Path) -> pd.DataFrame:
    """How many nodes of each kind the two graphs have."""
    import onnx

    kinds = {half: Counter(node.op_type for node in onnx.load(folder / f"{half}.onnx").graph.node)
             for half in ("device", "edge")}
    return pd.DataFrame(kinds).fillna(0).astype(int).rename_axis("operation").reset_index()


def agreement(model: Trained, folder: Path, count: int = 1000) -> tuple[float, float]:
    """(largest difference of a logit, share of images in the same class) of the graphs and PyTorch, without noise."""
    images = model.images.test_images[:count]
    symbols = session(folder / "device.onnx").run(None, {"image": images.numpy()})[0]
    logits = session(folder / "edge.onnx").run(None, {"symbols": symbols})[0]
    with torch.inference_mode():
        sent = model.pipeline.transmit(model.images.normalise(images))
        expected = model.pipeline.edge_half(model.pipeline.link.decoder(sent)).numpy()
    return float(np.abs(logits - expected).max()), float((logits.argmax(1) == expected.argmax(1)).mean())


@contextlib.contextmanager
def edge(folder: Path, snr_db: float) -> Iterator[tuple[str, int]]:
    """An edge server in a process of its own, for as long as the context; gives its address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # any port that is free now
        probe.bind(("127.0.0.1", 0))
        address = probe.getsockname()
    process = subprocess.Popen([sys.executable, "-m", "lib.deploy", "edge", str(folder), "--snr", str(snr_db),
                                "--listen", f"{address[0]}:{address[1]}"], cwd=study.ROOT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        first = process.stdout.readline()
        if not first.startswith("edge of"):
            raise InputError(f"The edge server did not start: {first.strip()}")
        yield address
    finally:
        process.terminate()
        process.communicate()


def cross(model: Trained, folder: Path, index: int, snrs_db: list[float]) -> pd.DataFrame:
    """One test image over the link at each SNR: a row of the three likeliest classes with their probabilities (%)."""
    encoder, rows = Encoder(folder), []
    symbols = encoder(model.images.test_images[index].numpy())
    for snr_db in snrs_db:
        with edge(folder, snr_db) as address:
            client = Client(frames.key_of(encoder.link), address, encoder.link["classes"])
            logits = client.ask(index, symbols)
            client.close()
        best = best_classes(torch.from_numpy(logits.copy())[None], model.names, 3)
        rows.append({"SNR (dB)": f"{snr_db:g}"} | {place: f"{name} {100 * share:.0f} %" for place, (name, share) in zip(
            ("first", "second", "third"), best.items(), strict=True)})
    return pd.DataFrame(rows)


def send(folder: Path, images: np.ndarray, labels: np.ndarray, snr_db: float) -> str:
    """What `python -m lib.device`, a process without torch, says after sending these images to an edge process."""
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", labels)
    with edge(folder, snr_db) as (host, port):
        done = subprocess.run([sys.executable, "-m", "lib.device", str(folder), "--edge", f"{host}:{port}", "--images",
                               str(folder / "images.npy"), "--labels", str(folder / "labels.npy")],
                              cwd=study.ROOT, capture_output=True, text=True, check=False,
                              env={**os.environ, "OMP_NUM_THREADS": "1"})
    return done.stdout + done.stderr


def halves(model: Trained, folder: Path) -> dict[str, Path]:
    """The device graph of this model, and that of the unpruned network with a fresh encoder for as many symbols."""
    chosen = model.result["parameters"]
    image = tuple(model.images.test_images.shape[1:])
    maps, _, size = structure.feature_shape(structure.split(model.unpruned, chosen["pool"])[0], image)
    link = codec.link(chosen["pool"], maps, chosen["bandwidth"], chosen["snr_db"], size=size)
    deploy.export(codec.Pipeline(model.unpruned, chosen["pool"], link), folder / "unpruned", side=image[-1])
    return {"unpruned": folder / "unpruned", f"ratio {chosen['ratio']:g}": folder}


def draw_times(model: Trained, folders: dict[str, Path]) -> Figure:
    """Histograms of milliseconds an image of each device graph, by turns on one thread."""
    image = model.images.test_images[:1].numpy()
    runs = [session(place / "device.onnx").run for place in folders.values()]
    seconds = timing.times([lambda run=run: run(None, {"image": image}) for run in runs])
    figure, axis = plt.subplots(figsize=(5.5, 2.6))
    # Beside other work some images wait for the processor: they would squeeze the rest into one bar.
    top = 1.5e3 * np.quantile(seconds, 0.9)
    for (name, place), times, color in zip(folders.items(), 1e3 * seconds, COLORS, strict=False):
        macs = Encoder(place).link["device_macs"] / 1e6
        axis.hist(times, bins=np.linspace(0, top, 60), color=color, alpha=0.6,
                  label=f"{name}: {macs:.1f}·10⁶ operations, p50 {np.median(times):.2f} ms")
    axis.set(xlabel="ms an image", ylabel="images", title="device half and encoder, one thread")
    axis.legend()
    return figure
