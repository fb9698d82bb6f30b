"""Pictures as files: PNG, JPEG and WebP, and what of a file a receiver knows beforehand."""

import io

import numpy as np
import torch
from PIL import Image

from lib import InputError


def code_picture(picture: np.ndarray, format: str, quality: int | None = None) -> tuple[bytes, np.ndarray]:
    """(file bytes, decoded picture) of uint8 [H, W] or [H, W, 3] as PNG, JPEG or WebP (lossless without a quality)."""
    # PNG as small as Pillow makes it; of WebP without loss, quality is the effort.
    options = {"PNG": {"optimize": True}, "JPEG": {"quality": quality},
               "WEBP": {"lossless": quality is None, "quality": 100 if quality is None else quality}}
    if format not in options or (format, quality) == ("JPEG", None):
        raise InputError(f"The image format must be PNG, WEBP, or JPEG with a quality, not {format!r}, {quality}.")
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format, **options[format])
    return buffer.getvalue(), np.array(Image.open(buffer))


def jpeg_header_bytes(encoded: bytes) -> int:
    """Bytes of a JPEG file up to the entropy-coded data, and its end marker.

    They are the same for every picture of one size and quality, because the Huffman tables are JPEG's own.
    """
    position = 2  # after the start marker come segments: 0xFF, kind, length (2 bytes, itself included)
    while encoded[position + 1] != 0xDA:  # start of scan
        position += 2 + int.from_bytes(encoded[position + 2:position + 4], "big")
    # What follows the scan's own header is data, up to an end marker of two bytes.
    return position + 2 + int.from_bytes(encoded[position + 2:position + 4], "big") + 2


def image_bytes(images: torch.Tensor, format: str,
                quality: int | None = None) -> tuple[float, int, torch.Tensor]:
    """(mean bytes an image, those of a header that all share, decoded) of uint8 [N, 3, 32, 32], each its own file.

    Only JPEG's header is counted apart: a receiver knows it beforehand, and it is most of a small picture's file.
    """
    # One by one, as a device sends them.
    pictures = images.permute(0, 2, 3, 1).cpu().numpy()
    files, decoded = zip(*(code_picture(picture, format, quality) for picture in pictures), strict=True)
    decoded = torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).contiguous()
    return sum(map(len, files)) / len(files), jpeg_header_bytes(files[0]) if format == "JPEG" else 0, decoded
