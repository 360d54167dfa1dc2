"""Calls while endpoints cannot be reached: what an upstream that is gone is spared, who tries whether it is back, and
what is held against an endpoint that was only being connected to. On the hand-cranked loop.
"""

from __future__ import annotations

import errno
from typing import Any, cast

import pytest

from gateway.call import State
from gateway.outcome import Outcome
from gateway.upstream import failure
from gateway.upstream.circuit import FAILURES
from gateway.upstream.dial import Dial
from tests.kit.serving import POLLS, Scene, Up

from .test_forward import fail_dial
from .test_serve_events import failed

GONE = failed(failure.RESET)


def outage(scene: Scene) -> Scene:
    """Other calls have found nobody."""
    for _ in range(FAILURES):
        for endpoint in scene.upstream.endpoints:
            scene.upstream.circuit.refused(endpoint, scene.upstream.choice, scene.loop.now)
    return scene


@pytest.mark.parametrize("kind", ["ordinary", "upload", *POLLS])
def test_while_nobody_can_be_reached_calls_are_told_at_once(kind: str) -> None:
    scene = outage(Scene(kind, idle=0, endpoints=2)).open()
    assert (scene.call.outcome, scene.call.status, scene.call.attempts) == (Outcome.UPSTREAM_REFUSED, 503, 0)
    (answer,) = scene.conn.named("answer")
    assert b"circuit_open" in answer[3] and dict(answer[2])[b"Retry-After"] in {b"1", b"2", b"3", b"4", b"5"}
    scene.check_settled()


def test_an_idle_connection_is_still_used() -> None:
    assert outage(Scene("ordinary")).open().call.state is State.PARKED


def test_the_call_that_opens_it_is_told_so_and_later_one_tries() -> None:
    scene = Scene("ordinary", idle=0, endpoints=2)
    for _ in range(FAILURES - 2):
        scene.upstream.circuit.refused(scene.upstream.endpoints[0], scene.upstream.choice, 0.0)
    scene.open()
    while scene.call.state is State.PARKED:
        fail_dial(scene, ConnectionRefusedError())
    assert scene.upstream.circuit.state == "open" and scene.call.status in (502, 503)
    later = outage(Scene("ordinary", idle=0))
    later.loop.advance(1.0)
    later.open()
    assert isinstance(later.call.up, Dial) and later.upstream.circuit.state == "half-open"
    later.serve.on_gone(later.call)
    assert later.upstream.circuit.state == "open"
    later.check_settled()


def test_the_call_that_tries_and_finds_a_connection_that_rested_keeps_nobody_from_trying() -> None:
    """It may be parked there for as long as a hold lasts."""
    scene = outage(Scene("template", idle=0, endpoints=2))
    scene.loop.advance(1.0)
    scene.open()
    assert isinstance(cast(Any, scene.call.up), Dial) and scene.upstream.circuit.state == "half-open"
    for endpoint in scene.upstream.endpoints:
        endpoint.idle.append(cast(Any, Up(scene.loop)))
    fail_dial(scene, ConnectionRefusedError())
    assert scene.call.state is State.PARKED and scene.upstream.circuit.state == "open"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EADDRNOTAVAIL])
def test_what_this_machine_has_run_out_of_is_not_held_against_endpoints(number: int) -> None:
    told: list[Outcome] = []
    for _ in range(FAILURES):
        scene = Scene("ordinary", idle=0, endpoints=2)
        scene.upstream.watch = lambda endpoint, outcome, status, since: told.append(outcome)
        scene.open()
        while scene.call.state is State.PARKED:
            fail_dial(scene, OSError(number, "none left"))
        assert (scene.call.outcome, scene.call.status) == (Outcome.OVERLOADED, 503)
        assert scene.upstream.circuit._failed == 0 and set(told) <= {Outcome.OVERLOADED}


def test_an_endpoint_that_was_only_being_connected_to_owes_a_poll_nothing() -> None:
    """It was sent to another one first, which died; the hold ends while the connection to the next is being made."""
    scene = Scene("template", idle=1, endpoints=2, connect_timeout=60.0).open()
    for endpoint in scene.upstream.endpoints:
        endpoint.idle.clear()
    told: list[Outcome] = []
    scene.upstream.watch = lambda endpoint, outcome, status, since: told.append(outcome)
    scene.loop.advance(scene.call.deadline - scene.loop.now - 10.0)
    GONE(scene)
    assert isinstance(cast(Any, scene.call.up), Dial) and scene.call.attempts == 2
    scene.loop.advance(11.0)
    assert scene.call.outcome is Outcome.BLANK and told == [Outcome.UPSTREAM_RESET]
    assert [each.overruns for each in scene.upstream.endpoints] == [0, 0]
    scene.check_settled()
