"""Runs of the other schemes: what each costs and how often it is right, counted again by hand."""

import io
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from helpers import TINY
from lib import data, evaluation, pruning, study, training, vgg
from lib.codec import GDN
from lib.schemes import features as coding, label as labels, measure as schemes, rates

BATCH = 20  # of evaluations
SNR_DB, CAPACITY = 14.5, 0.5 * math.log2(1 + 10**1.45)
NAMES = {"png": "PNG", "jpeg": "JPEG", "webp": "WebP", "bottlenet": "BottleNet", "bottlenet_plus": "BottleNet++",
         "jalad": "JALAD", "two_step": "Two-step pruning", "deepjscc": "DeepJSCC image", "separation": "Separation",
         "label": "Label code"}
DEVICE_MACS = 32**2 * 9 * (3 * 8 + 8 * 8) + 16**2 * 9 * (8 * 16 + 16 * 16)  # up to pool 2, at an eighth of the width


class Job:
    """What a scheme asks of lib.job.Job, on a few images; a fit is recorded and trains nothing."""

    def __init__(self, network, images, settings, seed, **parameters):
        self.run, self.study, self.data = SimpleNamespace(parameters=parameters), settings, images
        self.engine, self.seed, self.fits = training.Engine(batch_size=BATCH), seed, []
        self.image = (3, 32, 32)
        self.network = lambda: network

    def fit(self, model, inputs, targets, loss, schedule, stage="", **options):
        model = self.engine.place(model).eval()
        self.fits.append(SimpleNamespace(model=model, inputs=inputs, targets=targets, loss=loss,
                                         schedule=schedule, stage=stage, frozen=frozen_halves(model), **options))
        return pd.DataFrame({"epoch": [1], "loss": [1.0]})


def frozen_halves(model):
    halves = [getattr(model, name, None) for name in ("device_half", "edge_half")]
    return [not parameter.requires_grad for half in halves if half for parameter in half.parameters()]


@pytest.fixture(scope="module")
def images(pictures):
    """60 training and 40 test images."""
    whole = data.dataset("mini")
    return data.Dataset(whole.train_images[::84], None, pictures[0], None, whole.mean, whole.std)


@pytest.fixture(scope="module")
def network(make_network, images):
    """A network that says all classes, because its logits are standardised; two of three labels are what it says."""
    network, parts = training.CPU.place(make_network()), [images.train_images, images.test_images]
    with torch.no_grad():
        logits, last = network(images.normalise(parts[0])), network.classifier[-1]
        last.bias.copy_((last.bias - logits.mean(0)) / logits.std(0))
        last.weight.div_(logits.std(0)[:, None])
        images.train_labels, images.test_labels = (
            (network(images.normalise(part)).argmax(1) + (torch.arange(len(part)) % 3 == 0)) % 10 for part in parts)
    assert len(images.test_labels.unique()) == 10
    return network


@pytest.fixture
def settings(tmp_path):
    """The tiny study, evaluated at three SNRs; everything is learned from all 60 training images."""
    (tmp_path / "tiny.yaml").write_text(
        TINY.replace("snr_db: [0.0, 14.5]", "snr_db: [-30.0, 14.5, 60.0]")
        .replace("score_images: 50", "score_images: 60").replace("  runs:", "  block_error: 0.01\n  runs:"))
    return study.load(tmp_path / "tiny.yaml")


@pytest.fixture
def measure(network, images, settings):
    """measure(scheme, …): (metrics, evaluation, history or None, the job)."""
    def call(scheme, baselines=None, prune=None, seed=0, **parameters):
        changed = settings.model_copy(update={"baselines": settings.baselines.model_copy(update=baselines or {}),
                                              "prune": settings.prune.model_copy(update=prune or {})})
        job = Job(network, images, changed, seed, scheme=scheme, snr_db=SNR_DB, **parameters)
        sizes = []
        watch = network.features[0].register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
        metrics, points, history = schemes.measure(job)
        watch.remove()
        assert max(sizes) == BATCH or scheme == "two_step"  # whose Taylor scores have batches of their own
        assert metrics["scheme"] == NAMES[scheme]
        return metrics, points, history, job
    return call


def right(logits, images):
    return logits.argmax(1) == images.test_labels


def accuracies(right, images):
    """Over all images, the half that selects and the half that reports: of each class, every other image."""
    selects = torch.zeros(len(right), dtype=torch.bool)
    for label in range(10):
        selects[(images.test_labels == label).nonzero().flatten()[::2]] = True
    return [right.float().mean().item(), right[selects].float().mean().item(), right[~selects].float().mean().item()]


def assert_a_cliff(points, logits, images):
    """Chance below the design SNR; from there on, the same images are right."""
    columns = ["accuracy", "accuracy_selecting", "accuracy_reporting"]
    expected, correct = accuracies(right(logits, images), images), images.test_labels[right(logits, images)]
    assert points.snr_db.tolist() == [-30, 14.5, 60] and points.draw.tolist() == [0, 0, 0]
    assert points.loc[0, columns].tolist() == [0.1] * 3 and pd.isna(points.right_by_class[0])
    for row in (1, 2):
        assert points.loc[row, columns].tolist() == pytest.approx(expected)
        assert points.right_by_class[row] == " ".join(str((correct == label).sum().item()) for label in range(10))


def assert_sent_at_capacity(metrics, bits):
    """Symbols at capacity, and the fewest by the normal approximation at a block error rate of 0.01."""
    lengths = np.arange(1, 20_000)
    carried = lengths * rates.rate(SNR_DB, lengths, 0.01)
    assert metrics["bits"] == pytest.approx(bits)
    assert metrics["symbols"] == math.ceil(math.ceil(bits) / CAPACITY)
    assert metrics["symbols_finite"] == lengths[carried >= math.ceil(bits)][0] > metrics["symbols"]


# Pictures

@pytest.mark.parametrize("scheme, level, options", [
    ("png", None, {"optimize": True}), ("jpeg", 20, {"quality": 20}), ("webp", 20, {"quality": 20})])
def test_a_picture_is_sent_as_its_file_without_jpegs_header(measure, network, images, scheme, level, options):
    files, decoded = [], []
    for image in images.test_images:
        buffer = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(buffer, scheme, **options)
        files.append(buffer.getvalue())
        decoded.append(torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1))
    whole = 8 * sum(map(len, files)) / len(files)
    header = 8 * (files[0].index(b"\xff\xda") + 14 + 2) if scheme == "jpeg" else 0  # its last segment, the end marker
    metrics, points, history, _ = measure(scheme, level=level)
    assert_sent_at_capacity(metrics, whole - header)
    assert metrics["symbols_with_header"] == math.ceil(math.ceil(whole) / CAPACITY)
    assert metrics["device_macs"] == 0 and history is None
    logits = network(images.normalise(torch.stack(decoded)))
    assert_a_cliff(points, logits, images)
    assert metrics["accuracy_at_snr"] == pytest.approx(right(logits, images).float().mean().item())


# Coded features

def jalad_by_hand(known, features, bits):
    """(received features, mean bits an image): uniform levels over the known features' range, an ideal code."""
    known, features = (part.detach().double().numpy() for part in (known, features))
    low, step = known.min(), (known.max() - known.min()) / (2**bits - 1)
    levels = np.clip(np.round((features - low) / step), 0, 2**bits - 1).astype(int)
    lengths = np.zeros(len(features))
    for channel in range(features.shape[1]):
        seen = np.bincount(np.round((known[:, channel] - low) / step).astype(int).ravel(), minlength=2**bits) + 1
        lengths += -np.log2(seen / seen.sum())[levels[:, channel]].sum((1, 2))
    return torch.tensor(low + levels * step).float(), (np.ceil(lengths) + 1).mean()


@pytest.mark.parametrize("learned, indices", [(60, range(60)), (2, [0, 59])])
def test_jalad_codes_the_features_of_the_unpruned_split(measure, network, images, learned, indices):
    metrics, points, history, _ = measure("jalad", {"learning_images": learned}, pool=2, level=4)
    device, edge = vgg.split(network, 2)
    known, features = (device(images.normalise(part)) for part in (images.train_images[[*indices]], images.test_images))
    received, bits = jalad_by_hand(known, features, 4)
    assert metrics["bits"] == pytest.approx(bits, abs=0.2)
    assert_sent_at_capacity(metrics, metrics["bits"])
    assert_a_cliff(points, edge(received), images)
    assert metrics["device_macs"] == DEVICE_MACS and history is None


def test_two_step_pruning_removes_the_split_layers_lowest_filters_and_trains(measure, network, images, settings):
    metrics, points, history, job = measure("two_step", {"split_layer_ratio": 0.3}, pool=2, level=4, ratio=0.5)
    (fit,) = job.fits
    scores = pruning.taylor_scores(network, [(images.normalise(images.train_images), images.train_labels)], 2)
    lowest = scores["features.10"].argsort()[:4]  # int(0.3·16)
    expected = pruning.remove_filters(network, {"features.10": lowest.tolist()}).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in fit.model.state_dict().items())
    assert (fit.loss, fit.schedule, fit.augmented) == (F.cross_entropy, settings.prune.training, True)
    assert fit.prepare == images.normalise
    assert torch.equal(fit.inputs, images.train_images) and torch.equal(fit.targets, images.train_labels)
    assert metrics["device_macs"] == DEVICE_MACS - 16**2 * 9 * 16 * 4 and len(history) == 1
    device, edge = vgg.split(fit.model, 2)
    received, bits = jalad_by_hand(device(images.normalise(images.train_images)),
                                   device(images.normalise(images.test_images)), 4)
    assert metrics["bits"] == pytest.approx(bits, abs=0.2)
    assert_a_cliff(points, edge(received), images)


def test_two_step_pruning_scores_other_training_images_for_another_seed(measure, images, monkeypatch):
    scored, scores = [], pruning.taylor_scores

    def record(network, batches, pool):
        scored.append([torch.cat(part) for part in zip(*batches, strict=True)])
        return scores(network, batches, pool)

    monkeypatch.setattr(pruning, "taylor_scores", record)
    every, indices = images.normalise(images.train_images), []
    for seed in (0, 0, 1):
        measure("two_step", prune={"score_images": 20}, seed=seed, pool=2, level=4, ratio=0.5)
        found, labels = scored.pop()
        indices.append([(every == image).flatten(1).all(1).nonzero().item() for image in found])
        assert torch.equal(labels, images.train_labels[indices[-1]]) and len(set(indices[-1])) == 20
    assert indices[0] == indices[1] != indices[2]


# Learned schemes

def assert_trained_in_two_phases(fits, settings):
    """The link alone, then all of it; with cross-entropy, on augmented and normalised images."""
    assert [fit.stage for fit in fits] == ["-phase1", "-phase2"]
    assert [fit.schedule for fit in fits] == [settings.baselines.frozen, settings.baselines.everything]
    assert [set(fit.frozen) for fit in fits] == [{True}, {False}]
    assert all(fit.loss is F.cross_entropy and fit.augmented for fit in fits)
    assert all(fit.prepare.__name__ == "normalise" for fit in fits)


def test_bottlenet_sends_its_jpeg_without_the_header(measure, images, settings):
    metrics, points, history, job = measure("bottlenet", {"jpeg_quality": 30}, pool=2, level=4)
    assert_trained_in_two_phases(job.fits, settings)
    pipeline = job.fits[0].model
    latent = pipeline.link.encoder(pipeline.device_half(images.normalise(images.test_images)))
    assert latent.shape[1:] == (4, 4, 4) and pipeline.link.channel.quality == 30
    whole, payload = (8 * sizes.double().mean().item() for sizes in pipeline.link.channel.sizes(latent))
    assert_sent_at_capacity(metrics, payload)
    assert metrics["symbols_with_header"] == math.ceil(math.ceil(whole) / CAPACITY)
    assert metrics["device_macs"] == DEVICE_MACS + 8**2 * 16 * 4 + 4**2 * 4 * 4 * 4
    assert_a_cliff(points, pipeline(images.normalise(images.test_images)), images)
    assert history.phase.tolist() == [1, 2]


def assert_measured_through_the_whole_pipeline(points, metrics, pipeline, images):
    """Every draw at every SNR, images to logits, with the noise that evaluations draw."""
    expected = []
    for snr_db in (-30.0, 14.5, 60.0):
        for draw in range(2):
            pipeline.link.channel.snr_db, logits = snr_db, []
            for number, part in enumerate(images.test_images.split(BATCH)):
                torch.manual_seed(1_000_003 * (draw + 1) + number)
                logits.append(pipeline(images.normalise(part)))
            expected.append(accuracies(right(torch.cat(logits), images), images))
    assert points[["accuracy", "accuracy_selecting", "accuracy_reporting"]].to_numpy() == pytest.approx(
        np.array(expected))
    assert metrics["accuracy_at_snr"] == pytest.approx((expected[2][0] + expected[3][0]) / 2)


def test_bottlenet_plus_sends_its_bandwidth(measure, images, settings):
    metrics, points, history, job = measure("bottlenet_plus", pool=2, bandwidth=64)
    assert_trained_in_two_phases(job.fits, settings)
    assert metrics["symbols"] == metrics["symbols_finite"] == 64
    assert metrics["device_macs"] == DEVICE_MACS + 4**2 * 2 * 2 * 17 * 4  # of 16 channels and the noise plane, to 4
    assert job.fits[0].model.link.channel.snr_db == SNR_DB and history.phase.tolist() == [1, 2]
    assert_measured_through_the_whole_pipeline(points, metrics, job.fits[0].model, images)


@pytest.mark.parametrize("gdn", [False, True])
def test_deepjscc_learns_images_then_sends_them(measure, network, images, settings, gdn):
    metrics, points, history, job = measure("deepjscc", {"image_gdn": gdn}, bandwidth=128)
    first, *phases = job.fits
    assert_trained_in_two_phases(phases, settings)
    assert (first.stage, first.targets, first.loss, first.augmented) == ("-image", None, F.mse_loss, True)
    assert first.schedule == settings.baselines.image and first.model is phases[0].model.link
    assert any(isinstance(module, GDN) for module in first.model.modules()) == gdn
    products = gdn * (16**2 * 16**2 + 8**2 * (3 * 32**2 + 2**2))
    assert metrics["device_macs"] == products + 25 * (16**2 * 3 * 16 + 8**2 * (16 * 32 + 2 * 32 * 32 + 32 * 2))
    assert metrics["symbols"] == metrics["symbols_finite"] == 128 and history.phase.tolist() == [0, 1, 2]
    assert phases[0].model.edge_half is network
    assert_measured_through_the_whole_pipeline(points, metrics, phases[0].model, images)


# The separation baseline

def test_separation_is_chance_where_nothing_fits_and_the_network_where_everything_does(measure, network, images):
    metrics, points, history, _ = measure("separation", pool=2, ratio=0.5, bandwidth=1024)
    clean = accuracies(right(network(images.normalise(images.test_images)), images), images)
    columns = ["accuracy", "accuracy_selecting", "accuracy_reporting"]
    assert points.snr_db.tolist() == [-30, 14.5, 60] and points.loc[0, columns].tolist() == [0.1] * 3
    assert points.loc[2, columns].tolist() == pytest.approx(clean)
    assert metrics["accuracy_at_snr"] == points.accuracy[1]
    assert metrics["symbols"] == metrics["symbols_finite"] == 1024
    assert metrics["device_macs"] == DEVICE_MACS and history is None


@pytest.mark.parametrize("reverse", [False, True])
def test_separation_takes_the_code_that_classifies_training_images_best(measure, network, images, monkeypatch, reverse):
    asked, tried = [], []

    def perfect(features):
        tried.append(features)
        return features, None

    def two_codes(known, bandwidth, snr_db):
        asked.append((known, bandwidth, snr_db))
        codes = [lambda features: (0 * features, None), perfect]
        return codes[::-1] if reverse else codes

    monkeypatch.setattr(coding, "feature_codes", two_codes)
    _, points, _, _ = measure("separation", {"learning_images": 30, "tried_images": 10}, pool=2, ratio=0.5,
                              bandwidth=64)
    expected = accuracies(right(network(images.normalise(images.test_images)), images), images)[0]
    assert points.accuracy.tolist() == pytest.approx([expected] * 3) and expected > 0.5
    features = evaluation.forward(vgg.split(network, 2)[0], images.train_images, images.normalise)
    known = features[np.linspace(0, 59, 30).astype(int)]
    assert all(torch.equal(given, known) for given, _, _ in asked)
    assert [rest for _, *rest in asked] == [[64, -30], [64, 14.5], [64, 60]]
    assert torch.equal(tried[0], known[np.linspace(0, 29, 10).astype(int)])


# The label code

def test_the_label_code_sends_what_the_network_says(measure, network, images, settings):
    metrics, points, history, job = measure("label", pool=5, ratio=0.0, bandwidth=6)
    said = network(images.normalise(images.test_images)).argmax(1)
    code = labels.LabelCode(10, 6, SNR_DB)
    expected = []
    for snr_db in (-30, 14.5, 60):
        for draw in range(2):
            received = []
            for number, part in enumerate(said.split(BATCH)):
                torch.manual_seed(1_000_003 * (draw + 1) + number)
                received.append(code.words[part] + 10 ** (-snr_db / 20) * torch.randn(len(part), 6))
            nearest = torch.cdist(torch.cat(received), code.words).argmin(1)
            expected.append(accuracies(nearest == images.test_labels, images))
    assert points[["accuracy", "accuracy_selecting", "accuracy_reporting"]].to_numpy() == pytest.approx(
        np.array(expected))
    assert expected[-1] == accuracies(said == images.test_labels, images)  # nothing is lost on a good channel
    assert metrics["accuracy_at_snr"] == pytest.approx((expected[2][0] + expected[3][0]) / 2)
    assert metrics["symbols"] == metrics["symbols_finite"] == 6 and history is None and job.fits == []
    assert metrics["minimum_distance"] == pytest.approx(torch.pdist(code.words).min().item(), abs=1e-5)
    blocks = 8**2 * 9 * (16 * 32 + 2 * 32**2) + 4**2 * 9 * (32 * 64 + 2 * 64**2) + 2**2 * 9 * 3 * 64**2
    classifier = 64 * 512 + 512**2 + 512 * 10
    assert metrics["device_macs"] == DEVICE_MACS + blocks + classifier
