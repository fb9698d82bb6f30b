"""A folder of the user's own pictures by class: which there are, and which of them test. No torch, nothing decoded.

    root/train/CLASS/…  and  root/test/CLASS/…      the split that is given (torchvision's ImageFolder, twice), or
    root/CLASS/…                                    of each class, by file name, every fifth picture tests
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from lib import InputError

ROOT = Path(__file__).resolve().parent.parent.parent
ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
EACH = 5  # of the pictures of a class, one in so many tests
FEWEST = 2  # of a class in each split: one half of the test images selects models, the other reports
MOST = 50_000  # pictures in a split, as CIFAR's training set: all of them are held in memory
SPLITS = ("train", "test")


@dataclass(frozen=True)
class Listing:
    """The classes in their order, and of each split its pictures, as (path, label)."""

    classes: tuple[str, ...]
    pictures: dict[str, list[tuple[Path, int]]]

    def digest(self) -> str:
        """A hash over names and contents: what a result that was trained on them rests on."""
        found = hashlib.sha256()
        for split in SPLITS:
            for path, label in self.pictures[split]:
                found.update(f"{split}/{self.classes[label]}/{path.name} {path.stat().st_size}\n".encode())
                found.update(path.read_bytes())
        return found.hexdigest()[:16]


def listing(root: str) -> Listing:
    """What is in a folder; a relative path begins at the project.

    Hidden files and those with another ending than ENDINGS are left out. Raises InputError, which names the folder.
    """
    folder = ROOT / root
    given = [split for split in SPLITS if (folder / split).is_dir()]
    if len(given) == 1:
        missing = "test" if given == ["train"] else "train"
        raise InputError(f"The folder {folder} has {given[0]} and no {missing}: give both, or a folder a class.")
    if given:
        found = {split: _by_class(folder / split) for split in SPLITS}
        if differ := set(found["train"]) ^ set(found["test"]):
            raise InputError(f"In {folder} the class {min(differ)!r} is in one of train and test only.")
    else:
        every = _by_class(folder)
        # By file name and without random numbers, so that no seed can change what tests.
        found = {"train": {name: [path for number, path in enumerate(paths) if number % EACH]
                           for name, paths in every.items()},
                 "test": {name: paths[::EACH] for name, paths in every.items()}}
    classes = tuple(sorted(found["train"]))
    if len(classes) < 2:
        raise InputError(f"The folder {folder} has {len(classes) or 'no'} class{'' if classes else 'es'} of pictures "
                         "(a folder each): there is nothing to tell apart.")
    pictures = {split: [(path, label) for label, name in enumerate(classes) for path in found[split][name]]
                for split in SPLITS}
    for split in SPLITS:
        _check_counts(folder, split, {name: len(found[split][name]) for name in classes}, bool(given))
    return Listing(classes, pictures)


def _by_class(folder):
    """{class: its pictures, by name} of a folder of folders."""
    try:
        names = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        return {path.name: sorted(file for file in path.iterdir() if file.suffix.lower() in ENDINGS
                                  and file.is_file() and not file.name.startswith(".")) for path in names}
    except OSError as error:
        raise InputError(f"The folder of pictures {folder} cannot be read: {error.strerror}.") from error


def _check_counts(folder, split, counts, given):
    name = min(counts, key=counts.get)
    if counts[name] < FEWEST:
        rule = "" if given else f" (of a class, one in {EACH} tests, so that it needs {EACH + 1})"
        raise InputError(f"In {folder} the class {name!r} has {counts[name]} pictures to {split}, and needs {FEWEST}"
                         f"{rule}: PNG, JPEG and WebP files count.")
    if sum(counts.values()) > MOST:
        raise InputError(f"The folder {folder} has {sum(counts.values())} pictures to {split}, and at most {MOST} are "
                         "held in memory.")
