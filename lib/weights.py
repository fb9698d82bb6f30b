"""Weights as files (safetensors), and the one rounding that they go through."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

State = dict[str, torch.Tensor]


def rounded(state: State) -> State:
    """The state dict with its floats in half precision, as the pretrained net is stored.

    The repository holds the pretrained net in half precision, and every later step starts from that file, so the
    accuracy after step 1 is measured with these weights too.
    """
    return {name: value.half() if value.is_floating_point() else value for name, value in state.items()}


def files(state: State, half: bool) -> dict[str, State]:
    """{file name: its part of the state dict}: one file, or, `half`, two of equal size in half precision.

    Two, because a file that git keeps should stay small (15 MB each for the full network).
    """
    # safetensors refuses tensors that share or stride memory.
    state = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    if not half:
        return {"model.safetensors": state}
    state = rounded(state)
    shards = ({}, {})
    # Largest first, each into the emptier shard; by name before, so that ties always fall alike.
    for name in sorted(sorted(state), key=lambda name: -state[name].numel()):
        smaller = min(shards, key=lambda shard: sum(value.numel() for value in shard.values()))
        smaller[name] = state[name]
    return {f"model-{number:05d}-of-00002.safetensors": shard for number, shard in enumerate(shards, 1)}


def save(path: Path, state: State) -> None:
    """Write one file of `files`."""
    save_file(state, path)


def load(folder: Path) -> State:
    """The state dict of a run's folder, in float32."""
    state = {}
    for file in sorted(Path(folder).glob("model*.safetensors")):
        state |= load_file(file)
    # Half precision is for storage alone: the next step computes from the rounded values in
    # float32.
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def part(state: State, name: str) -> State:
    """Of a state dict, what belongs to the submodule of this name; empty if nothing does."""
    return {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
