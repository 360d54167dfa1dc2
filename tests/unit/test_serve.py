"""How calls end, by what happened to them: outcome, status and what the client and the upstream saw of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from gateway import refusals
from gateway.call import Call, State
from gateway.drain import Drain
from gateway.holds.idle import compile_idle
from gateway.identity.claims import Identity
from gateway.outcome import Outcome
from gateway.upstream import failure
from tests.kit.calls import head_of
from tests.kit.crowd import Crowd
from tests.kit.heads import response
from tests.kit.serving import NO_PAUSE, POLLS, WALL, Scene

from .test_serve_events import drain, end, failed, future, head, let_go, passes, resumed, unread, upload, waiting

Move = Callable[[Scene], None]
IDLE, LIMIT, _ = compile_idle(["status == 204", "json: == []"])


def body(size: int) -> Move:
    return lambda scene: scene.serve.on_body(scene.call, b"x" * size)


def evict(scene: Scene) -> None:
    scene.serve.on_evict(scene.call)


def revoke(scene: Scene) -> None:
    scene.serve.on_revoked(scene.call)


def passes_and_is_late(scene: Scene) -> None:
    scene.loop.advance(26.0)
    scene.serve.on_late(scene.call)


@pytest.mark.parametrize(
    ("kind", "moves", "outcome", "status"),
    [
        ("ordinary", [head(200, b"x", True)], Outcome.ANSWERED, 200),
        ("ordinary", [head(404, b"x", True)], Outcome.ANSWERED, 404),
        ("ordinary", [head(500, b"x", True)], Outcome.UPSTREAM_ERROR, 500),
        ("ordinary", [head(200, b"", False), end], Outcome.ANSWERED, 200),
        ("ordinary", [head(200, b"", False), failed(failure.RESET)], Outcome.TRUNCATED, 200),
        ("ordinary", [head(200, b"", False), passes(61)], Outcome.TRUNCATED, 200),
        ("ordinary", [head(200, b"", False), revoke], Outcome.REVOKED, 200),
        ("ordinary", [passes(31)], Outcome.UPSTREAM_TIMEOUT, 504),
        ("ordinary", [failed(failure.RESET)], Outcome.UPSTREAM_RESET, 502),
        ("ordinary", [failed(failure.BAD)], Outcome.UPSTREAM_BAD, 502),
        ("ordinary", [revoke], Outcome.REVOKED, 401),
        ("ordinary", [evict, passes(31)], Outcome.UPSTREAM_TIMEOUT, 504),  # ordinary calls are not evicted
        ("ordinary", [drain(25), passes(24.9), head(200, b"x", True)], Outcome.ANSWERED, 200),
        ("ordinary", [drain(25), passes(25.1)], Outcome.DRAINED, 503),
        ("template", [head(200, b"[]", True)], Outcome.EMPTY, 200),
        ("template", [head(204, b"", True)], Outcome.EMPTY, 204),
        ("template", [head(200, b"[1]", True)], Outcome.NEWS, 200),
        ("template", [head(200, b"[", False), lambda s: s.serve.on_body(s.call, b"]"), end], Outcome.EMPTY, 200),
        ("template", [head(200, b"[", False), lambda s: s.serve.on_body(s.call, b"1]"), end], Outcome.NEWS, 200),
        ("template", [head(503, b"", True)], Outcome.UPSTREAM_ERROR, 503),
        ("template", [head(404, b"", True)], Outcome.ANSWERED, 404),
        ("template", [head(503, b"", False), end], Outcome.UPSTREAM_ERROR, 503),
        ("template", [head(503, b"", False), body(9000), end], Outcome.UPSTREAM_ERROR, 503),
        ("template", [head(404, b"", False), body(9000), end], Outcome.ANSWERED, 404),
        ("template", [head(200, b"", False), body(9000), end], Outcome.NEWS, 200),
        ("template", [passes(30.1)], Outcome.OVERRUN, 200),
        ("template", [evict], Outcome.EVICTED, 200),
        ("template", [revoke], Outcome.REVOKED, 401),
        ("template", [drain(25), passes(25)], Outcome.DRAINED, 200),
        ("origin", [passes(30.1)], Outcome.UPSTREAM_TIMEOUT, 504),
        ("origin", [drain(25), passes(24.9), head(200, b"[1]", True)], Outcome.NEWS, 200),
        ("origin", [drain(25), passes(25.1)], Outcome.DRAINED, 503),
        ("origin", [evict, head(200, b"[1]", True)], Outcome.NEWS, 200),
        ("never", [passes(30.1)], Outcome.UPSTREAM_TIMEOUT, 504),
        ("never", [drain(25), passes(25.1)], Outcome.DRAINED, 0),
        ("upload", [upload(11, True), head(200, b"", True)], Outcome.TOO_LARGE, 413),
        ("upload", [lambda s: s.serve.on_bad_upload(s.call, refusals.BAD_BODY)], Outcome.BAD_REQUEST, 400),
        ("upload", [lambda s: s.serve.on_bad_upload(s.call, refusals.BODY_TIMEOUT)], Outcome.CLIENT_TIMEOUT, 408),
    ],
)  # fmt: skip
def test_a_call_ends_as_what_happened_to_it_says(kind: str, moves: list[Move], outcome: Outcome, status: int) -> None:
    hold = replace(POLLS[kind], idle=IDLE, idle_body_limit=LIMIT, rewrite=True) if kind in POLLS else None
    scene = Scene(kind, hold=hold, max_body=10).open()
    for move in moves:
        move(scene)
    assert (scene.call.outcome, scene.call.status) == (outcome, status)
    scene.check_settled()


def test_an_answer_whose_last_byte_is_unread_settles_when_it_has_left() -> None:
    scene = unread("ordinary", head(200, b"x", True))
    assert scene.call.state is State.RELAYING and not scene.records
    scene.conn.full = False
    scene.serve.on_drained(scene.call)
    assert scene.call.outcome is Outcome.ANSWERED
    scene.check_settled()


def test_a_client_that_reads_slowly_stops_the_upstream_and_its_clock() -> None:
    scene = unread("ordinary", head(200, b"x", False), passes(1000.0))
    assert scene.ups[0].log == ["start", "pause"] and scene.call.state is State.RELAYING
    scene.conn.full = False
    scene.serve.on_drained(scene.call)
    assert scene.ups[0].log == ["start", "pause", "resume"]
    scene.loop.advance(61.0)
    assert scene.call.outcome is Outcome.TRUNCATED


@pytest.mark.parametrize("note", ["reset", "EOF"])
def test_a_cursor_poll_is_sent_again_once_with_what_is_left_of_its_hold(note: str) -> None:
    scene = Scene("template", idle=2, retry=NO_PAUSE).open()
    first, second = reversed(scene.ups)
    scene.loop.advance(10.0)
    let_go(scene)
    scene.serve.on_failure(scene.call, failure.RESET, note)
    assert b"Gateway-Hold: 25.000" in first.wire and b"Gateway-Hold: 15.000" in second.wire
    assert scene.call.attempts == 2 and scene.held == 1
    let_go(scene)
    scene.serve.on_failure(scene.call, failure.RESET, note)
    assert (scene.call.outcome, scene.call.attempts) == (Outcome.UPSTREAM_RESET, 2)
    scene.check_settled()


def test_a_cursor_poll_with_too_little_left_to_send_again_gets_no_news() -> None:
    scene = Scene("template", idle=2, retry=NO_PAUSE).open()
    scene.loop.advance(24.5)
    failed(failure.RESET)(scene)
    assert scene.call.outcome is Outcome.BLANK and scene.call.attempts == 1


@pytest.mark.parametrize("refusal", [failure.BAD, failure.TIMEOUT])
@pytest.mark.parametrize("kind", ["origin", "never", "ordinary"])
def test_nothing_else_is_sent_again(kind: str, refusal: Any) -> None:
    for one in (refusal, failure.RESET):
        scene = Scene(kind, idle=2).open()
        failed(one)(scene)
        assert scene.call.attempts == 1 and scene.call.outcome is one.outcome


def test_the_third_overrun_in_a_row_on_an_endpoint_is_a_timeout() -> None:
    scenes = [Scene("template") for _ in range(4)]
    endpoint = scenes[0].upstream.endpoints[0]
    outcomes = []
    for scene in scenes:
        scene.open().call.endpoint = endpoint
        scene.loop.advance(30.1)
        outcomes.append(scene.call.outcome)
    assert outcomes == [Outcome.OVERRUN, Outcome.OVERRUN, Outcome.UPSTREAM_TIMEOUT, Outcome.UPSTREAM_TIMEOUT]


def test_a_real_answer_between_forgives_overruns() -> None:
    scene = Scene("template").open()
    endpoint = scene.upstream.endpoints[0]
    endpoint.overruns = 2
    head(200, b"[1]", True)(scene)
    assert endpoint.overruns == 0


@pytest.mark.parametrize("move", [passes(31.0), passes_and_is_late])
def test_an_endpoint_that_was_sent_nothing_is_charged_with_no_overrun(move: Move) -> None:
    """Connecting took all the hold: the upstream never saw the poll, so it is not the one who is overdue."""
    scene = Scene("template", idle=0, connect_timeout=60.0).open()
    move(scene)
    assert scene.call.sent_at is None
    assert scene.upstream.endpoints[0].overruns == 0 and scene.call.outcome is not Outcome.OVERRUN


def identified(not_after: float) -> Callable[[Call], None]:
    def step(call: Call) -> None:
        call.identity = Identity("p", "alice", not_after=not_after)

    return step


@pytest.mark.parametrize(
    ("kind", "left", "seconds", "outcome"),
    [
        ("template", 12.0, 12.1, Outcome.EXPIRED),
        ("template", 3.0, 0.0, Outcome.UNAUTHENTICATED),  # not enough for the shortest hold and the margin
        ("origin", 3.0, 0.0, Outcome.UNAUTHENTICATED),
        ("origin", 12.0, 12.1, Outcome.UNAUTHENTICATED),
    ],
)
def test_a_hold_ends_with_its_token(kind: str, left: float, seconds: float, outcome: Outcome) -> None:
    scene = Scene(kind, steps=(identified(WALL + left),)).open()
    if seconds:
        assert scene.call.state is State.PARKED and scene.call.clamped_by == "token"
        scene.loop.advance(seconds - 0.2)
        assert scene.call.state is State.PARKED
        scene.call.upstream_due = 1e9  # as an upstream that holds longer than it was told
        scene.loop.advance(0.2)
    assert scene.call.outcome is outcome


def test_a_poll_that_comes_while_draining_gets_no_news_and_a_closed_connection() -> None:
    scene = Scene("template")
    scene.serve.draining = Drain(0.0, 2.0)
    scene.open()
    assert scene.call.outcome is Outcome.DRAINED and scene.conn.named("answer")[0][4] is True


def bug(call: Call) -> None:
    raise ZeroDivisionError


def test_a_bug_in_a_step_after_a_wait_is_an_answer_and_a_record() -> None:
    wait: list[asyncio.Future[Any]] = []
    scene = Scene(steps=(lambda call: wait[0], bug))
    wait.append(future(scene))
    scene.open()
    wait[0].set_result(None)
    scene.loop.advance(0.0)
    scene.loop.advance(3600.0)
    assert scene.call.outcome is Outcome.INTERNAL_ERROR
    scene.check_settled()


def test_a_step_that_waits_resumes_after_itself() -> None:
    seen: list[str] = []
    wait: list[asyncio.Future[Any]] = []
    scene = Scene(steps=(lambda call: wait[0], lambda call: seen.append("next")))
    wait.append(future(scene))
    scene.open()
    assert (scene.call.state, seen) == (State.WAITING, [])
    wait[0].set_result(None)
    scene.loop.advance(0.0)
    assert (scene.call.state, seen) == (State.PARKED, ["next"])


def test_a_step_that_waited_may_say_no_and_nothing_is_forwarded() -> None:
    scene = waiting("ordinary")
    resumed(refusals.REVOKED)(scene)
    assert scene.call.outcome is Outcome.REVOKED and scene.ups[0].log == scene.ups[1].log == []
    scene.check_settled()


def test_a_head_request_is_recorded_with_the_bytes_it_was_sent() -> None:
    scene = Scene(head=head_of("/nowhere", method="HEAD")).open()
    assert (scene.call.status, scene.call.bytes_out) == (404, 0)


def test_the_body_of_an_upload_reaches_the_upstream_and_restarts_its_clock() -> None:
    scene = Scene("upload", response_timeout=5.0).open()
    assert scene.conn.named("start_upload")
    for _ in range(3):
        scene.loop.advance(4.0)
        scene.serve.on_upload(scene.call, b"abc", False)
    scene.serve.on_upload(scene.call, b"d", True)
    assert scene.ups[0].body == b"abcabcabcd" and scene.call.bytes_in == 10
    scene.serve.on_head(scene.call, response(200), b"", False)
    assert scene.call.state is State.RELAYING
    assert cast(Any, scene.call.up) is scene.ups[0]


def test_a_record_that_fails_leaves_no_connection_behind() -> None:
    scene = Scene().open()
    scene.serve._settled = bug
    with contextlib.suppress(ZeroDivisionError):
        head(200, b"x", True)(scene)
    assert scene.conn.named("settled") and scene.held == 0


def test_an_upstream_that_is_late_in_a_drain_is_not_charged_with_it():
    them = Crowd()
    caller = them.poll(timeout=25)
    them.loop.advance(26.0)  # past the end that the upstream was asked for, before the gateway's own deadline
    them.drain(1.0)
    them.loop.advance(1.5)
    assert caller.call.outcome is Outcome.DRAINED
    assert [entry[-1] for entry in caller.conn.named("answer")] == [True], "the connection is closed"
    assert them.upstream.endpoints[0].overruns == 0
