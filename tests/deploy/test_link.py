"""Two ends and what stands between them: the right answer or none, whatever the network does."""

import contextlib
import math
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from relay import Relay

from lib import InputError, evaluation, study
from lib.deploy.edge import Receiver, Server
from lib.deploy.graphs import CIFAR100_MEAN, CIFAR100_STD
from lib.device import frames
from lib.device.client import (
    Client,
    Encoder,
    as_iq,
    classify,
    papr_db,
    read_cf32,
    read_images,
    read_link,
    write_cf32,
)


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serving(end):
    """An end that serves in a thread."""
    stop = threading.Event()
    thread = threading.Thread(target=end.serve, args=(stop.is_set,), daemon=True)
    thread.start()
    try:
        yield end
    finally:
        stop.set()
        thread.join()
        end.socket.close()


def client(folder, port, **options):
    link = read_link(folder)
    return Client(frames.key_of(link), ("127.0.0.1", port), link["classes"], **{"say": lambda line: None} | options)


def server(folder, port, **options):
    return Server(Receiver(folder), ("127.0.0.1", port), **{"say": lambda line: None} | options)


def directly(folder, images):
    """The logits of each image without a link, under the same noise."""
    encoder, receiver = Encoder(folder), Receiver(folder)
    return [receiver(number, encoder(image)) for number, image in enumerate(images)]


def test_over_the_link_each_image_is_read_as_the_study_reads_it(make_pipeline, exported, pictures):
    images, labels = pictures
    port = free_port()
    with serving(server(exported, port)):
        read = np.array([logits.argmax() for _, logits in classify(Encoder(exported), client(exported, port),
                                                                   images.numpy())])
    pipeline, shape = make_pipeline(), (1, 3, 1, 1)

    def normalise(batch):
        return (batch - torch.tensor(CIFAR100_MEAN).view(shape)) / torch.tensor(CIFAR100_STD).view(shape)

    points = evaluation.over_snr(pipeline.transmit, pipeline.receive, pipeline.link.channel, images, labels, normalise,
                                 [14.5], 1, batch_size=1)
    expected = evaluation.unpack(points.right[0], len(images)).numpy()
    assert ((read == labels.numpy()) == expected).all()


def test_a_bad_network_changes_no_answer(exported, pictures):
    images = pictures[0].numpy()
    expected = directly(exported, images)
    edge_port, relay_port = free_port(), free_port()
    rates = {"lose": 0.1, "double": 0.1, "delay": 0.1, "truncate": 0.1, "damage": 0.1, "forge": 0.1}
    between = Relay(("127.0.0.1", relay_port), ("127.0.0.1", edge_port), rates)
    with serving(server(exported, edge_port)) as edge, serving(between):
        asking = client(exported, relay_port, timeout=0.03)
        found = [logits for _, logits in classify(Encoder(exported), asking, images)]
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    assert all(between.counts[fault] for fault in rates)
    assert edge.counts["answered"] == len(images) and edge.counts["asked again or doubled"]
    assert asking.counts["asked again"] and asking.counts["late or doubled, dropped"]
    refused = sum(count for counts in (edge.counts, asking.counts) for reason, count in counts.items()
                  if reason.startswith("refused"))
    assert refused >= between.counts["forge"]


def test_hostile_datagrams_are_counted_and_answered_by_nobody(exported):
    edge, noise = server(exported, free_port()), random.Random(0)
    key, bandwidth = edge.key, edge.receiver.link["bandwidth"]
    power = np.full(bandwidth, 2, np.float32)
    for datagram in (
            b"", noise.randbytes(60_000), noise.randbytes(40),
            frames.pack(frames.Frame(frames.SYMBOLS, 1, 1, 1, power), key),  # louder than allowed
            frames.pack(frames.Frame(frames.SYMBOLS, 1, 1, 1, power[1:] / 2), key),
            frames.pack(frames.Frame(frames.ANSWER, 1, 1, 1, power / 2), key),
            frames.pack(frames.Frame(frames.SYMBOLS, 1, 1, 1, power / 2), b"another key")):
        assert edge.answer(datagram) is None
    assert sum(edge.counts.values()) == 7 and not edge.counts["answered"] and not edge.devices
    edge.socket.close()


def test_an_answer_to_somebody_else_is_not_taken(exported):
    """A server that answers with a true frame of another session, of an earlier and of a later question, and then."""
    link = read_link(exported)
    key, truth = frames.key_of(link), np.arange(link["classes"], dtype=np.float32)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as fake:
        fake.bind(("127.0.0.1", 0))
        asking = client(exported, fake.getsockname()[1], timeout=2)

        def answer():
            datagram, sender = fake.recvfrom(frames.LARGEST)
            asked = frames.unpack(datagram, key)
            for session, sequence, values in ((asked.session ^ 1, asked.sequence, -truth),
                                              (asked.session, asked.sequence - 1, -truth),
                                              (asked.session, asked.sequence + 1, -truth),
                                              (asked.session, asked.sequence, truth[1:]),
                                              (asked.session, asked.sequence, truth)):
                fake.sendto(frames.pack(frames.Frame(frames.ANSWER, session, sequence, 0, values), key), sender)

        thread = threading.Thread(target=answer)
        thread.start()
        assert asking.ask(0, np.zeros(link["bandwidth"], np.float32)).tolist() == truth.tolist()
        thread.join()
    assert asking.counts["refused: not an answer to this device"] == 2
    assert asking.counts["late or doubled, dropped"] == asking.counts["refused: never asked"] == 1


def test_an_edge_that_dies_is_noticed_in_about_a_second_and_a_new_one_taken_up(exported, pictures):
    port, said = free_port(), []
    images = pictures[0].numpy()[:2]
    expected = directly(exported, images)
    asking, encoder = client(exported, port, say=said.append), Encoder(exported)
    with serving(server(exported, port)):
        assert np.array_equal(asking.ask(0, encoder(images[0])), expected[0])
    late = threading.Timer(1.6, lambda: stack.enter_context(serving(server(exported, port))))
    with contextlib.ExitStack() as stack:
        late.start()
        assert np.array_equal(asking.ask(1, encoder(images[1])), expected[1])
        late.join()
    assert "has been silent for 1." in said[0] and "answers again" in said[1]


def test_where_nobody_ever_answers_one_sentence_says_so(exported):
    with pytest.raises(InputError, match="No edge server of these graphs has answered"):
        client(exported, free_port(), patience=0.3).ask(0, np.zeros(64, np.float32))


def test_a_device_that_falls_silent_is_noticed_in_about_a_second(exported):
    said, port = [], free_port()
    with serving(server(exported, port, say=said.append)):
        first, second = client(exported, port), client(exported, port)
        for device in (first, second):
            device.ask(0, np.zeros(64, np.float32))
        second.close()
        time.sleep(1.3)
    assert [line for line in said if "silent" in line] == [f"device {first.session:08x} has been silent for 1.0 s"] or \
        sum("silent" in line for line in said) == 1


@pytest.mark.slow
def test_two_processes_and_a_kill(exported, pictures, tmp_path):
    """As a user starts them; the edge is killed in between and started anew, and no image is lost."""
    np.save(tmp_path / "images.npy", pictures[0].numpy())
    np.save(tmp_path / "labels.npy", np.array([logits.argmax() for logits in directly(exported, pictures[0].numpy())]))
    port = str(free_port())
    command = [sys.executable, "-m", "lib.deploy"]
    options = {"cwd": study.ROOT, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT,
               "env": {**os.environ, "OMP_NUM_THREADS": "1"}}
    start_edge = [*command, "edge", str(exported), "--listen", f"127.0.0.1:{port}"]
    edge = subprocess.Popen(start_edge, **options)
    assert "14.5 dB" in edge.stdout.readline()
    device = subprocess.Popen([*command, "device", str(exported), "--edge", f"127.0.0.1:{port}", "--images",
                               str(tmp_path / "images.npy"), "--labels", str(tmp_path / "labels.npy"),
                               "--save", str(tmp_path / "sent.cf32")], **options)
    assert "is there" in edge.stdout.readline()
    edge.kill()
    edge.wait()
    edge = subprocess.Popen(start_edge, **options)
    said = device.communicate(timeout=60)[0]
    edge.send_signal(signal.SIGTERM)
    assert '"answered"' in edge.communicate(timeout=20)[0] and edge.returncode == 0
    assert device.returncode == 0 and f"accuracy 100.00 % of {len(pictures[0])} images" in said
    assert read_cf32(tmp_path / "sent.cf32", 64).shape == (len(pictures[0]), 64)


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "sentence"), [
    (["edge", "nowhere"], "holds no exported graphs"),
    (["device", "{exported}", "--images", "nowhere.png"], "cannot be read as a picture"),
    (["device", "{exported}", "--images", "{images}", "--graph", "x.onnx"], "has no x.onnx"),
    (["export", "nowhere", "{new}"], "holds no finished run"),
    (["device", "{exported}", "--images", "{images}", "--edge", "nowhere"], "is not HOST:PORT")])
def test_bad_input_is_one_sentence_and_exit_code_2(exported, tmp_path, arguments, sentence):
    np.save(tmp_path / "images.npy", np.zeros((1, 3, 32, 32), np.uint8))
    places = {"exported": exported, "images": tmp_path / "images.npy", "new": tmp_path / "new"}
    done = subprocess.run([sys.executable, "-m", "lib.deploy", *[text.format(**places) for text in arguments]],
                          cwd=study.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and sentence in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "new").exists()


def test_an_image_of_another_size_or_kind_is_refused(exported):
    encoder = Encoder(exported)
    for image in (np.zeros((3, 16, 16), np.uint8), np.zeros((3, 32, 32), np.float32), np.zeros((32, 32, 3), np.uint8)):
        with pytest.raises(InputError, match="must be uint8"):
            encoder(image)


def test_pictures_of_any_size_and_mode_are_read(tmp_path):
    from PIL import Image

    for name, size, mode in (("a.png", (40, 20), "RGB"), ("b.jpg", (32, 32), "L"), ("c.png", (9, 70), "RGBA"),
                             ("d.png", (33, 33), "P")):
        Image.new(mode, size, 128 if mode in ("L", "P") else (128,) * len(mode)).save(tmp_path / name)
    images = read_images(tmp_path)
    assert images.shape == (4, 3, 32, 32) and images.dtype == np.uint8 and (images[:3] == 128).all()
    (tmp_path / "e.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="e.png cannot be read"):
        read_images(tmp_path)


def test_arrays_that_are_no_images_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 32, 32)))
    np.save(tmp_path / "b.npy", np.array([{}], dtype=object))
    for name, message in (("a.npy", "must hold uint8"), ("b.npy", "cannot be read as a NumPy array")):
        with pytest.raises(InputError, match=message):
            read_images(tmp_path / name)


@pytest.mark.parametrize("bandwidth", [8, 5])
def test_symbols_survive_a_file(tmp_path, bandwidth):
    symbols = np.random.default_rng(0).normal(size=(3, bandwidth)).astype(np.float32)
    write_cf32(tmp_path / "s.cf32", symbols)
    assert (read_cf32(tmp_path / "s.cf32", bandwidth) == symbols).all()
    pairs = np.fromfile(tmp_path / "s.cf32", np.complex64)  # as GNU Radio reads it
    assert pairs[0] == symbols[0, 0] + 1j * symbols[0, 1] and len(pairs) == 3 * -(-bandwidth // 2)
    with pytest.raises(InputError, match="whole images"):
        read_cf32(tmp_path / "s.cf32", 100)


def test_peak_to_average_power_of_known_signals():
    circle = np.tile([1.0, 0.0, 0.0, 1.0], (1, 4))  # constant envelope
    assert papr_db(circle) == pytest.approx(0)
    one_of_four = np.array([[2.0, 0, 0, 0, 0, 0, 0, 0]])  # a single complex symbol of four
    assert papr_db(one_of_four) == pytest.approx(10 * math.log10(4))
    assert as_iq(np.ones((1, 3))).tolist() == [[1, 1, 1, 0]]
