"""Results as a finished study stores them, and tables as `results.load` gives them, of which the numbers are known."""

import json

import pandas as pd

from lib import results

PRETRAINED = {"accuracy_clean": 0.7, "accuracy_selecting_clean": 0.7, "accuracy_reporting_clean": 0.7}
ORIGIN = {"commit": "0123456789abcdef", "device": "a processor", "seconds": 12.5}
FOUR_A = {"pool": 2, "bandwidth": 2048, "ratio": 0.5}


def store(root, name, metrics, evaluation=(), study_name="desk", **parameters):
    """A finished run's result.json."""
    folder = root / "outputs" / study_name / name
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({
        "name": name, "step": name.split("/")[0], "study": study_name, "hash": "f" * 16, "made_by": [], "upstream": [],
        "parameters": {"data": "cifar100", "network": {"width": 1.0}, "precision": "float32", **parameters},
        "channels": [64, 64], "metrics": metrics, "evaluation": list(evaluation), "provenance": ORIGIN}))


def point(snr_db, draw=0, accuracy=0.5, right_by_class="50 50"):
    return {"snr_db": snr_db, "draw": draw, "accuracy": accuracy, "accuracy_selecting": accuracy,
            "accuracy_reporting": accuracy, "right_by_class": right_by_class}


def stored_study(root):
    """A pretrained net, a pruning stop, a model evaluated at two SNRs and a PNG baseline."""
    store(root, "pretrain/s0", PRETRAINED, seed=0)
    store(root, "prune/pool2-r0.50-s0", {"accuracy_clean": 0.68, "device_macs": 20_000_000}, seed=0, pool=2, ratio=0.5,
          variant="proposed")
    store(root, "autoencoder/pool2-r0.50-b256-snr14.5-s0", {"accuracy_clean": 0.6, "accuracy_at_snr": 0.59}, seed=0,
          pool=2, ratio=0.5, bandwidth=256, snr_db=14.5, variant="proposed")
    store(root, "end_to_end/pool2-r0.50-b256-snr14.5-s0",
          {"accuracy_clean": 0.67, "accuracy_at_snr": 0.66, "device_macs": 21_000_000, "symbols": 256},
          [point(0.0, 0, 0.4, "30 50"), point(14.5, 0, 0.66, "60 72")], seed=0, pool=2, ratio=0.5, bandwidth=256,
          snr_db=14.5, variant="proposed")
    store(root, "baselines/png-snr14.5-s0", {"scheme": "PNG", "symbols": 8000, "device_macs": 0},
          [{**point(14.5), "right_by_class": None}], seed=0, scheme="png", snr_db=14.5)
    return results.load("desk")


def models(*rows, **common):
    """Rows as results.load gives them, of the proposed end-to-end models."""
    frame = pd.DataFrame([{
        "step": "end_to_end", "scheme": results.PROPOSED, "variant": "proposed", "seed": 0, "draw": 0,
        "train_snr_db": 14.5, "right_by_class": None, "accuracy_selecting": None, "accuracy_reporting": None,
        **common, **row} for row in rows])
    name = "end_to_end/pool" + frame.pool.map("{:g}".format) + "-r" + frame.ratio.map("{:g}".format)
    frame["run"] = name + "-b" + frame.bandwidth.map(str) + "-snr" + frame.train_snr_db.map("{:g}".format) + (
        "-s" + frame.seed.map(str) + frame.variant)
    return frame


def with_baseline(table):
    return pd.concat([table, pd.DataFrame([{"step": "pretrain", "accuracy_clean": 0.7, "seed": 0, "run": "pretrain/s0",
                                            "scheme": results.PROPOSED}])], ignore_index=True)
