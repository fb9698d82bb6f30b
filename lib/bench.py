"""Speed on this machine: what the engine reaches, beside what it is compared with, in the same rounds.

    ./run_all.sh bench      writes outputs/bench/<machine>.csv and .md

Variants take turns in one process, each round beside the machine's own float32 matrix product, because on a
shared machine only ratios within a round mean anything.
"""

import importlib.metadata
import re
import time

import pandas as pd
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lib import codec, data, evaluation, flops, provenance, pruning, run, study, training, vgg
from lib.schedule import Schedule

ROUNDS = 3
SNRS_DB, DRAWS = tuple(range(-5, 7)), 3  # 12 points × 3 draws
EPOCHS = 40  # of the paper's autoencoder


def main(width=1.0, matrix=4096, batch=128, images=250, single=5):
    """Measure, print and store the table; returns the exit code. Tests give small sizes."""
    torch.manual_seed(0)
    sizes = {"width": width, "matrix": matrix, "batch": batch, "images": images, "single": single}
    measured = {}
    for number in range(ROUNDS):
        print(f"round {number + 1} of {ROUNDS}", flush=True)
        product = matrix_rate(matrix)
        for measure in (training_step, over_snr, remove_filters, stored_features, device_half):
            for row in measure(product=product, **sizes):
                measured.setdefault(row["what"], []).append(row)
    rows = [{"what": what, "against": found[0]["against"], "median": (values := pd.Series(
        [row["value"] for row in found])).median(), "least": values.min(), "most": values.max(),
        "unit": found[0]["unit"], "target": found[0]["target"],
        "reached": "yes" if found[0]["good"](values.median()) else "no"} for what, found in measured.items()]
    store(pd.DataFrame([*rows, *shared_work(), *gpu()]))
    return 0


def row(what, against, value, target, good, unit="×"):
    return {"what": what, "against": against, "value": value, "target": target, "good": good, "unit": unit}


def timed(function, *arguments):
    """(seconds, result) of one call."""
    began = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - began, result


def matrix_rate(size):
    """Floating-point operations a second of a float32 matrix product."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    a @ b
    return 2 * size**3 / timed(torch.matmul, a, b)[0]


def training_step(product, width, batch, **_):
    """`training.fit` itself, images and augmentation included, and the share of loading and augmentation."""
    for relative, limit in ((width, 2), (width / 4, 10)):
        network = vgg.vgg16_bn(100, relative)
        pixels = torch.randint(0, 256, (3 * batch, 3, 32, 32), dtype=torch.uint8)
        labels = torch.randint(0, 100, (len(pixels),))

        def prepare(images):
            return images.float().sub_(120.0).div_(70.0)

        def load(pixels=pixels):
            for chunk in pixels.split(batch):
                prepare(data.augment(chunk, data.draw_augmentation(len(chunk), None)))

        def fit(epochs, network=network, pixels=pixels, labels=labels):
            return training.fit(network, pixels, labels, nn.functional.cross_entropy,
                                Schedule(epochs=epochs, lr=1e-3, batch_size=batch), seed=0, prepare=prepare,
                                augmented=True, report=lambda line: None)

        seconds = fit(2).seconds.iloc[-1]  # the first epoch warms up
        loading = timed(load)[0]
        if relative == width:
            operations = 6 * flops.count_macs(network, (3, 32, 32)) * len(pixels)
            yield row("training step, full network", "matrix product", 100 * operations / seconds / product, "≥ 85 %",
                      lambda value: value >= 85, "%")
            yield row("training, full network", "", len(pixels) / seconds, "", lambda value: True, "images/s")
        yield row(f"loading and augmentation, width {relative:g}", "the training step", 100 * loading / seconds,
                  f"< {limit} %", lambda value, limit=limit: value < limit, "%")


def over_snr(width, images, **_):
    """12 SNRs × 3 draws: the device half once, against a full forward pass for each."""
    for pool in (2, 4):
        network = vgg.vgg16_bn(100, width)
        pipeline = codec.Pipeline(network, pool, codec.link(pool, vgg.channels_at(network, pool), 128, 10.0)).eval()
        training.CPU.place(pipeline)
        pixels, labels = torch.randn(images, 3, 32, 32), torch.zeros(images, dtype=torch.long)
        full, _ = timed(evaluation.forward, pipeline, pixels)
        ours, _ = timed(lambda p=pipeline, x=pixels, y=labels: evaluation.over_snr(
            p.transmit, p.receive, p.link.channel, x, y, torch.Tensor.float, SNRS_DB, DRAWS))
        passes = len(SNRS_DB) * DRAWS
        whole = flops.count_macs(pipeline, (3, 32, 32))
        device = flops.count_macs(pipeline.device_half, (3, 32, 32)) + flops.count_macs(
            pipeline.link.encoder, pipeline.feature_shape())
        allowed = passes * whole / (device + passes * (whole - device))
        saving = passes * full / ours
        yield row(f"accuracy over SNR, pool {pool}", "a full forward pass each", saving, "", lambda value: True)
        yield row(f"the same, of the {allowed:.1f}× that the MACs allow, pool {pool}", "", 100 * saving / allowed,
                  "≥ 90 %", lambda value: value >= 90, "%")


def remove_filters(width, batch, single, **_):
    """Score once and remove 512 filters at once, against one new network a filter (a few timed, extrapolated)."""
    network = vgg.vgg16_bn(100, width).eval()
    count = round(512 * min(1, width))
    batches = [(torch.randn(batch, 3, 32, 32), torch.randint(0, 100, (batch,)))]
    scoring, scores = timed(pruning.taylor_scores, network, batches, 5)
    removed = pruning.select(scores, count)
    at_once, _ = timed(pruning.remove_filters, network, removed)
    one = [timed(pruning.remove_filters, network, {name: indices[:1]})[0]
           for name, indices in list(removed.items())[:single]]
    yield row(f"removing {count} filters, without scoring", f"one at a time ({len(one)} timed)",
              count * sum(one) / len(one) / at_once, "", lambda value: True)
    yield row(f"scoring and removing {count} filters", f"one at a time ({len(one)} timed)",
              (scoring + count * sum(one) / len(one)) / (scoring + at_once), "≥ 10×", lambda value: value >= 10)


def stored_features(width, batch, images, **_):
    """The autoencoder's 40 epochs on stored features, against the device half again in every epoch (pool 2)."""
    network = vgg.vgg16_bn(100, width).eval()
    device, _ = vgg.split(network, 2)
    pixels = torch.randn(max(2 * batch, images), 3, 32, 32)
    extracting, features = timed(evaluation.forward, device, pixels)
    link = codec.link(2, features.shape[1], 512, 14.5)
    curve = training.fit(link, features.half(), None, nn.functional.l1_loss,
                         Schedule(epochs=2, lr=1e-3, batch_size=batch), seed=0, report=lambda line: None)
    epoch = curve.seconds.iloc[-1]
    yield row(f"autoencoder, {EPOCHS} epochs on stored features, pool 2", "features anew in every epoch",
              EPOCHS * (extracting + epoch) / (extracting + EPOCHS * epoch), "≥ 5×", lambda value: value >= 5)


def device_half(width, images, **_):
    """A device half at ratio 0.5, pool 2, batch norm folded, against the unpruned one, as a share of the MACs."""
    network = vgg.vgg16_bn(100, width).eval()
    total = sum(layer.out_channels for layer in vgg.convolutions(network, 2).values())
    pruned = pruning.remove_filters(network, pruning.select(pruning.magnitude_scores(network, 2), total // 2))
    pixels = torch.randn(images, 3, 32, 32)
    times, macs = [], []
    for model in (network, pruned):
        half = fold_batch_norm(vgg.split(model, 2)[0])
        evaluation.forward(half, pixels[:8])
        times.append(timed(evaluation.forward, half, pixels)[0])
        macs.append(flops.count_macs(half, (3, 32, 32)))
    promised = 1 - macs[1] / macs[0]
    yield row(f"time saved by pruning the device half, of the {100 * promised:.0f} % of MACs", "the unpruned half",
              100 * (1 - times[1] / times[0]) / promised, "≥ 60 %", lambda value: value >= 60, "%")


def fold_batch_norm(half):
    """A copy of a device half (convolution, batch norm, ReLU, pooling …) with batch norm in the convolutions."""
    layers = list(half)
    return nn.Sequential(*(fuse_conv_bn_eval(layer, layers[index + 1]) if isinstance(layer, nn.Conv2d) else layer
                           for index, layer in enumerate(layers) if not isinstance(layer, nn.BatchNorm2d))).eval()


def shared_work():
    """The image passes of a study as ordered, against each end-to-end model trained from nothing by itself."""
    for profile in ("desk", "paper"):
        loaded = study.load(profile)
        listed = {item.name: item for item in study.runs(loaded)}
        passes = {name: study.image_passes(loaded, item) for name, item in listed.items()}
        models = [name for name, item in listed.items() if item.step in ("end_to_end", "baselines")]
        alone = sum(sum(passes[name] for name in study.needs(listed, model)) for model in models)
        saving = alone / sum(passes.values())
        yield {"what": f"image passes of the study {profile}, counted", "against": "each point trained by itself",
               "median": saving, "least": saving, "most": saving, "unit": "×", "target": "≥ 3×",
               "reached": "yes" if saving >= 3 else "no"}


def gpu():
    """Training rate of the full network on a GPU (bfloat16, compiled), against eager float32."""
    if not torch.cuda.is_available():
        yield {"what": "GPU training, bfloat16 and compiled", "against": "eager float32", "unit": "×",
               "target": "≥ 5×, 40,000 images/s", "reached": "not measured here"}
        return
    pixels, labels = torch.randint(0, 256, (25_600, 3, 32, 32), dtype=torch.uint8), torch.randint(0, 100, (25_600,))
    rates = {}
    for fast in (False, True) * ROUNDS:
        engine = training.Engine(torch.device("cuda"), bfloat16=fast, compile=fast)
        curve = training.fit(vgg.vgg16_bn(100), pixels, labels, nn.functional.cross_entropy,
                             Schedule(epochs=3, lr=1e-3), seed=0, augmented=True, engine=engine,
                             report=lambda line: None)
        rates.setdefault(fast, []).append(len(pixels) / curve.seconds.iloc[-1])
    ratios = pd.Series(rates[True]) / pd.Series(rates[False])
    yield {"what": f"GPU training, {max(rates[True]):.0f} images/s", "against": "eager float32, same loop", "unit": "×",
           "median": ratios.median(), "least": ratios.min(), "most": ratios.max(), "target": "≥ 5×, 40,000 images/s",
           "reached": "yes" if ratios.median() >= 5 and max(rates[True]) >= 40_000 else "no"}


def store(table):
    """Write the table as CSV and Markdown, with the machine and the versions in its head."""
    machine = provenance.device()
    stem = study.ROOT / "outputs" / "bench" / re.sub(r"[^a-z0-9]+", "-", machine.lower()).strip("-")
    stem.parent.mkdir(parents=True, exist_ok=True)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "torchvision"))
    lines = [f"{machine}; {torch.get_num_threads()} threads; {versions}; {ROUNDS} rounds, median (least to most).", "",
             "| what | against | measured | target | reached |", "|---|---|---|---|---|"]
    for item in table.itertuples():
        value = "" if pd.isna(item.median) else f"{item.median:.3g} {item.unit} ({item.least:.3g} to {item.most:.3g})"
        lines.append(f"| {item.what} | {item.against} | {value} | {item.target} | {item.reached} |")
    run.replace(stem.with_suffix(".csv"), lambda path: table.to_csv(path, index=False, float_format="%.4g"))
    run.replace(stem.with_suffix(".md"), lambda path: path.write_text("\n".join(lines) + "\n"))
    print("\n".join(lines))
