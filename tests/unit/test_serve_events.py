"""The test of `serve`: every event in every state, for an ordinary call and for polls of every kind. Whatever comes,
and however often, the call is settled once: one record, no lease left, no clock running, and then nothing changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import refusals
from gateway.call import State
from gateway.drain import Drain
from gateway.holds.budget import LONGEST
from gateway.outcome import Outcome
from gateway.policies.caps import compile_cap
from gateway.policies.rate_limit import compile_rate_limit
from gateway.serve import TABLE
from gateway.shapes import Retry, Sse
from gateway.state.store import Demand, Denied, Place, Tokens
from gateway.upstream import failure
from gateway.upstream.dial import Dial
from gateway.upstream.repeat import Pause
from tests.kit.calls import call_of, head_of
from tests.kit.glue import AGREED
from tests.kit.heads import response
from tests.kit.holds import PLAIN
from tests.kit.serving import KINDS, POLLS, Scene, Up
from tests.kit.stores import take

JSON = {"Content-Type": "application/json"}
EVENT_STREAM = {"Content-Type": "text/event-stream; charset=utf-8"}
Event = Callable[[Scene], None]


def future(scene: Scene) -> asyncio.Future[Any]:
    return asyncio.Future(loop=cast(asyncio.AbstractEventLoop, scene.loop))


class BugInStepError(Exception):
    """What a step with a bug raises: reported to the operator, and nothing else may be."""


def resumed(verdict: Any) -> Event:
    def event(scene: Scene) -> None:
        done = future(scene)
        if isinstance(verdict, type):
            done.set_exception(verdict())
            done.exception()  # retrieved: nobody else may be there to do it
        else:
            done.set_result(verdict)
        scene.serve.on_resumed(scene.call, done, 1)

    return event


def cancelled(scene: Scene) -> None:
    done = future(scene)
    done.cancel()
    scene.serve.on_resumed(scene.call, done, 1)


def let_go(scene: Scene) -> None:
    """A connection forgets its call before it tells of the end of an answer, or of its own."""
    if isinstance(cast(Any, scene.call.up), Up):
        scene.call.up = None


def head(status: int, data: bytes, ended: bool) -> Event:
    def event(scene: Scene) -> None:
        if ended:
            let_go(scene)
        scene.serve.on_head(scene.call, response(status, JSON, len(data) if ended else None), data, ended)

    return event


def stream_begins(scene: Scene) -> None:
    scene.serve.on_head(scene.call, response(200, EVENT_STREAM), b"data: 1\n\n", False)


def end(scene: Scene) -> None:
    let_go(scene)
    scene.serve.on_end(scene.call)


def failed(refusal: Any) -> Event:
    def event(scene: Scene) -> None:
        let_go(scene)
        scene.serve.on_failure(scene.call, refusal, "note")

    return event


def switched(fields: dict[str, str]) -> Event:
    """Only where it was asked for, and never while the call is still connecting."""

    def event(scene: Scene) -> None:
        if scene.call.upgrade is not None and not isinstance(scene.call.up, Dial):
            let_go(scene)
            scene.serve.on_switch(scene.call, response(101, fields), cast(Any, Up(scene.loop)), b"")

    return event


def drain(seconds: float) -> Event:
    def event(scene: Scene) -> None:
        now = scene.timers.now()
        scene.serve.draining = Drain(now, now + seconds)
        scene.serve.on_drain(scene.call, scene.serve.draining)

    return event


def upload(size: int, ended: bool) -> Event:
    """A body is read only when the head has left: never while the call is still connecting."""
    data = b"x" * size

    def event(scene: Scene) -> None:
        if not isinstance(scene.call.up, (Dial, Pause)):
            scene.serve.on_upload(scene.call, data, ended)

    return event


EVENTS: dict[str, dict[str, Event]] = {
    "resumed": {"on": resumed(None), "no": resumed(refusals.REVOKED), "bug": resumed(BugInStepError),
                "cancelled": cancelled},
    "whole": {"": lambda s: s.serve.on_whole(s.call, b"since=7"), "too long": lambda s: s.serve.on_whole(s.call, None)},
    "turn": {"": lambda s: s.serve.on_turn(s.call), "room": lambda s: (make_room(s), s.serve.on_turn(s.call))[1]},
    "head": {"part": head(200, b"[", False), "whole": head(200, b"[1]", True), "empty": head(200, b"", True),
             "error": head(500, b"{}", True), "error part": head(503, b"", False), "stream": stream_begins},
    "switch": {"": switched(AGREED), "wrong": switched(JSON)},
    "interim": {"": lambda s: s.serve.on_interim(s.call, response(103, {"Link": "</a>"}))},
    "body": {"": lambda s: s.serve.on_body(s.call, b"x"), "long": lambda s: s.serve.on_body(s.call, b"x" * 9000)},
    "end": {"": end},
    "failure": {"reset": failed(failure.RESET), "bad": failed(failure.BAD), "refused": failed(failure.REFUSED)},
    "late": {"": lambda s: s.serve.on_late(s.call)},
    "deadline": {"": lambda s: s.serve.on_deadline(s.call, s.timers.now()),
                 "at last": lambda s: s.serve.on_deadline(s.call, s.timers.now() + 1e6)},
    "gone": {"": lambda s: s.serve.on_gone(s.call), "slow": lambda s: s.serve.on_gone(s.call, Outcome.CLIENT_TIMEOUT)},
    "upload": {"part": upload(4, False), "whole": upload(6, True), "too much": upload(11 * 1024 * 1024, False)},
    "bad_upload": {"framing": lambda s: s.serve.on_bad_upload(s.call, refusals.BAD_BODY),
                   "slow": lambda s: s.serve.on_bad_upload(s.call, refusals.BODY_TIMEOUT)},
    "choked": {"": lambda s: s.serve.on_choked(s.call)},
    "drained": {"": lambda s: s.serve.on_drained(s.call)},
    "evict": {"": lambda s: s.serve.on_evict(s.call)},
    "superseded": {"": lambda s: s.serve.on_superseded(s.call)},
    "revoked": {"": lambda s: s.serve.on_revoked(s.call)},
    "drain": {"": drain(25.0), "at once": drain(0.0)},
}  # fmt: skip


def make_room(scene: Scene) -> None:
    """The one who holds the place leaves, and a minute's tokens come back."""
    for lease in scene.others:
        lease.release()
    scene.others = ()
    scene.loop.now += 60.0


def passes(seconds: float) -> Event:
    return lambda scene: scene.loop.advance(seconds)


def waiting(kind: str) -> Scene:
    scene = Scene(kind, steps=(lambda call: future(scene),), idle=2)
    return scene.open()


RATE = compile_rate_limit("free", "rate", (1.0, 5.0), 1, "route", {}, False, delay=True)
CAPS = tuple(compile_cap("cap", polls, 1, "route", {}, max_waiting=5) for polls in (True, False))


def in_line(kind: str, *, token: bool = False) -> Scene:
    """Somebody else has the place, or took the token (for which only polls wait)."""
    with_rate: dict[str, Any] = {"rates": (RATE,)} if token and kind in POLLS else {}
    scene = Scene(kind, caps=CAPS, idle=2, hold=POLLS.get(kind), **with_rate)
    demand: Demand = Tokens("rate", "updates", RATE.rate) if with_rate else Place("cap", "updates", 1)
    taken = take(scene.store, [demand], call_of(head_of()), scene.timers.now())
    assert not isinstance(taken, Denied)
    _, scene.others = taken
    return scene.open()


def reading(kind: str) -> Scene:
    """Its body decides what it is, and has not come yet."""
    hold = replace(POLLS.get(kind, PLAIN), body_limit=100)
    scene = Scene(kind, idle=2, hold=hold)
    assert scene.call.head is not None
    scene.call.head.framing = scene.call.framing = "chunked"
    return scene.open()


def kept_back(kind: str, *, too_soon: bool = False) -> Scene:
    """Another poll of the same poller is not over yet, or was without news a moment ago. Only polls wait for that."""
    if kind not in POLLS:
        return in_line(kind)
    rule: dict[str, Any] = {"min_repoll": 10.0} if too_soon else {"concurrency": "session-fatal"}
    hold = replace(POLLS[kind], **rule)
    scene = Scene(kind, idle=2, hold=hold)
    other = call_of(head_of(), peer=scene.call.peer)
    other.hold = hold
    assert scene.limits.pollers.enter(other, scene.upstream.name) is None
    if too_soon:
        other.outcome = Outcome.EMPTY
        other.leases[0].release()
    return scene.open()


AGAIN = Retry(attempts=3, methods=frozenset({"GET", "POST"}), status=frozenset({503}))


def pausing(kind: str) -> Scene:
    """Its connection died, and it is sent again in a moment. A body was read whole for that."""
    hold = replace(POLLS[kind], replay="cursor") if kind in POLLS else None
    scene = Scene(kind, idle=2, hold=hold, retry=AGAIN).open()
    if scene.call.state is State.WAITING:
        scene.serve.on_whole(scene.call, b"0123456789")
    failed(failure.RESET)(scene)
    assert isinstance(scene.call.up, Pause)
    return scene


def relaying(kind: str) -> Scene:
    scene = Scene(kind).open()
    head(200, b"[", False)(scene)
    return scene


def tunnelling(kind: str) -> Scene:
    scene = Scene("upgrade").open()
    switched(AGREED)(scene)
    return scene


def streaming(kind: str) -> Scene:
    scene = Scene(kind, sse=Sse(15.0, 300.0, 3600.0)).open()
    stream_begins(scene)
    return scene


def unread(kind: str, *events: Event) -> Scene:
    """The client takes nothing from now on."""
    scene = Scene(kind).open()
    scene.conn.full = True
    for event in events:
        event(scene)
    return scene


def after(seconds: float, scene: Scene) -> Scene:
    scene.loop.advance(seconds)
    return scene


def settled(kind: str) -> Scene:
    scene = Scene(kind).open()
    scene.serve.on_gone(scene.call)
    return scene


STAGES: dict[str, tuple[State, Callable[[str], Scene]]] = {
    "opening": (State.OPENING, Scene),
    "waiting": (State.WAITING, waiting),
    "in line for a place": (State.WAITING, in_line),
    "in line for a token": (State.WAITING, lambda kind: in_line(kind, token=True)),
    "reading its body": (State.WAITING, reading),
    "kept back": (State.WAITING, kept_back),
    "back too soon": (State.WAITING, lambda kind: kept_back(kind, too_soon=True)),
    "parked": (State.PARKED, lambda kind: Scene(kind, idle=2).open()),
    "dialing": (State.PARKED, lambda kind: Scene(kind, idle=0, endpoints=2).open()),
    "pausing": (State.PARKED, pausing),
    "sent again": (State.PARKED, lambda kind: after(0.2, pausing(kind))),
    "relaying": (State.RELAYING, relaying),
    "streaming": (State.RELAYING, streaming),
    "stream unread": (State.RELAYING, lambda kind: unread(kind, stream_begins)),
    "choked": (State.RELAYING, lambda kind: unread(kind, head(200, b"[", False))),
    "relayed": (State.RELAYING, lambda kind: unread(kind, head(200, b"[1]", True))),
    "answered": (State.RELAYING, lambda kind: unread(kind, failed(failure.BAD))),
    "tunnelling": (State.TUNNELLING, tunnelling),
    "settled": (State.SETTLED, settled),
}


def facts(scene: Scene) -> tuple[Any, ...]:
    call = scene.call
    return (len(scene.records), len(scene.conn.log), scene.held, len(scene.loop.tasks), call.outcome, call.ended,
            call.status, call.bytes_in, call.bytes_out, call.due, call.filed, call.state)  # fmt: skip


def leave(scene: Scene) -> None:
    """The client goes, everything is looked at, and then every event comes once more, too late."""
    scene.serve.on_gone(scene.call)
    scene.check_settled()
    before = facts(scene)
    for variants in EVENTS.values():
        for event in variants.values():
            event(scene)
    scene.loop.advance(3600.0)
    assert facts(scene) == before
    seats = scene.limits.pollers._seats.values()
    assert not [seat for seat in seats if seat.behind is not None or seat.call is scene.call]
    assert {type(error) for error in scene.loop.errors} <= {BugInStepError}


def test_every_event_of_the_table_is_delivered_here() -> None:
    assert EVENTS.keys() == TABLE.keys()
    assert {state for state, _ in STAGES.values()} == set(State) - {State.ADMITTING}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("stage", STAGES)
def test_every_event_in_every_state_settles_once(stage: str, name: str, kind: str) -> None:
    for first in EVENTS[name].values():
        for again in (None, *EVENTS[name].values()):
            state, reach = STAGES[stage]
            scene = reach(kind)
            assert scene.call.state is state
            first(scene)
            if again is not None:
                again(scene)
            leave(scene)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TABLE)
def test_every_event_from_inside_a_step_settles_once(name: str, kind: str) -> None:
    for event in EVENTS[name].values():
        states: list[State] = []

        def step(call: Any, event: Event = event, states: list[State] = states) -> None:
            states.append(call.state)
            event(scene)  # noqa: B023 - called at once

        scene = Scene(kind, steps=(step,))
        scene.open()
        assert states == [State.ADMITTING]
        leave(scene)


MOVES: dict[str, Event] = {
    f"{name} {which}".strip(): event for name, all_ in EVENTS.items() for which, event in all_.items()
}
MOVES |= {f"{seconds:g} s pass": passes(seconds) for seconds in (0.01, 1.0, 30.0, 100.0)}


def fill(full: bool) -> Event:
    def event(scene: Scene) -> None:
        scene.conn.full = full
        if not full:
            scene.serve.on_drained(scene.call)

    return event


MOVES |= {"client stops reading": fill(True), "client reads on": fill(False)}


@given(st.sampled_from(KINDS), st.sampled_from(list(STAGES)), st.lists(st.sampled_from(list(MOVES)), max_size=12))
def test_any_sequence_of_events_settles_once(kind: str, stage: str, moves: list[str]) -> None:
    scene = STAGES[stage][1](kind)
    for move in moves:
        MOVES[move](scene)
        assert len(scene.records) == (scene.call.state is State.SETTLED)
        assert scene.held <= 1
    leave(scene)


@given(st.sampled_from(KINDS), st.sampled_from(("waiting", "parked", "dialing", "pausing", "relaying", "tunnelling")))
def test_a_call_that_nobody_touches_ends_by_itself(kind: str, stage: str) -> None:
    scene = STAGES[stage][1](kind)
    if stage == "waiting":
        resumed(None)(scene)
    scene.loop.advance(LONGEST + 3600.0)
    scene.check_settled()
