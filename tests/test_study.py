"""A study's file: what is read, and what is refused as a file or a name."""

import pytest
import yaml

from helpers import QUICK, quick_with, refusal, written
from lib import study


@pytest.mark.parametrize("stem, name", [("changed", "quick"), ("interactive", "interactive"), ("bench", "bench")])
def test_a_name_that_leads_to_other_results_is_refused(tmp_path, stem, name):
    path = quick_with(tmp_path, name=name).rename(tmp_path / f"{stem}.yaml")
    assert f"{stem}.yaml" in (message := refusal(path)) and repr(name) in message


def test_a_file_elsewhere_does_not_take_a_shipped_studys_name(tmp_path):
    message = refusal(quick_with(tmp_path, name="quick").rename(tmp_path / "quick.yaml"))
    assert "params/quick.yaml" in message


def test_a_missing_section_is_named(tmp_path):
    content = {key: value for key, value in QUICK.items() if key != "end_to_end"}
    assert "end_to_end" in refusal(written(tmp_path, content))


def test_an_unknown_profile_is_named():
    assert "'quik'" in refusal("quik")


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert "nowhere.yaml" in refusal(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("content", [
    "[" * 5000, "a: 1\na: 2", 'name: "\\0"', "",
    "- a list", "just text", "name: [unclosed", "\tname: tab"])
def test_what_is_not_a_study_is_refused(tmp_path, content):
    assert "changed.yaml" in refusal(written(tmp_path, content))


def test_a_binary_file_is_refused(tmp_path):
    path = tmp_path / "changed.yaml"
    path.write_bytes(b"\xff\xfe\x00\x01")
    assert "changed.yaml" in refusal(path)


def test_1e_3_without_a_point_is_text_in_a_yaml_file_too(tmp_path):
    path = written(tmp_path, yaml.safe_dump(QUICK).replace("lr: 0.005", "lr: 5e-3"))
    assert "end_to_end.lr" in refusal(path) and "1.0e-3" in refusal(path)


def test_a_name_given_twice_is_refused(tmp_path):
    """YAML would take the last, and somebody has meant the other."""
    text = yaml.safe_dump(QUICK)
    assert "'seeds' is given twice" in refusal(written(tmp_path, text + "seeds: [1]\n"))


def test_studies_that_take_step_1_from_each_other_are_refused(root):
    for name, other in (("first", "second"), ("second", "first")):
        (root / "params" / f"{name}.yaml").write_text(yaml.safe_dump({**QUICK, "name": name, "pretrain_from": other}))
    assert "'second'" in refusal("first")


def test_a_whole_number_is_a_number(tmp_path):
    assert study.load(quick_with(tmp_path, evaluation__snr_db=[0, 5])).evaluation.snr_db == [0.0, 5.0]
