"""Where the rungs of a ladder are stored, and whether one still fits its parameters."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lib import InputError, study
from lib.batch import places
from lib.evidence import manifest, provenance
from lib.evidence.fingerprint import digest
from lib.recipe.net_parameters import SCRATCH
from lib.recipe.parameters import Ladder
from lib.study import Study

CLEAN = "clean"  # the network itself, without a link
ONE = "one_model"
SEPARATION = "separation"  # its features as so many bits
NET = "net-"  # begins the name of a net's record, and of no rung's
# Of a ladder, what does not decide all of its rungs.
PARTS = {"rungs", "repeats", "nets", "one_model", "views", "over", "snrs_db", "expect", "aims"}


def ladder(settings: Study) -> Ladder:
    """The ladder of a study; InputError where it has none."""
    if settings.ladder is None:
        raise InputError(f"The study {settings.name} has no ladder.")
    if (settings.network.name, settings.data.side) != ("vgg16_bn", 32):
        raise InputError("A ladder is of vgg16_bn and images of 32 × 32 pixels, not of "
                         f"{settings.network.name} and {settings.data.side} × {settings.data.side}.")
    return settings.ladder


def folder(settings: Study) -> Path:
    """Where a study's rungs lie."""
    return places.folder_of(settings, "ladder")


def fingerprint(values: Any) -> str:
    """A short hash of parameters: 16 hexadecimal digits of SHA-256."""
    return digest(json.dumps(values, sort_keys=True))


def parameters(settings: Study, name: str, defaults: bool = True) -> dict[str, Any]:
    """All that decides a rung's numbers: what it says of itself and what it shares with the others, without prose.

    Without `defaults`, only those that differ from the schema's.
    """
    if name.startswith(NET):
        return {"net": _net(settings, name.removeprefix(NET), defaults)}
    whole = ladder(settings).model_dump(mode="json", exclude=PARTS, exclude_defaults=not defaults)
    if name in (CLEAN, SEPARATION):
        return whole
    if (seeded := of_seed(name)) is not None:
        return {**parameters(settings, seeded[0], defaults), "seed": seeded[1]}
    if name in (over := ladder(settings).over):
        entry = over[name]
        values = entry.model_dump(mode="json", exclude={"about", "expect"}, exclude_defaults=not defaults)
        tried = {other: over[other].channel.model_dump(mode="json", exclude_defaults=not defaults)
                 for other in entry.also_over}
        return {**parameters(settings, entry.rung, defaults), **values, "also_over": tried,
                "snrs_db": entry.snrs_db or ladder(settings).snrs_db, "evaluated": settings.evaluation.snr_db,
                "draws": settings.evaluation.draws}
    ones = ladder(settings).ones
    rung = ones[name] if name in ones else ladder(settings).rungs[name]
    values = rung.model_dump(mode="json", exclude={"about", "expect", "variants"}, exclude_defaults=not defaults)
    views = {view: ladder(settings).views[view].model_dump(mode="json", exclude_defaults=not defaults)
             for view in rung.views}
    of_net = {role: _net(settings, net, defaults) for role in ("net", "control")
              if (net := getattr(rung, role, None)) is not None}
    if name in ones:
        return {**whole, **values, "views": views, **of_net, "draws": settings.evaluation.draws}
    bandwidth, snr_db = point(settings, name)
    # Records before 29 November 2026 do not say how they were evaluated.
    evaluated = {"evaluated": settings.evaluation.snr_db, "draws": settings.evaluation.draws} if defaults else {}
    return {**whole, **values, "views": views, "bandwidth": bandwidth, "snr_db": snr_db, **of_net, **evaluated}


def _net(settings, name, defaults):
    """All that decides what a net is, back to the pretrained one or to random weights, and what its teacher is."""
    net = ladder(settings).nets[name]
    before = net.of if net.of in (None, SCRATCH) else _net(settings, net.of, defaults)
    values = net.model_dump(mode="json", exclude={"about", "expect"}, exclude_defaults=not defaults)
    taught_by = {"teacher": _net(settings, net.teacher, defaults)} if net.teacher else {}
    seed = {"seed": ladder(settings).seed} if defaults or ladder(settings).seed else {}
    return {**values, "of": before, **taught_by, **seed}


def of_seed(name: str) -> tuple[str, int] | None:
    """(rung, seed) of the record `seed1-logits`, a rung trained with another seed; None for any other name."""
    # A rung's own name has no hyphen.
    seed, _, rung = name.removeprefix("seed").partition("-")
    return (rung, int(seed)) if name.startswith("seed") and seed.isdecimal() and rung else None


def seeds(settings: Study, name: str) -> list[str]:
    """A rung, and its records of other seeds where it has some."""
    repeats = ladder(settings).repeats
    return [name, *(f"seed{seed}-{name}" for seed in (repeats.seeds if repeats and name in repeats.rungs else []))]


def names(settings: Study) -> list[str]:
    """All of a ladder that can be asked for, in the order in which it is computed."""
    spec = ladder(settings)
    return [*spec.nets, *spec.rungs, *spec.over, *[SEPARATION] * bool(spec.over), *spec.ones]


def point(settings: Study, name: str) -> tuple[int, float]:
    """(symbols, SNR in dB) of a rung: its own, where it has them, else the ladder's."""
    spec, rung = ladder(settings), ladder(settings).rungs[name]
    return rung.bandwidth or spec.bandwidth, spec.snr_db if rung.snr_db is None else rung.snr_db


def made_here() -> dict[str, Any]:
    """Where a record comes from: the commit and the device."""
    return {"origin": provenance.origin(), "device": provenance.device()}


def store(settings: Study, name: str, content: dict[str, Any]) -> None:
    """Write a rung's file, whole or not at all, and its digest into the study's manifest."""
    folder(settings).mkdir(parents=True, exist_ok=True)
    content = {"name": name, "parameters": parameters(settings, name), "net": weights_under(settings, name), **content}
    # The row first: where this is broken off, the record is one that is listed and not there, and computed again.
    manifest.enter(settings, [{"name": f"ladder/{name}.json", "digest": manifest.content_digest(content)}])
    places.write_json(folder(settings) / f"{name}.json", content)


def read(settings: Study, name: str) -> dict[str, Any] | None:
    """A stored rung; None where there is none, or its parameters or the weights that it rests on were others.

    An option that has been added since, and that the rung does not take, makes no difference.
    """
    file = folder(settings) / f"{name}.json"
    if not file.exists():
        return None
    content = json.loads(file.read_text())
    stored = content["parameters"]
    fits = _holds(parameters(settings, name), stored) and _holds(stored, parameters(settings, name, defaults=False))
    # Records before 29 November 2026 do not say which weights they rest on, or not all of them.
    same_weights = _holds(weights_under(settings, name), content.get("net", {}))
    return content if fits and same_weights else None


def weights_under(settings: Study, name: str) -> dict[str, str]:
    """Checksums of the weights that a record rests on, by file.

    A rung rests on its net's, and on those of the unpruned network and the control that it is compared with
    (`reference/` and `control/` before the file's name); a net on those of what it was made of and of its teacher
    (`of/`, `teacher/`).
    """
    spec, (rung, _) = ladder(settings), of_seed(name) or (name, None)
    if name.startswith(NET):
        net = spec.nets[name.removeprefix(NET)]
        under = {"of/": net.of} | ({"teacher/": net.teacher} if net.teacher else {})
    elif rung in spec.rungs:
        net, control = spec.rungs[rung].net, spec.rungs[rung].control
        under = {"": net, "reference/": spec.unpruned(net)} | ({"control/": control} if control else {})
    elif rung in spec.over:
        under = {"": spec.rungs[spec.over[rung].rung].net}
    else:
        under = {"": spec.ones[name].net if name in spec.ones else None}
    return {role + file: checksum for role, net in under.items() for file, checksum in weights(settings, net).items()}


def weights(settings: Study, net: str | None) -> dict[str, str]:
    """Checksums of a net's weights by file, as its record has them; of the pretrained network for None."""
    if net == SCRATCH:
        return {}
    if net is not None:
        return (read(settings, NET + net) or {}).get("weights", {})
    folder = places.find(settings, study.name("pretrain", seed=ladder(settings).seed), weights=False)
    return places.read_result(folder).get("weights", {}) if folder else {}


def missing(settings: Study, names: Iterable[str]) -> list[str]:
    """Those of a ladder's names (rungs, nets, entries and what stands beside them) that are not stored.

    After a rung come its records of other seeds.
    """
    nets = ladder(settings).nets
    return [record for name in names for record in seeds(settings, name)
            if read(settings, NET + name if name in nets else record) is None]


def misfits(settings: Study) -> tuple[list[str], list[str]]:
    """(stale, not in the study): stored records that `read` does not take, and those of no rung, by name.

    Those that are damaged are not among them (`manifest.altered`).
    """
    stored = sorted(file.stem for file in folder(settings).glob("*.json"))
    if settings.ladder is None:
        return [], [f"ladder/{name}" for name in stored]
    nets = ladder(settings).nets
    known = {CLEAN, *(NET + name if name in nets else record
                      for name in names(settings) for record in seeds(settings, name))}
    return ([f"ladder/{name}" for name in stored if name in known and _stale(settings, name)],
            [f"ladder/{name}" for name in stored if name not in known])


def _stale(settings, name):
    try:
        return read(settings, name) is None
    except (ValueError, KeyError):  # damaged
        return False


def _holds(whole: Any, part: Any) -> bool:
    """Whether all of `part` stands in `whole`, section by section."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and _holds(whole[key], value) for key, value in part.items())
    return whole == part
