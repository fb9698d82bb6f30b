"""Digital transmission: channel codes, image files, and quantised, entropy-coded features ([5], [14])."""

import bisect
import io
import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from PIL import Image

from lib import InputError, pruning, vgg
from lib.channel import capacity

BITS = range(1, 9)  # a level fits a byte
UNSEEN = 0.01  # counts that the separation baseline adds for each of its 256 levels


def rate(snr_db, blocklength=None, error=1e-3):
    """Bits per real symbol: capacity, or what `blocklength` symbols carry with a block error rate `error`.

    `blocklength` is a number or an array, and the result has its shape. The normal approximation for the real
    AWGN channel, C − √(V/n)·Q⁻¹(ε) + log2(n)/(2n), kept between 0 and C (Polyanskiy, Poor, Verdú, 2010).
    """
    ceiling = capacity(snr_db)
    if blocklength is None:
        return ceiling
    n, power = np.maximum(np.asarray(blocklength, float), 1), 10 ** (snr_db / 10)
    dispersion = power * (power + 2) / (2 * (power + 1) ** 2) * math.log2(math.e) ** 2
    back_off = np.sqrt(dispersion / n) * NormalDist().inv_cdf(1 - error)
    return np.clip(ceiling - back_off + np.log2(n) / (2 * n), 0, ceiling)


def symbols_for_bits(bits, snr_db, blocklength_aware=False, error=1e-3):
    """The fewest real symbols that carry `bits` (a number or an array, of bits an image): int64, that shape.

    By bisection when the block's length counts; n·rate(n) grows with n wherever it is positive above −13 dB.
    """
    bits = np.asarray(bits, float)
    enough = np.ceil(bits / capacity(snr_db)).astype(np.int64)
    if not blocklength_aware:
        return enough

    def short(symbols):
        return symbols * rate(snr_db, symbols, error) < bits

    too_few = np.maximum(enough - 1, 0)
    while short(enough).any():
        enough = np.where(short(enough), 2 * enough, enough)
    while (enough - too_few > 1).any():
        middle = (enough + too_few) // 2
        too_few, enough = np.where(short(middle), (middle, enough), (too_few, middle))
    return enough


def code_picture(picture, format, quality=None):
    """(file bytes, decoded picture) of uint8 [H, W] or [H, W, 3] as PNG, JPEG or WebP (lossless without a quality)."""
    options = {"PNG": {"optimize": True}, "JPEG": {"quality": quality},
               "WEBP": {"lossless": quality is None, "quality": 100 if quality is None else quality}}
    if format not in options or (format, quality) == ("JPEG", None):
        raise InputError(f"The image format must be PNG, WEBP, or JPEG with a quality, not {format!r}, {quality}.")
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format, **options[format])
    return buffer.getvalue(), np.array(Image.open(buffer))


def jpeg_header_bytes(encoded):
    """Bytes of a JPEG file up to the entropy-coded data, and its end marker.

    They are the same for every picture of one size and quality, because the Huffman tables are JPEG's own.
    """
    position = 2  # after the start marker come segments: 0xFF, kind, length (2 bytes, itself included)
    while encoded[position + 1] != 0xDA:  # start of scan
        position += 2 + int.from_bytes(encoded[position + 2:position + 4], "big")
    return position + 2 + int.from_bytes(encoded[position + 2:position + 4], "big") + 2


def image_bytes(images, format, quality=None):
    """(mean bytes an image, those of a header that all share, decoded) of uint8 [N, 3, 32, 32], each its own file.

    Only of JPEG such a header is told: what a receiver knows beforehand, most of a small picture's file.
    """
    pictures = images.permute(0, 2, 3, 1).cpu().numpy()
    files, decoded = zip(*(code_picture(picture, format, quality) for picture in pictures), strict=True)
    decoded = torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).contiguous()
    return sum(map(len, files)) / len(files), jpeg_header_bytes(files[0]) if format == "JPEG" else 0, decoded


def quantise(features, bits, low=None, high=None):
    """(levels uint8, dequantised float), both of the features' shape: uniform steps between `low` and `high`.

    The bounds, tensors broadcast against the features, are by default the least and greatest of all of them; what lies
    outside takes the nearest level. Raises InputError unless 1 ≤ bits ≤ 8.
    """
    if bits not in BITS:
        raise InputError(f"Features are quantised to 1 to 8 bits, not {bits}.")
    low, high = features.min() if low is None else low, features.max() if high is None else high
    step = (high - low) / (2**bits - 1)
    levels = ((features - low) / torch.where(step > 0, step, 1)).round().clamp(0, 2**bits - 1)
    return levels.byte(), low + levels * step


def level_frequencies(levels, bits, unseen=1):
    """How often each channel takes each level: [C, 2^bits] of levels [N, C, H, W]; `unseen` is added to counts."""
    counts = torch.stack([torch.bincount(channel.flatten(), minlength=2**bits) for channel in levels.unbind(1)])
    counts = counts.double() + unseen
    return counts / counts.sum(1, keepdim=True)


def code_bits(levels, frequencies=None):
    """Bits [N] that arithmetic coding takes for the levels [N, C, H, W] of each image: ⌈−log2 p(image)⌉ + 1.

    p is the product of each level's frequency in its channel, [C, levels], by default the given levels' own.
    """
    frequencies = level_frequencies(levels, 8, unseen=0) if frequencies is None else frequencies
    bits = sum(length[channel.int()].sum((1, 2))
               for length, channel in zip(-frequencies.log2(), levels.unbind(1), strict=True))
    return bits.sub(1e-6).ceil() + 1  # a rounding error is not a bit


def jalad(features, bits, training=None):
    """(dequantised features, bits an image [N]): the layer's min-max quantisation and entropy coding of JALAD [5].

    Bounds and frequencies, known to both ends, are those of the `training` features (by default, of these).
    """
    training = features if training is None else training
    levels, restored = quantise(features, bits, training.min(), training.max())
    return restored, code_bits(levels, level_frequencies(quantise(training, bits)[0], bits))


def prune_split_layer(model, pool, scores, count):
    """A new model without the `count` lowest-scored filters of the layer at the split: step 2 of [14].

    `scores` as from pruning.taylor_scores, of a model that step 1 pruned for computation. Raises InputError.
    """
    name = list(vgg.convolutions(model, pool))[-1]
    return pruning.remove_filters(model, pruning.select({name: scores[name]}, count))


@dataclass
class FeatureCode:
    """A quantiser of one step and an entropy code a channel, which both ends of the separation baseline know."""

    sent: torch.Tensor  # [K], the channels sent
    step: float
    frequencies: torch.Tensor  # [K, 256], how often training features take each level
    values: torch.Tensor  # [K, 256], what the receiver takes for a level
    mean: torch.Tensor  # [C, H, W], what it takes for the channels not sent

    def __call__(self, features):
        """(received features, bits an image [N]) of features [N, C, H, W] that are not negative."""
        levels = _levels(features[:, self.sent], self.step)
        received = self.mean.expand_as(features).clone()
        for channel, values, level in zip(self.sent, self.values, levels.unbind(1), strict=True):
            received[:, channel] = values[level.int()]
        return received, code_bits(levels, self.frequencies)


def feature_codes(training, bandwidth, snr_db):
    """The FeatureCodes whose mean code length on `training` features [M, C, H, W], ≥ 0, fits bandwidth·C(snr).

    Separate source and channel coding for a design SNR known in advance. All channels are sent, or the half or the
    quarter of most energy, with the finest step that fits; the receiver takes a level for the training features'
    mean there, of least squared error, or for its multiple of the step, which keeps their variance. Which of them
    serves the classifier best is for the caller to try. None fits a channel of a few bits.
    """
    budget = bandwidth * capacity(snr_db) - 2  # arithmetic coding ends within 2 bits
    mean, codes = training.mean(0), []
    order = (training - mean).square().mean(0).sum((1, 2)).argsort(descending=True)
    for share in (1, 2, 4):
        sent = order[:math.ceil(len(order) / share)]
        chosen = training[:, sent]
        largest = max(chosen.max().item(), 1e-6)
        steps = np.geomspace(largest / 255, 2.1 * largest, 513).tolist()  # to all features at level 0
        finest = bisect.bisect_left(steps, -budget, key=lambda step, chosen=chosen: -_mean_bits(chosen, step))
        if finest < len(steps):
            levels = _levels(chosen, steps[finest])
            frequencies = level_frequencies(levels, 8, UNSEEN)
            multiples = (torch.arange(256) * steps[finest]).expand_as(frequencies).to(training)
            codes += [FeatureCode(sent, steps[finest], frequencies, values, mean)
                      for values in (_centroids(chosen, levels, multiples), multiples)]
    return codes


def _levels(features, step):
    return (features / step).round().clamp(0, 255).byte()


def _mean_bits(features, step):
    frequencies = level_frequencies(_levels(features, step), 8, UNSEEN)
    return -(frequencies * frequencies.log2()).sum().item() * features[0, 0].numel()


def _centroids(features, levels, otherwise):
    """The mean of each channel's features at each level [K, 256]; `otherwise` where there is none."""
    counts, sums = (torch.stack([torch.bincount(level.flatten(), weights=weight, minlength=256) for level, weight
                                 in zip(levels.unbind(1), weights, strict=True)])
                    for weights in (levels.shape[1] * [None], features.transpose(0, 1).flatten(1)))
    return torch.where(counts > 0, (sums / counts.clamp(min=1)).to(otherwise), otherwise)


def cliff(accuracy, design_snr_db, snr_db, classes):
    """A digital scheme's accuracy at an SNR: that of error-free decoding from its design SNR on, else chance."""
    return accuracy if snr_db >= design_snr_db else 1 / classes
