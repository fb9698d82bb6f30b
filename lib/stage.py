"""What a run does to its numbers beside calling the science: its data, arithmetic, random numbers, and weights.

`lib.job.Job` adds to it where things lie and where they came from. The hash of a run's code covers this file, and not
that one (lib.evidence.fingerprint).
"""

import zlib
from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
from torch import nn

from lib import data, networks, training, weights
from lib.schedule import Schedule
from lib.speed import convolutions, memory


class Stage:
    """One step of Sec. II-D for one point of a study: `data`, `engine`, `seed`."""

    def __init__(self, settings: Any, seed: int, threads: int):
        """`settings` is a checked study; `threads` are those of the CPU."""
        self.seed = seed
        self.data = data.dataset(settings.data.name, settings.data.root, settings.data.side)
        self.image = tuple(self.data.train_images.shape[1:])  # (3, S, S)
        self.architecture = settings.network.name
        self.engine = engine(settings.precision, settings.cuda_graphs, settings.evaluation.batch_size)
        # The statistics go to the device once; images follow batch by batch.
        self.data.mean = self.data.mean.to(self.engine.device)
        self.data.std = self.data.std.to(self.engine.device)
        memory.keep_memory()
        torch.set_num_threads(threads)
        torch.manual_seed(seed)  # networks and links that the notebook builds begin with these random numbers

    def rebuild(self, state: weights.State, channels: list[int], classes: int) -> nn.Module:
        """The network of these weights, with as many filters a layer as are left, in evaluation mode."""
        # Steps 3 and 4 store network and link together, those before the network alone.
        state = weights.part(state, "network") or state
        # Without the bias that a reading left out, there is none to load.
        network = networks.build(self.architecture, classes, channels=channels, bias="features.0.bias" in state)
        network.load_state_dict(state)
        return self.engine.place(network).eval()

    def fit(self, model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor | None, loss: Callable,
            schedule: Schedule, stage: str = "", **options: Any) -> pd.DataFrame:
        """`training.fit` with this run's engine and seed.

        `stage` names one of several trainings of a run, or of a pruning chain: each draws images, crops and noise of
        its own.
        """
        # crc32, because Python's own hash of a text differs from process to process.
        seed = self.seed + zlib.crc32(stage.encode())
        return training.fit(model, inputs, targets, loss, schedule, seed=seed, engine=self.engine, **options)


def engine(precision: str, cuda_graphs: bool, batch_size: int) -> training.Engine:
    """The GPU where there is one, and its CUDA graphs only there; `batch_size` is that of evaluations.

    bfloat16 is used on a CPU only if its instructions multiply it: elsewhere it is slower than float32.
    """
    bfloat16 = precision == "bfloat16"
    if not torch.cuda.is_available():
        return training.Engine(bfloat16=bfloat16 and convolutions.multiplies_bfloat16(), batch_size=batch_size)
    # TensorFloat-32 for what remains in float32; autocast does the rest.
    torch.set_float32_matmul_precision("high")
    return training.Engine(torch.device("cuda"), bfloat16, cuda_graphs, batch_size)
