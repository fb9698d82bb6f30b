"""The edge server's end: symbols in, the channel's noise upon them, logits back."""

import socket
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from lib import InputError, channel as channels
from lib.device import frames
from lib.device.client import read_link, session

ANSWERS = 4096  # kept for questions that are asked again


class Receiver:
    """Channel and edge half: B symbols as they were sent to logits [classes].

    The channel is simulated here, before anything else touches the symbols. Its noise is seeded by draw and image as
    `lib.evaluation.over_snr` does with batches of one image, so that results can be compared image by image.
    """

    def __init__(self, folder: Path, channel: torch.nn.Module | None = None, draw: int = 0, threads: int = 1):
        self.link = read_link(folder)
        self.channel, self.draw = channel or channels.AWGN(self.link["snr_db"]), draw
        self.run = session(Path(folder) / "edge.onnx", threads).run

    def noisy(self, image: int, symbols: np.ndarray) -> np.ndarray:
        """What arrives of one image's symbols [B]; the same whenever it is asked."""
        torch.manual_seed(1_000_003 * (self.draw + 1) + image)
        with torch.inference_mode():
            return self.channel(torch.from_numpy(symbols.copy())[None]).numpy()

    def __call__(self, image: int, symbols: np.ndarray) -> np.ndarray:
        return self.run(None, {"symbols": self.noisy(image, symbols)})[0][0]


class Server:
    """Answers datagrams until it is stopped, and counts what it refuses."""

    def __init__(self, receiver: Receiver, address: tuple[str, int], secret: str = "", say: Callable = print):
        self.receiver, self.say, self.counts = receiver, say, Counter()
        self.key = frames.key_of(receiver.link, secret)
        self.devices: dict[int, float] = {}  # session: when it was heard last
        self.answers: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        try:
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind(address)
        except OSError as error:
            raise InputError(f"{address[0]}:{address[1]} cannot be listened at ({error}).") from error
        self.socket.settimeout(0.1)

    def serve(self, until: Callable[[], bool] = lambda: False) -> None:
        """Answer until `until()` is true; says so within a second when a device falls silent without taking leave."""
        while not until():
            try:
                datagram, sender = self.socket.recvfrom(frames.LARGEST)
            except TimeoutError:
                pass
            else:
                answer = self.answer(datagram)
                if answer is not None:
                    self.socket.sendto(answer, sender)
            self._notice()

    def answer(self, datagram: bytes) -> bytes | None:
        """The datagram to send back, or None; never an exception, whatever the bytes are."""
        try:
            frame = self._checked(datagram)
        except frames.Refused as reason:
            self.counts[f"refused: {reason}"] += 1
            return None
        if frame.kind == frames.BYE:
            self.devices.pop(frame.session, None)
            return None
        if frame.session not in self.devices:
            self.say(f"device {frame.session:08x} is there")
        self.devices[frame.session] = time.monotonic()
        asked = frame.session, frame.sequence
        if asked in self.answers:  # the question came twice, or its answer was lost: the same answer again
            self.counts["asked again or doubled"] += 1
            return self.answers[asked]
        self.counts["answered"] += 1
        logits = self.receiver(frame.image, frame.values)
        self.answers[asked] = frames.pack(frames.Frame(
            frames.ANSWER, frame.session, frame.sequence, frame.image, logits), self.key)
        if len(self.answers) > ANSWERS:
            self.answers.popitem(last=False)
        return self.answers[asked]

    def _checked(self, datagram):
        frame = frames.unpack(datagram, self.key)
        if frame.kind == frames.ANSWER:
            raise frames.Refused("an answer, where questions are taken")
        if frame.kind == frames.SYMBOLS:
            if len(frame.values) != self.receiver.link["bandwidth"]:
                raise frames.Refused("another number of symbols")
            # The power constraint of Sec. II-A: who sends louder than allowed has a better channel than agreed.
            if np.square(frame.values, dtype=np.float64).mean() > 1.001:
                raise frames.Refused("more than unit power")
        return frame

    def _notice(self):
        now = time.monotonic()
        for device, heard in list(self.devices.items()):
            if now - heard > 1:
                del self.devices[device]
                self.say(f"device {device:08x} has been silent for {now - heard:.1f} s")
