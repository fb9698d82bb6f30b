"""Where the rungs of a ladder are stored, and whether one still fits its parameters."""

import hashlib
import json
from pathlib import Path
from typing import Any

from lib import InputError
from lib.batch import places
from lib.recipe.parameters import Ladder
from lib.study import Study

CLEAN = "clean"  # the network itself, without a link


def ladder(settings: Study) -> Ladder:
    """The ladder of a study; InputError where it has none."""
    if settings.ladder is None:
        raise InputError(f"The study {settings.name} has no ladder.")
    return settings.ladder


def folder(settings: Study) -> Path:
    """Where a study's rungs lie."""
    return places.folder_of(settings, "ladder")


def fingerprint(values: Any) -> str:
    """A short hash of parameters: 16 hexadecimal digits of SHA-256."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def parameters(settings: Study, name: str) -> dict[str, Any]:
    """All that decides a rung's numbers: what it says of itself and what it shares with the others, without prose."""
    whole = ladder(settings).model_dump(mode="json")
    rungs, views = whole.pop("rungs"), whole.pop("views")
    if name == CLEAN:
        return whole
    rung = {key: value for key, value in rungs[name].items() if key not in ("about", "expect")}
    return {**whole, **rung, "views": {view: views[view] for view in rung["views"]}}


def store(settings: Study, name: str, content: dict[str, Any]) -> None:
    """Write a rung's file, whole or not at all."""
    folder(settings).mkdir(parents=True, exist_ok=True)
    values = parameters(settings, name)
    places.write_json(folder(settings) / f"{name}.json",
                      {"name": name, "hash": fingerprint(values), "parameters": values, **content})


def read(settings: Study, name: str) -> dict[str, Any] | None:
    """A stored rung; None where there is none or its parameters were others."""
    file = folder(settings) / f"{name}.json"
    if not file.exists():
        return None
    content = json.loads(file.read_text())
    return content if content["hash"] == fingerprint(parameters(settings, name)) else None
