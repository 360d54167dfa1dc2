"""One client connection on a clock moved by hand: which clock runs when, what a bug in a call costs, and what is read
before a call is admitted. Only its transport is a stand-in; requests are bytes.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from gateway.edge.edge import Edge
from gateway.edge.http1 import LINGER, UPLOAD_BUFFER, Downstream
from gateway.edge.room import Room
from gateway.outcome import Outcome
from gateway.parse import Parsers
from gateway.pipeline import Step
from gateway.shapes import EdgeLimits
from tests.kit.heads import response
from tests.kit.raw import get, post
from tests.kit.serving import Scene
from tests.kit.wires import Wire

LIMITS = EdgeLimits()


class Door:
    """A client's connection to a scene's gateway."""

    def __init__(self, *, half_close: str = "gone", steps: tuple[Step, ...] = ()) -> None:
        self.scene = Scene(steps=steps)
        loop = cast(asyncio.AbstractEventLoop, self.scene.loop)
        self.edge = Edge(self.scene.serve, Parsers(loop), self.scene.timers, LIMITS, half_close, Room())
        self.bugs: list[Exception] = []
        self.wire = Wire()
        self.conn = Downstream(self.edge, "http", "192.0.2.1")
        self.conn.connection_made(cast(asyncio.Transport, self.wire))

    def receive(self, data: bytes) -> None:
        self.conn.data_received(data)

    @property
    def outcomes(self) -> list[Outcome | None]:
        return [call.outcome for call in self.scene.records]

    def begin(self, body: bytes) -> None:
        """The upstream begins to answer."""
        call = self.conn.call
        assert call is not None
        self.scene.serve.on_head(call, response(200, {"Content-Length": "100"}, 100), body, False)

    def choke(self, waiting: int) -> None:
        """The client has left that many bytes in our buffer."""
        self.wire.waiting = waiting
        self.conn.pause_writing()


def answered(door: Door) -> bytes:
    return door.wire.sent.partition(b"\r\n")[0]


def test_a_client_that_takes_a_little_in_time_is_given_more_time() -> None:
    door = Door()
    door.receive(get("/updates"))
    door.begin(b"x" * 50)
    door.choke(50)
    for waiting in (40, 30, 1):
        door.wire.waiting = waiting
        door.scene.loop.advance(LIMITS.write_idle_timeout + 0.1)
        assert not door.wire.ended
    door.scene.loop.advance(LIMITS.write_idle_timeout + 0.1)
    assert door.wire.ended == "reset"
    assert door.outcomes == [Outcome.CLIENT_TIMEOUT] and door.scene.held == 0


def test_a_client_that_took_everything_is_on_no_clock_but_its_upstreams() -> None:
    door = Door()
    door.receive(get("/updates"))
    door.begin(b"x" * 50)
    door.choke(50)
    door.wire.waiting = 0
    door.conn.resume_writing()
    door.scene.loop.advance(LIMITS.write_idle_timeout + 1.0)
    assert not door.wire.ended and not door.outcomes


def test_the_whole_head_has_one_clock_however_it_drips() -> None:
    door = Door()
    for byte in get("/updates")[:-1]:
        door.receive(bytes([byte]))
        door.scene.loop.advance(0.5)
    assert door.wire.sent.startswith(b"HTTP/1.1 408 ") and door.outcomes == [Outcome.CLIENT_TIMEOUT]


@pytest.mark.parametrize("asked", [False, True])
def test_a_connection_without_a_request_is_closed_by_its_own_clock(asked: bool) -> None:
    door = Door()
    clock = LIMITS.header_timeout
    if asked:
        door.receive(get("/nowhere"))
        assert answered(door) == b"HTTP/1.1 404 Not Found"
        clock = LIMITS.keepalive_timeout
    sent = door.wire.sent
    door.scene.loop.advance(clock - 0.1)
    assert not door.wire.ended
    door.scene.loop.advance(0.2)
    assert (door.wire.ended, door.wire.sent) == ("closed", sent), "without a word"


@pytest.mark.parametrize("request_bytes", [get("/updates"), post(b"body", "/updates")])
def test_a_held_poll_is_on_no_clock_of_the_connection(request_bytes: bytes) -> None:
    """Head, body and idle clocks are those of a client that should be sending."""
    door = Door()
    door.receive(request_bytes)
    call = door.conn.call
    assert call is not None
    door.scene.timers.arm(call, 1e6)  # nor on one of its own, here
    door.scene.loop.advance(3600.0)
    assert not door.wire.ended and not door.wire.sent


class BugError(Exception):
    pass


def test_a_bug_in_a_call_is_a_500_with_a_record_and_costs_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def step(call: Any) -> None:
        raise BugError

    door = Door(steps=(step,))
    monkeypatch.setattr(Edge, "report", lambda edge, error: door.bugs.append(error))
    door.receive(get("/updates"))
    assert answered(door) == b"HTTP/1.1 500 Internal Server Error"
    assert b"connection: close" in door.wire.sent.lower() and b"Bug" not in door.wire.sent
    assert [type(bug) for bug in door.bugs] == [BugError]
    assert door.outcomes == [Outcome.INTERNAL_ERROR] and door.scene.held == 0


def test_of_a_body_only_so_much_is_read_before_its_call_is_admitted() -> None:
    door = Door(steps=(lambda call: asyncio.Future(loop=cast(Any, door.scene.loop)),))
    door.receive(get("/updates", f"Content-Length: {10 * UPLOAD_BUFFER}", method="POST"))
    door.receive(b"x" * UPLOAD_BUFFER)
    assert door.wire.reading
    door.receive(b"x")
    assert not door.wire.reading
    door.conn.connection_lost(None)
    assert door.outcomes == [Outcome.CLIENT_GONE]


def test_a_refused_body_is_taken_in_for_a_moment_and_no_longer() -> None:
    """Closing at once would reset the connection and destroy the answer on its way (RFC 9112 9.6)."""
    door = Door()
    door.receive(post(b"", "/nowhere").replace(b"Content-Length: 0", b"Content-Length: 5000") + b"begun")
    assert answered(door) == b"HTTP/1.1 404 Not Found"
    assert door.wire.ended == "eof"
    door.receive(get("/updates"))
    assert len(door.outcomes) == 1, "and is nobody's next request"
    door.wire.ended = ""
    door.scene.loop.advance(LINGER + 0.1)
    assert door.wire.ended == "closed"


def test_of_a_refused_body_without_end_the_rest_is_not_taken_in() -> None:
    door = Door()
    door.receive(post(b"", "/nowhere").replace(b"Content-Length: 0", b"Content-Length: 5000") + b"begun")
    door.wire.ended = ""
    door.receive(b"x" * (LIMITS.max_body + 1))
    assert door.wire.ended == "closed"


@pytest.mark.parametrize(
    ("half_close", "sent", "stays"),
    [
        ("gone", b"", False),
        ("gone", get("/updates"), False),
        ("gone", get("/updates")[:9], False),
        ("answer", b"", False),
        ("answer", get("/updates"), True),
        ("answer", get("/updates")[:9], False),
        ("answer", post(b"body", "/updates")[:-1], False),  # what is missing will never come
    ],
)
def test_a_client_that_shuts_its_sending_side_is_served_only_where_that_is_said(
    half_close: str, sent: bytes, stays: bool
) -> None:
    door = Door(half_close=half_close)
    door.receive(sent)
    assert bool(door.conn.eof_received()) is stays


def test_what_is_already_answered_still_leaves_after_a_half_close() -> None:
    door = Door()
    door.conn._unsent = True  # nothing leaves at once
    door.receive(get("/nowhere"))
    assert door.wire.sent and not door.outcomes
    assert door.conn.eof_received()
    door.conn.resume_writing()
    assert door.outcomes == [Outcome.NO_ROUTE] and door.wire.ended == "closed"
