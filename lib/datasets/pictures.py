"""Picture files as tensors: of any size and mode, upright, their middle square, resized."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from lib import InputError
from lib.datasets import folder

LARGEST_FILE, LARGEST_SIDE = 20 * 2**20, 8000  # bytes, pixels: above a photograph, far below what fills memory
FORMATS = ("PNG", "JPEG", "WEBP")


def load_folder(root: str, split: str, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 images [N, 3, side, side] and labels [N] of a folder of the user's own, class by class."""
    chosen = folder.listing(root).pictures[split]
    return (torch.cat([read_picture(path, side) for path, _ in chosen]),
            torch.tensor([label for _, label in chosen]))


def read_picture(path: str | Path, side: int = 32) -> torch.Tensor:
    """A PNG, JPEG or WebP file as uint8 [1, 3, side, side]: its middle square, resized; transparent becomes white.

    Raises InputError for what is missing, too large, damaged, or another kind of file.
    """
    file = Path(path).expanduser()
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise InputError(f"The picture {file} has more than {LARGEST_FILE // 2**20} MiB.")
        with Image.open(file, formats=FORMATS) as picture:  # only the header is read, until it is decoded
            if max(picture.size) > LARGEST_SIDE or min(picture.size) < 8:
                raise InputError(f"The picture {file} has {picture.size[0]} × {picture.size[1]} pixels: a side must "
                                 f"have 8 to {LARGEST_SIDE}.")
            upright = ImageOps.exif_transpose(picture).convert("RGBA")
    except InputError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # what Pillow raises, by cause
        raise InputError(f"{file} cannot be read as a PNG, JPEG or WebP picture: {' '.join(str(error).split())}."
                         ) from error
    white = Image.new("RGBA", upright.size, "white")
    square = ImageOps.fit(Image.alpha_composite(white, upright).convert("RGB"), (side, side), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)[None].contiguous()
