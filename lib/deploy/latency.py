"""How long the device half takes, on one thread and one image at a time, beside what its operations promise.

    ./run_all.sh bench      writes outputs/bench/<machine>-latency.csv, -latency-layers.csv and -latency.md too

Widths need no training: a Taylor pass over the pretrained network says which filters go, and no accuracy is claimed.
"""

import importlib.metadata
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lib import codec, data, pruning, study, vgg, weights
from lib.batch import places
from lib.deploy import graphs, int8, stored
from lib.device import timing
from lib.device.client import session
from lib.geometry import filters_to_remove
from lib.speed import bench

BANDWIDTH = {1: 2048, 2: 2048, 3: 512, 4: 128, 5: 32}  # a usual B of each split
RATIOS = (0.0, 0.5, 0.75, 0.9)
AIM = 0.8  # of the speed-up that the operations promise


def main(folder: Path = study.ROOT / "outputs" / "bench", pools: Iterable[int] = (1, 2, 3, 4, 5)) -> int:
    """Measure `gpu`'s first pretrained network at every split and ratio, print and store; returns the exit code."""
    dataset = data.dataset("mini")
    with tempfile.TemporaryDirectory() as scratch:
        made = export_all(pretrained(), dataset, Path(scratch), pools)
        image = dataset.test_images[0].numpy()
        rows = table(made, image)
        rows["device_mib"] = [peak_memory_mib(item["folder"]) for item in made]
        layers = pd.concat([by_layer(item["folder"], image).assign(pool=item["pool"], ratio=item["ratio"])
                            for item in made])
    version = importlib.metadata.version("onnxruntime")
    head = (f"{bench.machine()}; one thread, one image; onnxruntime {version}, float32 and, where it says so, int8; "
            f"{datetime.now(UTC):%Y-%m-%d}; {timing.ROUNDS} rounds by turns of {timing.IMAGES} images after "
            f"{timing.WARM_UP} of warm-up. *share*: of the speed-up that the operations promise (aim {AIM}).")
    text = "\n".join([head, "", bench.markdown(rows.map(_short)), "", "Where the aim is missed, the slowest nodes:", "",
                      bench.markdown(slowest(rows, layers).map(_short)), ""])
    bench.write(folder, f"{bench.machine()} latency", rows, layers, text)
    return 0


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def pretrained() -> vgg.VGG:
    """The network of `gpu`'s first seed, which the repository holds."""
    folder = places.folder_of(study.load("gpu"), "pretrain/s0")
    return stored.network(weights.load(folder), places.read_result(folder))


def pruned(network: vgg.VGG, dataset: data.Dataset, pool: int, ratio: float, images: int = 256) -> vgg.VGG:
    """The network without the filters before the split that one Taylor pass ranks lowest; not trained again."""
    if not ratio:
        return network
    pixels = dataset.normalise(dataset.train_images[::len(dataset.train_images) // images][:images])
    with torch.inference_mode():
        labels = network(pixels).argmax(1)  # its own, so that ten classes serve a network for a hundred
    scores = pruning.taylor_scores(network, [(pixels, labels.clone())], pool)
    count = filters_to_remove(sum(map(len, scores.values())), ratio)
    return pruning.remove_filters(network, pruning.select(scores, count))


def export_all(network: vgg.VGG, dataset: data.Dataset, folder: Path, pools: Iterable[int] = (1, 2, 3, 4, 5),
               ratios: Iterable[float] = RATIOS) -> list[dict]:
    """The graphs of every split and ratio, each in a folder of its own; one dict (pool, ratio, folder, macs) each."""
    made = []
    for pool in pools:
        for ratio in ratios:
            narrow = pruned(network, dataset, pool, ratio)
            torch.manual_seed(0)
            link = codec.link(pool, vgg.channels_at(narrow, pool), BANDWIDTH[pool], 14.5)
            place = Path(folder) / f"pool{pool}-r{ratio:.2f}"
            about = graphs.export(codec.Pipeline(narrow, pool, link), place)
            int8.quantise(place, dataset.train_images[:int8.CALIBRATION].numpy())
            made.append({"pool": pool, "ratio": ratio, "folder": place, "macs": about["device_macs"],
                         "bandwidth": about["bandwidth"]})
    return made


def table(made: list[dict], image: np.ndarray, rounds: int = timing.ROUNDS,
          images: int = timing.IMAGES) -> pd.DataFrame:
    """A row a split and ratio: p50 and p95 (ms), p50 in eight bits, and the speed-up beside the ratio of operations."""
    # Both precisions of every graph take turns within a round, so that a slower minute slows all of them.
    runs = [session(row["folder"] / graph).run for graph in (int8.FLOAT, int8.EIGHT_BITS) for row in made]
    seconds = timing.times([lambda run=run: run(None, {"image": image[None]}) for run in runs], rounds, images)
    frame = pd.DataFrame(made).drop(columns="folder")
    frame["p50_ms"], frame["p95_ms"] = 1e3 * np.quantile(seconds[:len(made)], [0.5, 0.95], axis=1)
    frame["int8_p50_ms"] = 1e3 * np.median(seconds[len(made):], axis=1)
    whole = frame[frame.ratio == 0].set_index("pool")
    frame["fewer_macs"] = frame.pool.map(whole.macs) / frame.macs
    frame["faster"] = frame.pool.map(whole.p50_ms) / frame.p50_ms
    frame["share"] = frame.faster / frame.fewer_macs  # of the promised speed-up
    frame["gmacs_per_s"] = frame.macs / frame.p50_ms / 1e6
    return frame


def slowest(rows: pd.DataFrame, layers: pd.DataFrame, count: int = 3) -> pd.DataFrame:
    """Of each split and ratio that misses the aim, the nodes that take longest, beside the same node unpruned."""
    found = []
    for row in rows[rows.share < AIM].itertuples():
        narrow, whole = (layers[(layers.pool == row.pool) & (layers.ratio == ratio)] for ratio in (row.ratio, 0.0))
        # By name: the graphs have the same nodes, unless the runtime fuses others at other widths.
        before = narrow.node.map(whole.drop_duplicates("node").set_index("node").ms)
        found.append(narrow.assign(unpruned_ms=before, share_of_time=narrow.ms / narrow.ms.sum()).nlargest(count, "ms"))
    return pd.concat(found) if found else layers.head(0)


def by_layer(folder: Path, image: np.ndarray, images: int = 100) -> pd.DataFrame:
    """Milliseconds of each node of a device graph, by onnxruntime's own profile: where a speed-up falls short."""
    with tempfile.TemporaryDirectory() as scratch:
        run = session(Path(folder) / int8.FLOAT, profile=f"{scratch}/profile")
        for _ in range(images):
            run.run(None, {"image": image[None]})
        events = json.loads(Path(run.end_profiling()).read_text())
    kernels = [(event["name"].removesuffix("_kernel_time"), event["args"]["op_name"], event["dur"])
               for event in events if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")]
    frame = pd.DataFrame(kernels, columns=["node", "operation", "us"])
    # The median: the first images pay for memory that is not there yet.
    return frame.groupby(["node", "operation"], sort=False, as_index=False).us.median().assign(
        ms=lambda rows: rows.us / 1e3).drop(columns="us")


def peak_memory_mib(folder: Path, images: int = 20) -> float:
    """Peak memory of a process that is the device alone: onnxruntime and numpy, without torch and pandas."""
    script = ("import sys, numpy as np; from lib.device.client import Encoder; "
              "from lib.device.timing import own_peak_mib; "
              "e = Encoder(sys.argv[1]); "
              "[e(np.zeros(e.shape, np.uint8)) for _ in range(int(sys.argv[2]))]; "
              "assert not {'torch', 'pandas'} & set(sys.modules); "
              "print(own_peak_mib())")
    done = subprocess.run([sys.executable, "-c", script, str(folder), str(images)], capture_output=True, text=True,
                          check=True, cwd=Path(__file__).resolve().parents[2])
    return float(done.stdout)


def air_time_ms(bandwidth: int, symbols_per_s: float) -> float:
    """Milliseconds on the channel of B real symbols at a rate of real symbols a second (two a complex symbol)."""
    return 1e3 * bandwidth / symbols_per_s
