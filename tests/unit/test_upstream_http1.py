"""One upstream connection on a clock moved by hand: how long it rests, on whose word, and what may then be sent on it.
Only its transport is a stand-in; the answers are bytes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from gateway.clock import NEVER
from gateway.outcome import Outcome
from tests.kit.heads import response
from tests.kit.line import Line
from tests.kit.serving import KINDS, POLLS, Scene


@pytest.mark.parametrize(
    ("said", "rests"),
    [
        (None, 4.0),
        ("timeout=10", 9.0),  # longer than configured: the upstream knows
        ("timeout=10, max=100", 9.0),
        ("max=100, timeout=3", 2.0),
        ("TIMEOUT=3", 2.0),
        ("timeout=2", 1.0),
        ("max=100", 4.0),
        ("timeout=soon", 4.0),
        ("timeout=-5", 4.0),
    ],
)
def test_a_connection_rests_for_as_long_as_the_upstream_said_less_a_second(said: str | None, rests: float) -> None:
    fields = [] if said is None else [f"Keep-Alive: {said}"]
    for later, kept in ((rests - 0.1, True), (rests, False)):
        line = Line()
        line.rest(*fields)
        assert line.idle_at(later) is kept
    line = Line()
    line.rest(*fields)
    line.scene.loop.advance(rests + 0.1)  # nobody came: it is closed by its own clock
    assert line.wires[0].ended == "closed"


@pytest.mark.parametrize("said", ["timeout=1", "timeout=0"])
def test_a_connection_that_leaves_no_second_is_not_kept(said: str) -> None:
    line = Line()
    line.rest(f"Keep-Alive: {said}")
    assert line.wires[0].ended == "closed" and not line.endpoint.idle


@pytest.mark.parametrize(("later", "for_all", "for_once"), [(0.5, True, True), (1.0, True, True), (1.1, True, False)])
def test_only_a_young_connection_carries_what_may_not_be_repeated(later: float, for_all: bool, for_once: bool) -> None:
    """RFC 9112 9.3.1: the upstream may be closing what has rested for a while."""
    for fresh, got in ((False, for_all), (True, for_once)):
        line = Line()
        line.rest()
        assert line.idle_at(later, fresh=fresh) is got


@pytest.mark.parametrize(("kind", "again"), [(kind, kind in ("template", "early", "endless")) for kind in KINDS])
def test_after_a_second_of_rest_only_a_cursor_poll_is_sent_on_an_old_connection(kind: str, again: bool) -> None:
    line = Line(kind)
    resting = line.connect()
    resting.idle_since = 0.0
    line.endpoint.idle.append(resting)
    line.scene.loop.advance(1.5)
    line.scene.open()
    assert (cast(Any, line.scene.call.up) is resting) is again
    assert bool(line.wires[0].sent) is again


def test_a_connection_that_the_upstream_closed_while_it_rested_is_forgotten() -> None:
    line = Line()
    made = line.rest()
    made.connection_lost(None)
    assert not line.endpoint.idle
    line.scene.loop.advance(10.0)
    assert line.endpoint.idle.due == NEVER, "nor does the clock run on once nobody rests"


def test_bytes_nobody_asked_for_end_a_resting_connection() -> None:
    line = Line()
    made = line.rest()
    made.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert line.wires[0].ended == "closed"
    assert not line.idle_at(0.1), "and nobody is given it"


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_that_is_over_resets_its_connection_at_once(kind: str) -> None:
    line = Line(kind)
    line.call()
    line.scene.serve.on_gone(line.scene.call)
    assert line.wires[0].ended == "reset" and not line.endpoint.idle


def test_an_answer_that_waits_for_its_reader_is_not_read_on_and_rests_afterwards() -> None:
    line = Line()
    made = line.call()
    line.scene.conn.full = True
    made.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok")
    assert not line.wires[0].reading
    line.scene.conn.full = False
    line.scene.serve.on_drained(line.scene.call)
    assert line.wires[0].reading
    made.data_received(b"ok")
    assert line.scene.call.outcome is Outcome.ANSWERED and made in line.endpoint.idle


def test_an_answer_before_the_end_of_an_upload_ends_the_connection() -> None:
    """What is left of the body would be read as the next request; nor is it sent to somebody who has answered."""
    line = Line("upload")
    made = line.call()
    made.data_received(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
    assert line.wires[0].ended == "reset" and not line.endpoint.idle


def test_a_connection_had_too_late_carries_nothing_and_its_poll_gets_no_news() -> None:
    """Connecting used up the hold: what is left is shorter than the dialect holds at all."""
    plan = replace(POLLS["template"], absent=1.0, min=1.0, margin=0.5)
    line = Line("template", hold=plan, connect_timeout=30.0)
    line.scene.open()
    line.scene.loop.advance(0.7)
    made = line.connect()
    line.scene.serve._forwarder._connected(cast(Any, line.scene.call.up), made)
    assert (line.wires[0].sent, line.wires[0].ended) == (b"", "closed")
    assert line.scene.call.outcome is Outcome.BLANK
    line.scene.check_settled()


def test_a_bug_while_sending_is_an_answer_and_leaves_no_connection() -> None:
    line = Line()
    line.scene.open()
    made = line.connect()
    line.wires[0].write = None  # type: ignore[assignment,method-assign]
    line.scene.serve._forwarder._connected(cast(Any, line.scene.call.up), made)
    assert line.wires[0].ended == "reset"
    assert (line.scene.call.status, line.scene.call.outcome) == (500, Outcome.INTERNAL_ERROR)
    assert [type(error) for error in line.scene.loop.errors] == [TypeError]
    line.scene.check_settled()


def test_a_stand_in_for_a_connection_does_what_the_real_one_does() -> None:
    """`Scene` answers calls by `serve` events: the real connection delivers the same ones."""
    line = Line()
    made = line.call()
    made.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok")
    made.data_received(b"ok")
    real = [entry[0] for entry in line.scene.conn.log]
    other = Scene("ordinary").open()
    other.serve.on_head(other.call, response(200, {}, 4), b"ok", False)
    other.call.up = None
    other.serve.on_body(other.call, b"ok")
    other.serve.on_end(other.call)
    assert [entry[0] for entry in other.conn.log] == real
