"""What a training is resumed from: whole, of the same run, or not used at all."""

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def save(path: Path | None, key: str | None, content: dict[str, Any]) -> None:
    """Write a checkpoint under another name, then rename it; a checksum goes before it. No path: nothing is kept."""
    if path is None:
        return
    # In memory first, because the checksum comes before the content in the file.
    buffer = io.BytesIO()
    torch.save({"key": key, **content}, buffer)
    partial = Path(f"{path}.partial")
    partial.write_bytes(hashlib.sha256(buffer.getbuffer()).digest() + buffer.getbuffer())
    # Atomic: a run killed here leaves the checkpoint before, whole.
    os.replace(partial, path)


def load(path: Path | None, key: str | None, device: torch.device, report: Callable = print) -> dict[str, Any] | None:
    """What `save` wrote under this key; None where there is nothing, or something else, or it is damaged."""
    if path is None or not Path(path).exists():
        return None
    stored = Path(path).read_bytes()
    checksum, payload = stored[:32], stored[32:]
    if hashlib.sha256(payload).digest() != checksum:
        report(f"{path} is damaged and not used: this training starts anew")
        return None
    # weights_only: a checkpoint is data, and no code of it runs.
    content = torch.load(io.BytesIO(payload), map_location=device, weights_only=True)
    # Another code, other parameters or other upstream weights: not a state of this training.
    return content if content["key"] == key else None
