"""CIFAR-100, CIFAR-10 and the shipped 10-class subset of the former."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lib import InputError, torchvision_ops
from lib.datasets import folder, pictures

ROOT = Path(__file__).resolve().parent.parent.parent
MINI = ROOT / "data" / "mini"
MINI_CLASSES = ("apple", "bicycle", "castle", "dolphin", "leopard",
                "lobster", "orange", "rocket", "sunflower", "wardrobe")
TILES = 25  # images in a row of a sheet
# Name, folder and files of the official sets.
OFFICIAL = {"cifar100": ("CIFAR-100", "cifar-100-python", "train, test and meta"),
            "cifar10": ("CIFAR-10", "cifar-10-batches-py", "data_batch_1 to 5, test_batch and batches.meta")}


def load(name: str, root: str = "data", split: str = "train", side: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the whole split: uint8 images [N, 3, 32, 32] and int64 labels [N].

    `name` is `cifar100` or `cifar10` (official files under `root`, downloaded if absent), `mini` (shipped; `root` is
    ignored) or `folder` (`root` is one of pictures by class, resized to side × side). Raises InputError for an unknown
    name or split and for missing or damaged files.
    """
    if split not in ("train", "test"):
        raise InputError(f"The split must be 'train' or 'test', not {split!r}.")
    # The subset needs neither network nor torchvision, so that a clone runs at once.
    if name == "mini":
        return _load_mini(split)
    if name in OFFICIAL:
        official = _cifar(name, root, split)
        return torch.from_numpy(official.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(official.targets)
    if name == "folder":
        return pictures.load_folder(root, split, side)
    raise InputError(f"The data set must be 'cifar100', 'cifar10', 'mini' or 'folder', not {name!r}.")


def class_names(name: str, root: str = "data") -> list[str]:
    """The names of the classes, in the order of the labels."""
    if name == "folder":
        return list(folder.listing(root).classes)
    return list(MINI_CLASSES) if name == "mini" else _cifar(name, root, "test").classes


def _cifar(name, root, split):
    torchvision_ops.mend()
    from torchvision import datasets  # here, because importing it takes seconds

    called, place, files = OFFICIAL[name]
    root = ROOT / root
    # A failed download must not leave an empty folder behind that looks like data.
    was_there = root.exists()
    try:
        # It checks the md5 of every file before it unpickles one.
        return getattr(datasets, name.upper())(root, train=split == "train", download=True)
    except Exception as error:  # torchvision raises RuntimeError, URLError or OSError, by cause
        if not was_there and root.exists() and not any(root.iterdir()):
            root.rmdir()
        raise InputError(f"{called} is missing or damaged in {root} and could not be downloaded: put the official "
                         f"python version's files {files} into {root / place}.") from error


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
