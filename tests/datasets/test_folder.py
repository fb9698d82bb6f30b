"""A folder of pictures: which test, how they are read, and what is refused in one sentence."""

import pickle
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from helpers import quick_with, refusal
from lib import InputError, data, study, torchvision_ops
from lib.datasets import folder
from lib.datasets.parameters import KNOWN, Data

NAMES = ("a cat", "Dog", "ox")


def fill(root, classes=NAMES, count=12, color=lambda number, label: (20 * number, 80 * label, 128)):
    for label, name in enumerate(sorted(classes)):
        (root / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (40 + number, 30), color(number, label)).save(root / name / f"{number:02d}.png")
    return root


@pytest.fixture
def pictures(tmp_path):
    return fill(tmp_path / "pictures")


def test_of_each_class_every_fifth_picture_by_name_tests(pictures):
    train, labels = data.load("folder", str(pictures), "train")
    test, test_labels = data.load("folder", str(pictures), "test")
    assert train.shape == (27, 3, 32, 32) and test.shape == (9, 3, 32, 32)
    assert train.dtype == test.dtype == torch.uint8 and labels.dtype == torch.int64
    assert torch.bincount(labels).tolist() == [9] * 3 and torch.bincount(test_labels).tolist() == [3] * 3
    assert (test[:3, 0, 0, 0] - torch.tensor([0, 100, 200])).abs().max() == 0  # pictures 0, 5 and 10
    assert data.class_names("folder", str(pictures)) == sorted(NAMES)


def test_a_given_split_is_taken_as_it_is(tmp_path):
    fill(tmp_path / "train", count=3)
    fill(tmp_path / "test", count=2)
    assert [len(data.load("folder", str(tmp_path), split)[0]) for split in ("train", "test")] == [9, 6]


@pytest.mark.parametrize("side", [32, 64])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "LA", "RGBA", "CMYK", "I;16"])
def test_any_mode_and_size_becomes_colour_of_the_studys_side(tmp_path, mode, side):
    fill(tmp_path / "p")
    picture = Image.fromarray(np.full((50, 90), 40_000, np.uint16)) if mode == "I;16" else Image.new(
        "RGB", (90, 50), (200, 200, 200)).convert(mode)
    path = tmp_path / "p" / "ox" / f"00.{'jpg' if mode == 'CMYK' else 'png'}"
    (tmp_path / "p" / "ox" / "00.png").unlink()
    picture.save(path)
    images, labels = data.load("folder", str(tmp_path / "p"), "test", side)
    image = images[labels == 2][0].float()
    assert image.shape == (3, side, side)
    assert (image - image.mean()).abs().max() <= (255 if mode in ("1", "P") else 2)  # else grey stays grey
    if mode not in ("1", "I;16"):
        assert image.mean() == pytest.approx(200, abs=3)


def test_other_endings_and_hidden_files_are_left_out(pictures):
    before = folder.listing(str(pictures)).pictures
    (pictures / "ox" / "notes.txt").write_text("no picture")
    (pictures / "ox" / ".hidden.png").write_text("no picture")
    (pictures / ".cache").mkdir()
    assert folder.listing(str(pictures)).pictures == before


def test_a_broken_picture_is_named(pictures):
    broken = pictures / "Dog" / "07.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(InputError, match=re.escape(str(broken))) as caught:
        data.load("folder", str(pictures), "train")
    assert "\n" not in str(caught.value)


def test_a_picture_that_would_fill_the_memory_is_named(pictures):
    large = pictures / "Dog" / "07.png"
    Image.new("1", (9000, 10)).save(large)
    with pytest.raises(InputError, match=re.escape(str(large)) + ".*9000 × 10 pixels"):
        data.load("folder", str(pictures), "train")


def changed(root, change):
    if change == "one class":
        shutil.rmtree(root / "Dog")
        shutil.rmtree(root / "ox")
    elif change == "no class":
        shutil.rmtree(root)
        root.mkdir()
    elif change == "too few":
        for path in sorted((root / "ox").iterdir())[5:]:
            path.unlink()
    elif change == "train alone":
        (root / "train").mkdir()
    elif change == "classes differ":
        for name in ("train", "test"):
            fill(root / name, NAMES[:2] if name == "test" else NAMES, 2)
    elif change == "gone":
        shutil.rmtree(root)


@pytest.mark.parametrize(("change", "words"), [
    ("one class", "has 1 class "), ("no class", "no classes"), ("too few", "'ox' has 1 pictures to test, and needs 2"),
    ("train alone", "has train and no test"), ("classes differ", "'ox' is in one of"), ("gone", "No such file")])
def test_what_does_not_fit_is_refused_before_anything_starts(pictures, tmp_path, change, words):
    changed(pictures, change)
    message = refusal(quick_with(tmp_path, data={"name": "folder", "root": str(pictures)}))
    assert words in message and str(pictures) in message


@pytest.mark.parametrize(("given", "words"), [
    ({"name": "folder"}, "root"), ({"name": "mini", "side": 64}, "32 × 32"),
    ({"name": "cifar10", "side": 64}, "folder"), ({"name": "folder", "root": "data/mini", "side": 48}, "32 or 64")])
def test_a_side_or_a_place_that_cannot_be_is_refused(given, words):
    with pytest.raises(ValidationError, match=words):
        Data(**given)


def test_the_study_counts_classes_and_images(pictures, tmp_path):
    settings = study.load(quick_with(tmp_path, data={"name": "folder", "root": str(pictures)}, baselines=None))
    assert settings.classes == 3 and settings.data.counts == (3, 27, 9)
    assert data.load("mini")[0].shape[0] == KNOWN["mini"][1]


def test_a_result_rests_on_what_is_in_the_folder_and_not_on_where_it_lies(pictures, tmp_path):
    def resolved():
        return Data(name="folder", root=str(pictures), side=64).resolved

    before = resolved()
    assert before["pictures"]["side"] == 64
    moved = shutil.copytree(pictures, tmp_path / "elsewhere")
    assert Data(name="folder", root=str(moved), side=64).resolved == before
    Image.new("RGB", (40, 30), (1, 2, 3)).save(pictures / "ox" / "03.png")
    assert resolved() != before
    assert Data(name="mini").resolved == {"data": "mini"}


def test_cifar10_is_the_official_files_in_their_order(tmp_path, monkeypatch):
    torchvision_ops.mend()
    from torchvision.datasets import cifar

    rng, place = np.random.default_rng(0), tmp_path / "cifar-10-batches-py"
    place.mkdir()
    pixels = {name: rng.integers(0, 256, (2, 3072), np.uint8)
              for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")}
    for number, (name, values) in enumerate(pixels.items()):
        (place / name).write_bytes(pickle.dumps({"data": values, "labels": [number, 9 - number]}))
    (place / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class {i}" for i in range(10)]}))
    asked = []
    monkeypatch.setattr(cifar, "check_integrity", lambda path, md5=None: asked.append((path, md5)) or True)
    images, labels = data.load("cifar10", tmp_path, "train")
    assert (images.flatten(1).numpy() == np.concatenate(list(pixels.values())[:5])).all()
    assert labels.tolist() == [0, 9, 1, 8, 2, 7, 3, 6, 4, 5]
    assert data.load("cifar10", tmp_path, "test")[1].tolist() == [5, 4]
    assert data.class_names("cifar10", tmp_path)[3] == "class 3"
    assert all(len(md5) == 32 for _, md5 in asked) and len(asked) > 7


def test_missing_cifar10_is_one_sentence(tmp_path, monkeypatch):
    torchvision_ops.mend()
    from torchvision import datasets

    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(datasets, "CIFAR10", offline)
    with pytest.raises(InputError, match="CIFAR-10 is missing .* put the official .*/cifar-10-batches-py"):
        data.load("cifar10", tmp_path / "nowhere")
