"""Where the results of runs lie, and how they are written there: a file is whole or not there.

A run is finished when its result.json exists, and not before: it is written last, under another name, then renamed.
"""

import hashlib
import json
import os
from pathlib import Path

from lib import InputError, study

OUTPUT = "STUDY_OUTPUT"  # names the run's folder while its notebook is executed; absent when one is opened by hand
UNFINISHED = ".unfinished"  # ends the names of a run's files until its notebook has run to its end


def folder_of(settings, name):
    """Where a run of a study lies: under the study's name, step 1 under that of the study it is taken from."""
    step_1_elsewhere = settings.pretrain_from and name.startswith("pretrain/")
    return study.ROOT / "outputs" / (settings.pretrain_from if step_1_elsewhere else settings.name) / name


def interactive_folder(settings, name):
    """Where a run lies whose notebook was opened by hand; git ignores it."""
    return study.ROOT / "outputs" / "interactive" / settings.name / name


def notebook_file(name):
    """The path of a notebook; InputError when there is none."""
    path = study.ROOT / "notebooks" / f"{name}.ipynb"
    if not path.exists():
        raise InputError(f"There is no notebook {name} in {path.parent}.")
    return path


def finished(folder, weights=False):
    """Whether the run is done and, if asked, its weights are here (most are not committed)."""
    return (folder / "result.json").exists() and (not weights or any(folder.glob("model*.safetensors")))


def needs(settings, listed, target):
    """A run's name and those of the runs to compute before it, because weights upstream are not here."""
    return study.needs(listed, target, lambda name: finished(folder_of(settings, name), weights=True))


def find(settings, name, weights=True):
    """The folder of a finished run (with weights): of the study, else (by hand) interactive; None if neither."""
    folders = [folder_of(settings, name)]
    # A run of the study itself never rests on what somebody computed by hand.
    if "interactive" in os.environ.get(OUTPUT, "interactive"):
        folders.append(interactive_folder(settings, name))
    return next((folder for folder in folders if finished(folder, weights)), None)


def read_result(folder):
    """What a run's result.json holds; InputError when it is damaged."""
    file = Path(folder) / "result.json"
    try:
        return json.loads(file.read_text())
    except ValueError as error:
        raise InputError(f"{file} is damaged ({error}): restore it, or delete its folder and it is computed again."
                         ) from error


def weight_files(folder, ending=""):
    """{name: SHA-256} of the stored weights; until the run is done, their names have an ending."""
    return {path.name.removesuffix(ending): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.glob(f"model*.safetensors{ending}"))}


def damaged(folder):
    """The weight files that are missing or not those of the result; none where no weights are here at all."""
    found = weight_files(folder)
    stored = read_result(folder).get("weights", {}) if found else {}
    return [name for name, checksum in stored.items() if found.get(name) != checksum]


def check_weights(folder):
    """Raise InputError when weights are not those of the result."""
    names = damaged(folder)
    if names:
        raise InputError(f"{folder / names[0]} is missing or damaged (its checksum stands in result.json): restore "
                         "it, or delete its folder and it is computed again.")


def replace(path, write):
    """Let `write` write a file under another name, then rename it: it is whole or not there."""
    partial = path.with_name(path.name + ".partial")
    partial.touch()
    mode = partial.stat().st_mode  # as the umask says; safetensors lets only the owner read what it writes
    write(partial)
    partial.chmod(mode)
    os.replace(partial, path)


def write_json(path, content):
    """Write a JSON file, whole or not at all."""
    replace(path, lambda partial: partial.write_text(json.dumps(content, indent=1) + "\n"))


def put_in_place(folder):
    """Give the files of a run whose notebook has run to its end their names, the result last.

    Before new weights an earlier result goes: beside them it would be damaged, and without one the run is to do.
    """
    weights = list(folder.glob(f"model*{UNFINISHED}"))
    if weights:
        (folder / "result.json").unlink(missing_ok=True)
    for path in (*weights, *folder.glob(f"history.csv{UNFINISHED}"), folder / f"result.json{UNFINISHED}"):
        os.replace(path, path.with_suffix(""))
