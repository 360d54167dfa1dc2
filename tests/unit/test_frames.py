"""Where frames begin and end, however the bytes are cut, and which Close frames the gateway writes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.frames import close_frame, frame_end, walk
from gateway.edge.halves import Frames
from tests.kit.tunnels import closing, frame, unmasked

SIZES = st.sampled_from([0, 1, 2, 125, 126, 127, 300, 65535, 65536])


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536])
def test_the_end_of_a_frame_is_told_by_its_header(size: int, masked: bool) -> None:
    whole = frame(b"x" * size, masked)
    header = len(whole) - size - (4 if masked else 0)
    assert frame_end(b"--" + whole, 2) == len(whole) + 2
    assert frame_end(whole[:header], 0) == len(whole)
    assert [frame_end(whole[:cut], 0) for cut in range(header)] == [0] * header


def test_the_largest_length_there_is_ends_far_away() -> None:
    assert frame_end(b"\x82\x7f" + b"\xff" * 8, 0) == 2**64 + 9


def test_a_close_is_seen_among_other_frames_and_inside_of_one_it_is_none() -> None:
    assert walk(frame(b"a") + closing(1000) + frame(b"b"), 0) == (10, True)
    assert walk(frame(closing(1000)), 0) == (6, False)
    assert walk(b"xx" + closing(1000), 2) == (6, True)


@pytest.mark.parametrize("code", [1001, 1008])
def test_a_close_frame_for_each_side(code: int) -> None:
    assert close_frame(code, masked=False) == closing(code)
    ours = close_frame(code, masked=True)
    assert ours[:2] == b"\x88\x82"
    assert unmasked(ours) == code.to_bytes(2, "big")


class Pipe:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.data = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.data += data

    def close(self) -> None:
        self.closed = True


def half(masked: bool) -> tuple[Frames, Pipe]:
    mine, theirs = Pipe(), Pipe()
    tunnel = SimpleNamespace()
    timers = SimpleNamespace(now=lambda: 0.0)
    made = Frames(cast(Any, tunnel), cast(Any, mine), cast(asyncio.Transport, theirs), cast(Any, timers), masked=masked)
    tunnel.client, tunnel.upstream = (made, None) if masked else (None, made)
    made.other = cast(Any, SimpleNamespace(said=False))
    return made, theirs


@given(st.lists(SIZES, max_size=6), st.booleans(), st.data())
def test_however_it_is_cut_everything_passes_and_the_end_is_said_at_the_next_boundary(
    sizes: list[int], masked: bool, data: st.DataObject
) -> None:
    frames = [frame(b"x" * size, masked) for size in sizes]
    stream = b"".join(frames)
    ends = [sum(map(len, frames[:count])) for count in range(len(frames) + 1)]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    when = data.draw(st.integers(0, len(cuts)))
    made, out = half(masked)
    at = 0
    for number, cut in enumerate([*cuts, len(stream)]):
        if number == when:
            begun = at
            made.finish(1001)
        if cut > at:
            made.data_received(stream[at:cut])
        at = cut
    boundary = next(end for end in ends if end >= begun)
    assert out.data[:boundary] == stream[:boundary]
    said = out.data[boundary:]
    assert said == closing(1001) or (masked and said[:2] == b"\x88\x82" and len(said) == 8)
    assert made.said


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=6), st.integers(0, 6), st.booleans())
def test_whatever_comes_passes_unchanged_until_the_end_is_asked_for(
    stream: bytes, cuts: list[int], when: int, masked: bool
) -> None:
    made, out = half(masked)
    at, passed = 0, b""
    for number, cut in enumerate([*sorted(cuts), len(stream)]):
        if number == when:
            assert out.data == passed
            made.finish(1008)
        piece, at = stream[at:cut], max(at, cut)
        if piece:
            made.data_received(piece)
            passed += piece
    assert when <= len(cuts) or out.data == stream
    assert made.count == len(stream)
