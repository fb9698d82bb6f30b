"""Images in memory: both splits of a data set, its normalisation, and the paper's augmentation (Sec. III-A).

    python -m lib.data        makes the subset in data/mini anew from the official files in data/
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from lib.datasets.official import MINI, MINI_CLASSES, ROOT, class_names, load, make_mini  # noqa: F401

PADDING = 4


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


def dataset(name: str, root: str = "data", side: int = 32) -> Dataset:
    """Load both splits of a data set."""
    train_images, train_labels = load(name, root, "train", side)
    test_images, test_labels = load(name, root, "test", side)
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
    """Pad with black, crop to the images' size, flip (Sec. III-A), a whole batch at once.

    uint8 [N, 3, S, S] and the choices [N, 3] of `draw_augmentation` to uint8 [N, 3, S, S].
    """
    rows, columns, flips = choices.unbind(1)
    # All 81 crops as views without a copy; the next line picks one an image.
    side = images.shape[-1]
    crops = F.pad(images, (PADDING,) * 4).unfold(2, side, 1).unfold(3, side, 1)
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
