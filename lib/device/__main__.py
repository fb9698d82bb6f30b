"""python -m lib.device FOLDER --images PICTURES [--edge HOST:PORT], or --latency."""

import argparse
import functools
import json
import sys
import time
from pathlib import Path

import numpy as np

from lib import InputError
from lib.device import client, frames, timing

say = functools.partial(print, flush=True)


def address(text: str) -> tuple[str, int]:
    """HOST:PORT."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host, int(port)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m lib.device")
    parser.add_argument("folder", type=Path, help="with device.onnx and link.json")
    parser.add_argument("--edge", type=address, default=("127.0.0.1", 5040), metavar="HOST:PORT")
    parser.add_argument("--images", type=Path, help="a .npy file, a picture, or a folder of pictures")
    parser.add_argument("--labels", type=Path, help="a .npy file; then the accuracy is said too")
    parser.add_argument("--count", type=int, help="only so many images")
    parser.add_argument("--graph", default="device.onnx", help="or device-int8.onnx")
    parser.add_argument("--save", type=Path, metavar="FILE.cf32", help="the symbols as interleaved float32 IQ pairs")
    parser.add_argument("--patience", type=float, default=30, help="seconds to wait for an edge server")
    parser.add_argument("--secret", default="", help="the edge's: then others cannot forge an answer")
    parser.add_argument("--latency", action="store_true", help="no link: how long an image takes on this machine")
    options = parser.parse_args(arguments)
    if options.latency == bool(options.images):
        parser.error("either --images or --latency")
    return options


def send(options: argparse.Namespace) -> None:
    """Send images to the edge, one after the other, and say what came back."""
    encoder = client.Encoder(options.folder, options.graph)
    pictures = client.read_images(options.images, encoder.link["side"])[:options.count]
    labels = client.read_labels(options.labels, len(pictures))
    link = client.Client(frames.key_of(encoder.link, options.secret), options.edge, encoder.link["classes"],
                         patience=options.patience, say=say)
    start, sent, read = time.perf_counter(), [], []
    for symbols, logits in client.classify(encoder, link, pictures):
        sent.append(symbols)
        read.append(int(logits.argmax()))
    seconds = time.perf_counter() - start
    link.close()
    names = encoder.link.get("names", range(encoder.link["classes"]))
    if len(read) <= 20:  # by name only what can be read at a glance
        say("\n".join(f"image {number}: {names[label]}" for number, label in enumerate(read)))
    if labels is not None:
        say(f"accuracy {100 * np.mean(np.array(read) == labels):.2f} % of {len(read)} images")
    say(f"{1e3 * seconds / len(read):.2f} ms an image, both ends; peak memory of this process "
        f"{timing.own_peak_mib():.0f} MiB; peak-to-average power {client.papr_db(np.stack(sent)):.1f} dB")
    say(json.dumps(link.counts, sort_keys=True))
    if options.save:
        client.write_cf32(options.save, np.stack(sent))


def latency(options: argparse.Namespace) -> None:
    """How long one image takes on one thread of this machine, and the memory that it takes."""
    encoder = client.Encoder(options.folder, options.graph)
    image = np.random.default_rng(0).integers(0, 256, encoder.shape, np.uint8)
    said = timing.in_words(lambda: encoder(image), encoder.link["device_macs"])
    say(f"{said}; peak memory of this process {timing.own_peak_mib():.0f} MiB")


def main(arguments: list[str]) -> int:
    """Do what is asked; returns the exit code."""
    options = parse(arguments)
    try:
        latency(options) if options.latency else send(options)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
