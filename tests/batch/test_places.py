"""Where results lie and how they are written there; test_run.py has what happens when a run is killed meanwhile."""

import pytest
import torch
from safetensors.torch import save_file

from lib import study
from lib.batch import places


def test_step_1_lies_where_the_study_takes_it_from():
    paper, gpu = study.load("paper"), study.load("gpu")
    assert paper.pretrain_from == "gpu"
    assert places.folder_of(paper, "pretrain/s0") == places.folder_of(gpu, "pretrain/s0")
    assert places.folder_of(paper, "prune/x") != places.folder_of(gpu, "prune/x")


def test_weights_are_as_readable_as_other_files(tmp_path):
    (tmp_path / "other").touch()
    places.replace(tmp_path / "model.safetensors", lambda path: save_file({"weight": torch.zeros(2)}, path))
    assert (tmp_path / "model.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("value", [object(), float("nan")])
def test_a_file_that_cannot_be_written_whole_leaves_the_earlier_one(tmp_path, value):
    path = tmp_path / "a.json"
    places.write_json(path, {"a": 1})
    before = path.read_text()
    with pytest.raises((TypeError, ValueError)):
        places.write_json(path, {"a": value})
    assert path.read_text() == before
