"""Which of the measured models to take, within what a device and a channel can afford (Sec. III-E).

    choose(results.load("gpu"), snr_db=14.5, max_macs=30e6, max_symbols=1024, max_drop=0.02)
"""

import math

import pandas as pd

from lib import InputError
from lib.results import baseline_accuracy

MODEL = ["scheme", "variant", "pool", "ratio", "bandwidth", "picture_quality", "feature_bits", "reduced_channels",
         "train_snr_db"]  # what tells two models apart
LIMITS = {"device_macs": "max_macs", "symbols": "max_symbols", "drop": "max_drop"}
LEAST = {"device_macs": 1, "symbols": 1, "drop": 0.01}  # what a miss is measured by where the limit is 0


def choose(table: pd.DataFrame, snr_db: float, max_macs: float | None = None, max_symbols: float | None = None,
           max_drop: float | None = 0.02) -> pd.DataFrame:
    """The non-dominated models within the limits, ours and the other schemes', the most accurate first.

    `table` is that of `results.load`, `max_macs` counts multiply-accumulates on the device, `max_symbols` real symbols
    an image, and `max_drop` is a share: 0.02 is two points below the unpruned network without a channel. None is no
    limit. A row is a model's mean over seeds and noise draws at `snr_db`, whichever SNR it was trained for; no other
    row costs no more and is at least as accurate. Accuracies are those on all test images, so that the best of many
    flatters a little: Figure 3 selects on one half and reports on the other.
    Raises InputError for an SNR that was not evaluated, for limits that are none, and where nothing fits: it names the
    model that misses its limits by the smallest share, and what to relax.
    """
    given = dict(zip(LIMITS, (max_macs, max_symbols, max_drop), strict=True))
    limits = {name: _checked(name, limit) for name, limit in given.items() if limit is not None}
    models = measured(table, snr_db)
    if "drop" in limits and models["drop"].isna().all():
        raise InputError("max_drop counts from the accuracy of step 1, which the table does not have.")
    within = models[(models[list(limits)] <= pd.Series(limits)).all(axis=1)]
    if within.empty:
        raise InputError(_nearest_miss(models, limits, snr_db))
    kept = [not _dominated(model, within) for model in within.itertuples()]
    return within[kept].sort_values(["accuracy", "device_macs"], ascending=[False, True], ignore_index=True)


def measured(table: pd.DataFrame, snr_db: float) -> pd.DataFrame:
    """All models that were evaluated at this SNR, a row each: MODEL, device_macs, symbols, accuracy, drop, seeds."""
    rows = table[table.step.isin(["end_to_end", "baselines"])]
    if rows.empty:
        raise InputError("The table has no end-to-end model and no other scheme: ./run_all.sh computes a study's.")
    if snr_db not in set(rows.snr_db):
        evaluated = ", ".join(f"{snr:g}" for snr in sorted(rows.snr_db.dropna().unique()))
        raise InputError(f"No model was evaluated at {snr_db} dB, only at {evaluated} dB.")
    numbers = ["device_macs", "symbols", "accuracy"]
    rows = rows[rows.snr_db == snr_db].astype(dict.fromkeys(numbers, float))
    of_seeds = rows.groupby([*MODEL, "seed"], dropna=False)[numbers].mean()  # over noise draws
    models = of_seeds.groupby(MODEL, dropna=False)
    found = models.mean().assign(seeds=models.size()).reset_index()
    # Rounded, because 0.66 − 0.64 is more than 0.02 in floating point.
    return found.assign(drop=(baseline_accuracy(table) - found.accuracy).round(9))


def _checked(name, limit):
    """The limit, which must be a number of at least 0, and a share where it limits the drop."""
    if isinstance(limit, bool | str) or not limit >= 0:
        raise InputError(f"{LIMITS[name]} must be a number of at least 0, not {limit!r}.")
    if name == "drop" and limit > 1:
        raise InputError(f"max_drop is a share, so that 0.02 is two points, and cannot be {limit!r}.")
    return limit


def _dominated(model, others):
    """Whether another costs no more and is no less accurate, and is better in one of these."""
    no_worse = (others.device_macs <= model.device_macs) & (others.symbols <= model.symbols) & (
        others.accuracy >= model.accuracy)
    better = (others.device_macs < model.device_macs) | (others.symbols < model.symbols) | (
        others.accuracy > model.accuracy)
    return (no_worse & better).any()


def _nearest_miss(models, limits, snr_db):
    """In a sentence: the model whose largest excess over a limit, as a share of the limit, is smallest."""
    excess = pd.DataFrame({name: (models[name] - limit) / max(limit, LEAST[name]) for name, limit in limits.items()})
    nearest = models.loc[excess.max(axis=1).idxmin()]
    relaxed = []
    for name, limit in limits.items():
        if nearest[name] > limit:
            digits = 4 if name == "drop" else 0
            needed = math.ceil(nearest[name] * 10**digits) / 10**digits
            points = f" ({100 * needed:g} points)" if name == "drop" else ""
            relaxed.append(f"{LIMITS[name]} from {limit:g} to {needed:.{digits}f}{points}")
    return f"No model fits at {snr_db:g} dB: {in_words(nearest)} is nearest, relax {' and '.join(relaxed)}."


def in_words(model: pd.Series) -> str:
    """What tells a model from others, as far as it applies: `BottleNet++, pool 2, bandwidth 512, train_snr_db 14.5`."""
    known = [(name, model[name]) for name in MODEL[1:] if pd.notna(model[name]) and model[name] != "proposed"]
    return ", ".join([model.scheme, *(f"{name} {format(value, '' if isinstance(value, str) else 'g')}"
                                      for name, value in known)])
