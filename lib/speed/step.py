"""How fast a training step is on this machine, for guesses of what a study takes."""

import time
from typing import Any

import torch

from lib import networks, stage


def passes_a_second(settings: Any) -> float:
    """Passes a second of a study's full network in a training step, the fastest of three."""
    engine = stage.engine(settings.precision, settings.cuda_graphs, settings.evaluation.batch_size)
    network = engine.place(networks.build(settings.network.name, settings.classes, settings.network.width))
    device = next(network.parameters()).device
    images, times = torch.randn(64, 3, settings.data.side, settings.data.side, device=device), []
    # The fastest: the first step chooses kernels, and another may have had to wait.
    for _ in range(3):
        began = time.perf_counter()
        with engine.autocast():
            loss = network(images).square().mean()
        loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return 3 * len(images) / min(times)
