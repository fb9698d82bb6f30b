"""What `./run_all.sh bench` measures of the device half: what pruning saves in time, beside what it saves in MACs."""

import copy
import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lib import data, evaluation, flops, pruning, vgg
from lib.geometry import filters_to_remove
from lib.speed.bench_training import Row, Scale, timed

ALTERNATIONS = 4  # of two variants that take a fraction of a second
Pair = tuple[nn.Sequential, nn.Sequential]


def halves(scale: Scale, images: data.Dataset) -> Pair:
    """The device half before pool 2, and the same at ratio 0.5 by Taylor scores, batch norm folded in both."""
    torch.manual_seed(0)  # the same pair in every round
    # Untrained: how long a layer takes does not depend on its values.
    network: Any = vgg.vgg16_bn(100, scale.width).eval()
    # One batch of real images: scores need gradients, not accuracy.
    batch = images.normalise(images.train_images[:scale.batch]), images.train_labels[:scale.batch]
    scores = pruning.taylor_scores(network, [batch], 2)
    count = filters_to_remove(sum(map(len, scores.values())), 0.5)
    pruned: Any = pruning.remove_filters(network, pruning.select(scores, count))
    # Folded, as any deployment does: else batch norm's time, which pruning cannot save in MACs,
    # would hide what it does save.
    return fold_batch_norm(vgg.split(network, 2)[0]), fold_batch_norm(vgg.split(pruned, 2)[0])


def fold_batch_norm(module: nn.Module) -> Any:
    """A copy for inference: in every nn.Sequential and block, batch norm goes into the convolution right before it."""
    # Of a copy, because folding changes weights.
    folded = copy.deepcopy(module).eval()
    for part in [part for part in folded.modules() if isinstance(part, nn.Sequential) or hasattr(part, "begins")]:
        for (name, layer), (following, norm) in itertools.pairwise(list(part.named_children())):
            if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(part, name, fuse_conv_bn_eval(layer, norm))
                setattr(part, following, nn.Identity())
    return folded


def device_half(scale: Scale, images: data.Dataset) -> Iterator[Row]:
    """Inference of a pruned device half and of the unpruned one, by turns."""
    pair = halves(scale, images)
    pixels = images.normalise(images.test_images[:scale.images])
    # Pruned right after unpruned, again and again: a drift hits both.
    turns = torch.tensor([[timed(evaluation.forward, half, pixels)[0] for half in pair]
                          for _ in range(ALTERNATIONS + 1)])
    unpruned, pruned = turns[1:].sum(0).tolist()  # the first turn warms up
    macs = [flops.count_macs(half, (3, 32, 32)) for half in pair]
    promised, found = macs[0] / macs[1], unpruned / pruned
    name = "device half, ratio 0.5, pool 2, batch norm folded"
    yield Row(f"{name}: saving", "unpruned", found, "×")
    yield Row(f"{name}: of the saving that the MACs promise, {promised:.2f}×", "unpruned", 100 * found / promised, "%",
              at_least=60)


def pruned_layers(scale: Scale, images: data.Dataset) -> list[dict[str, float]]:
    """One dict a layer of that half: filters, MACs and seconds, unpruned and pruned."""
    pair = halves(scale, images)
    pixels = images.normalise(images.test_images[:scale.images])
    turns = torch.tensor([[layer_seconds(half, pixels) for half in pair] for _ in range(ALTERNATIONS + 1)])
    seconds = turns[1:].median(0).values  # [half, layer]; the first turn warms up
    inputs = [convolution_inputs(half) for half in pair]
    # By layer: what pruning promises there, beside the time that it takes.
    macs = [[flops.count_macs(layer, shape) for layer, shape in half] for half in inputs]
    filters = [[layer.out_channels for layer, _ in half] for half in inputs]
    return [{"layer": number + 1, "filters": filters[0][number], "left": filters[1][number],
             "macs": macs[0][number], "macs_left": macs[1][number],
             "seconds": seconds[0, number].item(), "seconds_left": seconds[1, number].item()}
            for number in range(len(inputs[0]))]


@torch.inference_mode()
def convolution_inputs(half: nn.Sequential) -> list[tuple[nn.Conv2d, tuple[int, int, int]]]:
    """[(convolution, shape (C, H, W) of its input)] of a device half."""
    # Zeros suffice for shapes.
    x, found = torch.zeros(1, 3, 32, 32), []
    for layer in half:
        if isinstance(layer, nn.Conv2d):
            _, channels, height, width = x.shape
            found.append((layer, (channels, height, width)))
        x = layer(x)
    return found


@torch.inference_mode()
def layer_seconds(half: nn.Sequential, x: Tensor) -> list[float]:
    """Seconds of each convolution of a device half, with the ReLU and pooling after it."""
    seconds: list[float] = []
    for layer in half:
        spent, x = timed(layer, x)
        if isinstance(layer, nn.Conv2d):
            # What follows a convolution is added to it, up to the next one.
            seconds.append(0.0)
        seconds[-1] += spent
    return seconds
