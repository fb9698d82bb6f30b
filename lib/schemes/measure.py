"""One run of another scheme: train it where it is trained, count what it costs, measure its accuracy over SNR.

Each function takes a job whose parameters say which model, and returns (metrics, evaluation, history or None).
A digital scheme is designed for one SNR, decodes without error from there on and fails below.
"""

import math
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F

from lib import codec, evaluation, flops, pruning
from lib.networks import structure
from lib.schemes import bottlenet as learned, deepjscc, features as coding, label as labels, pictures, rates

NAMES = {"png": "PNG", "jpeg": "JPEG", "webp": "WebP", "bottlenet": "BottleNet", "bottlenet_plus": "BottleNet++",
         "jalad": "JALAD", "two_step": "Two-step pruning", "deepjscc": "DeepJSCC image", "separation": "Separation",
         "label": "Label code"}
Measured = tuple[dict, pd.DataFrame, pd.DataFrame | None]


def measure(job: Any) -> Measured:
    """Run the scheme that the job names (lib.study has checked its parameters)."""
    scheme = job.run.parameters["scheme"]
    # By name and not by `if`: a scheme without a function is an error here.
    function = {"png": picture, "jpeg": picture, "webp": picture, "bottlenet": bottlenet, "jalad": jalad,
                "bottlenet_plus": jscc, "deepjscc": jscc, "two_step": two_step, "separation": separation,
                "label": label}[scheme]
    metrics, points, history = function(job, **job.run.parameters)
    return {"scheme": NAMES[scheme], **metrics}, points, history


def picture(job: Any, scheme: str, snr_db: float, level: int | None = None, **_: Any) -> Measured:
    """The image as a file at capacity, without JPEG's header; the whole network on the edge, none on the device."""
    images = job.data
    # The decoded pictures, since JPEG and WebP lose something.
    size, header, decoded = pictures.image_bytes(images.test_images, scheme.upper(), level)
    logits = evaluation.forward(job.network(), decoded, images.normalise, engine=job.engine)
    # Of the mean file: a digital link is designed for what pictures need on average.
    metrics, points, _ = _digital(job, logits, 8 * (size - header), snr_db, device_macs=0)
    return {**metrics, "symbols_with_header": _symbols(job, 8 * size, snr_db)}, points, None


def jalad(job: Any, pool: int, level: int, snr_db: float, **_: Any) -> Measured:
    """JALAD [5]: the unpruned split's features, quantised to `level` bits and entropy coded."""
    return _coded_features(job, job.network(), pool, level, snr_db, None)


def two_step(job: Any, pool: int, level: int, snr_db: float, ratio: float, **_: Any) -> Measured:
    """Two-step pruning [14]: pruned for computation (upstream), then the split layer for transmission."""
    images, network = job.data, job.network()
    # A generator of its own, so that scoring takes no random number from training.
    chosen = torch.randperm(len(images.train_images), generator=torch.Generator().manual_seed(job.seed))
    batches = [(images.normalise(images.train_images[part].to(job.engine.device)),
                images.train_labels[part].to(job.engine.device))
               for part in chosen[:job.study.prune.score_images].split(250)]
    # The second step of [14] ranks the split layer alone, here by our criterion.
    scores = pruning.taylor_scores(job.engine.place(network), batches, pool)
    count = int(job.study.baselines.split_layer_ratio * structure.channels_at(network, pool))
    network = coding.prune_split_layer(network, pool, scores, count)
    # Trained after the cut as ours is after each of its own.
    history = job.fit(network, images.train_images, images.train_labels, F.cross_entropy, job.study.prune.training,
                      prepare=images.normalise, augmented=True)
    return _coded_features(job, network, pool, level, snr_db, history)


def _coded_features(job, network, pool, level, snr_db, history):
    images, (device, edge) = job.data, structure.split(network, pool)
    # What both ends know is learned from training images; test images decide nothing.
    learning = _evenly(images.train_images, job.study.baselines.learning_images)
    known = evaluation.forward(device, images.train_images[learning], images.normalise, engine=job.engine)
    features = evaluation.forward(device, images.test_images, images.normalise, engine=job.engine)
    received, bits = coding.jalad(features, level, known)
    metrics, points, _ = _digital(job, evaluation.forward(edge, received, engine=job.engine), bits.mean().item(),
                                  snr_db, flops.count_macs(device, job.image))
    return metrics, points, history


def bottlenet(job: Any, pool: int, level: int, snr_db: float, **_: Any) -> Measured:
    """BottleNet [6] with `level` reduced channels; symbols with and without JPEG's header, which never changes."""
    network, images = job.network(), job.data
    link = learned.BottleNet(pool, structure.channels_at(network, pool), level, job.study.baselines.jpeg_quality)
    pipeline = codec.Pipeline(network, pool, link)
    history = _train(job, pipeline)
    latent = evaluation.forward(torch.nn.Sequential(pipeline.device_half, link.encoder), images.test_images,
                                images.normalise, engine=job.engine)
    whole, payload = (8 * sizes.double().mean().item() for sizes in link.channel.sizes(latent))
    # Once for all SNRs: from its own on, a digital scheme has the same accuracy.
    logits = evaluation.forward(pipeline, images.test_images, images.normalise, engine=job.engine)
    macs = flops.count_macs(pipeline.device_half, job.image)
    metrics, points, _ = _digital(job, logits, payload, snr_db,
                                  macs + flops.count_macs(link.encoder, pipeline.feature_shape()))
    return {**metrics, "symbols_with_header": _symbols(job, whole, snr_db)}, points, history


def jscc(job: Any, scheme: str, bandwidth: int, snr_db: float, pool: int | None = None, **_: Any) -> Measured:
    """BottleNet++ [7], or the image itself through DeepJSCC [8]: analogue symbols over our channel."""
    network, images = job.network(), job.data
    if scheme == "deepjscc":
        link = deepjscc.image_link(bandwidth, snr_db, job.study.baselines.image_gdn)
        pipeline, shape, macs = deepjscc.ImagePipeline(network, link), job.image, 0
        # Images first, as [8] trains it; then for the class, as the others are.
        first = [job.fit(link, images.train_images, None, F.mse_loss, job.study.baselines.image, stage="-image",
                         prepare=images.normalise, augmented=True).assign(phase=0)]
    else:
        link = learned.bottlenet_plus(pool, structure.channels_at(network, pool), bandwidth, snr_db)
        pipeline = codec.Pipeline(network, pool, link)
        shape, macs, first = pipeline.feature_shape(), flops.count_macs(pipeline.device_half, job.image), []
    history = pd.concat([*first, _train(job, pipeline)], ignore_index=True)
    points = evaluation.over_snr(  # BottleNet++'s encoder sees the SNR, so only the device half is shared
        pipeline.device_half, lambda features: pipeline.edge_half(link(features)), link.channel, images.test_images,
        images.test_labels, images.normalise, job.study.snrs_db(snr_db), job.study.evaluation.draws, engine=job.engine)
    # Analogue symbols have no blocks: both counts are the bandwidth.
    return ({"symbols": bandwidth, "symbols_finite": bandwidth,
             "device_macs": macs + flops.count_macs(link.encoder, shape),
             "accuracy_at_snr": points[points.snr_db == snr_db].accuracy.mean()}, points, history)


def separation(job: Any, pool: int, ratio: float, bandwidth: int, snr_db: float, **_: Any) -> Measured:
    """Our pruned split's features, quantised and sent at capacity for each SNR in turn, known in advance.

    A row of the evaluation is a design of its own for that SNR, right from there on and chance below: of the codes
    that fit, the one with which the edge half classifies training images best.
    """
    images, network = job.data, job.network()
    device, edge = structure.split(network, pool)
    chosen = _evenly(images.train_images, job.study.baselines.learning_images)
    known, features = (evaluation.forward(device, part, images.normalise, engine=job.engine)
                       for part in (images.train_images[chosen], images.test_images))
    # Training images, or the choice among codes would be made on what is reported.
    tried = _evenly(chosen, job.study.baselines.tried_images)
    labels = images.train_labels[chosen][tried]

    def accuracy(code):
        return evaluation.accuracy(edge, code(known[tried])[0], labels, torch.Tensor.float, engine=job.engine)

    rows = []
    for design in job.study.snrs_db(snr_db):
        # None where no code fits the capacity, and accuracy then is chance.
        code = max(coding.feature_codes(known, bandwidth, design), key=accuracy, default=None)
        logits = None if code is None else evaluation.forward(edge, code(features)[0], engine=job.engine)
        rows.append(_point(job, logits, design))
    points = pd.DataFrame(rows)
    macs = flops.count_macs(device, job.image)
    return ({"symbols": bandwidth, "symbols_finite": bandwidth, "device_macs": macs,
             "accuracy_at_snr": points[points.snr_db == snr_db].accuracy.mean()}, points, None)


def label(job: Any, bandwidth: int, snr_db: float, **_: Any) -> Measured:
    """The class that the whole network finds on the device, sent as a fixed code; the edge only decodes it."""
    images, network = job.data, job.network()
    code = job.engine.place(labels.LabelCode(job.study.classes, bandwidth, snr_db)).eval()
    points = evaluation.over_snr(
        lambda batch: code.encode(network(batch)), lambda symbols: code.decode(code.channel(symbols)), code.channel,
        images.test_images, images.test_labels, images.normalise, job.study.snrs_db(snr_db), job.study.evaluation.draws,
        engine=job.engine)
    return ({"symbols": bandwidth, "symbols_finite": bandwidth, "device_macs": flops.count_macs(network, job.image),
             "minimum_distance": labels.minimum_distance(code.words.double().cpu().numpy()),
             "accuracy_at_snr": points[points.snr_db == snr_db].accuracy.mean()}, points, None)


def _evenly(images, count):
    """`count` indices (all, if there are fewer), evenly spaced: the shipped subset is sorted by class."""
    # The same every time, without random numbers.
    return torch.linspace(0, len(images) - 1, min(count, len(images))).long()


def _train(job, pipeline):
    images, spec = job.data, job.study.baselines
    return learned.train_in_phases(job.fit, pipeline, images.train_images, images.train_labels, spec.frozen,
                                     spec.everything, prepare=images.normalise, augmented=True)


def _digital(job, logits, bits, snr_db, device_macs):
    """Metrics and the cliff over SNR of a digital scheme that is designed for `snr_db`."""
    # A code made for one capacity fails below it, whatever is sent.
    points = pd.DataFrame([_point(job, logits if snr >= snr_db else None, snr) for snr in job.study.snrs_db(snr_db)])
    return ({"bits": bits, "symbols": _symbols(job, bits, snr_db), "symbols_finite": _symbols(job, bits, snr_db, True),
             "device_macs": device_macs, "accuracy_at_snr": points[points.snr_db == snr_db].accuracy.mean()},
            points, None)


def _symbols(job, bits, snr_db, finite=False):
    return int(rates.symbols_for_bits(math.ceil(bits), snr_db, finite, job.study.baselines.block_error))


def _point(job, logits, snr_db):
    """A row of an evaluation table; without logits, chance."""
    labels, classes = job.data.test_labels, job.study.classes
    if logits is None:
        # No images behind it: differences that are paired by class or image leave it out.
        chance = {name: 1 / classes for name in ("accuracy", "accuracy_selecting", "accuracy_reporting")}
        return {"snr_db": snr_db, "draw": 0, **chance, "right_by_class": None, "right": None}
    return evaluation.point(snr_db, 0, logits.argmax(1).cpu() == labels, labels, classes)
