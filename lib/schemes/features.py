"""Features as bits: quantised, entropy coded, and the codes that fit a channel's capacity ([5], [14], separation)."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from lib import InputError, pruning
from lib.channel import capacity
from lib.networks import structure

BITS = range(1, 9)  # a level fits a byte
UNSEEN = 0.01  # counts that the separation baseline adds for each of its 256 levels


def quantise(features: torch.Tensor, bits: int, low: torch.Tensor | None = None,
             high: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """(levels uint8, dequantised float), both of the features' shape: uniform steps between `low` and `high`.

    The bounds, tensors broadcast against the features, are by default the least and greatest of all of them; what lies
    outside takes the nearest level. Raises InputError unless 1 ≤ bits ≤ 8.
    """
    if bits not in BITS:
        raise InputError(f"Features are quantised to 1 to 8 bits, not {bits}.")
    # Given bounds are those that the receiver knows; a test image may lie outside.
    low = features.min() if low is None else low
    high = features.max() if high is None else high
    step = (high - low) / (2**bits - 1)
    # A constant layer has no step, and any will do. Clamped: beyond the bounds a level would not
    # fit its bits.
    levels = ((features - low) / torch.where(step > 0, step, 1)).round().clamp(0, 2**bits - 1)
    return levels.byte(), low + levels * step


def level_frequencies(levels: torch.Tensor, bits: int, unseen: float = 1) -> torch.Tensor:
    """How often each channel takes each level: [C, 2^bits] of levels [N, C, H, W]; `unseen` is added to counts."""
    # By channel: some are nearly always 0, and one table for all would cost bits.
    counts = torch.stack([torch.bincount(channel.flatten(), minlength=2**bits) for channel in levels.unbind(1)])
    # What training never showed must have a code too. Double, because thousands of code lengths are
    # added up.
    counts = counts.double() + unseen
    return counts / counts.sum(1, keepdim=True)


def code_bits(levels: torch.Tensor, frequencies: torch.Tensor | None = None) -> torch.Tensor:
    """Bits [N] that arithmetic coding takes for the levels [N, C, H, W] of each image: ⌈−log2 p(image)⌉ + 1.

    p is the product of each level's frequency in its channel, [C, levels], by default the given levels' own.
    """
    frequencies = level_frequencies(levels, 8, unseen=0) if frequencies is None else frequencies
    # One message an image over all channels: coded apart, each would be rounded up.
    bits = sum(length[channel.int()].sum((1, 2))
               for length, channel in zip(-frequencies.log2(), levels.unbind(1), strict=True))
    return bits.sub(1e-6).ceil() + 1  # a rounding error is not a bit


def jalad(features: torch.Tensor, bits: int,
          training: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """(dequantised features, bits an image [N]): the layer's min-max quantisation and entropy coding of JALAD [5].

    Bounds and frequencies, known to both ends, are those of the `training` features (by default, of these).
    """
    # The test images' own bounds and frequencies would have to be sent with them.
    training = features if training is None else training
    levels, restored = quantise(features, bits, training.min(), training.max())
    return restored, code_bits(levels, level_frequencies(quantise(training, bits)[0], bits))


def prune_split_layer(model: nn.Module, pool: int, scores: pruning.Scores, count: int) -> nn.Module:
    """A new model without the `count` lowest-scored filters of the layer at the split: step 2 of [14].

    `scores` as from pruning.taylor_scores, of a model that step 1 pruned for computation. Raises InputError.
    """
    name = list(structure.convolutions(model, pool))[-1]
    return pruning.remove_filters(model, pruning.select({name: scores[name]}, count))


@dataclass
class FeatureCode:
    """A quantiser of one step and an entropy code a channel, which both ends of the separation baseline know."""

    sent: torch.Tensor  # [K], the channels sent
    step: float
    frequencies: torch.Tensor  # [K, 256], how often training features take each level
    values: torch.Tensor  # [K, 256], what the receiver takes for a level
    mean: torch.Tensor  # [C, H, W], what it takes for the channels not sent

    def __call__(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(received features, bits an image [N]) of features [N, C, H, W] that are not negative."""
        levels = _levels(features[:, self.sent], self.step)
        received = self.mean.expand_as(features).clone()
        for channel, values, level in zip(self.sent, self.values, levels.unbind(1), strict=True):
            received[:, channel] = values[level.int()]
        return received, code_bits(levels, self.frequencies)


def feature_codes(training: torch.Tensor, bandwidth: int, snr_db: float) -> list[FeatureCode]:
    """The FeatureCodes whose mean code length on `training` features [M, C, H, W], ≥ 0, fits bandwidth·C(snr).

    Separate source and channel coding for a design SNR known in advance. All channels are sent, or the half or the
    quarter of most energy, with the finest step that fits; the receiver takes a level for the training features'
    mean there, of least squared error, or for its multiple of the step, which keeps their variance. Which of them
    serves the classifier best is for the caller to try. None fits a channel of a few bits.
    """
    budget = bandwidth * capacity(snr_db) - 2  # arithmetic coding ends within 2 bits
    mean, codes = training.mean(0), []
    # By variance: a channel that never changes tells nothing, however large it is.
    order = (training - mean).square().mean(0).sum((1, 2)).argsort(descending=True)
    for share in (1, 2, 4):
        sent = order[:math.ceil(len(order) / share)]
        step = _finest_step(training[:, sent], budget)
        if step is None:
            continue
        levels = _levels(training[:, sent], step)
        frequencies = level_frequencies(levels, 8, UNSEEN)
        multiples = (torch.arange(256) * step).expand_as(frequencies).to(training)
        for values in (_centroids(training[:, sent], levels, multiples), multiples):
            codes.append(FeatureCode(sent, step, frequencies, values, mean))
    return codes


def _finest_step(features, budget):
    """The smallest of 513 steps whose code takes at most `budget` bits an image on average; None if none does.

    The largest puts all features at level 0. Bits fall as the step grows, so a bisection finds it.
    """
    largest = max(features.max().item(), 1e-6)
    # In equal ratios: halving the step costs at most about one bit a feature, wherever it starts.
    # From what fits a byte to a step at which the largest value rounds to level 0.
    steps = np.geomspace(largest / 255, 2.1 * largest, 513).tolist()
    low, high = 0, len(steps)
    while low < high:
        middle = (low + high) // 2
        if _mean_bits(features, steps[middle]) <= budget:
            high = middle
        else:
            low = middle + 1
    return steps[low] if low < len(steps) else None


def _levels(features, step):
    return (features / step).round().clamp(0, 255).byte()


def _mean_bits(features, step):
    # The entropy, which arithmetic coding reaches but for the two bits of the budget.
    frequencies = level_frequencies(_levels(features, step), 8, UNSEEN)
    return -(frequencies * frequencies.log2()).sum().item() * features[0, 0].numel()


def _centroids(features, levels, otherwise):
    """The mean of each channel's features at each level [K, 256]; `otherwise` where there is none."""
    rows = []
    for values, level, missing in zip(features.transpose(0, 1).flatten(1), levels.unbind(1), otherwise, strict=True):
        counts = torch.bincount(level.flatten(), minlength=256)
        sums = torch.bincount(level.flatten(), weights=values, minlength=256)
        # A level that never occurred has no mean, and takes the other value.
        rows.append(torch.where(counts > 0, (sums / counts.clamp(min=1)).to(otherwise), missing))
    return torch.stack(rows)
