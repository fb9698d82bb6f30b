"""A datagram is taken whole and as it was sent, or refused."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from lib.device import frames

KEY = b"the graphs of a run"
QUESTION = frames.Frame(frames.SYMBOLS, 7, 3, 41, np.linspace(-2, 2, 9, dtype=np.float32))
SMALL = st.integers(0, 2**32 - 1)


@given(st.sampled_from([frames.SYMBOLS, frames.ANSWER, frames.BYE]), SMALL, SMALL, SMALL,
       st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=50))
def test_what_is_packed_is_what_is_unpacked(kind, session, sequence, image, values):
    sent = frames.Frame(kind, session, sequence, image, np.array(values, np.float32))
    read = frames.unpack(frames.pack(sent, KEY), KEY)
    assert (read.kind, read.session, read.sequence, read.image) == (kind, session, sequence, image)
    assert read.values.tobytes() == sent.values.tobytes()


def test_no_part_of_a_datagram_is_taken():
    datagram = frames.pack(QUESTION, KEY)
    for length in range(len(datagram)):
        with pytest.raises(frames.Refused):
            frames.unpack(datagram[:length], KEY)
    with pytest.raises(frames.Refused):
        frames.unpack(datagram + b"\0", KEY)


def test_each_flipped_bit_is_noticed():
    datagram = frames.pack(QUESTION, KEY)
    for bit in range(8 * len(datagram)):
        flipped = bytearray(datagram)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(frames.Refused):
            frames.unpack(bytes(flipped), KEY)


@given(st.binary(max_size=300))
def test_other_bytes_are_refused(datagram):
    with pytest.raises(frames.Refused):
        frames.unpack(datagram, KEY)


@given(st.binary(max_size=100))
def test_bytes_behind_a_true_header_are_refused(rest):
    with pytest.raises(frames.Refused):
        frames.unpack(frames.pack(QUESTION, KEY)[:frames.HEADER.size] + rest, KEY)


def test_other_graphs_and_another_secret_are_refused():
    link = {"sha256": {"device.onnx": "1", "edge.onnx": "2"}}
    other = {"sha256": {"device.onnx": "1", "edge.onnx": "3"}}
    datagram = frames.pack(QUESTION, frames.key_of(link))
    assert frames.unpack(datagram, frames.key_of(link)).image == 41
    for key in (frames.key_of(other), frames.key_of(link, "secret")):
        with pytest.raises(frames.Refused, match="of other graphs"):
            frames.unpack(datagram, key)


def test_the_device_half_in_eight_bits_leaves_the_key_as_it_is():
    link = {"sha256": {"device.onnx": "1", "edge.onnx": "2"}}
    assert frames.key_of(link) == frames.key_of({"sha256": link["sha256"] | {"device-int8.onnx": "4"}})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(frames.Refused, match="not finite"):
        frames.unpack(frames.pack(frames.Frame(frames.SYMBOLS, 1, 1, 1, np.array([0, value], np.float32)), KEY), KEY)
