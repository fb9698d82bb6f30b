"""CIFAR-100, its shipped 10-class subset, and the paper's augmentation (Sec. III-A).

    python -m lib.data        makes the subset in data/mini anew from the official files in data/
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from lib import InputError, torchvision_ops

ROOT = Path(__file__).resolve().parent.parent
MINI = ROOT / "data" / "mini"
MINI_CLASSES = ("apple", "bicycle", "castle", "dolphin", "leopard",
                "lobster", "orange", "rocket", "sunflower", "wardrobe")
TILES = 25  # images in a row of a sheet
PADDING = 4


def load(name: str, root: str = "data", split: str = "train") -> tuple[torch.Tensor, torch.Tensor]:
    """Return the whole split: uint8 images [N, 3, 32, 32] and int64 labels [N].

    `name` is `cifar100` (official files under `root`, downloaded if absent) or `mini` (shipped; `root` is
    ignored). Raises InputError for an unknown name or split and for missing or damaged files.
    """
    if split not in ("train", "test"):
        raise InputError(f"The split must be 'train' or 'test', not {split!r}.")
    # The subset needs neither network nor torchvision, so that a clone runs at once.
    if name == "mini":
        return _load_mini(split)
    if name == "cifar100":
        official = _cifar100(root, split)
        return torch.from_numpy(official.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(official.targets)
    raise InputError(f"The data set must be 'cifar100' or 'mini', not {name!r}.")


def class_names(name: str, root: str = "data") -> list[str]:
    """The names of the classes, in the order of the labels."""
    return list(MINI_CLASSES) if name == "mini" else _cifar100(root, "test").classes


def _cifar100(root, split):
    torchvision_ops.mend()
    from torchvision.datasets import CIFAR100  # here, because importing it takes seconds

    root = ROOT / root
    # A failed download must not leave an empty folder behind that looks like data.
    was_there = root.exists()
    try:
        # It checks the md5 of every file before it unpickles one.
        return CIFAR100(root, train=split == "train", download=True)
    except Exception as error:  # torchvision raises RuntimeError, URLError or OSError, by cause
        if not was_there and root.exists() and not any(root.iterdir()):
            root.rmdir()
        raise InputError(f"CIFAR-100 is missing or damaged in {root} and could not be downloaded: put the official "
                         f"python version's files train, test and meta into {root / 'cifar-100-python'}.") from error


def _load_mini(split):
    # A checksum a sheet: WebP opens a damaged picture without a word.
    lines = set(_read(MINI / "SHA256SUMS").decode().splitlines())
    images, labels = [], []
    for label, name in enumerate(MINI_CLASSES):
        path = MINI / split / f"{name}.webp"
        if f"{hashlib.sha256(_read(path)).hexdigest()}  {split}/{name}.webp" not in lines:
            raise InputError(f"The image sheet {path} is damaged: restore it with `git checkout {path}`.")
        sheet = torch.from_numpy(np.array(Image.open(path).convert("RGB")))
        # A sheet is a grid of images, TILES in a row, in the order of the official file.
        tiles = sheet.unfold(0, 32, 32).unfold(1, 32, 32)  # [rows, columns, 3, 32, 32]
        images.append(tiles.reshape(-1, 3, 32, 32))
        labels.append(torch.full((len(images[-1]),), label))
    return torch.cat(images), torch.cat(labels)


def _read(path):
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"The shipped file {path} cannot be read: restore it with `git checkout {path}`.") from error


def make_mini(root: str = "data") -> None:
    """Write the subset as one lossless picture a class and split, with checksums, from the official files."""
    sums = []
    for split in ("train", "test"):
        images, labels = load("cifar100", root, split)
        names = class_names("cifar100", root)
        (MINI / split).mkdir(parents=True, exist_ok=True)
        for name in MINI_CLASSES:
            tiles = images[labels == names.index(name)]
            sheet = tiles.reshape(-1, TILES, 3, 32, 32).permute(0, 3, 1, 4, 2).reshape(-1, TILES * 32, 3)
            # Lossless WebP: smaller than PNG, and as exact.
            path = MINI / split / f"{name}.webp"
            Image.fromarray(sheet.numpy()).save(path, lossless=True, quality=100, method=6, exact=True)
            sums.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {split}/{name}.webp")
    (MINI / "SHA256SUMS").write_text("\n".join(sums) + "\n")


@dataclass
class Dataset:
    """Both splits and the channel statistics of the training images; pixels stay uint8 until a batch is used."""

    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    mean: torch.Tensor  # [1, 3, 1, 1], of pixels in [0, 255]
    std: torch.Tensor

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 images to float32 with zero mean and unit variance a channel, over the training set."""
        # In place on the fresh float copy: a batch is written once, not three times.
        return images.float().sub_(self.mean.to(images.device)).div_(self.std.to(images.device))


def dataset(name: str, root: str = "data") -> Dataset:
    """Load both splits of a data set."""
    train_images, train_labels = load(name, root, "train")
    test_images, test_labels = load(name, root, "test")
    # By histogram, exactly: a mean over 51 million float32 pixels would depend on how it is summed.
    counts = torch.stack([torch.bincount(c.flatten(), minlength=256) for c in train_images.unbind(1)]).double()
    levels = torch.arange(256).double()
    mean = (counts * levels).sum(1) / counts.sum(1)
    variance = (counts * levels**2).sum(1) / counts.sum(1) - mean**2
    shape = (1, 3, 1, 1)
    return Dataset(train_images, train_labels, test_images, test_labels,
                   mean.float().view(shape), variance.sqrt().float().view(shape))


def draw_augmentation(count: int, generator: torch.Generator | None) -> torch.Tensor:
    """Random choices for `count` images: row offset, column offset, flip; int64 [count, 3]."""
    # Drawn for a whole epoch at once and apart from `augment`, so that GPU and CPU crop the same.
    offsets = torch.randint(0, 2 * PADDING + 1, (count, 2), generator=generator)
    return torch.cat([offsets, torch.randint(0, 2, (count, 1), generator=generator)], 1)


def augment(images: torch.Tensor, choices: torch.Tensor) -> torch.Tensor:
    """Pad with black, crop 32×32, flip (Sec. III-A), a whole batch at once.

    uint8 [N, 3, 32, 32] and the choices [N, 3] of `draw_augmentation` to uint8 [N, 3, 32, 32].
    """
    rows, columns, flips = choices.unbind(1)
    # All 81 crops as views without a copy; the next line picks one an image.
    crops = F.pad(images, (PADDING,) * 4).unfold(2, 32, 1).unfold(3, 32, 1)
    crops = crops[torch.arange(len(images), device=images.device), :, rows, columns]
    return torch.where(flips.bool().view(-1, 1, 1, 1), crops.flip(3), crops)


def balanced_halves(labels: torch.Tensor) -> torch.Tensor:
    """A fixed, class-balanced halving of a split: bool [N], True where an image may be used to select models."""
    selects = torch.zeros(len(labels), dtype=torch.bool)
    # Every second image of each class: no random numbers, so no seed can change it.
    for label in labels.unique():
        selects[(labels == label).nonzero().flatten()[::2]] = True
    return selects


def sample(labels: torch.Tensor, count: int) -> torch.Tensor:
    """Indices of `count` images, in order, in which every class of labels [N] has the share that it has of all.

    Of a set that is sorted by class, the first images would be those of few classes. All of them where N is no more.
    """
    count = min(count, len(labels))
    # Evenly spaced over the images by class: of each class as many as of any other, up to one.
    return labels.argsort(stable=True)[torch.arange(count) * len(labels) // count].sort().values


if __name__ == "__main__":
    make_mini()
