"""Digital transmission: channel codes, image files, and quantised, entropy-coded features ([5], [14])."""

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


def image_bytes(images, format, quality=None, header=True):
    """(mean bytes an image, decoded uint8 [N, 3, 32, 32]) of images uint8 [N, 3, 32, 32], each its own file.

    Without `header` a JPEG file counts its entropy-coded data only; other formats always count whole.
    """
    pictures = images.permute(0, 2, 3, 1).cpu().numpy()
    files, decoded = zip(*(code_picture(picture, format, quality) for picture in pictures), strict=True)
    skipped = 0 if header or format != "JPEG" else jpeg_header_bytes(files[0])
    decoded = torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).contiguous()
    return sum(map(len, files)) / len(files) - skipped, decoded


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
    return _information(levels, frequencies).sum(1).sub(1e-6).ceil() + 1  # a rounding error is not a bit


def _information(levels, frequencies):
    """−log2 p of each channel of each image: [N, C]."""
    lengths = -frequencies.log2()
    return torch.stack([length[channel.int()].sum((1, 2))
                        for length, channel in zip(lengths, levels.unbind(1), strict=True)], 1)


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
    """What both ends of the separation baseline know of the split's features."""

    mean: torch.Tensor  # [C, H, W]
    low: torch.Tensor  # [C, 1, 1]
    high: torch.Tensor
    energy: torch.Tensor  # [C], mean squared deviation from the mean, summed over space
    by_bits: list  # of (frequencies [C, 2^bits], mean bits an image [C], squared error summed over space [C])


def feature_code(training):
    """Learn a FeatureCode from training features [M, C, H, W]; a few thousand images are enough."""
    low, high = (extreme((0, 2, 3)).view(-1, 1, 1) for extreme in (training.amin, training.amax))
    mean, by_bits = training.mean(0), []
    for bits in BITS:
        levels, restored = quantise(training, bits, low, high)
        frequencies = level_frequencies(levels, bits)
        by_bits.append((frequencies, _information(levels, frequencies).mean(0), _energy(restored - training)))
    return FeatureCode(mean, low, high, _energy(training - mean), by_bits)


def _energy(difference):
    return difference.square().mean(0).sum((1, 2))


def separation(features, bandwidth, snr_db, code=None):
    """(dequantised features or None, bits an image [N]): the split's features [N, C, H, W] sent at capacity.

    Separate source and channel coding for a design SNR known in advance. Of all (bits per element, number of
    channels) whose mean code length fits bandwidth·C(snr), that with the least squared error; channels go in
    the order of their energy if that loses less than their mean, which replaces the others. None when no channel
    fits. `code` is a feature_code of training features, by default of these.
    """
    code = code or feature_code(features)
    bits, sent = _allocate(code, bandwidth * capacity(snr_db) - 2)  # arithmetic coding ends within 2 bits
    if bits is None:
        return None, torch.zeros(len(features))
    levels, restored = quantise(features[:, sent], bits, code.low[sent], code.high[sent])
    received = code.mean.expand_as(features).clone()
    received[:, sent] = restored
    return received, code_bits(levels, code.by_bits[bits - 1][0][sent])


def _allocate(code, budget):
    """(bits, channels sent) of least squared error within `budget` bits an image, or (None, None)."""
    order, choices = code.energy.argsort(descending=True), []
    for bits, (_, length, distortion) in zip(BITS, code.by_bits, strict=True):
        useful = order[distortion[order] < code.energy[order]]
        sent = useful[length[useful].cumsum(0) <= budget]
        if len(sent):
            lost = code.energy.sum() - code.energy[sent].sum()
            choices.append(((lost + distortion[sent].sum()).item(), bits, sent))
    return min(choices, key=lambda choice: choice[:2])[1:] if choices else (None, None)


def cliff(accuracy, design_snr_db, snr_db, classes):
    """A digital scheme's accuracy at an SNR: that of error-free decoding from its design SNR on, else chance."""
    return accuracy if snr_db >= design_snr_db else 1 / classes
