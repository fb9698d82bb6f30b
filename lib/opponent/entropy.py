"""Entropy coding for real (constriction's range coder): the bits of one image's quantised features.

An optional extra: `constriction` is imported when it is used (requirements-channels.txt).
"""

import math

import numpy as np
import torch

from lib.channels.optional import optional
from lib.schemes.features import FeatureCode, code_bits

WORD = 32  # bits of the coder's words


def levels_of(code: FeatureCode, features: torch.Tensor) -> torch.Tensor:
    """The levels that a code sends of features [N, C, H, W]: int64 [N, K, H, W]."""
    return (features[:, code.sent] / code.step).round().clamp(0, 255).long()


class Coder:
    """Messages for one FeatureCode and maps of height × width: its frequencies, in the order of the levels."""

    def __init__(self, code: FeatureCode, height: int, width: int):
        stream = optional("constriction").stream
        self.queue, self.model = stream.queue, stream.model.Categorical(perfect=False)
        each = code.frequencies.float().numpy()
        self.probabilities = np.ascontiguousarray(np.repeat(each, height * width, axis=0))

    def message(self, levels: np.ndarray) -> np.ndarray:
        """The fewest bits, uint8 [L], that `levels` [K, H, W] come back of when zeros follow them.

        The coder ends with whole words; a packet of fixed size does not need the rest of the last one.
        """
        symbols = levels.reshape(-1).astype(np.int32)
        encoder = self.queue.RangeEncoder()
        encoder.encode(symbols, self.model, self.probabilities)
        words = encoder.get_compressed()
        length = WORD * len(words)
        value = int.from_bytes(words.astype(">u4").tobytes(), "big")
        least = -np.log2(self.probabilities[np.arange(len(symbols)), symbols]).sum()
        for bits in range(max(1, math.floor(least) - 1), length + 1):
            rest = length - bits
            # The point that the coder chose may lie anywhere in its interval: cut, and rounded up.
            for cut in (value >> rest, (value >> rest) + 1):
                if cut < 1 << bits and self._means(cut << rest, length, symbols):
                    return np.array([cut >> place & 1 for place in reversed(range(bits))], np.uint8)
        raise ValueError("The entropy coder does not give back what it was given.")

    def levels(self, bits: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The inverse of `message`; whatever follows it must be zeros."""
        length = WORD * -(-len(bits) // WORD)
        value = int("".join(map(str, bits)) or "0", 2) << (length - len(bits))
        return self._decoded(value, length).reshape(shape)

    def _means(self, value, length, symbols):
        try:
            return np.array_equal(self._decoded(value, length), symbols)
        except AssertionError:  # what the decoder raises for words that no message has
            return False

    def _decoded(self, value, length):
        words = np.frombuffer(value.to_bytes(length // 8, "big"), ">u4").astype(np.uint32)
        return self.queue.RangeDecoder(words).decode(self.model, self.probabilities)


def lengths(code: FeatureCode, features: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(bits of each image's message, bits that `lib.schemes.features.code_bits` counts): int [N] of [N, C, H, W]."""
    levels = levels_of(code, features)
    coder = Coder(code, *features.shape[2:])
    return (np.array([len(coder.message(image)) for image in levels.numpy()]),
            code_bits(levels.byte(), code.frequencies).long().numpy())
