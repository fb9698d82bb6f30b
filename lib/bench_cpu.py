"""What `./run_all.sh bench` measures on the CPU; lib/bench.py makes the table.

A part takes (scale, images) and yields rows; what it compares takes turns within the call. Comparisons that
would take hours are extrapolated from a part that is timed, and their rows say so.
"""

import copy
import itertools
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lib import codec, cpu, data, evaluation, flops, pruning, study, training, vgg
from lib.geometry import filters_to_remove
from lib.schedule import Schedule

ALTERNATIONS = 4  # of two variants that take a fraction of a second


@dataclass(frozen=True)
class Scale:
    """How much is measured: tests measure less. The target rows hold at full scale only."""

    width: float = 1.0
    matrix: int = 4096
    batch: int = 128
    steps: int = 3  # timed training steps of the full network
    images: int = 250  # of an evaluation
    singles: int = 6  # filters removed one at a time
    rounds: int = 3
    gpu_images: int = 50_000  # of a training epoch


@dataclass(frozen=True)
class Row:
    """One measured value; a rate of arithmetic is given in operations a second, and shown in % of the product."""

    what: str
    against: str
    value: float
    unit: str
    at_least: float | None = None
    below: float | None = None
    of_product: bool = False
    product: float | None = None  # operations a second of the matrix product in the same round


def timed(function, *arguments, **options):
    """(seconds, result) of one call."""
    began = time.perf_counter()
    result = function(*arguments, **options)
    return time.perf_counter() - began, result


def matrix_rate(size):
    """Floating-point operations a second of a size³ float32 matrix product."""
    a, b, product = torch.randn(size, size), torch.randn(size, size), torch.ones(size, size)
    return 2 * size**3 / timed(torch.matmul, a, b, out=product)[0]


def fit(model, inputs, targets, loss, count, batch, **options):
    """Seconds of one epoch of `count` images in `training.fit`, what the studies run, after a step that warms up."""
    for images in (batch, count):
        seconds, _ = timed(training.fit, model, inputs, targets, loss, Schedule(
            epochs=1, lr=1e-3, batch_size=batch, images_per_epoch=images), seed=0, report=lambda line: None, **options)
    return seconds


def load_seconds(images, count, batch):
    """Seconds that the same epoch spends on drawing, gathering, augmenting and normalising its images."""
    began, generator = time.perf_counter(), torch.Generator().manual_seed(0)
    order = torch.randperm(len(images.train_images), generator=generator)[:count]
    choices = data.draw_augmentation(count, generator)
    for chosen, choice in zip(order.split(batch), choices.split(batch), strict=True):
        images.normalise(data.augment(images.train_images[chosen], choice))
    return time.perf_counter() - began


def training_step(scale, images):
    """The training step, augmentation included, as a rate of arithmetic; and the share of loading in it."""
    for width, limit, steps in ((scale.width, 2, scale.steps), (scale.width / 4, 10, 8 * scale.steps)):
        network = vgg.vgg16_bn(100, width)
        count = min(steps * scale.batch, len(images.train_images))
        seconds = fit(network, images.train_images, images.train_labels, F.cross_entropy, count, scale.batch,
                      prepare=images.normalise, augmented=True)
        name = f"training step, width {width:g}, batch {scale.batch}"
        if width == scale.width:
            operations = 6 * flops.count_macs(network, (3, 32, 32)) * count
            yield Row(name, f"{scale.matrix}³ float32 matrix product", operations / seconds, "%", at_least=85,
                      of_product=True)
        yield Row(f"{name}: rate", "", count / seconds, "images/s")
        yield Row(f"{name}: loading and augmentation", "the step",
                  100 * load_seconds(images, count, scale.batch) / seconds, "%", below=limit)


def bfloat16_step(scale, images):
    """The full network's training step in bfloat16 beside float32, where the processor multiplies bfloat16 itself."""
    count, seconds = min(scale.steps * scale.batch, len(images.train_images)), [float("nan")] * 2
    if cpu.multiplies_bfloat16():
        seconds = [fit(vgg.vgg16_bn(100, scale.width), images.train_images, images.train_labels, F.cross_entropy,
                       count, scale.batch, prepare=images.normalise, augmented=True, engine=engine)
                   for engine in (training.CPU, training.Engine(bfloat16=True))]
    name = f"training step, width {scale.width:g}, batch {scale.batch}, bfloat16"
    yield Row(name, "float32", seconds[0] / seconds[1], "×")
    yield Row(f"{name}: rate", "", count / seconds[1], "images/s")


def over_snr(scale, images):
    """Accuracy over SNR, the device half once an image, between two full forward passes."""
    pixels, labels = images.test_images[:scale.images], images.test_labels[:scale.images]
    points = study.load("paper").evaluation
    passes = len(points.snr_db) * points.draws
    for pool, bandwidth in ((2, 2048), (4, 128)):
        network = vgg.vgg16_bn(100, scale.width)
        pipeline = codec.Pipeline(network, pool, codec.link(pool, vgg.channels_at(network, pool), bandwidth, 10.0))
        pipeline.eval()
        evaluation.forward(pipeline, pixels, images.normalise)
        first, _ = timed(evaluation.forward, pipeline, pixels, images.normalise)
        ours, _ = timed(evaluation.over_snr, pipeline.transmit, pipeline.receive, pipeline.link.channel, pixels,
                        labels, images.normalise, points.snr_db, points.draws)
        second, _ = timed(evaluation.forward, pipeline, pixels, images.normalise)
        macs = flops.count_macs(pipeline, (3, 32, 32))
        device = macs_until_channel(pipeline)
        allowed = passes * macs / (device + passes * (macs - device))
        saving = passes * (first + second) / 2 / ours
        name = f"accuracy over {len(points.snr_db)} SNRs × {points.draws} draws, pool {pool}"
        yield Row(f"{name}: saving", f"{passes} full forward passes (two timed)", saving, "×")
        yield Row(f"{name}: of the saving that the MACs allow, {allowed:.2f}×", f"{passes} full forward passes",
                  100 * saving / allowed, "%", at_least=90)


def macs_until_channel(pipeline):
    """Multiply-accumulates of the device half and its encoder."""
    return (flops.count_macs(pipeline.device_half, (3, 32, 32))
            + flops.count_macs(pipeline.link.encoder, pipeline.feature_shape()))


def remove_filters(scale, images):
    """Score once, then remove 512 filters at once or one at a time, each time a new network."""
    network = training.CPU.place(vgg.vgg16_bn(100, scale.width)).eval()  # as step 2 has it
    count = round(512 * min(1, scale.width))
    batch = images.normalise(images.train_images[:scale.batch]), images.train_labels[:scale.batch]
    pruning.taylor_scores(network, [batch], 5)
    scoring, scores = timed(pruning.taylor_scores, network, [batch], 5)
    selecting, removed = timed(pruning.select, scores, count)
    at_once, _ = timed(pruning.remove_filters, network, removed)
    layers = list(removed)
    singles = 0.0
    for number in range(scale.singles):  # spread over the layers, as the 512 are
        seconds, network = timed(pruning.remove_filters, network, {layers[number * len(layers) // scale.singles]: [0]})
        singles += seconds
    one_by_one = count * singles / scale.singles
    against = f"one at a time ({scale.singles} timed, {count} extrapolated)"
    yield Row(f"scoring ({scale.batch} images) and removing {count} filters before pool 5", f"{against}, scored once",
              (scoring + selecting + one_by_one) / (scoring + selecting + at_once), "×", at_least=10)
    yield Row(f"removing {count} filters alone", against, one_by_one / at_once, "×")


def stored_features(scale, images):
    """The autoencoder's pretraining on stored features, or with the device half run anew in every epoch."""
    pixels, epochs = images.train_images[:4 * scale.batch], study.load("paper").autoencoder.epochs
    for pool, bandwidth in ((2, 512), (4, 128)):
        network = vgg.vgg16_bn(100, scale.width).eval()
        device, _ = vgg.split(network, pool)

        @torch.no_grad()
        def features(batch, device=device):
            return device(images.normalise(batch))

        link = codec.link(pool, vgg.channels_at(network, pool), bandwidth, 14.5)
        options = {"targets": None, "loss": F.l1_loss, "count": len(pixels), "batch": scale.batch}
        anew = fit(link, pixels, prepare=features, **options)
        extracting, stored = timed(evaluation.forward, device, pixels, images.normalise)
        epoch = fit(link, stored.half(), **options)
        yield Row(f"autoencoder's {epochs} epochs on stored features, pool {pool}, B = {bandwidth}",
                  "features anew every epoch (one epoch of each timed)",
                  epochs * anew / (extracting + epochs * epoch), "×", at_least=5)


def halves(scale, images):
    """The device half before pool 2, and the same at ratio 0.5 by Taylor scores, batch norm folded in both."""
    torch.manual_seed(0)  # the same pair in every round
    network = vgg.vgg16_bn(100, scale.width).eval()
    batch = images.normalise(images.train_images[:scale.batch]), images.train_labels[:scale.batch]
    scores = pruning.taylor_scores(network, [batch], 2)
    count = filters_to_remove(sum(map(len, scores.values())), 0.5)
    pruned = pruning.remove_filters(network, pruning.select(scores, count))
    return [fold_batch_norm(vgg.split(model, 2)[0]) for model in (network, pruned)]


def fold_batch_norm(module):
    """A copy for inference: in every nn.Sequential, batch norm goes into the convolution right before it."""
    folded = copy.deepcopy(module).eval()
    for part in [part for part in folded.modules() if isinstance(part, nn.Sequential)]:
        for (name, layer), (following, norm) in itertools.pairwise(list(part.named_children())):
            if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(part, name, fuse_conv_bn_eval(layer, norm))
                setattr(part, following, nn.Identity())
    return folded


def device_half(scale, images):
    """Inference of a pruned device half and of the unpruned one, by turns."""
    pair = halves(scale, images)
    pixels = images.normalise(images.test_images[:scale.images])
    seconds = [0.0, 0.0]
    for turn in range(ALTERNATIONS + 1):
        spent = [timed(evaluation.forward, half, pixels)[0] for half in pair]
        if turn:  # the first one warms up
            seconds = [total + new for total, new in zip(seconds, spent, strict=True)]
    macs = [flops.count_macs(half, (3, 32, 32)) for half in pair]
    promised, found = macs[0] / macs[1], seconds[0] / seconds[1]
    name = "device half, ratio 0.5, pool 2, batch norm folded"
    yield Row(f"{name}: saving", "unpruned", found, "×")
    yield Row(f"{name}: of the saving that the MACs promise, {promised:.2f}×", "unpruned", 100 * found / promised, "%",
              at_least=60)


def pruned_layers(scale, images):
    """One dict a layer of that half: filters, MACs and seconds, unpruned and pruned."""
    pair = halves(scale, images)
    pixels = images.normalise(images.test_images[:scale.images])
    macs = [[flops.count_macs(layer, shape) for layer, shape in convolution_inputs(half)] for half in pair]
    seconds = [torch.tensor([layer_seconds(half, pixels) for half in pair])
               for _ in range(ALTERNATIONS + 1)][1:]
    seconds = torch.stack(seconds).median(0).values
    filters = [[layer.out_channels for layer, _ in convolution_inputs(half)] for half in pair]
    return [{"layer": number + 1, "filters": filters[0][number], "left": filters[1][number],
             "macs": macs[0][number], "macs_left": macs[1][number],
             "seconds": seconds[0, number].item(), "seconds_left": seconds[1, number].item()}
            for number in range(len(macs[0]))]


@torch.inference_mode()
def convolution_inputs(half):
    """[(convolution, shape of its input without the batch)] of a device half."""
    x, found = torch.zeros(1, 3, 32, 32), []
    for layer in half:
        found += [(layer, x.shape[1:])] if isinstance(layer, nn.Conv2d) else []
        x = layer(x)
    return found


@torch.inference_mode()
def layer_seconds(half, x):
    """Seconds of each convolution of a device half, with the ReLU and pooling after it."""
    seconds = []
    for layer in half:
        spent, x = timed(layer, x)
        if isinstance(layer, nn.Conv2d):
            seconds.append(0.0)
        seconds[-1] += spent
    return seconds
