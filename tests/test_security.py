"""What SECURITY.md promises: data are read, and never executed."""

import ast
import os
import pickle

import pytest
import torch
import yaml

from lib import InputError, checkpoint, data, study, torchvision_ops

SOURCES = sorted((study.ROOT / "lib").rglob("*.py"))


def calls_in(source):
    """(dotted name, keywords with constant values) of every call."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            constants = {word.arg: word.value.value for word in node.keywords if isinstance(word.value, ast.Constant)}
            yield ast.unparse(node.func), constants


def unsafe(source):
    """The calls that could execute what they read."""
    return [name for name, words in calls_in(source)
            if name in ("eval", "exec") or name.split(".")[0] in ("pickle", "marshal", "shelve", "joblib")
            or name == "torch.load" and words.get("weights_only") is not True
            or name in ("yaml.unsafe_load", "yaml.full_load") or words.get("allow_pickle") is True]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(study.ROOT)))
def test_no_code_is_taken_from_data(path):
    assert unsafe(path.read_text()) == []


@pytest.mark.parametrize("source", ["eval(x)", "pickle.load(f)", "torch.load(f)", "torch.load(f, weights_only=False)",
                                    "np.load(f, allow_pickle=True)", "yaml.unsafe_load(f)"])
def test_what_could_execute_data_is_found(source):
    assert len(unsafe(source)) == 1


def test_a_studys_file_makes_no_objects(tmp_path):
    assert issubclass(study.Loader, (yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    (tmp_path / "mine.yaml").write_text(f"name: !!python/object/apply:os.mkdir ['{tmp_path / 'made'}']")
    with pytest.raises(InputError, match="is not YAML"):
        study.load(tmp_path / "mine.yaml")
    assert not (tmp_path / "made").exists()


class Makes:
    """Unpickled, makes a folder."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_a_pickle_that_is_not_the_official_one_is_not_opened(tmp_path, monkeypatch):
    torchvision_ops.mend()
    from torchvision.datasets import cifar

    def no_network(*_, **__):
        raise OSError

    monkeypatch.setattr(cifar, "download_and_extract_archive", no_network)
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name in ("train", "test", "meta"):
        (folder / name).write_bytes(pickle.dumps(Makes(tmp_path / "made")))
    with pytest.raises(InputError, match="missing or damaged"):
        data.load("cifar100", tmp_path, "train")
    assert not (tmp_path / "made").exists()


def test_a_checkpoint_makes_no_objects(tmp_path):
    checkpoint.save(tmp_path / "checkpoint.pt", "key", {"content": Makes(tmp_path / "made")})
    with pytest.raises(pickle.UnpicklingError):
        checkpoint.load(tmp_path / "checkpoint.pt", "key", torch.device("cpu"))
    assert not (tmp_path / "made").exists()
