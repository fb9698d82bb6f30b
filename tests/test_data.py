"""Images, labels, normalisation and augmentation, against PIL, numpy and the official files."""

import pickle
import shutil

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from lib import InputError, data, study, torchvision_ops
from lib.datasets import official as sets

OFFICIAL = data.ROOT / "data" / "cifar-100-python"


@pytest.fixture(scope="module")
def mini():
    return data.dataset("mini")


@pytest.fixture
def copied_mini(tmp_path, monkeypatch):
    """A copy of the shipped subset that a test may damage."""
    shutil.copytree(data.MINI, tmp_path / "mini")
    monkeypatch.setattr(sets, "MINI", tmp_path / "mini")
    return tmp_path / "mini"


def choices(*rows):
    return torch.tensor(rows, dtype=torch.int64)


# The shipped subset

def test_the_subset_is_whole_and_balanced(mini):
    for images, labels, each in ((mini.train_images, mini.train_labels, 500),
                                 (mini.test_images, mini.test_labels, 100)):
        assert images.shape == (10 * each, 3, 32, 32) and images.dtype == torch.uint8
        assert labels.dtype == torch.int64 and torch.bincount(labels).tolist() == [each] * 10


def test_a_tile_of_a_sheet_is_an_image(mini):
    for label, number in ((0, 0), (3, 26), (9, 99)):
        row, column = divmod(number, 25)
        with Image.open(data.MINI / "test" / f"{data.MINI_CLASSES[label]}.webp") as sheet:
            tile = sheet.convert("RGB").crop((32 * column, 32 * row, 32 * column + 32, 32 * row + 32))
        assert (mini.test_images[100 * label + number].permute(1, 2, 0).numpy() == np.array(tile)).all()
        assert mini.test_labels[100 * label + number] == label


@pytest.mark.skipif(not (OFFICIAL / "meta").exists(), reason="the official files are not in data/")
def test_the_subset_is_the_official_images_in_their_order(mini):
    names = pickle.loads((OFFICIAL / "meta").read_bytes(), encoding="latin1")["fine_label_names"]
    for split, images in (("train", mini.train_images), ("test", mini.test_images)):
        official = pickle.loads((OFFICIAL / split).read_bytes(), encoding="latin1")
        labels = np.array(official["fine_labels"])
        expected = np.concatenate([official["data"][labels == names.index(name)] for name in data.class_names("mini")])
        assert (images.flatten(1).numpy() == expected).all()


def test_the_subset_needs_no_root():
    assert torch.equal(data.load("mini", "/nowhere", "test")[0], data.load("mini", split="test")[0])


@pytest.mark.parametrize("harm", ["cut", "one bit", "gone", "checksums gone"])
def test_a_damaged_subset_is_one_sentence_that_says_how_to_restore_it(copied_mini, harm):
    sheet = copied_mini / "test" / "castle.webp"
    culprit = copied_mini / "SHA256SUMS" if harm == "checksums gone" else sheet
    if harm == "cut":
        sheet.write_bytes(sheet.read_bytes()[:-1])
    elif harm == "one bit":
        content = bytearray(sheet.read_bytes())
        content[len(content) // 2] ^= 1
        sheet.write_bytes(content)
    else:
        culprit.unlink()
    with pytest.raises(InputError, match="git checkout") as caught:
        data.load("mini", split="test")
    assert str(culprit) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "0123456789abcdef\n", "\n\n"], ids=["empty", "a cut line", "blank lines"])
def test_a_damaged_list_of_checksums_is_an_input_error(copied_mini, content):
    (copied_mini / "SHA256SUMS").write_text(content)
    with pytest.raises(InputError):
        data.load("mini", split="test")


def test_damage_to_the_training_sheets_does_not_stop_the_test_split(copied_mini):
    (copied_mini / "train" / "apple.webp").unlink()
    assert len(data.load("mini", split="test")[0]) == 1000
    with pytest.raises(InputError):
        data.load("mini", split="train")


# The official files

@pytest.fixture
def official(tmp_path, monkeypatch):
    """A CIFAR-100 of six training and four test images, in the official format; its checksums are taken as right."""
    torchvision_ops.mend()
    from torchvision.datasets import cifar

    rng, folder = np.random.default_rng(0), tmp_path / "cifar-100-python"
    folder.mkdir()
    pixels = {"train": rng.integers(0, 256, (6, 3072), np.uint8), "test": rng.integers(0, 256, (4, 3072), np.uint8)}
    labels = {"train": [5, 99, 0, 7, 7, 1], "test": [3, 2, 98, 0]}
    for split in pixels:
        content = {"data": pixels[split], "fine_labels": labels[split], "coarse_labels": [0] * len(labels[split])}
        (folder / split).write_bytes(pickle.dumps(content))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": [f"class {i}" for i in range(100)]}))
    monkeypatch.setattr(cifar, "check_integrity", lambda path, md5=None: True)
    return tmp_path, pixels, labels


@pytest.mark.parametrize("split", ["train", "test"])
def test_official_images_come_channels_first_with_their_fine_labels(official, split):
    root, pixels, expected = official
    images, labels = data.load("cifar100", root, split)
    assert images.dtype == torch.uint8 and labels.dtype == torch.int64
    assert (images.numpy() == pixels[split].reshape(-1, 3, 32, 32)).all() and labels.tolist() == expected[split]
    assert data.class_names("cifar100", root)[98] == "class 98"


@pytest.mark.parametrize("cause", [OSError, RuntimeError, ConnectionError, TimeoutError])
def test_missing_official_files_without_a_network_are_one_sentence(tmp_path, monkeypatch, cause):
    torchvision_ops.mend()
    from torchvision.datasets import cifar

    def no_network(*_, **__):
        raise cause("no route to host\nand more")

    monkeypatch.setattr(cifar, "download_and_extract_archive", no_network)
    with pytest.raises(InputError, match="put the official") as caught:
        data.load("cifar100", tmp_path, "train")
    message = str(caught.value)
    assert str(tmp_path / "cifar-100-python") in message and "\n" not in message and message.endswith(".")


@pytest.mark.parametrize("was_there", [True, False])
def test_a_download_that_fails_leaves_no_folder_that_was_not_there(tmp_path, monkeypatch, was_there):
    torchvision_ops.mend()
    from torchvision.datasets import cifar

    def no_network(url, root, **_):
        root.mkdir(exist_ok=True)
        raise OSError

    root = tmp_path / "images"
    if was_there:
        root.mkdir()
    monkeypatch.setattr(cifar, "download_and_extract_archive", no_network)
    with pytest.raises(InputError):
        data.load("cifar100", root, "train")
    assert root.exists() == was_there


def test_the_subset_that_is_made_from_the_official_files_gives_their_images_back(tmp_path, monkeypatch):
    torchvision_ops.mend()
    from torchvision.datasets import cifar

    rng, folder, names = np.random.default_rng(0), tmp_path / "cifar-100-python", ["castle", "another", "apple"]
    folder.mkdir()
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": names}))
    pixels, labels = {}, rng.permutation(np.repeat(np.arange(3), 2 * sets.TILES))
    for split in ("train", "test"):
        quarters = rng.integers(0, 256, (len(labels), 3, 2, 2), np.uint8)  # coded sooner than 32×32 random pixels
        pixels[split] = quarters.repeat(16, 2).repeat(16, 3).reshape(-1, 3072)
        (folder / split).write_bytes(pickle.dumps({"data": pixels[split], "fine_labels": labels.tolist()}))
    monkeypatch.setattr(cifar, "check_integrity", lambda path, md5=None: True)
    monkeypatch.setattr(sets, "MINI_CLASSES", ("apple", "castle"))
    monkeypatch.setattr(sets, "MINI", tmp_path / "made" / "mini")
    data.make_mini(tmp_path)
    for split, official in pixels.items():
        images, found = data.load("mini", split=split)
        expected = np.concatenate([official[labels == names.index(name)] for name in sets.MINI_CLASSES])
        assert (images.flatten(1).numpy() == expected).all()
        assert found.tolist() == np.repeat([0, 1], 2 * sets.TILES).tolist()


@pytest.mark.parametrize("arguments", [("imagenet", "data", "train"), ("mini", "data", "val"), ("", "data", "test"),
                                       ("cifar100", "data", None), ("MINI", "data", "test")])
def test_unknown_names_and_splits_are_refused_before_any_file_is_read(arguments):
    with pytest.raises(InputError, match="must be"):
        data.load(*arguments)
    assert issubclass(InputError, ValueError)


# Normalisation

def test_statistics_are_those_of_the_training_pixels(mini):
    pixels = mini.train_images.numpy().astype(np.float64)
    np.testing.assert_allclose(mini.mean.flatten(), pixels.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(mini.std.flatten(), pixels.std((0, 2, 3)), rtol=1e-6)


def test_normalised_training_images_have_zero_mean_and_unit_variance(mini):
    normal = mini.normalise(mini.train_images)
    assert normal.dtype == torch.float32
    assert normal.mean((0, 2, 3)).abs().max() < 1e-4 and (normal.std((0, 2, 3)) - 1).abs().max() < 1e-4


def test_test_images_are_normalised_by_training_statistics(mini):
    pixel = mini.test_images[7, 2, 3, 4].item()
    expected = (pixel - mini.train_images[:, 2].double().mean()) / mini.train_images[:, 2].double().std()
    assert mini.normalise(mini.test_images[7:8])[0, 2, 3, 4].item() == pytest.approx(expected.item(), abs=1e-4)


def test_normalising_does_not_change_the_stored_images(mini):
    before = mini.test_images[:5].clone()
    mini.normalise(mini.test_images[:5])
    assert torch.equal(mini.test_images[:5], before)


# Augmentation

def test_every_crop_and_flip_is_what_pil_makes_of_it(pictures):
    image = pictures[0][0]
    every = choices(*((row, column, flip) for row in range(9) for column in range(9) for flip in (0, 1)))
    results = data.augment(image.expand(len(every), 3, 32, 32), every)
    padded = ImageOps.expand(Image.fromarray(image.permute(1, 2, 0).numpy()), 4, fill=0)
    for (row, column, flip), result in zip(every.tolist(), results, strict=True):
        expected = padded.crop((column, row, column + 32, row + 32))
        expected = ImageOps.mirror(expected) if flip else expected
        assert (result.permute(1, 2, 0).numpy() == np.array(expected)).all()


def test_each_image_of_a_batch_has_its_own_choice(pictures):
    images, drawn = pictures[0], data.draw_augmentation(40, torch.Generator().manual_seed(0))
    together = data.augment(images, drawn)
    alone = [data.augment(images[i:i + 1], drawn[i:i + 1]) for i in range(40)]
    assert torch.equal(together, torch.cat(alone)) and together.dtype == torch.uint8


def test_the_middle_crop_without_flip_is_the_image_itself(pictures):
    images = pictures[0][:3]
    before = images.clone()
    assert torch.equal(data.augment(images, choices(*[(4, 4, 0)] * 3)), images)
    data.augment(images, choices(*[(0, 8, 1)] * 3))
    assert torch.equal(images, before)


def test_padding_is_black_even_though_normalised_black_is_not_zero(mini):
    white = torch.full((1, 3, 32, 32), 255, dtype=torch.uint8)
    corner = data.augment(white, choices((0, 0, 0)))
    assert not corner[:, :, :4].any() and not corner[:, :, :, :4].any() and (corner[:, :, 4:, 4:] == 255).all()
    assert (mini.normalise(corner)[0, :, 0, 0] < -1).all()


def test_augmentation_is_drawn_uniformly_and_independently():
    drawn = data.draw_augmentation(18_000, torch.Generator().manual_seed(0))
    assert drawn.shape == (18_000, 3) and drawn.dtype == torch.int64
    for column, values in ((0, 9), (1, 9), (2, 2)):
        counts = torch.bincount(drawn[:, column], minlength=values)
        assert len(counts) == values and (counts - 18_000 / values).abs().max() < 5 * (18_000 / values) ** 0.5
    assert np.abs(np.corrcoef(drawn.T.numpy()) - np.eye(3)).max() < 0.04


def test_augmentation_draws_from_its_generator_alone():
    torch.manual_seed(0)
    state = torch.random.get_rng_state()
    first = data.draw_augmentation(50, torch.Generator().manual_seed(3))
    assert torch.equal(state, torch.random.get_rng_state())
    torch.manual_seed(1)
    assert torch.equal(first, data.draw_augmentation(50, torch.Generator().manual_seed(3)))
    assert not torch.equal(first, data.draw_augmentation(50, torch.Generator().manual_seed(4)))


# Halves of the test set

def test_halves_are_balanced_fixed_and_follow_the_order_of_images():
    labels = torch.arange(10).repeat(6)[torch.randperm(60, generator=torch.Generator().manual_seed(0))]
    selects = data.balanced_halves(labels)
    assert selects.dtype == torch.bool and torch.equal(selects, data.balanced_halves(labels.clone()))
    assert torch.bincount(labels[selects]).tolist() == torch.bincount(labels[~selects]).tolist() == [3] * 10


def test_halves_of_the_real_test_split_are_balanced(mini):
    assert torch.bincount(mini.test_labels[data.balanced_halves(mini.test_labels)]).tolist() == [50] * 10


# The learning curves' sample

@pytest.mark.parametrize("each, count", [(100, 500), (100, 15), (7, 33), (3, 10), (1, 4)])
def test_the_sample_of_a_set_sorted_by_class_has_all_classes_alike(each, count):
    labels = torch.arange(10).repeat_interleave(each)
    chosen = data.sample(labels, count)
    shares = torch.bincount(labels[chosen], minlength=10)
    assert len(chosen.unique()) == count and (chosen.diff() > 0).all()
    assert shares.max() - shares.min() <= 1


def test_the_sample_does_not_depend_on_the_order_of_the_classes():
    sorted_labels = torch.arange(10).repeat_interleave(20)
    mixed = sorted_labels[torch.randperm(200)]
    for labels in (sorted_labels, mixed):
        assert torch.bincount(labels[data.sample(labels, 50)]).tolist() == [5] * 10


@pytest.mark.parametrize("count", [60, 61, 10_000])
def test_a_sample_of_all_is_all_in_their_order(count):
    labels = torch.randint(0, 7, (60,))
    assert data.sample(labels, count).tolist() == list(range(60))


def test_quicks_learning_curves_are_drawn_from_fifty_images_of_each_class(mini):
    count = study.load("quick").evaluation.curve_images
    assert torch.bincount(mini.test_labels[data.sample(mini.test_labels, count)]).tolist() == [count // 10] * 10
