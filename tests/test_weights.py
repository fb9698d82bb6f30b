"""Weights as files: rounded once, or exactly as they are."""

import torch

from lib import vgg, weights


def save(folder, state, half):
    for name, part in weights.files(state, half).items():
        weights.save(folder / name, part)


def test_rounding_to_half_precision_is_done_once():
    state = {"weight": torch.randn(1000) * 10.0 ** torch.arange(-9, 4).repeat_interleave(77)[:1000],
             "count": torch.tensor(70_001)}
    once = weights.rounded(state)
    whole = {name: value.float() if value.is_floating_point() else value for name, value in once.items()}
    again = weights.rounded(whole)
    assert all(torch.equal(once[name], again[name]) for name in state) and again["count"] == 70_001
    assert not torch.equal(once["weight"].float(), state["weight"])


def test_weights_stored_in_half_precision_come_back_rounded_and_stay(tmp_path):
    state = vgg.vgg16_bn(10, 0.0625).state_dict()
    save(tmp_path, state, half=True)
    loaded, files = weights.load(tmp_path), {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(loaded) == set(state)
    assert all(torch.equal(loaded[name], weights.rounded(state)[name].to(loaded[name].dtype)) for name in state)
    assert all(value.dtype in (torch.float32, torch.int64) for value in loaded.values())
    save(tmp_path, loaded, half=True)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_other_weights_come_back_exactly(tmp_path):
    state = {"a": torch.randn(5), "b": torch.arange(3)}
    save(tmp_path, state, half=False)
    loaded = weights.load(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    assert set(loaded) == set(state) and all(torch.equal(loaded[name], state[name]) for name in state)
