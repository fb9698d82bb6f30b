"""What the paper leaves open or a study changes, and what is taken; `choices.yaml` has the texts."""

from pathlib import Path

import pandas as pd
import yaml

from lib.schedule import Schedule
from lib.study import Study

TEXTS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())


def choices(settings: Study) -> pd.DataFrame:
    """One row a choice: what the paper says, and what is taken here, from the study's parameters."""
    values = {"study": settings, "pretrain": schedule(settings.pretrain), "prune": schedule(settings.prune.training),
              "autoencoder": schedule(settings.autoencoder), "end_to_end": schedule(settings.end_to_end)}
    # A study may leave out all other schemes; then nothing is chosen for them either.
    listed, other = TEXTS["ours"], settings.baselines
    if other is not None:
        listed = listed | TEXTS["other schemes"]
        values |= {"frozen": schedule(other.frozen), "everything": schedule(other.everything),
                   "image": schedule(other.image),
                   "gdn": "with GDN" if other.image_gdn else "without GDN, as published",
                   "finite": "in Figure 3" if settings.figure3.finite_blocklength else
                             "stands beside (symbols_finite)"}
    return pd.DataFrame([{"choice": choice, "paper": text["paper"], "here": text["here"].format(**values)}
                         for choice, text in listed.items()])


def schedule(training: Schedule) -> str:
    """How a stage is trained, in words."""
    epochs = "1 epoch" if training.epochs == 1 else f"{training.epochs} epochs"
    if training.images_per_epoch:
        epochs += f" of {training.images_per_epoch} images"
    # Adam has no momentum to name, and Nesterov's step is one of momentum.
    optimizer = "Adam" if training.optimizer == "adam" else f"momentum {training.momentum:g}"
    if training.nesterov and training.optimizer != "adam":
        optimizer += ", Nesterov"
    return f"{epochs}, rate {training.lr:g} ({training.decay}), {optimizer}, L2 {training.weight_decay:g}"
