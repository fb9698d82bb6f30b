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


def in_words(call: Callable[[], object], macs: int) -> str:
    """p50 and p95 of a call that takes so many multiply-accumulates, in a sentence."""
    p50, p95 = 1e3 * np.quantile(times([call])[0], [0.5, 0.95])
    return (f"device half and encoder, one thread, one image, after {WARM_UP} images of warm-up: p50 {p50:.2f} ms, "
            f"p95 {p95:.2f} ms; {macs / p50 / 1e6:.1f} billion operations a second")


def own_peak_mib() -> float:
    """Peak memory of this process in MiB."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:  # no Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    # Not ru_maxrss where it can be avoided: Linux carries it over from the process that started this one.
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
