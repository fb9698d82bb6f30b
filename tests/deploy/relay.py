"""A bad network between the two ends: it loses, doubles, delays, cuts, damages and forges datagrams."""

import heapq
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping

FAULTS = ("lose", "double", "delay", "truncate", "damage", "forge")


class Relay:
    """Passes datagrams on between a device, which sends to `listen`, and the edge server at `edge`.

    `rates` are the shares of datagrams, in either direction, that meet each of FAULTS. What it did is in `counts`.
    """

    def __init__(self, listen: tuple[str, int], edge: tuple[str, int], rates: Mapping[str, float], seed: int = 0):
        self.edge, self.rates, self.random, self.counts = edge, dict(rates), random.Random(seed), Counter()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(listen)
        self.device = None
        self.waiting: list[tuple[float, int, bytes, tuple]] = []  # delayed: when, number, datagram, to whom

    def serve(self, until: Callable[[], bool] = lambda: False) -> None:
        """Pass datagrams on until `until()` is true."""
        self.socket.settimeout(0.01)
        while not until():
            while self.waiting and self.waiting[0][0] <= time.monotonic():
                _, _, datagram, receiver = heapq.heappop(self.waiting)
                self.socket.sendto(datagram, receiver)
            try:
                datagram, sender = self.socket.recvfrom(65_507)
            except (TimeoutError, ConnectionError):
                continue
            if sender != self.edge:
                self.device = sender
            receiver = self.device if sender == self.edge else self.edge
            if receiver is not None:
                self._pass_on(datagram, receiver)

    def _pass_on(self, datagram, receiver):
        self.counts["passed"] += 1
        fault = next((name for name in FAULTS if self.random.random() < self.rates.get(name, 0)), None)
        if fault:
            self.counts[fault] += 1
        if fault == "lose":
            return
        if fault == "truncate":
            datagram = datagram[:self.random.randrange(len(datagram))]
        if fault == "damage":
            place = self.random.randrange(len(datagram))
            flipped = bytes([datagram[place] ^ 1 << self.random.randrange(8)])
            datagram = datagram[:place] + flipped + datagram[place + 1:]
        if fault == "forge":  # beside the true one, which goes on: bytes that nobody here has sent
            self.socket.sendto(self.random.randbytes(self.random.randrange(200)), receiver)
            self.socket.sendto(datagram[:21] + self.random.randbytes(max(0, len(datagram) - 21)), receiver)
        if fault in ("double", "delay"):
            later = time.monotonic() + self.random.uniform(0.05, 0.5)
            heapq.heappush(self.waiting, (later, self.counts["passed"], datagram, receiver))
        if fault != "delay":
            self.socket.sendto(datagram, receiver)
