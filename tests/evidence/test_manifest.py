"""The manifest: every field of a result, every line of a history and every cell of a figure's table is guarded."""

import copy
import csv
import json

import pytest

from helpers import MODEL, PRETRAIN, PRUNE, folder, runs
from lib import study
from lib.batch import places
from lib.evidence import manifest


def entered(settings):
    manifest.enter(settings, [])
    for item in runs().values():
        manifest.enter_run(settings, item)


def leaves(value, path=()):
    """The paths to all values of a nested structure."""
    if isinstance(value, dict | list) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in items:
            yield from leaves(part, (*path, key))
    else:
        yield path


def changed(value):
    """Another value of about the same kind."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        return value + (1 if isinstance(value, int) else 1e-6)
    return f"{value}0" if isinstance(value, str) else ["something"]


@pytest.mark.parametrize("name", [PRETRAIN, PRUNE, MODEL])
def test_each_field_of_a_result_is_guarded(workspace, name):
    settings = study.load("tiny")
    entered(settings)
    assert manifest.altered(settings, runs().values()) == []
    file = folder(name) / "result.json"
    original = json.loads(file.read_text())
    row = manifest.read(settings)[name]
    paths = list(leaves(original))
    assert len(paths) > 60
    for path in paths:
        altered = copy.deepcopy(original)
        place = altered
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = changed(place[path[-1]])
        file.write_text(json.dumps(altered))
        assert manifest.digest(folder(name), row["upstream"].split()) != row["digest"], path
    assert manifest.altered(settings, runs().values()) == [f"{name}: not what was stored"]
    file.write_text(json.dumps(original, indent=3))  # another layout says the same
    assert manifest.altered(settings, runs().values()) == []


def test_each_line_of_a_history_is_guarded(workspace):
    settings = study.load("tiny")
    entered(settings)
    file = folder(MODEL) / "history.csv"
    rows = list(csv.reader(file.read_text().splitlines()))
    for row in range(1, len(rows)):
        for column in range(len(rows[0])):
            altered = copy.deepcopy(rows)
            altered[row][column] += "1"
            file.write_text("\n".join(map(",".join, altered)) + "\n")
            assert manifest.altered(settings, runs().values()) == [f"{MODEL}: not what was stored"]
    file.unlink()
    assert manifest.altered(settings, runs().values()) == [f"{MODEL}: not what was stored"]


def test_a_figures_table_is_guarded(workspace):
    settings = study.load("tiny")
    manifest.enter_tables(settings)
    tables = list(places.folder_of(settings, "figures").glob("*.csv"))
    listed = {name for name in manifest.read(settings) if name.startswith("figures/")}
    assert tables and listed == {f"figures/{table.name}" for table in tables}
    text = tables[0].read_text()
    tables[0].write_text(text.replace("0.", "1.", 1))
    assert manifest.altered(settings, []) == [f"figures/{tables[0].name}: not what was drawn"]
    tables[0].unlink()
    assert manifest.altered(settings, []) == [f"figures/{tables[0].name}: not what was drawn"]


def test_a_result_that_is_gone_or_was_never_entered_is_named(workspace):
    settings = study.load("tiny")
    (places.folder_of(settings, manifest.ABOUT)).unlink(missing_ok=True)
    manifest.enter_run(settings, runs()[PRETRAIN])
    assert f"{PRUNE}: not listed" in manifest.altered(settings, runs().values())
    (folder(PRETRAIN) / "result.json").unlink()
    assert f"{PRETRAIN}: listed, and not there" in manifest.altered(settings, runs().values())


def test_a_digest_depends_on_those_upstream(workspace):
    assert manifest.digest(folder(MODEL), ["a"]) != manifest.digest(folder(MODEL), ["b"])


def test_a_table_that_is_drawn_again_as_it_was_keeps_its_row(workspace):
    settings = study.load("tiny")
    old, new = (row | {"name": f"figures/{name}.csv", "commit": "of old"} for name, row in (
        ("figure5", {"digest": manifest.file_digest(places.folder_of(settings, "figures/figure5.csv"))}),
        ("figure3", {"digest": "another"})))
    manifest.enter(settings, [old, new])
    manifest.enter_tables(settings)
    rows = manifest.read(settings)
    assert [rows[f"figures/{name}.csv"]["commit"] for name in ("figure5", "figure3")] == ["of old", ""]


def test_a_digest_depends_on_step_1_of_another_study_too(monkeypatch):
    settings = study.load("readings")
    item = next(item for item in study.runs(settings) if item.upstream == ["pretrain/s0"])
    entered = []
    monkeypatch.setattr(manifest, "enter", lambda settings, rows: entered.extend(rows))
    manifest.enter_run(settings, item)
    assert entered[0]["upstream"] == manifest.read(study.load("gpu"))["pretrain/s0"]["digest"]


def test_a_computed_study_lists_all_its_runs(project):
    settings = study.load("tiny")
    assert set(runs()) <= set(manifest.read(settings)) and manifest.altered(settings, runs().values()) == []
