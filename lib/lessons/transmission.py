"""One image on its way from the device through the noise to the edge (notebook 31)."""

import math
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib import InputError, channel
from lib.datasets.pictures import read_picture
from lib.lessons.trained import Trained
from lib.report.style import COLORS
from lib.schemes import pictures

MAPS = 18  # channels of a feature map that are shown


def chosen_image(model: Trained, index: int, picture: str | None) -> torch.Tensor:
    """The reader's picture, else the test image of this number: uint8 [1, 3, 32, 32]."""
    if picture is not None:
        return read_picture(picture, model.images.test_images.shape[-1])
    images = model.images.test_images
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(images):
        raise InputError(f"index must be a whole number from 0 to {len(images) - 1}, not {index!r}.")
    print(f"test image {index}: {model.names[model.images.test_labels[index]]}")
    return images[index:index + 1]


@dataclass
class Received:
    """What came of one image at one SNR: received symbols [B], restored features [C, H, W], the five best classes."""

    snr_db: float
    symbols: torch.Tensor
    features: torch.Tensor
    best: pd.Series  # probability by class, the greatest first


class Transmission:
    """One image uint8 [1, 3, 32, 32] sent by a trained model: `features` [C, H, W] at the split, `symbols` [B]."""

    @torch.inference_mode()
    def __init__(self, model: Trained, image: torch.Tensor, seed: int = 0):
        self.model, self.image = model, image
        features = model.pipeline.device_half(model.images.normalise(image))
        self.sent = model.pipeline.link.encode(features)
        self.features, self.symbols = features[0], self.sent.flatten()
        # the same noise at every SNR, up to its strength, so that what differs is the SNR
        self.noise = torch.randn(self.sent.shape, generator=torch.Generator().manual_seed(seed))

    @torch.inference_mode()
    def at(self, snr_db: float) -> Received:
        """What the edge receives and makes of it; without noise at an infinite SNR."""
        received = self.sent + 10 ** (-snr_db / 20) * self.noise
        restored = self.model.pipeline.link.decoder(received)
        return Received(snr_db, received.flatten(), restored[0],
                        best_classes(self.model.pipeline.edge_half(restored), self.model.names))

    def as_jpeg(self, snr_db: float) -> tuple[torch.Tensor, int] | None:
        """(the decoded picture, its quality) at the best quality whose bits as many symbols carry; None: none does.

        At capacity, and without the header, which a receiver knows: as favourable as can be.
        """
        if snr_db == math.inf:
            return None
        picture, bits = self.image[0].permute(1, 2, 0).numpy(), self.symbols.numel() * channel.capacity(snr_db)
        for quality in range(95, 0, -1):
            encoded, decoded = pictures.code_picture(picture, "JPEG", quality)
            if 8 * (len(encoded) - pictures.jpeg_header_bytes(encoded)) <= bits:
                return torch.from_numpy(decoded).permute(2, 0, 1)[None], quality
        return None

    @torch.inference_mode()
    def unpruned(self, image: torch.Tensor) -> pd.Series:
        """The five best classes of a picture by the whole network, without a channel."""
        return best_classes(self.model.unpruned(self.model.images.normalise(image)), self.model.names)


def best_classes(logits: torch.Tensor, names: list[str], count: int = 5) -> pd.Series:
    """Probability by class name, the greatest first, of logits [1, classes]."""
    best = logits[0].softmax(0).topk(min(count, len(names)))
    return pd.Series(best.values.tolist(), [names[index] for index in best.indices])


def montage(features: torch.Tensor, like: torch.Tensor, columns: int = 6) -> np.ndarray:
    """The channels [C, H, W] that are strongest in `like`, in rows with gaps; each on its own scale there."""
    chosen = like.mean((1, 2)).topk(min(MAPS, len(like))).indices
    high = like[chosen].amax((1, 2), keepdim=True).clamp(min=1e-6)
    maps = torch.nn.functional.pad((features[chosen] / high).clamp(0, 1), (0, 1, 0, 1), value=math.nan)
    blank = maps.new_full((-len(maps) % columns, *maps.shape[1:]), math.nan)
    return torch.cat([torch.cat(list(row), 1) for row in torch.cat([maps, blank]).split(columns)]).numpy()


def draw_device(transmission: Transmission) -> Figure:
    """The image, its strongest feature maps at the split, and its symbols."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 2.6), width_ratios=[1, 2.4, 1.6], layout="constrained")
    axes[0].imshow(transmission.image[0].permute(1, 2, 0))
    axes[0].set_title("the device's image")
    axes[1].imshow(montage(transmission.features, transmission.features), cmap="magma")
    axes[1].set_title(f"its {min(MAPS, len(transmission.features))} strongest feature maps")
    for axis in axes[:2]:
        axis.axis("off")
    axes[2].hist(transmission.symbols.numpy(), bins=40, color=COLORS[0])
    axes[2].set(xlabel="amplitude", ylabel="symbols", title=f"{transmission.symbols.numel()} symbols")
    return figure


def draw_edge(transmission: Transmission, snrs_db: list[float]) -> Figure:
    """A row for each SNR: symbols in pairs, restored features, the best classes, and a JPEG of as many symbols."""
    figure, axes = plt.subplots(len(snrs_db), 4, figsize=(11, 2.5 * len(snrs_db)), squeeze=False,
                                width_ratios=[1.2, 2, 1.5, 1], layout="constrained")
    for row, snr_db in zip(axes, snrs_db, strict=True):
        received = transmission.at(snr_db)
        _constellation(row[0], transmission.symbols, received)
        row[1].imshow(montage(received.features, transmission.features), cmap="magma")
        row[1].set_title("restored feature maps")
        row[2].barh(received.best.index[::-1], received.best[::-1], color=COLORS[0])
        row[2].set(xlim=(0, 1), title="probability, on the edge")
        _jpeg(row[3], transmission, snr_db)
        for axis in row[[1, 3]]:
            axis.axis("off")
    return figure


def _constellation(axis: Axes, sent: torch.Tensor, received: Received) -> None:
    """Two symbols in a row as one point of the plane, as a radio sends them, before and after the noise."""
    even = sent.numel() // 2 * 2  # the last of an odd number has no partner
    for symbols, color, label in ((received.symbols, COLORS[1], "received"), (sent, COLORS[0], "sent")):
        axis.plot(*symbols[:even].view(-1, 2).T, ".", ms=2.5, color=color, label=label)
    name = "no noise" if received.snr_db == math.inf else f"{received.snr_db:g} dB"
    axis.set(title=name, aspect="equal", xlim=(-5, 5), ylim=(-5, 5))
    axis.legend(loc="upper right", markerscale=3, fontsize=6)


def _jpeg(axis: Axes, transmission: Transmission, snr_db: float) -> None:
    """The picture that JPEG would bring, and what the whole network takes it for."""
    found = transmission.as_jpeg(snr_db)
    if snr_db == math.inf:
        axis.imshow(transmission.image[0].permute(1, 2, 0))
        axis.set_title(f"the image itself:\n{transmission.unpruned(transmission.image).index[0]}", fontsize=8)
    elif found is None:
        axis.text(0.5, 0.5, "no JPEG\nis so small", ha="center", va="center")
    else:
        axis.imshow(found[0][0].permute(1, 2, 0))
        axis.set_title(f"JPEG, quality {found[1]}:\n{transmission.unpruned(found[0]).index[0]}", fontsize=8)
