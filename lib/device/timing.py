"""Seconds and memory of what runs on the device."""

import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

WARM_UP, ROUNDS, IMAGES = 20, 10, 20  # images before the first time; rounds by turns; images a round


def times(calls: list[Callable[[], object]], rounds: int = ROUNDS, images: int = IMAGES) -> np.ndarray:
    """Seconds of each call [calls, rounds · images]; by turns, so that a slower minute slows all of them."""
    for call in calls:
        for _ in range(WARM_UP):
            call()
    found = [[] for _ in calls]
    for _ in range(rounds):
        for call, seconds in zip(calls, found, strict=True):
            for _ in range(images):
                start = time.perf_counter()
                call()
                seconds.append(time.perf_counter() - start)
    return np.array(found)


def own_peak_mib() -> float:
    """Peak memory of this process in MiB."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:  # no Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    # Not ru_maxrss where it can be avoided: Linux carries it over from the process that started this one.
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
