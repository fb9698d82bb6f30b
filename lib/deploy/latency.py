"""How long the device half takes, on one thread and one image at a time, beside what its operations promise.

Widths need no training: a Taylor pass over the pretrained network says which filters go, and no accuracy is claimed.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lib import codec, data, pruning, vgg
from lib.deploy import graphs
from lib.device import timing
from lib.device.client import session
from lib.geometry import filters_to_remove

BANDWIDTH = {1: 2048, 2: 2048, 3: 512, 4: 128, 5: 32}  # a usual B of each split
RATIOS = (0.0, 0.5, 0.75, 0.9)


def pruned(network: vgg.VGG, dataset: data.Dataset, pool: int, ratio: float, images: int = 256) -> vgg.VGG:
    """The network without the filters before the split that one Taylor pass ranks lowest; not trained again."""
    if not ratio:
        return network
    batch = dataset.normalise(dataset.train_images[:images]), dataset.train_labels[:images]
    scores = pruning.taylor_scores(network, [batch], pool)
    return pruning.remove_filters(network, pruning.select(scores, filters_to_remove(sum(map(len, scores.values())),
                                                                                     ratio)))


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
            made.append({"pool": pool, "ratio": ratio, "folder": place, "macs": about["device_macs"],
                         "bandwidth": about["bandwidth"]})
    return made


def table(made: list[dict], image: np.ndarray, rounds: int = timing.ROUNDS,
          images: int = timing.IMAGES) -> pd.DataFrame:
    """A row a split and ratio: p50 and p95 (ms), and the speed-up beside the ratio of operations."""
    runs = [session(row["folder"] / "device.onnx").run for row in made]
    seconds = timing.times([lambda run=run: run(None, {"image": image[None]}) for run in runs], rounds, images)
    frame = pd.DataFrame(made).drop(columns="folder")
    frame["p50_ms"], frame["p95_ms"] = 1e3 * np.quantile(seconds, [0.5, 0.95], axis=1)
    whole = frame[frame.ratio == 0].set_index("pool")
    frame["fewer_macs"] = frame.pool.map(whole.macs) / frame.macs
    frame["faster"] = frame.pool.map(whole.p50_ms) / frame.p50_ms
    frame["share"] = frame.faster / frame.fewer_macs  # of the promised speed-up
    frame["gmacs_per_s"] = frame.macs / frame.p50_ms / 1e6
    return frame


def by_layer(folder: Path, image: np.ndarray, images: int = 100) -> pd.DataFrame:
    """Milliseconds of each node of a device graph, by onnxruntime's own profile: where a speed-up falls short."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as scratch:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_profiling, options.profile_file_prefix = True, f"{scratch}/profile"
        run = onnxruntime.InferenceSession(str(Path(folder) / "device.onnx"), options,
                                           providers=["CPUExecutionProvider"])
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
    script = ("import sys, numpy as np; from lib.device.client import Encoder, own_peak_mib; "
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
