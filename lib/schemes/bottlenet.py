"""BottleNet [6] and BottleNet++ [7], the learned schemes of the paper's Figure 3.

Each has the interface of codec.Link, so that codec.Pipeline, training.fit and evaluation take it.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from lib import InputError
from lib.codec import Link, Pipeline
from lib.geometry import SYMBOLS_PER_CHANNEL
from lib.schedule import Schedule
from lib.schemes import features, pictures


class NoisePlane(nn.Module):
    """Append σ of the channel as a constant plane: [N, C, H, W] to [N, C + 1, H, W] [7]."""

    def __init__(self, channel: nn.Module):
        super().__init__()
        self.channel = channel

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Read at every call, because evaluation sets the channel's SNR anew.
        sigma = 10 ** (-self.channel.snr_db / 20)
        # One value for all pixels: the noise is the same in all of them.
        return torch.cat([x, x.new_full((len(x), 1, *x.shape[2:]), sigma)], 1)


def bottlenet_plus(pool: int, channels: int, bandwidth: int, snr_db: float) -> Link:
    """BottleNet++ [7] for a map of `channels` channels: a Link of exactly `bandwidth` real symbols.

    Encoder: noise plane, convolution, batch norm, sigmoid. Decoder: convolution, batch norm, ReLU; it sees no
    noise plane, as in the published code. The kernels are 2×2 with stride 2 while that needs no more latent
    channels than the map has, else 3×3 with stride 1, up to the size of the whole map. The power constraint and
    the SNR are ours, and the same in training and evaluation. The device half depends on the SNR: give
    evaluation.over_snr `pipeline.device_half` to transmit, and link with edge half to receive.
    Raises InputError for a bandwidth that no latent has.
    """
    latent, stride = _latent(pool, channels, bandwidth)
    # No overlap and no padding with stride 2; 3×3 keeps the size with stride 1.
    kernel = {"kernel_size": 2, "stride": 2} if stride == 2 else {"kernel_size": 3, "padding": 1}
    link = Link(nn.Identity(), nn.Sequential(
        (nn.ConvTranspose2d if stride == 2 else nn.Conv2d)(latent, channels, **kernel),
        nn.BatchNorm2d(channels), nn.ReLU()), snr_db)
    # After the link, since the noise plane needs the very channel that the link sends over.
    link.encoder = nn.Sequential(
        NoisePlane(link.channel), nn.Conv2d(channels + 1, latent, **kernel), nn.BatchNorm2d(latent), nn.Sigmoid())
    return link


def _latent(pool, channels, bandwidth):
    """(latent channels, stride) of BottleNet++."""
    if pool not in SYMBOLS_PER_CHANNEL:
        raise InputError(f"The split must be after pooling 1 to 5, not {pool!r}.")
    strided = SYMBOLS_PER_CHANNEL[pool]
    units = {1: strided} if pool == 5 else {2: strided, 1: 4 * strided}  # symbols of a latent channel, by stride
    # Stride 2 first, which needs fewer operations.
    for stride, unit in units.items():
        if bandwidth % unit == 0 and 1 <= bandwidth // unit <= channels:
            return bandwidth // unit, stride
    raise InputError(f"After pooling {pool} with {channels} channels, BottleNet++ can send multiples of " + " or ".join(
        f"{unit} up to {unit * channels}" for unit in units.values()) + f" symbols, not {bandwidth}.")


class JPEG(nn.Module):
    """The digital channel of BottleNet [6]: 8-bit levels, one grey picture an image, JPEG and back.

    [N, C, h, w] to the same shape. Each image is quantised between its own least and greatest value, which
    travel along in half precision. The gradient is the identity.
    """

    capturable = False  # by a CUDA graph: pictures are coded on the CPU

    def __init__(self, quality: int = 20):
        super().__init__()
        self.quality = quality

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        # Forward this is what JPEG gives back; backward the second summand has no gradient.
        return latent + (self._code(latent)[1] - latent).detach()

    def sizes(self, latent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Bytes of each image of the latent, int64 [N]: (whole files, entropy-coded data only), range included."""
        files, _ = self._code(latent)
        # Least and greatest value, two bytes each.
        whole = torch.tensor([len(file) for file in files]) + 4  # bytes of the range
        return whole, whole - pictures.jpeg_header_bytes(files[0])

    def _code(self, latent):
        """(files, latent restored from them)"""
        # Rounded as they travel, so that both ends quantise between the same bounds.
        low, high = (extreme((1, 2, 3), keepdim=True).half().float() for extreme in (latent.amin, latent.amax))
        greys = tile(features.quantise(latent.float(), 8, low, high)[0]).cpu().numpy()
        # Each image its own file: a device sends one picture at a time.
        coded = [pictures.code_picture(grey, "JPEG", self.quality) for grey in greys]
        files, decoded = zip(*coded, strict=True)
        levels = untile(torch.from_numpy(np.stack(decoded)), latent.shape[1:]).to(latent.device)
        return files, (low + levels / 255 * (high - low)).to(latent.dtype)


def tile(maps: torch.Tensor) -> torch.Tensor:
    """Lay channels [N, C, h, w] out as pictures [N, rows·h, columns·w], about square, filled up with zeros."""
    # About square: JPEG codes blocks of 8×8, and fills up what is narrower.
    columns = math.ceil(math.sqrt(maps.shape[1]))
    maps = F.pad(maps, (0, 0, 0, 0, 0, -maps.shape[1] % columns))
    # [N, rows, columns, h, w], then each row's pixels beside each other.
    return maps.unflatten(1, (-1, columns)).transpose(2, 3).flatten(3).flatten(1, 2)


def untile(tiled: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """The inverse of `tile` for channels of this shape (C, h, w)."""
    channels, height, width = shape
    return tiled.unflatten(2, (-1, width)).unflatten(1, (-1, height)).transpose(2, 3).flatten(1, 2)[:, :channels]


class BottleNet(Link):
    """BottleNet [6]: reduction unit, JPEG, restoration unit: [N, channels, H, W] to that shape.

    The reduction is a 1×1 convolution to `reduced` channels, then a 2×2 one with stride 2 (1×1 with stride 1
    after pooling 5), each with batch norm and ReLU; the restoration mirrors it. Symbols are 8·bytes / capacity,
    with the bytes from `channel.sizes(encode(features))`. Raises InputError for an impossible `reduced`.
    """

    def __init__(self, pool: int, channels: int, reduced: int, quality: int = 20):
        if not 1 <= reduced <= channels:
            raise InputError(f"BottleNet reduces {channels} channels to 1 to {channels}, not {reduced}.")
        stride = 1 if pool == 5 else 2
        encoder = nn.Sequential(
            nn.Conv2d(channels, reduced, 1), nn.BatchNorm2d(reduced), nn.ReLU(),
            # Kernel and stride are equal: every pixel is read once.
            nn.Conv2d(reduced, reduced, stride, stride), nn.BatchNorm2d(reduced), nn.ReLU())
        decoder = nn.Sequential(
            nn.ConvTranspose2d(reduced, reduced, stride, stride), nn.BatchNorm2d(reduced), nn.ReLU(),
            nn.Conv2d(reduced, channels, 1), nn.BatchNorm2d(channels), nn.ReLU())
        # No noise: at its SNR a digital scheme decodes without error.
        super().__init__(encoder, decoder, snr_db=None)
        self.channel = JPEG(quality)

    def encode(self, features: torch.Tensor) -> torch.Tensor:
        """What JPEG codes, [N, reduced, h, w]; a digital channel has no power constraint."""
        return self.encoder(features)


def train_in_phases(fit: Callable, pipeline: Pipeline, images: torch.Tensor, labels: torch.Tensor,
                    frozen: Schedule, everything: Schedule, **options: Any) -> pd.DataFrame:
    """Train the link inside a frozen network by the schedule `frozen`, then all of it by `everything` ([7]).

    Cross-entropy; `fit` is `Job.fit` and takes the `options`. Frozen weights still see batch norm in training
    mode, as published. Returns both learning curves, with a column `phase`.
    """
    # First the link alone: gradients through one that is still random would spoil a trained
    # network.
    curves = []
    for phase, schedule in enumerate((frozen, everything), 1):
        for half in (pipeline.device_half, pipeline.edge_half):
            half.requires_grad_(phase == 2)
        curves.append(fit(pipeline, images, labels, F.cross_entropy, schedule, stage=f"-phase{phase}",
                          **options).assign(phase=phase))
    return pd.concat(curves, ignore_index=True)
