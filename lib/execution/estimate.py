"""How long what is left of a study takes on this kind of device."""

import contextlib
import functools
import statistics
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from lib.batch import checks, places
from lib.batch.parameters import Study
from lib.batch.runs import Run, runs, settings_for

START_UP = 2  # seconds of a run before its notebook's clock starts
Span = tuple[float, float]  # clock times in seconds at which a run began and ended


def remaining(settings: Study, todo: list[Run], device: str) -> tuple[float, str]:
    """(seconds that the runs in `todo` take on the device, how they were estimated).

    A run takes the median seconds of the study's finished runs of its kind on such a device. A kind that has none is
    guessed from its passes through the network, at the speed of what has finished, else of a training step that is
    timed now. Runs side by side count as those that have finished ran.
    """
    finished = _finished(settings, device)
    times = defaultdict(list)
    for item, (begin, end) in finished:
        times[kind(item)].append(end - begin)
    # The median is robust against a run that had to wait for a busy machine.
    known = [item for item in todo if kind(item) in times]
    guessed = [item for item in todo if kind(item) not in times]
    seconds, sources = 0.0, []
    # The time in which anything ran, not that since the first run: a study may rest for days.
    busy = covered(span for _, span in finished)
    if known:
        # How many ran side by side, on average.
        at_once = sum(map(sum, times.values())) / busy
        seconds += sum(statistics.median(times[kind(item)]) for item in known) / at_once
        sources.append(f"{len(known)} by the median of finished runs of their kind")
    if guessed:
        speed = sum(passes(settings, item) for item, _ in finished) / busy if finished else _measure(settings)
        seconds += sum(passes(settings, item) for item in guessed) / speed
        basis = "the speed of finished runs" if finished else "a training step timed now"
        sources.append(f"{len(guessed)} guessed from {basis}")
    return seconds, ", ".join(sources)


def kind(item: Run) -> tuple:
    """Runs of one kind take about the same time: step, split and, of other schemes, which."""
    # By split, because the network's work lies before or after it; bandwidth, ratio and SNR change
    # little.
    return item.step, item.parameters.get("pool"), item.parameters.get("scheme")


def _finished(settings: Study, device: str) -> list[tuple[Run, Span]]:
    """The study's finished runs on a device of this name, and when they ran."""
    found = []
    for item in runs(settings):
        file = places.folder_of(settings, item.name) / "result.json"
        with contextlib.suppress(FileNotFoundError):  # not finished, or just computed again
            used, span = _ran(file, file.stat().st_mtime_ns)
            if used == device:
                found.append((item, span))
    return found


@functools.cache
def _ran(file: Path, changed: int) -> tuple[str, Span]:
    """On which device the run of a result ran, and when; read once, as a study asks after each of its runs."""
    # Results store when they ended and how long they took.
    origin = places.read_result(file.parent)["provenance"]
    end = datetime.fromisoformat(origin["end"]).timestamp()
    return origin["device"], (end - origin["seconds"] - START_UP, end)


def covered(spans: Iterable[Span]) -> float:
    """The length of the union of spans (begin, end)."""
    length, reached = 0.0, float("-inf")
    # Sorted by their beginning, a span adds what reaches beyond all before it.
    for begin, end in sorted(spans):
        length += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return length


def passes(settings: Study, item: Run) -> float:
    """A guess at the work of a run, in passes of one image through the network, for kinds of which none has finished.

    Three passes for every image of every training epoch, and one training set's worth for evaluation. Of the whole
    study this was within a third of a count of all multiply-accumulates, for each of the shipped profiles.
    """
    # Of the training sets, without loading them.
    images = checks.train_images(settings)
    if item.step == "prune":
        schedules, share = [settings.prune.training] * 2, 1.0  # about two pruning steps between the stops of a chain
    elif item.step == "baselines" and settings.baselines:
        trained = item.parameters["scheme"] in ("bottlenet", "bottlenet_plus", "deepjscc")
        schedules, share = [settings.baselines.frozen, settings.baselines.everything] if trained else [], 1.0
    else:
        schedules = [getattr(settings_for(settings, item.parameters), item.step)]
        share = 0.05 if item.step == "autoencoder" else 1.0  # step 3 trains that part of the network
    epochs = [schedule.epochs * min(schedule.images_per_epoch or images, images) for schedule in schedules]
    return images + 3 * share * sum(epochs)


def _measure(settings: Study) -> float:
    """Passes a second of the full network in a training step."""
    from lib.speed import step  # here: it needs torch, and naming what is left of a study that has finished does not

    return step.passes_a_second(settings)


def duration(seconds: float) -> str:
    """Human-readable duration."""
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} hours"
