"""Image in, symbols out, answer back; and symbols as files."""

import hashlib
import json
import secrets
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lib import InputError
from lib.device import frames

PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


def read_link(folder: Path) -> dict:
    """link.json of an exported folder, its graphs checked against their checksums."""
    try:
        link = json.loads((Path(folder) / "link.json").read_text())
        for name, expected in link["sha256"].items():
            if hashlib.sha256((Path(folder) / name).read_bytes()).hexdigest() != expected:
                raise InputError(f"{Path(folder) / name} is not the file that was exported with link.json beside it.")
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder} holds no exported graphs: `python -m lib.deploy export RUN {folder}` "
                         "writes them.") from error
    return link


def session(path: Path, threads: int = 1, profile: str = "") -> Any:
    """An onnxruntime session on the CPU; one thread, as a small device has, unless asked otherwise.

    With `profile`, the beginning of a path, it writes how long each node takes.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def read_array(path: Path) -> np.ndarray:
    """The array of a .npy file. Raises InputError."""
    try:
        return np.load(path, allow_pickle=False)  # a pickle would be code
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a NumPy array.") from error


def read_images(path: Path, side: int = 32) -> np.ndarray:
    """uint8 images [N, 3, side, side] of a .npy file, one picture, or a folder of pictures by name.

    A picture of another size is cropped to a square and resized. Raises InputError, naming the file.
    """
    path = Path(path)
    if path.suffix == ".npy":
        images = read_array(path)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (3, side, side):
            raise InputError(f"{path} must hold uint8 images [N, 3, {side}, {side}], not {images.dtype} "
                             f"{list(images.shape)}.")
        return images
    files = sorted(file for file in path.glob("*") if file.suffix.lower() in PICTURES) if path.is_dir() else [path]
    if not files:
        raise InputError(f"There is no picture in {path}.")
    return np.stack([_picture(file, side) for file in files])


def read_labels(path: Path | None, images: int) -> np.ndarray | None:
    """The first labels [images] of a .npy file, or None."""
    labels = None if path is None else read_array(path)
    if labels is not None and (labels.ndim != 1 or len(labels) < images):
        raise InputError(f"{path} has {len(labels)} labels for {images} images.")
    return None if labels is None else labels[:images]


def _picture(path, side):
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            # Decoding is refused for more than 25 megapixels: a few kilobytes can unfold to gigabytes.
            if picture.width * picture.height > 25_000_000:
                raise InputError(f"{path} has more than 25 megapixels.")
            square = ImageOps.fit(picture.convert("RGB"), (side, side), Image.Resampling.BICUBIC)
            return np.asarray(square).transpose(2, 0, 1)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be read as a picture.") from error


class Encoder:
    """The device's graph: uint8 image [3, H, W] to B real symbols of unit mean square."""

    def __init__(self, folder: Path, graph: str = "device.onnx", threads: int = 1):
        self.link = read_link(folder)
        if graph not in self.link["sha256"]:
            raise InputError(f"{folder} has no {graph}: it has {', '.join(sorted(self.link['sha256']))}.")
        self.run, self.shape = session(Path(folder) / graph, threads).run, (3, *[self.link["side"]] * 2)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        if image.dtype != np.uint8 or image.shape != self.shape:
            raise InputError(f"An image must be uint8 {list(self.shape)}, not {image.dtype} {list(image.shape)}.")
        return self.run(None, {"image": image[None]})[0][0]


class Client:
    """A question at a time to the edge server, asked again until it is answered; counts what else arrives."""

    def __init__(self, key: bytes, edge: tuple[str, int], classes: int, *, timeout: float = 0.2, silence: float = 1.0,
                 patience: float = 30.0, say: Callable = print):
        self.key, self.classes, self.say = key, classes, say
        self.timeout, self.silence, self.patience = timeout, silence, patience
        self.name, self.counts = f"{edge[0]}:{edge[1]}", Counter()
        self.session, self.sequence = secrets.randbits(32), 0
        try:
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.connect(edge)
        except OSError as error:
            raise InputError(f"{self.name} is no address that can be sent to ({error}).") from error

    def ask(self, image: int, symbols: np.ndarray) -> np.ndarray:
        """The edge's logits [classes] for one image's symbols.

        Raises InputError when no edge answers for `patience` seconds. In between it goes on asking, so that an edge
        that is started anew, there or behind the same address, is taken up.
        """
        self.sequence += 1
        question = frames.pack(frames.Frame(frames.SYMBOLS, self.session, self.sequence, image, symbols), self.key)
        asked, noticed = time.monotonic(), False
        self.counts["asked"] += 1
        while True:
            logits = self._try(question)
            waited = time.monotonic() - asked
            if logits is not None:
                if noticed:
                    self.say(f"the edge at {self.name} answers again after {waited:.1f} s")
                return logits
            self.counts["asked again"] += 1
            if waited >= self.silence and not noticed:
                noticed = True
                self.say(f"the edge at {self.name} has been silent for {waited:.1f} s")
            if waited >= self.patience:
                raise InputError(f"No edge server of these graphs has answered at {self.name} for {waited:.0f} s.")

    def _try(self, question):
        """Send the question once; the answer, or None if none comes in time."""
        until = time.monotonic() + self.timeout
        try:
            self.socket.send(question)
        except OSError:  # nobody listens there: what was sent before came back as an error
            self.counts["unreachable"] += 1
        while (left := until - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                datagram = self.socket.recv(frames.LARGEST)
            except TimeoutError:
                return None
            except OSError:
                time.sleep(min(left, self.timeout))
                return None
            try:
                frame = frames.unpack(datagram, self.key)
            except frames.Refused as reason:
                self.counts[f"refused: {reason}"] += 1
                continue
            if frame.kind != frames.ANSWER or frame.session != self.session or len(frame.values) != self.classes:
                self.counts["refused: not an answer to this device"] += 1
            elif frame.sequence < self.sequence:  # of an image that is answered already: late, or twice
                self.counts["late or doubled, dropped"] += 1
            elif frame.sequence > self.sequence:
                self.counts["refused: never asked"] += 1
            else:
                return frame.values
        return None

    def close(self) -> None:
        """Take leave, so that the edge does not wait."""
        try:
            self.socket.send(frames.pack(frames.Frame(frames.BYE, self.session, self.sequence, 0), self.key))
        except OSError:
            self.counts["unreachable"] += 1
        self.socket.close()


def classify(encoder: Encoder, client: Client, images: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(symbols [B], logits [classes]) of each image [N, 3, H, W], one after the other over the link."""
    for number, image in enumerate(images):
        symbols = encoder(image)
        yield symbols, client.ask(number, symbols)


def papr_db(symbols: np.ndarray) -> float:
    """Peak-to-average power of real symbols [N, B] sent in pairs as complex ones, in dB: mean over images.

    What the amplifier of a transmitter has to leave as headroom, before pulse shaping.
    """
    power = (as_iq(symbols).reshape(len(symbols), -1, 2) ** 2).sum(2)
    return float((10 * np.log10(power.max(1) / power.mean(1))).mean())


def as_iq(symbols: np.ndarray) -> np.ndarray:
    """Real symbols [N, B] as interleaved float32 I and Q; an odd B is filled up with a zero."""
    return np.pad(symbols, ((0, 0), (0, symbols.shape[1] % 2))).astype("<f4")


def write_cf32(path: Path, symbols: np.ndarray) -> None:
    """Real symbols [N, B] as a `cf32` file, which GNU Radio's file source reads as complex numbers."""
    as_iq(symbols).tofile(path)


def read_cf32(path: Path, bandwidth: int) -> np.ndarray:
    """Real symbols [N, B] from a `cf32` file. Raises InputError if it does not hold whole images of B symbols."""
    try:
        values = np.fromfile(path, "<f4")
    except OSError as error:
        raise InputError(f"{path} cannot be read.") from error
    length = bandwidth + bandwidth % 2
    if not len(values) or len(values) % length or not np.isfinite(values).all():
        raise InputError(f"{path} must hold whole images of {length // 2} complex samples (interleaved float32), and "
                         f"has {len(values) / 2:g}.")
    return values.reshape(-1, length)[:, :bandwidth]
