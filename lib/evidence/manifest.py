"""Whether results are still what was stored: a digest over all that each says, listed in a file that git keeps.

`outputs/<profile>/manifest.csv` has a row for each finished run (`digest`, and in `upstream` the
digests of the runs that it started from), for each figure's table and for each record of a ladder.
A result finished by `lib.run` enters itself; those from before 28 November 2026 were entered once, as git held them at
the commit in the column `commit`.
"""

import csv
import fcntl
import hashlib
import io
import json
from collections.abc import Iterable
from pathlib import Path

from lib import study
from lib.batch import places
from lib.study import Run, Study

FIELDS = ("name", "digest", "upstream", "commit")
ABOUT = "manifest.csv"


def digest(folder: Path, upstream: Iterable[str], ending: str = "") -> str:
    """SHA-256 over a run's result.json (with an ending) and history.csv, and over the digests of the runs upstream.

    The whole result counts: parameters, metrics, evaluation, channels, the weights' checksums,
    provenance. Layout and the order of its names do not.
    """
    # Sorted: JSON that was written anew by another program is the same result.
    result = json.dumps(places.read_result(folder, ending), sort_keys=True, ensure_ascii=False)
    history = folder / "history.csv"
    # A picture's format has nothing to train.
    curve = history.read_text() if history.exists() else ""
    return hashlib.sha256(json.dumps([result, curve, list(upstream)]).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def content_digest(content: object) -> str:
    """SHA-256 of JSON's content; layout and the order of its names do not count."""
    # Written and read once: what JSON changes (a number as a key, a tuple) it has changed then.
    return hashlib.sha256(json.dumps(json.loads(json.dumps(content)), sort_keys=True).encode()).hexdigest()


def read(settings: Study) -> dict[str, dict[str, str]]:
    """{name: its row} of a study's manifest; empty if there is none yet."""
    file = places.folder_of(settings, ABOUT)
    if not file.exists():
        return {}
    # As the csv module asks, or a line break within a field would be changed.
    with open(file, newline="") as stream:
        return {row["name"]: row for row in csv.DictReader(stream)}


def enter(settings: Study, rows: Iterable[dict[str, str]]) -> None:
    """Add or replace rows of a study's manifest, whole or not at all, while other runs may do the same."""
    file = places.folder_of(settings, ABOUT)
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file.parent / ".manifest.lock", "w") as lock:
        # Read within the lock: two runs that finish at once would each write the other's row away.
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = read(settings) | {row["name"]: row for row in rows}
        text = io.StringIO()
        # csv ends lines by \r\n if it is not told otherwise, which git shows as a change of every
        # line.
        writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
        writer.writeheader()
        # Sorted by name, so that git's differences are those of the results.
        writer.writerows({field: row.get(field, "") for field in FIELDS} for _, row in sorted(known.items()))
        places.replace(file, lambda path: path.write_text(text.getvalue()))


def enter_run(settings: Study, item: Run, ending: str = "") -> None:
    """Enter a run that has just finished, or whose result has an ending to its name until it is put in place.

    The row comes before the result: a run that is killed in between is to do, and not done and unknown.
    """
    known = read(settings)
    if settings.pretrain_from is not None:  # step 1 lies in that study's folder, and in its manifest
        known = {name: row for name, row in read(study.load(settings.pretrain_from)).items()
                 if name.startswith("pretrain/")} | known
    # The digest that upstream has now: of a result that is computed again later, this row still
    # says what the run started from.
    upstream = [known[name]["digest"] for name in item.upstream if name in known]
    enter(settings, [{"name": item.name, "upstream": " ".join(upstream),
                      "digest": digest(places.folder_of(settings, item.name), upstream, ending)}])


def enter_tables(settings: Study) -> None:
    """Enter the tables behind the figures, which have just been drawn; one that is as before keeps its row."""
    known = read(settings)
    drawn = {f"figures/{path.name}": file_digest(path) for path in places.folder_of(settings, "figures").glob("*.csv")}
    enter(settings, [{"name": name, "digest": digest} for name, digest in drawn.items()
                     if known.get(name, {}).get("digest") != digest])


def altered(settings: Study, listed: Iterable[Run]) -> list[str]:
    """In words: the results and tables of a study that are not what its manifest lists, or that it does not list."""
    known, found = read(settings), []
    for item in listed:
        folder = places.folder_of(settings, item.name)
        if settings.pretrain_from and item.step == "pretrain":
            continue  # it lies in another study's folder, and that study's manifest lists it
        row = known.get(item.name)
        if not places.finished(folder):
            if row:
                found.append(f"{item.name}: listed, and not there")
        elif row is None:
            found.append(f"{item.name}: not listed")
        elif digest(folder, row["upstream"].split()) != row["digest"]:
            found.append(f"{item.name}: not what was stored")
    for name, row in known.items():
        path = places.folder_of(settings, name)
        if name.startswith("figures/") and (not path.exists() or file_digest(path) != row["digest"]):
            found.append(f"{name}: not what was drawn")
    return found + _altered_ladder(settings, known)


def _altered_ladder(settings, known):
    """In words: records of a study's ladder that are not what is listed, not listed, or not there."""
    listed = {name: row["digest"] for name, row in known.items() if name.startswith("ladder/")}
    here = {f"ladder/{path.name}": path for path in places.folder_of(settings, "ladder").glob("*.json")}
    found = [f"{name}: listed, and not there" for name in listed.keys() - here.keys()]
    for name, path in here.items():
        try:
            stored = content_digest(json.loads(path.read_text()))
        except ValueError:
            stored = "damaged"
        if listed.get(name) != stored:
            found.append(f"{name}: not what was stored" if name in listed else f"{name}: not listed")
    return sorted(found)
