"""All results of a study as one tidy table, what its columns mean, and what is missing or stale."""

from pathlib import Path
from typing import Any

import pandas as pd

from lib import study
from lib.batch import places, points
from lib.channels.parameters import sent_over
from lib.evidence import fingerprint
from lib.study import Run, Study

PROPOSED = "JSCC + pruning"
COLUMNS = {  # of the table: unit and meaning
    "run": ("", "the run's name, which is its path below outputs/<profile>/"),
    "step": ("", "pretrain, prune, autoencoder, end_to_end or, for the other schemes, baselines"),
    "scheme": ("", "what sends the features or the image; ours is " + PROPOSED),
    "data": ("", "the data set: cifar100, cifar10, mini (the shipped subset of the first) or folder"),
    "precision": ("", "number format of training: float32 or bfloat16"),
    "pool": ("", "the pooling layer or stage after which the network is split, from 1 on"),
    "ratio": ("", "removed filters / all convolution filters before the split"),
    "bandwidth": ("real symbols an image", "B, what the link was built for"),
    "seed": ("", "of the training and of the noise"),
    "variant": ("", "proposed, or what an ablation changes"),
    "channel": ("", "what a model's symbols are evaluated over; awgn, where the study says nothing"),
    "trained_on": ("", "the channel that it was trained on"),
    "picture_quality": ("", "of a JPEG or WebP file, 1 to 100"),
    "feature_bits": ("bits a feature", "of JALAD and two-step pruning, before entropy coding"),
    "reduced_channels": ("channels", "of BottleNet, behind its encoder"),
    "train_snr_db": ("dB", "SNR that the model was trained, or the code designed, for"),
    "snr_db": ("dB", "SNR of this row's evaluation, 10·log10(P/σ²) on real symbols"),
    "draw": ("", "number of the noise draw"),
    "accuracy": ("share", "right answers on all test images at snr_db"),
    "accuracy_selecting": ("share", "the same on the half of them that selects the models of Figure 3"),
    "accuracy_reporting": ("share", "the same on the half of them that selects nothing"),
    "right_by_class": ("images", "right answers of each class, a list"),
    "right_clean": ("", "which test images were right without noise, by lib.evaluation.pack"),
    "right_at_snr": ("", "the same at train_snr_db, in the first noise draw"),
    "accuracy_clean": ("share", "right answers of the run's model on all test images, without noise"),
    "accuracy_selecting_clean": ("share", "the same on the half that selects"),
    "accuracy_reporting_clean": ("share", "the same on the half that selects nothing"),
    "accuracy_at_snr": ("share", "right answers on all test images at train_snr_db, mean over draws"),
    "relative_l1": ("", "last loss of step 3 / mean of the features that it restores"),
    "symbols": ("real symbols an image", "what is sent; of a digital scheme, mean bits / capacity"),
    "symbols_finite": ("real symbols an image", "the same at finite block length, by the normal approximation"),
    "symbols_with_header": ("real symbols an image", "the same with a file's header, which never changes"),
    "bits": ("bits an image", "mean payload of a digital scheme"),
    "minimum_distance": ("amplitude", "between the two closest words of a label code, of unit mean power"),
    "device_macs": ("multiply-accumulates", "of all that the device computes, its encoder included"),
    "device_half_macs": ("multiply-accumulates", "of the network's part on the device, without the encoder"),
    "encoder_macs": ("multiply-accumulates", "of the encoder alone"),
    "unpruned_device_macs": ("multiply-accumulates", "of the network's part on the device before pruning"),
    "total_macs": ("multiply-accumulates", "of the whole network"),
    "filters": ("filters", "convolution filters before the split, before pruning"),
    "filters_removed": ("filters", "how many of them are pruned"),
    "hash": ("", "over the code, parameters and upstream results that decide the run's numbers"),
    "seconds": ("s", "wall time, training before an interruption included"),
    "device": ("", "the GPU, or the processor and its number of threads"),
    "commit": ("", "of the repository when the run started; None without git"),
    "uncommitted_changes": ("", "whether code or notebooks differed from that commit; None without git")}


def describe() -> pd.DataFrame:
    """One row per column of `load`'s table: its name, its unit ("" for none) and its meaning."""
    return pd.DataFrame([(name, *text) for name, text in COLUMNS.items()], columns=["column", "unit", "meaning"])


def load(profile: str, interactive: bool = False) -> pd.DataFrame:
    """One row per finished run of the study and evaluation point (SNR, noise draw); runs without one have a single row.

    `describe` says what the columns are; what does not apply to a run is NaN. With `interactive`, what notebooks
    computed that were opened by hand. Raises InputError for a damaged result.
    """
    loaded = study.load(profile)
    if interactive:
        folder = places.interactive_folder(loaded, "")
        folders = [folder / name for name in _stored(folder)]
    else:  # a result that the study no longer lists is left out, and `stale` names it
        # By name, so that the table's order does not follow the YAML's.
        names = sorted(item.name for item in study.runs(loaded))
        folders = [folder for folder in (places.folder_of(loaded, name) for name in names) if places.finished(folder)]
    rows = []
    for folder in folders:
        result = places.read_result(folder)
        common = _of_run(result)
        rows += [{**common, **point} for point in result["evaluation"]] or [common]
    table = pd.DataFrame(rows)
    for column in COLUMNS:  # so that every column is there however little has been measured
        if column not in table:
            table[column] = pd.Series(dtype=object)
    table["right_by_class"] = table["right_by_class"].map(
        lambda text: [int(count) for count in text.split()] if isinstance(text, str) else text)
    return table


def _of_run(result: dict) -> dict:
    """What all rows of a run share."""
    origin = result["provenance"]
    right = {f"right_{name}": images for name, images in result.get("right", {}).items()}
    parameters = points.columns(result["parameters"]) | sent_over(result["parameters"])
    return {"run": result["name"], "step": result["step"], "scheme": PROPOSED, **parameters, **result["metrics"],
            **right, "hash": result["hash"], "seconds": origin["seconds"],
            "device": origin["device"], "precision": origin.get("precision"), "commit": origin["commit"],
            "uncommitted_changes": origin.get("uncommitted_changes", False)}


def baseline_accuracy(table: pd.DataFrame, column: str = "accuracy_clean") -> float:
    """Accuracy of the unpruned network without a channel, mean over seeds; NaN when it has not been trained."""
    # One row a seed: step 1 has no evaluation over SNR.
    pretrained = table[table.step == "pretrain"]
    return pretrained[column].astype(float).mean() if len(pretrained) else float("nan")


def end_to_end(table: pd.DataFrame, variant: str = "proposed", **point: Any) -> pd.DataFrame:
    """The rows of the proposed end-to-end models, or of a variant, that match the point (pool, ratio, …)."""
    chosen = table[(table.step == "end_to_end") & (table.variant == variant)]
    for column, value in point.items():
        chosen = chosen[chosen[column] == value]
    return chosen


def matched(table: pd.DataFrame) -> pd.DataFrame:
    """Only the points at which a model meets the SNR that it was trained for."""
    return table[table.snr_db == table.train_snr_db]


def pending(profile: str | Study, rerun_stale: bool = False, only: str | None = None) -> list[Run]:
    """The runs still to do, in order: unfinished ones of the asked figures and what they need upstream."""
    loaded = study.load(profile)
    listed = {item.name: item for item in study.runs(loaded)}
    # Stale results are left alone unless asked for: an edit must not cost a day unasked.
    again = stale(loaded)[0] if rerun_stale else ()
    wanted = [item.name for item in listed.values()
              if (only is None or any(figure.startswith(only) for figure in item.figures))
              and (item.name in again or not places.finished(places.folder_of(loaded, item.name)))]
    # What they need upstream whose weights are not there, although its result may be.
    wanted = places.needs(loaded, listed, wanted)
    return [item for item in listed.values() if item.name in wanted]


def stale(profile: str | Study) -> tuple[list[str], list[str]]:
    """Names of the finished runs that no longer fit, and of results that the study does not list.

    A result fits today's code, parameters and upstream results, and rests on none that does not.
    """
    loaded = study.load(profile)
    today, old = fingerprint.expected(loaded, study.runs(loaded)), []
    for name, origin in today.items():
        place = places.folder_of(loaded, name)
        if places.finished(place) and fingerprint.differences(places.read_result(place), origin):
            old.append(name)
    folder = places.folder_of(loaded, "")
    return old, [name for name in _stored(folder) if name not in today]


def _stored(folder: Path) -> list[str]:
    """The names of the results in a study's folder, whether or not it lists them."""
    return [str(file.parent.relative_to(folder)) for file in sorted(folder.glob("*/*/result.json"))]


def retrained_upstream(profile: str | Study, downstream: bool = False) -> list[str]:
    """Names of the finished runs that started from other weights than those of their upstream run's result.

    Most weights are not committed. A model that is trained again to have them, on another machine, has slightly
    other ones: as another seed would, under the same code and parameters. With `downstream`, also the runs that
    rest on such runs.
    """
    loaded = study.load(profile)
    listed = [item for item in study.runs(loaded) if places.finished(places.folder_of(loaded, item.name))]
    found = {item.name: places.read_result(places.folder_of(loaded, item.name)) for item in listed}
    names = []
    for item in listed:
        retrained = any(_started_from_others(found[item.name], found[name]) for name in item.upstream if name in found)
        if retrained or downstream and any(name in names for name in item.upstream):
            names.append(item.name)
    return names


def _started_from_others(result: dict, upstream: dict) -> bool:
    """Whether a run's upstream model was trained again since, or before from other weights."""
    weights = result.get("upstream_weights", {}).get(upstream["name"])
    if weights:
        return weights != upstream.get("weights")
    # early results did not note the weights that they started from
    return upstream["provenance"]["end"] > result["provenance"]["start"]


def progress(profile: str) -> str:
    """In sentences: how much of a study is finished, and which of its results should not be read beside the others."""
    loaded, (old, unknown) = study.load(profile), stale(profile)
    done = [places.finished(places.folder_of(loaded, item.name)) for item in study.runs(loaded)]
    sentences = [f"{sum(done)} of {len(done)} runs are finished."]
    for names, what in ((old, "of them no longer fit the code and parameters"),
                        (retrained_upstream(profile), "of them started from a re-trained upstream model"),
                        (unknown, "results are left out, which the study does not list")):
        if names:
            sentences.append(f"{len(names)} {what}: {', '.join(names)}.")
    return " ".join(sentences)
