"""python -m lib.deploy export | images | quantise | edge | device | receive | latency, each with --help."""

import argparse
import functools
import json
import signal
import sys
import threading
import time
from pathlib import Path

from lib import InputError

say = functools.partial(print, flush=True)


def address(text: str) -> tuple[str, int]:
    """HOST:PORT."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host, int(port)


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(prog="python -m lib.deploy")
    commands = top.add_subparsers(dest="command", required=True)

    def add(function, *names):
        command = commands.add_parser(function.__name__, help=function.__doc__.split(".")[0])
        command.set_defaults(call=function)
        for name in names:
            command.add_argument(name, type=Path)
        return command

    add(export, "run", "folder")
    add(images, "folder")
    add(quantise, "folder")
    command = add(edge, "folder")
    command.add_argument("--listen", type=address, default=("127.0.0.1", 5040), metavar="HOST:PORT")
    command.add_argument("--snr", type=float, help="dB; the SNR of training, if not given")
    command.add_argument("--draw", type=int, default=0, help="number of the noise draw")
    command.add_argument("--secret", default="", help="the same at both ends: others cannot forge a datagram")
    command = add(device, "folder")
    command.add_argument("--edge", type=address, default=("127.0.0.1", 5040), metavar="HOST:PORT")
    command.add_argument("--images", type=Path, required=True, help="a .npy file, a picture, or a folder of pictures")
    command.add_argument("--labels", type=Path, help="a .npy file; then the accuracy is said too")
    command.add_argument("--count", type=int, help="only so many images")
    command.add_argument("--graph", default="device.onnx", help="or device-int8.onnx")
    command.add_argument("--save", type=Path, metavar="FILE.cf32", help="the symbols as interleaved float32 IQ pairs")
    command.add_argument("--patience", type=float, default=30, help="seconds to wait for an edge server")
    command.add_argument("--secret", default="")
    command = add(receive, "folder", "symbols")
    command.add_argument("--labels", type=Path)
    command = add(latency, "folder")
    command.add_argument("--symbol-rate", type=float, default=1e6, help="real symbols a second on the channel")
    return top


def export(options: argparse.Namespace) -> None:
    """Write a finished run's two graphs and link.json."""
    from lib.deploy import graphs

    link = graphs.export(options.run, options.folder)
    print(f"{options.folder}: B = {link['bandwidth']}, {link['classes']} classes, "
          f"{link['device_macs'] / 1e6:.1f} million operations on the device")


def images(options: argparse.Namespace) -> None:
    """Write the test images of exported graphs, and their labels, as .npy files beside them, for the device."""
    import numpy as np

    from lib import data
    from lib.deploy.device import read_link

    name = read_link(options.folder)["data"]
    pictures, labels = data.load(name, split="test")
    np.save(options.folder / "images.npy", pictures.numpy())
    np.save(options.folder / "labels.npy", labels.numpy())
    say(f"{options.folder}: images.npy and labels.npy, {len(labels)} test images of {name}")


def quantise(options: argparse.Namespace) -> None:
    """Write the device half in eight bits, and compare it with float32 over SNR."""
    from lib import data
    from lib.deploy import int8
    from lib.deploy.device import read_link

    dataset = data.dataset(read_link(options.folder)["data"])
    int8.quantise(options.folder, dataset.train_images[:int8.CALIBRATION].numpy())
    say(int8.compare(options.folder, dataset, [0.0, 5.0, 10.0, 14.5, 20.0]).to_string(
        index=False, float_format=lambda value: f"{value:.1f}"))


def edge(options: argparse.Namespace) -> None:
    """Wait for symbols, send them through the channel, answer with logits."""
    from lib import channel as channels
    from lib.deploy.edge import Receiver, Server

    receiver = Receiver(options.folder, draw=options.draw)
    snr_db = receiver.link["snr_db"] if options.snr is None else options.snr
    receiver.channel = channels.AWGN(snr_db)
    server = Server(receiver, options.listen, options.secret, say)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    say(f"edge of {receiver.link.get('run', 'a pipeline')} at {options.listen[0]}:{options.listen[1]}, {snr_db:g} dB")
    server.serve(stopped.is_set)
    say(json.dumps(server.counts, sort_keys=True))


def device(options: argparse.Namespace) -> None:
    """Send images to the edge, one after the other, and say what came back."""
    import numpy as np

    from lib.deploy import frames
    from lib.deploy.device import Client, Encoder, classify, own_peak_mib, papr_db, read_images, write_cf32

    encoder = Encoder(options.folder, options.graph)
    pictures = read_images(options.images, encoder.link["side"])[:options.count]
    labels = read_labels(options.labels, len(pictures))
    client = Client(frames.key_of(encoder.link, options.secret), options.edge, encoder.link["classes"],
                    patience=options.patience, say=say)
    start, sent, read = time.perf_counter(), [], []
    for symbols, logits in classify(encoder, client, pictures):
        sent.append(symbols)
        read.append(int(logits.argmax()))
    seconds = time.perf_counter() - start
    client.close()
    names = encoder.link.get("names", range(encoder.link["classes"]))
    if len(read) <= 20:
        say("\n".join(f"image {number}: {names[label]}" for number, label in enumerate(read)))
    if labels is not None:
        say(f"accuracy {100 * np.mean(np.array(read) == labels):.2f} % of {len(read)} images")
    say(f"{1e3 * seconds / len(read):.2f} ms an image, both ends; peak memory of this process "
        f"{own_peak_mib():.0f} MiB; peak-to-average power "
        f"{papr_db(np.stack(sent)):.1f} dB")
    say(json.dumps(client.counts, sort_keys=True))
    if options.save:
        write_cf32(options.save, np.stack(sent))


def receive(options: argparse.Namespace) -> None:
    """Classify received symbols from a .cf32 file, without a channel of ours."""
    import numpy as np

    from lib.deploy.device import read_cf32, read_link, session

    link = read_link(options.folder)
    symbols = read_cf32(options.symbols, link["bandwidth"])
    logits = session(options.folder / "edge.onnx").run(None, {"symbols": symbols})[0]
    labels = read_labels(options.labels, len(logits))
    if labels is None:
        say("\n".join(str(link.get("names", range(link["classes"]))[label]) for label in logits.argmax(1)))
    else:
        say(f"accuracy {100 * np.mean(logits.argmax(1) == labels):.2f} % of {len(labels)} images")


def latency(options: argparse.Namespace) -> None:
    """Measure a device graph: p50 and p95 of an image, by layer, memory, air time."""
    import numpy as np

    from lib.deploy.device import Encoder
    from lib.speed import latency as measured

    encoder = Encoder(options.folder)
    image = np.random.default_rng(0).integers(0, 256, encoder.shape, np.uint8)
    seconds = measured.times([lambda: encoder(image)])[0]
    p50, p95 = 1e3 * np.quantile(seconds, [0.5, 0.95])
    air = measured.air_time_ms(encoder.link["bandwidth"], options.symbol_rate)
    rate = encoder.link["device_macs"] / p50 / 1e6
    say(f"device half and encoder, one thread, one image, after {measured.WARM_UP} images of warm-up: "
        f"p50 {p50:.2f} ms, p95 {p95:.2f} ms; {rate:.1f} billion operations a second\n"
        f"on the air {air:.2f} ms at {options.symbol_rate:g} real symbols a second\n"
        f"peak memory {measured.peak_memory_mib(options.folder):.0f} MiB")
    say(measured.by_layer(options.folder, image).to_string(index=False, float_format=lambda value: f"{value:.3f}"))


def read_labels(path: Path | None, images: int):
    """The first labels [images] of a .npy file, or None."""
    from lib.deploy.device import read_array

    labels = None if path is None else read_array(path)
    if labels is not None and (labels.ndim != 1 or len(labels) < images):
        raise InputError(f"{path} has {len(labels)} labels for {images} images.")
    return None if labels is None else labels[:images]


def main() -> int:
    """Do what is asked; returns the exit code."""
    options = parser().parse_args()
    try:
        options.call(options)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
