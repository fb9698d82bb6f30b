"""Compute a finished run again, beside its stored result, and compare: ./run_all.sh recheck PROFILE RUN

It is computed in a folder of its own that ends with the command; nothing under outputs/ changes,
also when it is killed. Upstream runs whose weights are here are taken from there; others, or all
with --upstream, are computed too.
"""

import random
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from lib import InputError, study
from lib.batch import places
from lib.evidence import prove, provenance


def main(profile: str, names: Iterable[str], upstream: bool = False) -> int:
    """Recheck runs one after the other; the exit code is 1 if one is outside what is allowed."""
    settings = study.load(profile)
    listed = {item.name: item for item in study.runs(settings)}
    outside = 0
    for name in names:
        if name not in listed or not places.finished(places.folder_of(settings, name)):
            raise InputError(f"The study {settings.name} has no finished run {name}.")
        stored = places.read_result(places.folder_of(settings, name))
        # Outside the project, whose results are safe whatever the run does.
        with tempfile.TemporaryDirectory(prefix="recheck-") as folder:
            new = compute(settings, listed, name, Path(folder), upstream)
        compared = compare(stored, new, allowed_spread(settings, stored))
        print(f"{name}: stored on {stored['provenance']['device']}, now on {provenance.device()}")
        print(compared.to_string(index=False, float_format=lambda value: f"{value:.6g}"), flush=True)
        outside += int(not compared.within.all())
    return 1 if outside else 0


def compute(settings: study.Study, listed: dict, name: str, folder: Path, upstream: bool) -> dict:
    """The result of a run that is computed in a copy of the project in `folder`."""
    prove.copy_project(folder)
    prove.link_data(folder)
    for other in study.needs(listed, [name]) - {name}:
        stored = places.folder_of(settings, other)
        if not upstream and places.finished(stored, weights=True):
            # At its place in the copy, where the run looks for it.
            copy = folder / stored.relative_to(study.ROOT)
            copy.mkdir(parents=True)
            for file in (stored / "result.json", *stored.glob("model*.safetensors")):
                (copy / file.name).symlink_to(file)
    done = prove.call(folder, "lib.run", settings.source, name, stdout=2)  # progress, to standard error
    if done.returncode:
        raise InputError(f"{name} could not be computed again (see above).")
    return places.read_result(folder / places.folder_of(settings, name).relative_to(study.ROOT))


def same_arithmetic(stored: dict, new: dict) -> bool:
    """Whether both were made by equal arithmetic: then they must agree to the bit."""
    old, now = stored["provenance"], new["provenance"]
    # Sums in another order round differently: so do other threads, and another torch.
    keys = ["device", "threads", "precision"]
    if "NVIDIA" not in old["device"]:
        keys.append("processor")  # results from before 28 November 2026 do not say which
    return (all(old.get(key) == now[key] for key in keys)
            and old["versions"]["torch"] == now["versions"]["torch"])


def allowed_spread(settings: study.Study, stored: dict) -> float:
    """The difference of two accuracies that another processor may make: as large as another seed's.

    Three standard deviations of a difference of two trainings: over the seeds of this point where
    the study has several, and never less than the binomial one of its test images.
    """
    images = 100 * settings.classes
    # Where a run has no accuracy, one half: the largest binomial error.
    share = stored["metrics"].get("accuracy_at_snr", stored["metrics"].get("accuracy_clean", 0.5))
    deviation = (share * (1 - share) / images) ** 0.5
    folder = places.folder_of(settings, stored["name"])
    # The first "-s" with the seed behind it; the variant's name comes after.
    same_point = folder.name.replace(f"-s{stored['parameters']['seed']}", "-s*", 1)
    found = [places.read_result(other)["metrics"].get("accuracy_clean")
             for other in folder.parent.glob(same_point) if places.finished(other)]
    seeds = [value for value in found if value is not None]
    if len(seeds) > 1:
        deviation = max(deviation, pd.Series(seeds).std())
    # Two results, each with this deviation: their difference has √2 of it.
    return 3 * 2**0.5 * deviation


def compare(stored: dict, new: dict, spread: float) -> pd.DataFrame:
    """A row a number: stored, new, their difference, the difference allowed, and whether it is within."""
    equal = same_arithmetic(stored, new)
    rows = []
    for what, old, now in _numbers(stored, new):
        # Counts and symbols of a net that was pruned elsewhere differ as the net does: a twentieth is allowed.
        allowed = spread if what.startswith("accuracy") else 0.05 * abs(old)
        if equal:
            allowed = 0.0
        rows.append({"number": what, "stored": old, "new": now, "difference": now - old, "allowed": allowed,
                     "within": abs(now - old) <= allowed})
    # Weights tell more than accuracies, of which each can be the same by chance.
    if equal and "weights" in stored:
        same = stored["weights"] == new["weights"]
        rows.append({"number": "weights (checksums differ)", "stored": 0, "new": int(not same),
                     "difference": int(not same), "allowed": 0, "within": same})
    return pd.DataFrame(rows)


def _numbers(stored, new):
    """(what, stored, new) of every metric and evaluation point."""
    for key, old in stored["metrics"].items():
        if isinstance(old, int | float):
            yield key, old, new["metrics"][key]
    # By SNR and draw, not by position: a study may have got further SNRs since.
    points = {(row["snr_db"], row["draw"]): row["accuracy"] for row in new["evaluation"]}
    for row in stored["evaluation"]:
        yield (f"accuracy at {row['snr_db']:g} dB, draw {row['draw']}", row["accuracy"],
               points[row["snr_db"], row["draw"]])


def sample(profile: str, count: int, seconds: float = 600) -> list[str]:
    """Names of finished runs, drawn at random, that this machine can compute again within the seconds."""
    settings = study.load(profile)
    listed = {item.name: item for item in study.runs(settings)}
    folders = {name: places.folder_of(settings, name) for name in listed}
    finished = {name: places.read_result(folder) for name, folder in folders.items()
                if places.finished(folder)}
    here = provenance.device()
    names, left = list(finished), seconds
    # Another choice each time: a sample that is always the same checks the same.
    random.shuffle(names)
    chosen = []
    for name in names:
        # With what is upstream of it and has no weights here, which is computed too.
        missing = study.needs(listed, [name], lambda other: places.finished(places.folder_of(settings, other), True))
        known = [finished[other]["provenance"] for other in missing if other in finished]
        made_here = all(origin["device"] == here for origin in known)
        cost = sum(origin["seconds"] for origin in known)
        if made_here and cost <= left and len(chosen) < count:
            chosen.append(name)
            left -= cost
    if not chosen:
        raise InputError(f"No finished run of {settings.name} was made on a machine like this one "
                         f"and takes under {seconds / 60:g} minutes; name one instead.")
    return chosen
