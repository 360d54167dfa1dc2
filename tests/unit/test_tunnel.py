"""A tunnel of a WebSocket, whatever happens to its two sides and in whatever order: pieces, ends, losses and the end
that is asked for. Each side sees a beginning of what the other sent and at most one Close of ours, between two frames.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import NEVER
from gateway.edge.frames import CLOSE, frame_end
from gateway.edge.tunnel import Tunnel
from tests.kit.tunnels import closing, frame, unmasked

CODE = 1001
LENGTHS = st.sampled_from([0, 1, 2, 3, 125, 126, 127, 300, 65535, 65536])
FIRST = st.sampled_from([0x01, 0x02, 0x80, 0x82, 0x89, 0x8A])  # fragments, messages, pings and pongs
STEPS = st.lists(st.sampled_from(["client", "upstream", "end", "eof client", "eof upstream", "reset client",
                                  "reset upstream", "lost"]), max_size=30)  # fmt: skip


class Transport:
    """One connection. What closes it is told to its protocol a turn later, as a loop does."""

    def __init__(self, halves: bool) -> None:
        self.halves = halves
        self.protocol: Any = None
        self.out = b""
        self.closing = self.lost = self.polite = self.shut = False

    def write(self, data: bytes) -> None:
        assert not self.shut, "written behind the end of what goes here"
        if not self.closing:
            self.out += data

    def close(self) -> None:
        self.polite = self.polite or not self.closing
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def lose(self, exc: Exception | None) -> None:
        self.closing = True
        if not self.lost:
            self.lost = True
            self.protocol.connection_lost(exc)

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return self.halves

    def write_eof(self) -> None:
        self.shut = True

    def set_protocol(self, protocol: object) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int) -> None:
        """No matter here."""


class Clock:
    """One entry, whose time comes when the test says so."""

    def __init__(self) -> None:
        self.due: Callable[[float], None] | None = None

    def now(self) -> float:
        return 0.0

    def arm(self, entry: Any, due: float) -> None:
        entry.filed, self.due = 0.0, entry.on_due

    def cancel(self, entry: Any) -> None:
        entry.filed, self.due = NEVER, None


class Stage:
    def __init__(self, halves: bool) -> None:
        self.near, self.far, self.clock = Transport(halves), Transport(halves), Clock()
        self.told: list[str] = []
        self.returned: list[str] = []
        say = self.told.append
        serve = SimpleNamespace(on_end=lambda _: say("end"), on_gone=lambda *_: say("gone"),
                                on_failure=lambda *_: say("failure"))  # fmt: skip
        conn = SimpleNamespace(transport=self.near, connection_lost=lambda _: self.returned.append("conn"))
        conn.abort = lambda reset: self.near.abort()
        up = SimpleNamespace(transport=self.far, connection_lost=lambda _: self.returned.append("up"), tick=0)
        up.endpoint = SimpleNamespace(tls=None)
        self.tunnel = Tunnel(cast(Any, SimpleNamespace(serve=serve)), cast(Any, conn), cast(Any, up),
                             cast(Any, self.clock), framed=True)  # fmt: skip
        self.tunnel.open(b"", b"", b"")
        self.sent = {"client": b"", "upstream": b""}

    def side(self, name: str) -> Transport:
        return self.near if name == "client" else self.far

    def send(self, name: str, data: bytes) -> None:
        side = self.side(name)
        if data and not side.closing and not side.protocol.ended:
            self.sent[name] += data
            side.protocol.data_received(data)

    def shut(self, name: str) -> None:
        side = self.side(name)
        if not side.closing and not side.protocol.ended and not side.protocol.eof_received():
            side.close()

    def lose_what_closed(self) -> None:
        for side in (self.near, self.far):
            if side.closing:
                side.lose(None)


def checked(sent: bytes, out: bytes, masked: bool) -> tuple[int, bool]:
    """How much passed of what was sent, and whether a Close of ours follows; nothing does behind that."""
    passed = next((at for at in range(min(len(sent), len(out))) if sent[at] != out[at]), min(len(sent), len(out)))
    rest = out[passed:]
    if not rest:
        return passed, False
    for own in range(min(8, len(out)), 3, -1):  # its first bytes may be those of what was sent next
        rest, at = out[-own:], len(out) - own
        ours = rest == closing(CODE) or (masked and len(rest) == 8 and rest[:2] == b"\x88\x82"
                                         and unmasked(rest) == CODE.to_bytes(2, "big"))  # fmt: skip
        if ours and sent[:at] == out[:at] and at in boundaries(sent[:at]):
            return at, True
    raise AssertionError((sent, out))


def boundaries(data: bytes) -> list[int]:
    ends = [0]
    while ends[-1] < len(data) and frame_end(data, ends[-1]):
        ends.append(frame_end(data, ends[-1]))
    return ends


def has_closed(data: bytes) -> bool:
    ends = boundaries(data)
    return any(data[at : at + 1] == bytes([CLOSE]) for at in ends[:-1])


@st.composite
def streams(draw: st.DrawFn, masked: bool) -> bytes:
    frames = [frame(b"x" * draw(LENGTHS), masked, draw(FIRST)) for _ in range(draw(st.integers(0, 4)))]
    if draw(st.booleans()):
        frames.append(closing(draw(st.sampled_from([1000, 3000])), masked))
    return b"".join(frames)


@settings(max_examples=300)
@given(streams(True), streams(False), STEPS, st.booleans(), st.data())
def test_whatever_happens_frames_stay_whole_the_end_is_said_once_and_told_once(
    up: bytes, down: bytes, steps: list[str], halves: bool, data: st.DataObject
) -> None:
    stage, left = Stage(halves), {"client": up, "upstream": down}
    broken = set()
    for step in steps:
        what, _, who = step.rpartition(" ")
        if what == "" and who in left:
            size = data.draw(st.one_of(st.integers(0, 12), st.integers(0, len(left[who]))))
            piece, left[who] = left[who][:size], left[who][size:]
            stage.send(who, piece)
        elif what == "eof":
            broken.add(who)
            stage.shut(who)
        elif what == "reset":
            broken.add(who)
            stage.side(who).lose(ConnectionResetError())
        elif who == "end":
            stage.tunnel.end(CODE)
        else:
            stage.lose_what_closed()
    asked = stage.tunnel.closing
    stage.tunnel.end(CODE)
    if stage.clock.due is not None:
        stage.clock.due(0.0)
    for _ in range(3):
        stage.lose_what_closed()
        if stage.clock.due is not None:
            stage.clock.due(0.0)
    assert stage.near.lost and stage.far.lost, "it would stay for ever"
    assert len(stage.told) == 1 and sorted(stage.returned) == ["conn", "up"]
    for who, to, masked in (("client", stage.far, True), ("upstream", stage.near, False)):
        sent = stage.sent[who]
        passed, ours = checked(sent, to.out, masked)
        assert not (ours and has_closed(sent[:passed])), "said by its peer and by us"
        assert stage.tunnel.closing or (passed == len(sent) or to.lost)
        if asked and stage.side(who).polite and not broken and not to.shut:
            assert passed in boundaries(sent), "closed in the midst of a frame"


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_close_that_comes_in_pieces_while_the_end_is_said_passes_to_its_last_byte(cut: int) -> None:
    stage, said = Stage(halves=True), closing(1000, masked=True)
    stage.send("client", said[:cut])
    stage.tunnel.end(CODE)
    stage.send("client", said[cut:])
    stage.send("upstream", closing(1000))
    assert stage.far.out == said
    assert stage.near.out == closing(CODE)
    stage.lose_what_closed()
    assert stage.told == ["end"]


def test_an_answer_to_a_close_that_comes_right_behind_the_frame_that_was_passing_is_seen() -> None:
    stage, last = Stage(halves=True), frame(b"last", masked=True)
    stage.send("client", last[:5])
    stage.tunnel.end(CODE)
    stage.send("client", last[5:] + closing(CODE, masked=True))
    assert stage.near.polite, "it would wait for a clock"
    assert stage.far.out[: len(last)] == last
    assert len(stage.far.out) == len(last) + 8


def test_what_comes_from_either_side_counts_as_passing() -> None:
    stage = Stage(halves=True)
    for who, side in (("client", stage.tunnel.client), ("upstream", stage.tunnel.upstream)):
        now = stage.tunnel.last + 7.0
        side.now = lambda now=now: now
        stage.send(who, frame(b"ping", masked=who == "client"))
        assert stage.tunnel.last == now
    assert stage.tunnel.passed == (10, 6)


@pytest.mark.parametrize("tls", ["client", "upstream"])
@pytest.mark.parametrize("who", ["client", "upstream"])
def test_where_one_side_has_no_halves_an_end_closes_both(tls: str, who: str) -> None:
    stage = Stage(halves=True)
    stage.side(tls).halves = False
    stage.shut(who)
    assert (stage.near.closing, stage.far.closing) == (True, True)
    assert not (stage.near.shut or stage.far.shut)


def test_one_that_has_shut_its_side_without_a_close_waits_for_a_moment_only() -> None:
    stage = Stage(halves=True)
    stage.shut("client")
    assert stage.far.shut and stage.clock.due is not None
    stage.clock.due(0.0)
    assert stage.near.closing and stage.far.closing


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_a_side_that_does_not_close_after_the_other_is_cut_off(who: str) -> None:
    """Such as one that takes nothing of what is left for it."""
    stage = Stage(halves=True)
    stage.side(who).lose(None)
    assert stage.near.closing and stage.far.closing
    assert stage.clock.due is not None


@pytest.mark.parametrize("said_by", ["client", "upstream"])
@pytest.mark.parametrize("reset", ["client", "upstream"])
def test_a_reset_after_a_close_is_an_end_and_no_failure(said_by: str, reset: str) -> None:
    """Many clients and servers do not wait for the other's part of it."""
    stage = Stage(halves=True)
    stage.send(said_by, closing(1000, masked=said_by == "client"))
    stage.side(reset).lose(ConnectionResetError())
    assert stage.near.polite or stage.far.polite
    stage.lose_what_closed()
    assert stage.told == ["end"]
