"""Forwarding: which endpoints are tried, what is sent, what may be sent again, and what a connection attempt leaves
behind. Dials are made on the hand-cranked loop, except where only a real connection shows the truth.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast

import pytest

from gateway.call import State
from gateway.clock import TICK, Timers
from gateway.holds.plan import AskPlace
from gateway.outcome import Outcome
from gateway.parse import Parsers
from gateway.routing import Rule
from gateway.telemetry import trace
from gateway.upstream import failure
from gateway.upstream.balance import Upstream
from gateway.upstream.dial import AT_ONCE, Dial, Dialer
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.forward import MAX_DIALS, repeatable
from gateway.upstream.http1 import UpstreamConnection
from tests.kit.calls import call_of, head_of
from tests.kit.holds import hold_plan
from tests.kit.serving import NO_PAUSE, POLLS, Scene, Up
from tests.kit.waiting import until

from .test_serve_events import failed


def fail_dial(scene: Scene, error: OSError) -> None:
    scene.serve._forwarder._failed(cast(Dial, scene.call.up), error)


def test_an_idle_connection_is_used_and_none_is_made() -> None:
    scene = Scene("ordinary").open()
    assert cast(Any, scene.call.up) is scene.ups[0] and not scene.loop.tasks
    assert (scene.call.attempts, scene.call.sent_at, scene.held) == (1, 0.0, 1)


def test_without_one_a_dial_stands_in_its_place() -> None:
    scene = Scene("ordinary", idle=0).open()
    assert isinstance(scene.call.up, Dial) and scene.call.sent_at is None and scene.held == 1
    assert scene.call.head is None and scene.call.wire, "one string waits, no head"


@pytest.mark.parametrize("kind", ["ordinary", "upload", "template", "never"])
def test_a_call_of_any_kind_tries_other_endpoints_before_a_byte_is_sent(kind: str) -> None:
    scene = Scene(kind, idle=0, endpoints=MAX_DIALS + 1).open()
    names = []
    while scene.call.state is State.PARKED:
        assert scene.held == 1
        names.append(cast(Dial, scene.call.up).endpoint.name)
        fail_dial(scene, ConnectionRefusedError())
    assert len(set(names)) == MAX_DIALS == scene.call.attempts
    assert (scene.call.outcome, scene.call.status, scene.call.note) == (
        Outcome.UPSTREAM_REFUSED,
        502,
        "ConnectionRefusedError",
    )
    assert scene.held == 0 and len(scene.records) == 1


def test_an_attempt_that_hangs_is_given_up_and_the_next_endpoint_tried() -> None:
    scene = Scene("ordinary", idle=0, endpoints=2).open()
    first = cast(Dial, scene.call.up)
    scene.loop.advance(2.1)
    second = cast(Dial, scene.call.up)
    assert first.cancelled and second.endpoint is not first.endpoint and scene.held == 1
    scene.loop.advance(2.1)
    assert (scene.call.outcome, scene.call.status) == (Outcome.UPSTREAM_REFUSED, 504)
    scene.check_settled()


def test_each_attempt_tells_the_upstream_what_is_left_of_the_hold() -> None:
    scene = Scene("template", idle=0, endpoints=3).open()
    waits = [scene.call.wire]
    for _ in range(2):
        scene.loop.advance(2.1)
        waits.append(scene.call.wire)
    left = [float(wire.split(b"Gateway-Hold: ")[1][:6]) for wire in waits if wire]
    assert left == [
        pytest.approx(25.0),
        pytest.approx(23.0, abs=TICK + 0.001),
        pytest.approx(21.0, abs=2 * TICK + 0.001),
    ]


def as_second(scene: Scene, wire: bytes) -> bytes:
    """What was sent first as it is sent again: only the span has another id, for an attempt has one of its own."""
    return wire.replace(*(trace.span_id(scene.call, number).encode() for number in (1, 2)))


def test_a_replay_is_the_same_request_as_the_first() -> None:
    """What is sent again is read back from the bytes that were sent: nothing is added, lost or doubled."""
    head = head_of("/updates?a=%20&timeout=60", ("Prefer", "x"), ("X-B", "\xe9"), ("x-b", "2"), ("Cookie", "a=1; t=2"))
    hold = hold_plan(ask=(AskPlace("query", "timeout", "s"),), replay="cursor")
    scene = Scene("template", idle=2, hold=hold, head=head, retry=NO_PAUSE)
    scene.open()
    failed(failure.RESET)(scene)
    first, second = reversed(scene.ups)
    assert first.wire != second.wire == as_second(scene, first.wire)
    assert first.wire.count(b"\r\n") == first.wire.count(b": ") + 2


def test_a_replay_knows_what_the_path_captured() -> None:
    hold = hold_plan(ask=(AskPlace("path", "wait", "s", "/wait/{wait}"),), replay="cursor", max=20.0, template=None)
    scene = Scene("template", idle=2, hold=hold, head=head_of("/wait/60"), rule=Rule(None, "/wait/{wait}", ()),
                  retry=NO_PAUSE)  # fmt: skip
    scene.open()
    failed(failure.RESET)(scene)
    first, second = reversed(scene.ups)
    assert first.wire.startswith(b"GET /wait/20 ")
    assert second.wire == as_second(scene, first.wire)


@pytest.mark.parametrize("prefix", ["", "/v1", "/%7euser", "/caf%C3%A9", "/a%2Fb", "/x%25%32e"])
def test_a_replay_does_not_depend_on_how_the_endpoint_spells_its_path(prefix: str) -> None:
    scene = Scene("template", idle=2, retry=NO_PAUSE)
    scene.upstream.endpoints[0].prefix = prefix
    scene.open()
    failed(failure.RESET)(scene)
    assert scene.ups[0].wire == as_second(scene, scene.ups[1].wire) and scene.call.attempts == 2


def test_a_full_upstream_says_so_at_once() -> None:
    scene = Scene("ordinary")
    scene.upstream.max_held = 0
    scene.open()
    assert (scene.call.outcome, scene.call.status, scene.call.attempts) == (Outcome.OVERLOADED, 503, 0)
    assert dict(scene.conn.named("answer")[0][2])[b"Retry-After"] in {b"%d" % seconds for seconds in range(1, 10)}


def test_an_upstream_without_endpoints_refuses() -> None:
    scene = Scene("ordinary")
    scene.upstream.endpoints = ()
    scene.open()
    assert scene.call.outcome is Outcome.UPSTREAM_REFUSED and scene.call.status == 503
    assert scene.call.note == "unresolved"


@pytest.mark.parametrize(
    "replay", ["cursor", "cursor-exclusive", "lease", "until-ack", "destructive", "session", "never"]
)
def test_only_a_poll_that_loses_nothing_may_be_sent_again_and_only_it_keeps_its_bytes(replay: Any) -> None:
    may = replay in ("cursor", "until-ack")
    scene = Scene("template", hold=replace(POLLS["template"], replay=replay)).open()
    assert (scene.call.hold is not None and repeatable(scene.call.hold)) is may and (scene.call.wire is not None) is may


@pytest.mark.parametrize("body", [b"", b"a=1", b"a\r\n\r\nb: c\r\n\r\n"])
@pytest.mark.parametrize("framing", [{"length": 3}, {"chunked": True}])
def test_a_body_that_was_read_whole_goes_out_with_the_head_and_is_sent_again_with_it(body: bytes, framing: Any) -> None:
    head = head_of("/updates", ("X-A", "b"), ("content-length", "3"), method="POST", **framing)
    scene = Scene("template", hold=replace(POLLS["template"], body_limit=100), head=head, idle=2, retry=NO_PAUSE).open()
    scene.serve.on_whole(scene.call, body)
    failed(failure.RESET)(scene)
    first, second = reversed(scene.ups)
    assert first.wire.endswith(b"\r\n\r\n" + body) and first.body == b""
    fields = first.wire.split(b"\r\n\r\n")[0].lower().split(b"\r\n")
    assert [field for field in fields if field.startswith((b"content-length", b"transfer"))] == [
        b"content-length: %d" % len(body)
    ]
    assert second.wire == as_second(scene, first.wire)


def test_a_cursor_poll_whose_body_was_not_read_is_not_sent_again() -> None:
    head = head_of("/updates", method="POST", length=3)
    scene = Scene("template", head=head, idle=2).open()
    failed(failure.RESET)(scene)
    assert scene.call.attempts == 1 and scene.call.outcome is Outcome.UPSTREAM_RESET


class Dials:
    """A real dialer, an endpoint that accepts, and what came of the dials."""

    def __init__(self) -> None:
        self.made: list[Any] = []
        self.loop = asyncio.get_running_loop()
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.endpoint = Endpoint(Upstream("up"), "127.0.0.1", self.listening.getsockname()[1])
        self._dialer = Dialer(
            self.loop, Parsers(self.loop), Timers(self.loop),
            lambda dial, up: self.made.append(up), lambda dial, error: self.made.append(error),
        )  # fmt: skip

    def dial(self) -> Dial:
        return self._dialer.dial(call_of(head_of("/updates")), (self.endpoint,))


@pytest.fixture
async def dials() -> AsyncIterator[Dials]:
    scene = Dials()
    yield scene
    for connection in scene.made:
        if isinstance(connection, UpstreamConnection):
            connection.cancel()
    scene.listening.close()
    await asyncio.sleep(0)


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_dial_gives_a_connection_and_its_place_back(dials: Dials) -> None:
    dials.dial()
    assert dials.endpoint.dialing == 1
    await until(lambda: dials.made and not dials.endpoint.dialing)
    assert isinstance(dials.made[0], UpstreamConnection)


@pytest.mark.parametrize("after", [0, 1, 2, 5])
async def test_a_cancelled_dial_gives_its_place_back_whenever_it_was_cancelled(dials: Dials, after: int) -> None:
    """A client may hang up in the very turn in which the connection attempt was begun."""
    dial = dials.dial()
    await turns(after)
    dial.cancel()
    await turns(10)
    assert dials.endpoint.dialing == 0


async def test_a_crowd_that_leaves_while_it_waits_for_its_turn_leaves_every_place_free(dials: Dials) -> None:
    waiting = [dials.dial() for _ in range(3 * AT_ONCE)]
    assert dials.endpoint.dialing == AT_ONCE and len(dials.endpoint.waiting) == 2 * AT_ONCE
    for number, dial in enumerate(waiting):
        dial.cancel()
        await turns(number % 50 == 0)
    await turns(20)
    assert (dials.endpoint.dialing, len(dials.endpoint.waiting)) == (0, 0)
    dials.dial()
    await until(lambda: dials.made, "the next one is connected")


@pytest.mark.parametrize("host", ["127.0.0.1", "a..b.invalid", "x" * 70 + ".invalid"])
async def test_an_address_that_cannot_be_had_is_told_at_once_and_not_after_a_timeout(dials: Dials, host: str) -> None:
    dials.loop.set_exception_handler(lambda loop, context: None)
    dials.endpoint.host = host
    dials.listening.close()
    dials.dial()
    await until(lambda: dials.made or not dials.endpoint.dialing)
    assert [isinstance(error, OSError | ValueError) for error in dials.made] == [True]


def test_a_stand_in_for_a_connection_has_what_a_dial_has() -> None:
    for name in ("cancel", "pause", "resume", "upload"):
        assert callable(getattr(Dial, name)) and callable(getattr(Up, name))
