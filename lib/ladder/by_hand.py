"""A ladder climbed by hand, in a notebook: at its own point from what is stored, at another one anew."""

from collections.abc import Sequence

from lib import InputError
from lib.execution.by_hand import SMALL
from lib.ladder import records
from lib.ladder.__main__ import climb
from lib.study import Study


def at(settings: Study, bandwidth: int, snr_db: float) -> Study:
    """The study with its ladder at so many symbols and this SNR in dB; at the point of its file the study itself.

    What is computed of another point lies under outputs/interactive/, so that no shipped rung is overwritten.
    """
    ladder = records.ladder(settings)
    if (bandwidth, snr_db) == (ladder.bandwidth, ladder.snr_db):
        return settings
    if bandwidth < 2:
        raise InputError(f"A ladder needs at least 2 symbols, not {bandwidth}.")
    moved = ladder.model_copy(update={"bandwidth": bandwidth, "snr_db": float(snr_db), "repeats": None})
    return settings.model_copy(update={"ladder": moved, "name": f"interactive/{settings.name}",
                                       "pretrain_from": settings.pretrain_from or settings.name})


def provide(settings: Study, names: Sequence[str] = ()) -> None:
    """Compute these (all rungs) where they are not stored, as the command does; of a large study, say which."""
    names = names or list(records.ladder(settings).rungs)
    missing = records.missing(settings, names)
    if missing and settings.data.counts[1] > SMALL:
        print(f"Not computed yet: {', '.join(missing)} (python -m lib.ladder {settings.source} NAME).")
    elif missing:
        climb(settings, names)
