"""What the paper leaves open or a study changes, what is taken, and what that does; `choices.yaml` has the texts."""

from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from lib.claims import points
from lib.schedule import Schedule
from lib.study import Study

TEXTS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
# Fixed, because the text around it says 65.7 % too, whatever study it stands beside.
BASELINE = 0.657  # of step 1 to the letter, where a share of it is said in points


def choices(settings: Study, table: pd.DataFrame) -> pd.DataFrame:
    """One row a choice: what the paper says, what is taken here, from the study's parameters, and its effect.

    How many models each scheme has tried is counted in the results (`table`).
    """
    # `format` fails on any other name: no text can promise a parameter that is not there.
    values = _values(settings) | {"tried": _tried(table, settings)}
    listed, other = TEXTS["ours"], settings.baselines
    if other is not None:
        listed = listed | TEXTS["other schemes"]
        values |= {"frozen": schedule(other.frozen), "everything": schedule(other.everything),
                   "image": schedule(other.image),
                   "gdn": "with GDN" if other.image_gdn else "without GDN, as published",
                   "finite": "in Figure 3" if settings.figure3.finite_blocklength else
                             "stands beside (symbols_finite)"}
    rows = []
    for choice, text in listed.items():
        filled = {key: text[key].format(**values) for key in ("paper", "here", "effect")}
        rows.append({"choice": choice, **filled})
    return pd.DataFrame(rows)


def _values(settings: Study) -> dict[str, Any]:
    """What the texts name in braces."""
    prune, step_4 = settings.prune, settings.end_to_end
    # Several points of the ablations may share one schedule; `dict.fromkeys` below names it once.
    longer = [schedule(item.longer_step4) for item in settings.ablations if item.longer_step4]
    signed = "at the convolution's output, signed and summed"
    # The literal rate of 0.1 is unstable in step 3; either step may be clipped.
    stability = []
    if settings.autoencoder.clip_norm or step_4.clip_norm:
        stability.append("clipped")
    if settings.autoencoder.warm_up or step_4.warm_up:
        stability.append("warm-up")
    return {
        "study": settings, "pretrain": schedule(settings.pretrain), "prune": schedule(prune.training),
        "autoencoder": schedule(settings.autoencoder), "end_to_end": schedule(step_4),
        "dropout": f"{settings.network.dropout:g} in step 1" if settings.network.dropout else "none",
        "bias": "as usual, with one" if settings.network.bias else "none",
        "tenths": "a tenth of the filters before the split" if prune.tenths else "all of them in one cut",
        "scores": signed if prune.criterion == "signed_taylor" else
                  "after batch norm and ReLU, absolute value of each image",
        "stability": ", ".join(stability) or "neither clipped nor warmed up",
        "link": f"{step_4.link_lr:g}" if step_4.link_lr else "that of the network",
        "longer": "; ".join(dict.fromkeys(longer)) or "none in this study",
        "tolerance": 100 * settings.figure3.tolerance, "relative": 100 * settings.figure3.tolerance * BASELINE}


def _tried(table: pd.DataFrame, settings: Study) -> str:
    """How many finished models of each scheme can be in Figure 3."""
    counts = points.figure3_models(table, settings).scheme.value_counts()
    return ", ".join(f"{scheme} {count}" for scheme, count in counts.items()) or "none yet"


def schedule(training: Schedule) -> str:
    """How a stage is trained, in words."""
    epochs = "1 epoch" if training.epochs == 1 else f"{training.epochs} epochs"
    if training.images_per_epoch:
        # An epoch of fewer images than the data set has is a shortened one, and must not look like
        # a whole one.
        epochs += f" of {training.images_per_epoch} images"
    optimizer = "Adam" if training.optimizer == "adam" else f"momentum {training.momentum:g}"
    if training.nesterov and training.optimizer != "adam":
        optimizer += ", Nesterov"
    return f"{epochs}, rate {training.lr:g} ({training.decay}), {optimizer}, L2 {training.weight_decay:g}"
