"""Where the results of runs lie, and how they are written there: a file is whole or not there.

A run is finished when its result.json exists, and not before: it is written last, under another name, then renamed.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from lib import InputError, study
from lib.batch.parameters import Study
from lib.batch.runs import Run

OUTPUT = "STUDY_OUTPUT"  # names the run's folder while its notebook is executed; absent when one is opened by hand
PARTS = {"parameters": dict, "metrics": dict, "evaluation": list, "provenance": dict}  # which every result has
UNFINISHED = ".unfinished"  # ends the names of a run's files until its notebook has run to its end


def folder_of(settings: Study, name: str) -> Path:
    """Where a run of a study lies: under the study's name, step 1 under that of the study it is taken from."""
    owner = settings.name
    # One pretrained network for both studies, stored once.
    if settings.pretrain_from and name.startswith("pretrain/"):
        owner = settings.pretrain_from
    return study.ROOT.joinpath("outputs", owner, name)


def interactive_folder(settings: Study, name: str) -> Path:
    """Where a run lies whose notebook was opened by hand; git ignores it."""
    return study.ROOT / "outputs" / "interactive" / settings.name / name


def notebook_file(name: str) -> Path:
    """The path of a notebook; InputError when there is none."""
    path = study.ROOT / "notebooks" / f"{name}.ipynb"
    if not path.exists():
        raise InputError(f"There is no notebook {name} in {path.parent}.")
    return path


def finished(folder: Path, weights: bool = False) -> bool:
    """Whether the run is done and, if asked, its weights are here (most are not committed)."""
    # Two files of weights for a pretrained full network, else one.
    return (folder / "result.json").exists() and (not weights or any(folder.glob("model*.safetensors")))


def stored_at(folder: Path) -> int:
    """When a run's result got its name, in ns of the clock; 0 where there is none."""
    file = folder / "result.json"
    return file.stat().st_ctime_ns if file.exists() else 0


def needs(settings: Study, listed: Mapping[str, Run], targets: Iterable[str]) -> set[str]:
    """The names of runs and of those to compute before them, because weights upstream are not here."""
    return study.needs(listed, targets, lambda name: finished(folder_of(settings, name), weights=True))


def find(settings: Study, name: str, weights: bool = True, interactive: bool = False) -> Path | None:
    """The folder of a finished run (with weights): of the study, else (by hand) interactive; None if neither.

    With `interactive` the one that was computed by hand comes first.
    """
    # The study's own first: it is the one with provenance in git.
    folders = [folder_of(settings, name)]
    # A run of the study itself never rests on what somebody computed by hand.
    if "interactive" in os.environ.get(OUTPUT, "interactive"):
        folders.append(interactive_folder(settings, name))
    order = reversed(folders) if interactive else folders
    return next((folder for folder in order if finished(folder, weights)), None)


def read_result(folder: str | Path, ending: str = "") -> dict[str, Any]:
    """What a run's result.json holds; InputError when it is damaged or holds no result."""
    file = Path(folder) / f"result.json{ending}"
    try:
        result = json.loads(file.read_text())
        for part, kind in PARTS.items():
            if not isinstance(result, dict) or not isinstance(result.get(part), kind):
                raise ValueError(f"it has no {part}")
        return result
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is damaged ({error}): restore it, or delete its folder and it is computed again."
                         ) from error


def weight_files(folder: Path, ending: str = "") -> dict[str, str]:
    """{name: SHA-256} of the stored weights; until the run is done, their names have an ending."""
    return {path.name.removesuffix(ending): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.glob(f"model*.safetensors{ending}"))}


def damaged(folder: Path) -> list[str]:
    """The weight files that are missing or not those of the result; none where no weights are here at all."""
    # Most weights are not committed: none at all is no damage, some missing is.
    found = weight_files(folder)
    stored = read_result(folder).get("weights", {}) if found else {}
    return [name for name, checksum in stored.items() if found.get(name) != checksum]


def check_weights(folder: Path) -> None:
    """Raise InputError when weights are not those of the result."""
    names = damaged(folder)
    if names:
        raise InputError(f"{folder / names[0]} is missing or damaged (its checksum stands in result.json): restore "
                         "it, or delete its folder and it is computed again.")


def replace(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` write a file under another name, then rename it: it is whole or not there."""
    partial = path.with_name(path.name + ".partial")
    # First empty, to see which rights a new file gets here.
    partial.touch()
    mode = partial.stat().st_mode  # as the umask says; safetensors lets only the owner read what it writes
    write(partial)
    partial.chmod(mode)
    # Atomic within a file system, hence the name beside it and not in /tmp.
    os.replace(partial, path)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, whole or not at all."""
    replace(path, lambda partial: partial.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n"))


def put_in_place(folder: Path, enter: Callable[[], Any] = lambda: None) -> None:
    """Give the files of a run whose notebook has run to its end their names, the result last, and before it `enter`.

    Before new weights or a new learning curve an earlier result goes: beside them it would be damaged, and without one
    the run is to do.
    """
    files = [*folder.glob(f"model*{UNFINISHED}"), *folder.glob(f"history.csv{UNFINISHED}")]
    # A finished run that is computed again is unfinished from here on, until its new result is
    # there.
    if files:
        (folder / "result.json").unlink(missing_ok=True)
    # In this order: whoever sees the result finds weights and history of the same run.
    for path in files:
        os.replace(path, path.with_suffix(""))
    enter()
    os.replace(folder / f"result.json{UNFINISHED}", folder / "result.json")
