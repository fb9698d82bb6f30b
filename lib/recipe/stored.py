"""Features after the last layers that are not trained, computed once: of test images, and of training images anew.

A network that has learnt its training images nearly by heart is surer of them than of others, and a codec that is
trained on such features learns the wrong thing. Augmentation, the harder the better, brings the two closer.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from lib import data, evaluation
from lib.training import CPU, Engine


def cut_out(images: torch.Tensor, size: int, generator: torch.Generator) -> torch.Tensor:
    """Images uint8 [N, 3, H, W] with a black square of `size` pixels each, its centre anywhere (DeVries, Taylor, 2017).

    Squares that reach over an edge are cut there, so that a part of the images loses less.
    """
    count, _, height, width = images.shape
    centres = torch.stack([torch.randint(0, side, (count,), generator=generator) for side in (height, width)])
    first = centres - size // 2
    rows, columns = torch.arange(height), torch.arange(width)
    in_rows = (rows >= first[0][:, None]) & (rows < first[0][:, None] + size)
    in_columns = (columns >= first[1][:, None]) & (columns < first[1][:, None] + size)
    hole = (in_rows[:, :, None] & in_columns[:, None, :])[:, None]
    return torch.where(hole.to(images.device), 0, images)


def zoom(images: torch.Tensor, least: float, generator: torch.Generator) -> torch.Tensor:
    """Images uint8 [N, 3, H, W] of which a square part, of `least` to all of the area, is enlarged to the whole."""
    count = len(images)
    scale = (least + (1 - least) * torch.rand(count, generator=generator)).sqrt()
    # The part's centre: anywhere that leaves all of it inside.
    shift = (2 * torch.rand(count, 2, generator=generator) - 1) * (1 - scale)[:, None]
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = scale
    theta[:, :, 2] = shift
    grid = F.affine_grid(theta, list(images.shape), align_corners=False).to(images.device)
    sampled = F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    return sampled.round().clamp(0, 255).byte()


def augmented(images: torch.Tensor, seed: int, hole: int = 0, least: float = 1.0) -> torch.Tensor:
    """Training images cropped and flipped as in step 1, then zoomed and with a hole, if asked: uint8 [N, 3, H, W]."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for part in images.split(5000):  # in parts: the crops of all images at once would not fit
        part = data.augment(part, data.draw_augmentation(len(part), generator))
        if least < 1:
            part = zoom(part, least, generator)
        parts.append(cut_out(part, hole, generator) if hole else part)
    return torch.cat(parts)


def features(module: nn.Module, images: torch.Tensor, prepare: Callable, engine: Engine = CPU) -> torch.Tensor:
    """The module's output for all images, in half the memory: bfloat16 [N, C, H, W]."""
    parts = [evaluation.forward(module, part, prepare, engine=engine).cpu().bfloat16() for part in images.split(5000)]
    return torch.cat(parts)
