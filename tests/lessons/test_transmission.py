"""One image through a model: power, noise, a JPEG that fits, and pictures that are refused."""

import json
import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from lib import InputError, channel, codec, data, study
from lib.datasets import pictures
from lib.lessons import trained, transmission
from lib.schemes import pictures as coding


@pytest.fixture(scope="module")
def images():
    return data.dataset("mini")


@pytest.fixture
def model(make_network, images):
    """An untrained model with 256 symbols after pooling 2."""
    network = make_network(width=0.25)
    pipeline = codec.Pipeline(network, 2, codec.link(2, 32, 256, 14.5)).eval()
    return trained.Trained(pipeline, network, images, list(data.MINI_CLASSES), {})


@pytest.fixture
def sent(model, images):
    return transmission.Transmission(model, images.test_images[:1], seed=3)


def test_symbols_have_unit_power_and_noise_has_that_of_the_snr(sent):
    assert sent.symbols.numel() == 256 and sent.symbols.square().mean().item() == pytest.approx(1, abs=1e-5)
    noise = (sent.at(0.0).symbols - sent.symbols).square().mean().item()
    assert noise == pytest.approx(1, abs=0.3)  # 256 draws
    louder = (sent.at(-10.0).symbols - sent.symbols).square().mean().item()
    assert louder == pytest.approx(10 * noise, rel=1e-4)


def test_without_noise_the_edge_says_what_the_whole_model_says(sent, model, images):
    sent.model.pipeline.link.channel.snr_db = math.inf
    with torch.inference_mode():
        logits = model.pipeline(images.normalise(images.test_images[:1]))[0]
    best = sent.at(math.inf).best
    assert list(best.index) == [model.names[index] for index in logits.argsort(descending=True)[:5]]
    assert best.tolist() == pytest.approx(logits.softmax(0).sort(descending=True).values[:5].tolist(), rel=1e-4)


@pytest.mark.parametrize("snr_db", [14.5, 20.0])
def test_the_jpeg_is_the_best_whose_bits_fit(sent, snr_db):
    room = 256 * channel.capacity(snr_db)
    picture, quality = sent.as_jpeg(snr_db)

    def bits(quality):
        encoded, decoded = coding.code_picture(sent.image[0].permute(1, 2, 0).numpy(), "JPEG", quality)
        return 8 * (len(encoded) - coding.jpeg_header_bytes(encoded)), decoded

    assert bits(quality)[0] <= room < bits(quality + 1)[0]
    assert np.array_equal(bits(quality)[1], picture[0].permute(1, 2, 0).numpy())


def test_at_a_low_snr_no_jpeg_fits(sent):
    assert sent.as_jpeg(-20.0) is None and sent.as_jpeg(math.inf) is None


def test_the_strongest_maps_come_first_and_on_their_own_scale():
    features = torch.stack([torch.full((2, 2), 0.5), torch.tensor([[4.0, 0], [0, 0]]), torch.zeros(2, 2)])
    shown = transmission.montage(features, features, columns=2)
    assert shown.shape == (6, 6)
    assert shown[:2, :2].tolist() == [[1, 0], [0, 0]] and (shown[:2, 3:5] == 1).all() and (shown[3:5, :2] == 0).all()
    assert np.isnan(shown[3:, 3:]).all() and np.isnan(shown[2]).all()


def test_pictures_are_drawn_for_every_snr(sent):
    figures = [transmission.draw_device(sent), transmission.draw_edge(sent, [math.inf, 14.5, -20.0])]
    texts = [text.get_text() for axis in figures[1].axes for text in axis.texts]
    titles = [axis.get_title() for axis in figures[1].axes]
    for figure in figures:
        plt.close(figure)
    assert texts == ["no JPEG\nis so small"] and {"no noise", "14.5 dB", "-20 dB"} <= set(titles)


# Pictures of the reader's own

def stored(path, picture, **options):
    picture.save(path, **options)
    return str(path)


def test_a_picture_of_the_right_size_is_taken_as_it_is(tmp_path, images):
    given = images.test_images[5]
    path = stored(tmp_path / "a.png", Image.fromarray(given.permute(1, 2, 0).numpy()))
    assert torch.equal(pictures.read_picture(path)[0], given)


def test_the_middle_square_is_taken_and_transparency_becomes_white(tmp_path):
    picture = Image.new("RGB", (300, 100), "red")
    picture.paste("blue", (100, 0, 200, 100))
    found = pictures.read_picture(stored(tmp_path / "wide.jpg", picture, quality=100))
    assert found.shape == (1, 3, 32, 32) and found[0, 2].min() > 200 and found[0, 0, :, 4:28].max() < 60
    clear = pictures.read_picture(stored(tmp_path / "clear.png", Image.new("RGBA", (64, 64), (0, 0, 0, 0))))
    assert clear.min() == 255


@pytest.mark.parametrize("name, content, culprit", [
    ("missing.png", None, "missing.png cannot be read"), ("a.png", b"no picture", "a.png cannot be read"),
    ("b.jpg", b"\xff\xd8\xff\xe0 torn", "b.jpg cannot be read"), ("c.gif", "GIF", "c.gif cannot be read"),
    ("wide.png", (9000, 10), "9000 × 10 pixels"), ("tiny.png", (4, 4), "4 × 4 pixels"), (".", None, "cannot be read")])
def test_what_is_no_picture_is_refused_in_a_sentence(tmp_path, name, content, culprit):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        size = content if isinstance(content, tuple) else (40, 40)
        Image.new("RGB", size).save(path)
    with pytest.raises(InputError, match=culprit) as refused:
        pictures.read_picture(str(path))
    assert "\n" not in str(refused.value)


def test_a_torn_or_a_large_file_is_refused(tmp_path, images, monkeypatch):
    path = tmp_path / "torn.png"
    stored(path, Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)))
    monkeypatch.setattr(pictures, "LARGEST_FILE", 1000)
    with pytest.raises(InputError, match="MiB"):
        pictures.read_picture(str(path))
    monkeypatch.undo()
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match="torn.png cannot be read"):
        pictures.read_picture(str(path))


@pytest.mark.parametrize("index", [-1, 1000, 1.0, True])
def test_an_image_that_is_not_there_is_refused(model, index):
    with pytest.raises(InputError, match="from 0 to 999"):
        transmission.chosen_image(model, index, None)


# The model

def test_a_loaded_model_is_that_of_its_run(project):
    found = trained.load("tiny", pool=2, ratio=0.5, bandwidth=64, snr_db=14.5, seed=0, variant="proposed")
    stored = json.loads((study.ROOT / "outputs/tiny/end_to_end/pool2-r0.50-b64-snr14.5-s0/result.json").read_text())
    found.pipeline.link.channel.snr_db = math.inf
    with torch.inference_mode():
        logits = found.pipeline(found.images.normalise(found.images.test_images))
        whole = found.unpruned(found.images.normalise(found.images.test_images))
    accuracy = (logits.argmax(1) == found.images.test_labels).float().mean().item()
    assert accuracy == pytest.approx(stored["metrics"]["accuracy_clean"], abs=0.002)
    pretrained = json.loads((study.ROOT / "outputs/tiny/pretrain/s0/result.json").read_text())
    assert (whole.argmax(1) == found.images.test_labels).float().mean().item() == pytest.approx(
        pretrained["metrics"]["accuracy_clean"], abs=0.002)
