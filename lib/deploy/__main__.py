"""python -m lib.deploy export | images | quantise | edge | device | receive | demo | latency, each with --help."""

import argparse
import functools
import json
import signal
import threading
from pathlib import Path

from lib.device import __main__ as device
from lib.execution import processes

say = functools.partial(print, flush=True)


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
    command.add_argument("--listen", type=device.address, default=("127.0.0.1", 5040), metavar="HOST:PORT")
    command.add_argument("--snr", type=float, help="dB; the SNR of training, if not given")
    command.add_argument("--draw", type=int, default=0, help="number of the noise draw")
    command.add_argument("--secret", default="", help="the same at both ends: others cannot forge a datagram")
    command = add(receive, "folder", "symbols")
    command.add_argument("--labels", type=Path)
    add(demo, "folder").add_argument("graphs", type=Path, nargs="+")
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
    from lib.device.client import read_link

    name = read_link(options.folder)["data"]
    pictures, labels = data.load(name, split="test")
    np.save(options.folder / "images.npy", pictures.numpy())
    np.save(options.folder / "labels.npy", labels.numpy())
    say(f"{options.folder}: images.npy and labels.npy, {len(labels)} test images of {name}")


def quantise(options: argparse.Namespace) -> None:
    """Write the device half in eight bits, and compare it with float32 over SNR."""
    from lib import data
    from lib.deploy import int8
    from lib.device.client import read_link

    dataset = data.dataset(read_link(options.folder)["data"])
    int8.quantise(options.folder, dataset.train_images[:int8.CALIBRATION].numpy())
    say(int8.compare(options.folder, dataset, [0.0, 5.0, 10.0, 14.5, 20.0]).to_string(
        index=False, float_format=lambda value: f"{value:.2f}"))


def edge(options: argparse.Namespace) -> None:
    """Wait for symbols, send them through the channel, answer with logits."""
    from lib import channel as channels
    from lib.deploy.edge import Receiver, Server

    receiver = Receiver(options.folder, None if options.snr is None else channels.AWGN(options.snr), options.draw)
    server = Server(receiver, options.listen, options.secret, say)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    say(f"edge of {receiver.link.get('run', 'a pipeline')} at {options.listen[0]}:{options.listen[1]}, "
        f"{receiver.channel.snr_db:g} dB")
    server.serve(stopped.is_set)
    say(json.dumps(server.counts, sort_keys=True))


def receive(options: argparse.Namespace) -> None:
    """Classify received symbols from a .cf32 file, without a channel of ours."""
    import numpy as np

    from lib.device.client import read_cf32, read_labels, read_link, session

    link = read_link(options.folder)
    symbols = read_cf32(options.symbols, link["bandwidth"])
    logits = session(options.folder / "edge.onnx").run(None, {"symbols": symbols})[0]
    labels = read_labels(options.labels, len(logits))
    if labels is None:
        say("\n".join(str(link.get("names", range(link["classes"]))[label]) for label in logits.argmax(1)))
    else:
        say(f"accuracy {100 * np.mean(logits.argmax(1) == labels):.2f} % of {len(labels)} images")


def demo(options: argparse.Namespace) -> None:
    """Write a page for the browser that shows one exported model, or two side by side."""
    from lib.deploy import demo

    size = demo.write(options.folder, options.graphs[:2])
    say(f"{size / 1e6:.1f} MB; python -m http.server --directory {options.folder}, then http://localhost:8000")


def latency(options: argparse.Namespace) -> None:
    """Measure a device graph: p50 and p95 of an image, by layer, memory, air time."""
    import numpy as np

    from lib.deploy import latency as measured
    from lib.device import timing
    from lib.device.client import Encoder

    encoder = Encoder(options.folder)
    image = np.random.default_rng(0).integers(0, 256, encoder.shape, np.uint8)
    said = timing.in_words(lambda: encoder(image), encoder.link["device_macs"])
    air = measured.air_time_ms(encoder.link["bandwidth"], options.symbol_rate)
    say(f"{said}\n"
        f"on the air {air:.2f} ms at {options.symbol_rate:g} real symbols a second\n"
        f"peak memory {measured.peak_memory_mib(options.folder):.0f} MiB")
    say(measured.by_layer(options.folder, image).to_string(index=False, float_format=lambda value: f"{value:.3f}"))


def main(arguments: list[str]) -> int:
    """Do what is asked; returns the exit code."""
    if arguments[:1] == ["device"]:  # in `lib.device`, which runs without the rest of this project too
        return device.main(arguments[1:])
    options = parser().parse_args(arguments)
    options.call(options)
    return 0


if __name__ == "__main__":
    processes.command_line(main)
