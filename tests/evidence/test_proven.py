"""What a proof compares."""

import json

from lib.evidence import prove


def stored(folder, evaluation):
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps({"metrics": {}, "evaluation": evaluation}))
    return prove.numbers(folder)


def test_a_missing_number_was_nan_and_is_null_today(tmp_path):
    old = stored(tmp_path / "old", [{"accuracy": 0.5, "right": float("nan")}])
    assert old == stored(tmp_path / "today", [{"accuracy": 0.5, "right": None}])
    assert old != stored(tmp_path / "other", [{"accuracy": 0.5, "right": 1.0}])
    assert old != stored(tmp_path / "another", [{"accuracy": 0.4, "right": None}])
