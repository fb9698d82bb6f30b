"""One datagram of the link: what it says, and why one is refused. Standard library and numpy alone.

A datagram is at most 65,507 bytes (UDP over IPv4), so one image's symbols fit into one: B up to 16,000.
"""

import hashlib
import hmac
import struct
from dataclasses import dataclass, field

import numpy as np

MAGIC = b"JDEI"
# magic, kind, session, sequence, image, number of float32 values that follow
HEADER = struct.Struct("<4sBIIIH")
TAG = 16  # bytes of the keyed hash at the end
LARGEST = 65_507
MOST_VALUES = (LARGEST - HEADER.size - TAG) // 4
SYMBOLS, ANSWER, BYE = 1, 2, 3  # kinds: device to edge, edge to device, device to edge


@dataclass(frozen=True)
class Frame:
    """`values` are B channel symbols, or as many logits as there are classes."""

    kind: int
    session: int  # drawn by a device when it starts: two devices, or one started anew, are told apart by it
    sequence: int  # counts the questions of a session; an answer carries that of its question
    image: int  # what the noise is seeded with, so that a question asked again meets the same noise
    values: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))


class Refused(ValueError):
    """A datagram that is not taken; its text is the reason, a key of the counts that each end prints."""


def pack(frame: Frame, key: bytes) -> bytes:
    """The datagram of a frame; `key` (at most 64 bytes) names the pair of graphs, and may be secret."""
    header = HEADER.pack(MAGIC, frame.kind, frame.session, frame.sequence, frame.image, len(frame.values))
    body = header + np.ascontiguousarray(frame.values, "<f4").tobytes()
    return body + _tag(body, key)


def unpack(datagram: bytes, key: bytes) -> Frame:
    """The frame in a datagram. Raises Refused, and nothing else, whatever the bytes are."""
    if len(datagram) < HEADER.size + TAG:
        raise Refused("truncated")
    magic, kind, session, sequence, image, count = HEADER.unpack_from(datagram)
    if magic != MAGIC or kind not in (SYMBOLS, ANSWER, BYE):
        raise Refused("not of this protocol")
    if len(datagram) != HEADER.size + 4 * count + TAG:
        raise Refused("truncated")
    body, tag = datagram[:-TAG], datagram[-TAG:]
    # Compared in constant time: with a secret key a sender must not learn how much of a guess is right.
    if not hmac.compare_digest(_tag(body, key), tag):
        raise Refused("damaged, forged or of other graphs")
    values = np.frombuffer(body, "<f4", count, HEADER.size)
    # A NaN would pass any comparison of powers, and comes out of the network as an answer.
    if not np.isfinite(values).all():
        raise Refused("not finite")
    return Frame(kind, session, sequence, image, values)


def _tag(body: bytes, key: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=TAG, key=key).digest()


def key_of(link: dict, secret: str = "") -> bytes:
    """The key of a pair of graphs: their checksums, so that an edge of another study refuses, and a secret, if any."""
    # Of the two halves alone: an edge need not have the device half in eight bits.
    named = link["sha256"]["device.onnx"] + link["sha256"]["edge.onnx"] + secret
    return hashlib.blake2b(named.encode(), digest_size=32).digest()
