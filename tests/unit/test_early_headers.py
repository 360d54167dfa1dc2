"""Polls whose answers begin before there is news: what ends them, when, and as what they are recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import verdicts
from gateway.admin import live
from gateway.call import Call, State
from gateway.clock import NEVER
from gateway.drain import Drain
from gateway.holds.answer import BODY_LIMIT
from gateway.holds.ask import ENDLESS
from gateway.holds.budget import LONGEST
from gateway.holds.idle import compile_idle
from gateway.holds.plan import Jitter
from gateway.identity.claims import Identity
from gateway.outcome import Outcome
from gateway.upstream import failure
from tests.kit.holds import hold_plan
from tests.kit.records import record_of
from tests.kit.serving import POLLS, WALL, Scene

from .test_serve_events import drain, end, failed, fill, head, passes

Move = Callable[[Scene], None]
IDLE, LIMIT, _ = compile_idle(["json:/results == []"])
BEGUN = head(200, b'{"results":[\n', False)


def body(data: bytes) -> Move:
    return lambda scene: scene.serve.on_body(scene.call, data)


def evict(scene: Scene) -> None:
    scene.serve.on_evict(scene.call)


def leaves(scene: Scene) -> None:
    scene.serve.on_gone(scene.call)


def beats(times: int, every: float) -> Move:
    """Line feeds while nothing happens."""

    def move(scene: Scene) -> None:
        for _ in range(times):
            scene.loop.advance(every)
            scene.serve.on_body(scene.call, b"\n")

    return move


BEAT, REST, NEWS = body(b"\n"), body(b'],"last_seq":"7"}'), body(b'{"id":"a"}')
MUCH = body(b" " * (BODY_LIMIT + 1))


def bounded(seconds: float) -> Scene:
    """A poll without an end of its own in a dialect that lets none last longer than so."""
    hold = replace(POLLS["endless"], idle=IDLE, idle_body_limit=LIMIT, max=seconds)
    return Scene("endless", hold=hold)


def scene_of(kind: str = "early", **changes: object) -> Scene:
    return Scene(kind, hold=replace(POLLS[kind], idle=IDLE, idle_body_limit=LIMIT), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "moves", "outcome", "held", "note"),
    [
        ("early", [BEGUN, passes(20), REST, end], Outcome.EMPTY, 20, None),
        ("early", [BEGUN, passes(20), NEWS, REST, end], Outcome.NEWS, 20, None),
        ("early", [BEGUN, passes(20), BEAT, BEAT, REST, end], Outcome.EMPTY, 20, None),
        ("early", [BEGUN, passes(20), MUCH, passes(5), REST, end], Outcome.NEWS, 25, None),
        ("early", [passes(2), head(200, b"[1]", True)], Outcome.NEWS, 2, None),
        ("early", [passes(2), head(404, b"", False), passes(1), end], Outcome.ANSWERED, 2, None),
        ("early", [head(404, b"", False), passes(61)], Outcome.TRUNCATED, 0, "body_idle"),
        # its own deadline: 25 s and a margin of 5, whatever comes before
        ("early", [BEGUN, passes(30.1)], Outcome.TRUNCATED, 30, "overdue"),
        ("early", [BEGUN, beats(29, 1.0), passes(1.1)], Outcome.TRUNCATED, 30, "overdue"),
        ("early", [BEGUN, evict, passes(20), REST, end], Outcome.EMPTY, 20, None),
        ("early", [BEGUN, passes(3), leaves], Outcome.CLIENT_GONE, 3, None),
        ("early", [BEGUN, passes(3), failed(failure.RESET)], Outcome.TRUNCATED, 3, "note"),
        ("early", [BEGUN, drain(25), passes(24.9), REST, end], Outcome.EMPTY, 24.9, None),
        ("early", [BEGUN, drain(25), passes(25.1)], Outcome.DRAINED, 25, None),
        ("early", [BEGUN, drain(60), passes(30.1)], Outcome.TRUNCATED, 30, "overdue"),
        # a body too long to say "no news" is let finish as long as it comes
        ("early", [BEGUN, passes(29), MUCH, passes(50), BEAT, passes(50), end], Outcome.NEWS, 129, None),
        ("early", [BEGUN, passes(29), MUCH, passes(61)], Outcome.TRUNCATED, 89, "body_idle"),
        ("early", [BEGUN, MUCH, drain(25), passes(20), BEAT, passes(5.1)], Outcome.DRAINED, 25, None),
        # nobody knows when an endless one is due: as long as there are signs of life, and to its deadline
        ("endless", [BEGUN, beats(10, 50.0), REST, end], Outcome.EMPTY, 500, None),
        ("endless", [BEGUN, beats(3, 50.0), passes(60.1)], Outcome.TRUNCATED, 210, "body_idle"),
        ("endless", [BEGUN, beats(1441, 59.99)], Outcome.TRUNCATED, LONGEST + 5, "hold_over"),
        ("endless", [BEGUN, beats(2, 50.0), drain(25), passes(25.1)], Outcome.DRAINED, 125, None),
        ("endless", [BEGUN, beats(2, 50.0), leaves], Outcome.CLIENT_GONE, 100, None),
    ],
)  # fmt: skip
def test_a_hold_whose_answer_began_ends_as(
    kind: str, moves: list[Move], outcome: Outcome, held: float, note: str | None
) -> None:
    scene = scene_of(kind).open()
    for move in moves:
        move(scene)
    call = scene.call
    assert call.outcome is outcome
    assert call.note == note or (note is None and call.note == ENDLESS)
    assert call.held(call.ended or 0.0) == pytest.approx(held, abs=0.1)
    cut = outcome in (Outcome.TRUNCATED, Outcome.DRAINED)
    assert scene.conn.named("abort") == ([("abort", True)] if cut else [])
    record = record_of(call, WALL, scene.loop.now, scene.snapshot)
    assert ("news_latency" in record) == (outcome is Outcome.NEWS)
    scene.check_settled()


def test_of_a_long_answer_nothing_is_kept() -> None:
    scene = scene_of().open()
    BEGUN(scene)
    assert scene.call.sample is not None
    for move in (MUCH, BEAT, NEWS):
        move(scene)
        assert scene.call.sample is None
    end(scene)
    assert scene.call.outcome is Outcome.NEWS


def test_news_may_pause_until_the_deadline_of_the_hold() -> None:
    """What a feed had when the poll came may be long, and the hold is not over for that."""
    scene = scene_of().open()
    assert scene.call.plan is not None
    scene.call.plan = replace(scene.call.plan, body_idle_timeout=2.0)
    for move in (BEGUN, MUCH, passes(29.0), REST, end):
        move(scene)
    assert (scene.call.outcome, scene.call.note) == (Outcome.NEWS, None)


def test_what_has_begun_can_be_neither_replaced_nor_sent_again() -> None:
    scene = scene_of().open()
    assert scene.call.evictable and scene.call.wire is not None
    BEGUN(scene)
    assert not scene.call.evictable and scene.call.blank is None and scene.call.wire is None


def test_it_is_held_until_its_answer_is_complete() -> None:
    scene = scene_of().open()
    for move in (lambda s: None, BEGUN, BEAT, passes(10.0), REST):
        move(scene)
        assert live.is_held(scene.call) and scene.held == 1
    end(scene)
    assert not live.is_held(scene.call)


def test_an_answer_that_only_waits_for_its_reader_is_not_held() -> None:
    scene = scene_of().open()
    for move in (BEGUN, fill(True), REST, end):
        move(scene)
    assert scene.call.state is State.RELAYING and not live.is_held(scene.call)
    leaves(scene)


def test_a_first_byte_does_not_show_that_an_endpoint_answers() -> None:
    scene = scene_of().open()
    endpoint = scene.upstream.endpoints[0]
    endpoint.overruns = 2
    BEGUN(scene)
    assert endpoint.overruns == 2
    scene.loop.advance(30.1)
    assert endpoint.overruns == 3


def test_a_complete_answer_does() -> None:
    scene = scene_of().open()
    endpoint = scene.upstream.endpoints[0]
    endpoint.overruns = 2
    for move in (BEGUN, REST, end):
        move(scene)
    assert endpoint.overruns == 0


@pytest.mark.parametrize("kind", ["early", "endless"])
def test_a_slow_reader_stops_the_upstream_and_no_clock_ends_it(kind: str) -> None:
    scene = scene_of(kind).open()
    for move in (BEGUN, fill(True), BEAT, passes(20.0)):
        move(scene)
    assert scene.ups[0].log == ["start", "pause"] and scene.call.due == NEVER
    for move in (fill(False), REST, end):
        move(scene)
    assert scene.ups[0].log == ["start", "pause", "resume"]
    assert scene.call.outcome is Outcome.EMPTY
    scene.check_settled()


def test_the_deadline_counts_again_once_the_reader_has_caught_up() -> None:
    scene = scene_of().open()
    for move in (BEGUN, fill(True), BEAT, passes(40.0)):
        move(scene)
    assert scene.call.state is State.RELAYING
    fill(False)(scene)
    scene.loop.advance(0.1)
    assert (scene.call.outcome, scene.call.note) == (Outcome.TRUNCATED, "overdue")


def identified(call: Call) -> None:
    call.identity = Identity("p", "alice", not_after=WALL + 12.0)


@pytest.mark.parametrize("more", [[], [MUCH], [MUCH, beats(11, 1.0)]])
@pytest.mark.parametrize("kind", ["early", "endless"])
def test_no_hold_outlives_its_token(kind: str, more: list[Move]) -> None:
    scene = scene_of(kind, steps=(identified,)).open()
    for move in (BEGUN, *more):
        move(scene)
    scene.loop.advance(12.1)
    assert scene.call.outcome is Outcome.EXPIRED and scene.call.ended == pytest.approx(12.0, abs=0.1)
    assert scene.conn.named("abort") == [("abort", True)]


@pytest.mark.parametrize(("steps", "until"), [((), 20.0), ((identified,), 12.0)])
def test_one_that_begins_while_draining_has_the_whole_window(steps: tuple[object, ...], until: float) -> None:
    """Before, its no-news answer was due in a slot of it."""
    scene = scene_of(steps=steps).open()
    scene.serve.draining = Drain(0.0, 20.0)
    scene.serve.on_drain(scene.call, scene.serve.draining)
    assert scene.call.clamped_by in ("drain", "token") and scene.call.deadline <= 16.0
    BEGUN(scene)
    scene.loop.advance(until - 0.1)
    assert scene.call.state is State.RELAYING
    scene.loop.advance(0.3)
    assert scene.call.state is State.SETTLED


def test_an_endless_poll_has_no_clock_but_its_deadline_before_its_answer_begins() -> None:
    scene = scene_of("endless").open()
    assert scene.call.upstream_due == NEVER
    scene.loop.advance(LONGEST + 4.0)
    assert scene.call.state is State.PARKED
    scene.loop.advance(1.1)
    assert scene.call.outcome is Outcome.BLANK


def test_where_the_dialect_bounds_it_an_endless_poll_needs_no_heartbeats() -> None:
    scene = bounded(600.0).open()
    BEGUN(scene)
    scene.loop.advance(604.0)
    assert scene.call.held_on
    scene.loop.advance(1.1)
    assert (scene.call.outcome, scene.call.note) == (Outcome.TRUNCATED, "hold_over")
    assert scene.upstream.endpoints[0].overruns == 0


# -- upstreams that answer early ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("early", "held", "full"),
    [(0.0, 23.0, True), (0.0, 22.0, False), (10.0, 15.0, True), (10.0, 13.0, False), (30.0, 15.0, False),
     (30.0, 23.0, True), (25.0, 0.1, False)],
)  # fmt: skip
def test_an_answer_as_early_as_the_dialect_says_was_held_for_its_full_time(
    early: float, held: float, full: bool
) -> None:
    scene = Scene("template", hold=hold_plan(jitter=Jitter(early=early), idle=IDLE, idle_body_limit=LIMIT)).open()
    scene.loop.advance(held)
    head(200, b'{"results":[]}', True)(scene)
    assert scene.call.outcome is Outcome.EMPTY
    assert verdicts.is_idle(scene.call, scene.call.outcome) is full


@pytest.mark.parametrize(("held", "full"), [(24.0, True), (3.0, False)])
def test_an_answer_that_began_early_was_held_to_its_end(held: float, full: bool) -> None:
    scene = scene_of().open()
    for move in (BEGUN, passes(held), REST, end):
        move(scene)
    assert verdicts.is_idle(scene.call, scene.call.outcome) is full


@given(
    kind=st.sampled_from(("early", "endless")),
    gaps=st.lists(st.floats(0.1, 59.0), max_size=40),
    size=st.integers(1, 400),
)
def test_heartbeats_never_carry_a_hold_past_its_deadline(kind: str, gaps: list[float], size: int) -> None:
    scene = scene_of(kind).open()
    BEGUN(scene)
    deadline = scene.call.deadline
    for gap in gaps:
        scene.loop.advance(gap)
        if scene.call.bytes_out + size > BODY_LIMIT:
            break
        scene.serve.on_body(scene.call, b"\n" * size)
    scene.loop.advance(deadline + 1.0)
    assert scene.call.ended is not None and scene.call.ended <= deadline + 0.1
    scene.check_settled()
