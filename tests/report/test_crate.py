"""The RO-Crate of the shipped study `quick`; only where the optional package rocrate is installed."""

import json

import pytest

from lib import study

pytest.importorskip("rocrate")


def test_every_run_is_an_action_that_leads_from_its_upstream_results_to_its_own(tmp_path, monkeypatch):
    from lib.report import crate

    shipped = study.ROOT / "outputs"
    monkeypatch.setattr(study, "ROOT", tmp_path)
    (tmp_path / "outputs" / "quick").mkdir(parents=True)
    for file in shipped.glob("quick/*/*/result.json"):
        copy = tmp_path / "outputs" / file.relative_to(shipped)
        copy.parent.mkdir(parents=True)
        copy.write_bytes(file.read_bytes())
    entities = json.loads(crate.write("quick").read_text())["@graph"]
    actions = {entity["name"]: entity for entity in entities if entity["@type"] == "CreateAction"}
    assert len(actions) == 50
    for name, action in actions.items():
        upstream = json.loads((shipped / "quick" / name / "result.json").read_text())["upstream"]
        assert action["result"] == [{"@id": f"{name}/result.json"}]
        assert [part["@id"] for part in action.get("object", [])] == [f"{up}/result.json" for up in upstream]
