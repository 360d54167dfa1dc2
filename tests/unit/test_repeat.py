"""What is sent again, when, and to whom: polls by their class, ordinary calls by the `retry` kind, both within a budget
and within their time. On the hand-cranked loop.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.call import State
from gateway.holds.replay import REPLAY
from gateway.outcome import Outcome
from gateway.policies import retry
from gateway.shapes import Retry
from gateway.upstream import failure
from gateway.upstream.dial import Dial
from gateway.upstream.repeat import Pause
from tests.kit.calls import head_of
from tests.kit.heads import response
from tests.kit.holds import hold_plan
from tests.kit.serving import POLLS, Scene

from .test_forward import fail_dial
from .test_serve_events import AGAIN, failed, head

GONE = failed(failure.RESET)
ONCE = replace(AGAIN, attempts=2)


def asked(scene: Scene) -> list[str]:
    """The endpoints it was sent to, in order."""
    call = scene.call
    names = [each.endpoint.host for each in call.tries if each.sent]
    last = [call.endpoint.host] if call.endpoint is not None and call.attempts > len(call.tries) else []
    return names + last


def pausing(scene: Scene) -> bool:
    return isinstance(cast(Any, scene.call.up), Pause)


def test_a_lost_poll_asks_another_endpoint_at_once_and_the_same_one_after_a_pause() -> None:
    two, one = Scene("template", endpoints=2).open(), Scene("template", idle=2).open()
    GONE(two)
    GONE(one)
    assert not pausing(two) and len(set(asked(two))) == 2
    assert pausing(one) and one.held == 0, "while it pauses it takes nobody's place"
    one.loop.advance(0.2)
    assert not pausing(one) and one.held == 1 and asked(one) == ["10.0.0.1"] * 2


@pytest.mark.parametrize("kind", ["ordinary", "upload"])
def test_an_ordinary_call_is_sent_again_on_each_other_endpoint_first(kind: str) -> None:
    scene = Scene(kind, idle=5, endpoints=3, retry=replace(AGAIN, attempts=4)).open()
    if kind == "upload":
        scene.serve.on_whole(scene.call, b"0123456789")
    for _ in range(3):
        GONE(scene)
        assert pausing(scene)
        scene.loop.advance(1.0)
    assert len(set(asked(scene)[:3])) == 3 and asked(scene)[3] != asked(scene)[2]
    GONE(scene)
    assert (scene.call.outcome, scene.call.attempts) == (Outcome.UPSTREAM_RESET, 4)
    scene.check_settled()


def test_a_second_attempt_that_cannot_connect_outlasts_the_time_of_the_call_by_nothing() -> None:
    scene = Scene("ordinary", idle=1, endpoints=2, retry=ONCE, response_timeout=30.0).open()
    scene.loop.advance(29.5)
    for endpoint in scene.upstream.endpoints:
        endpoint.idle.clear()
    GONE(scene)
    scene.loop.advance(0.1)
    assert isinstance(scene.call.up, Dial)
    scene.loop.advance(0.5)
    assert (scene.call.outcome, scene.call.status) == (Outcome.UPSTREAM_REFUSED, 504)
    scene.check_settled()


def test_a_body_that_is_kept_is_sent_again_with_its_head() -> None:
    scene = Scene("upload", idle=2, retry=ONCE).open()
    assert scene.call.state is State.WAITING, "it is read whole first"
    scene.serve.on_whole(scene.call, b"0123456789")
    GONE(scene)
    scene.loop.advance(1.0)
    first, second = reversed(scene.ups)
    for wire in (first.wire, second.wire):
        assert wire.count(b"Content-Length: 10\r\n") == 1 and wire.endswith(b"\r\n\r\n0123456789")


@pytest.mark.parametrize("framing", [{"length": retry.KEPT + 1}, {"chunked": True}, {"length": 5, "method": "DELETE"}])
def test_no_other_body_is_kept_and_none_of_these_calls_sent_again(framing: dict[str, Any]) -> None:
    scene = Scene("ordinary", idle=2, head=head_of("/updates", **{"method": "POST", **framing}), retry=ONCE).open()
    assert scene.call.state is State.PARKED and scene.conn.named("start_upload")
    GONE(scene)
    assert (scene.call.outcome, scene.call.attempts) == (Outcome.UPSTREAM_RESET, 1)


@pytest.mark.parametrize("refusal", [failure.BAD, failure.TIMEOUT, failure.INTERNAL])
def test_only_a_lost_connection_is_no_answer(refusal: Any) -> None:
    scene = Scene("ordinary", idle=2, retry=ONCE).open()
    failed(refusal)(scene)
    assert scene.call.attempts == 1 and scene.call.status == refusal.status


def test_a_silent_service_is_not_asked_again() -> None:
    scene = Scene("ordinary", idle=2, endpoints=2, retry=ONCE).open()
    scene.loop.advance(60.0)
    assert (scene.call.outcome, scene.call.attempts) == (Outcome.UPSTREAM_TIMEOUT, 1)


def test_all_attempts_together_have_the_time_of_one() -> None:
    scene = Scene("ordinary", idle=3, retry=replace(AGAIN, attempts=9)).open()
    scene.loop.advance(20.0)
    GONE(scene)
    scene.loop.advance(9.9)
    assert scene.call.state is State.PARKED
    scene.loop.advance(0.2)
    assert (scene.call.outcome, scene.call.status) == (Outcome.UPSTREAM_TIMEOUT, 504)
    assert scene.call.ended == pytest.approx(30.0, abs=0.1)


@pytest.mark.parametrize("ended", [True, False])
def test_an_answer_that_counts_as_a_failure_is_thrown_away(ended: bool) -> None:
    scene = Scene("ordinary", idle=2, endpoints=2, retry=ONCE).open()
    head(503, b"not now", ended)(scene)
    assert pausing(scene) and not scene.conn.log
    assert ("cancel" in scene.ups[1].log) is not ended, "what would still come of it goes with its connection"
    scene.loop.advance(1.0)
    head(200, b"[1]", True)(scene)
    assert (scene.call.outcome, scene.call.status, len(set(asked(scene)))) == (Outcome.ANSWERED, 200, 2)
    assert scene.conn.named("begin") == [("begin", 200, b"[1]", True)]


def test_the_last_answer_is_passed_on_whatever_it_says() -> None:
    scene = Scene("ordinary", idle=2, retry=ONCE).open()
    for _ in range(2):
        head(503, b"not now", True)(scene)
        scene.loop.advance(1.0)
    assert (scene.call.outcome, scene.call.attempts) == (Outcome.UPSTREAM_ERROR, 2)
    assert scene.conn.named("begin") == [("begin", 503, b"not now", True)]


def test_an_answer_that_says_when_to_come_back_is_for_the_client() -> None:
    scene = Scene("ordinary", idle=2, retry=ONCE).open()
    scene.call.up = None
    scene.serve.on_head(scene.call, response(503, {"Retry-After": "7"}, 0), b"", True)
    assert (scene.call.status, scene.call.attempts) == (503, 1)


@pytest.mark.parametrize("status", [200, 404, 500, 502])
def test_every_other_answer_is_an_answer(status: int) -> None:
    scene = Scene("ordinary", idle=2, retry=ONCE).open()
    head(status, b"", True)(scene)
    assert (scene.call.status, scene.call.attempts) == (status, 1)


@pytest.mark.parametrize("kind", POLLS)
def test_no_answer_to_a_poll_is_a_failure(kind: str) -> None:
    scene = Scene(kind, idle=2, retry=ONCE).open()
    head(503, b"", True)(scene)
    assert (scene.call.status, scene.call.attempts) == (503, 1)


# -- the race for an idle connection -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "again"), [("GET", True), ("HEAD", True), ("OPTIONS", True), ("DELETE", False), ("POST", False)]
)
def test_a_connection_that_was_closed_as_it_was_used_costs_a_question_nothing(method: str, again: bool) -> None:
    scene = Scene("ordinary", idle=2, head=head_of("/updates", method=method)).open()
    failed(failure.STALE)(scene)
    assert (scene.call.attempts, pausing(scene)) == (1 + again, False)
    failed(failure.STALE)(scene)
    assert (scene.call.outcome, scene.call.attempts) == (Outcome.UPSTREAM_RESET, 1 + again)


def test_what_rested_beside_a_connection_that_was_closed_is_not_used() -> None:
    scene = Scene("template", idle=3).open()
    failed(failure.STALE)(scene)
    assert isinstance(cast(Any, scene.call.up), Dial) and not scene.upstream.endpoints[0].idle


def test_a_connection_that_was_closed_as_it_was_used_is_not_held_against_its_endpoint() -> None:
    told: list[Outcome] = []
    scene = Scene("template", idle=3, endpoints=2)
    scene.upstream.watch = lambda endpoint, outcome, status, since: told.append(outcome)
    scene.open()
    failed(failure.STALE)(scene)
    assert told == [] and scene.call.attempts == 2
    scene.loop.advance(retry.RACE / 2)
    failed(failure.RESET)(scene)
    assert told == [Outcome.UPSTREAM_RESET]


def test_polls_that_die_together_on_connections_used_before_do_not_all_come_back_at_once() -> None:
    scene = Scene("template", idle=3).open()
    scene.loop.advance(retry.RACE + 0.1)
    failed(failure.STALE)(scene)
    assert pausing(scene) and scene.upstream.endpoints[0].idle


def test_a_connection_that_lived_on_was_no_race() -> None:
    scene = Scene("ordinary", idle=2).open()
    scene.loop.advance(retry.RACE + 0.1)
    failed(failure.STALE)(scene)
    assert scene.call.attempts == 1


@pytest.mark.parametrize("replay", REPLAY)
@pytest.mark.parametrize("how", [failure.STALE, failure.RESET])
def test_where_polls_take_away_what_they_are_told_so_may_an_ordinary_call(replay: Any, how: Any) -> None:
    """With a wish of 0 many protocols do not wait, but answer all the same."""
    hold = hold_plan(when=lambda _: False, replay=replay)
    scene = Scene("ordinary", idle=2, endpoints=2, hold=hold, retry=ONCE).open()
    assert scene.call.hold is None
    failed(how)(scene)
    scene.loop.advance(1.0)
    assert scene.call.attempts == 1 + REPLAY[replay].again


# -- the budget ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ordinary", "template"])
@pytest.mark.parametrize("event", [GONE, failed(failure.STALE)])
def test_without_a_budget_nothing_is_sent_again_and_the_record_says_so(kind: str, event: Any) -> None:
    scene = Scene(kind, idle=2, retry=replace(ONCE, budget=0.0)).open()
    event(scene)
    assert (scene.call.outcome, scene.call.attempts) == (Outcome.UPSTREAM_RESET, 1)
    assert scene.call.note == "retry_budget" and scene.upstream.budget.denied == 1


def test_without_a_budget_the_answer_is_passed_on() -> None:
    scene = Scene("ordinary", idle=2, retry=replace(ONCE, budget=0.0)).open()
    head(503, b"not now", True)(scene)
    assert (scene.call.status, scene.call.note) == (503, "retry_budget")


def test_every_call_counts_once_however_often_it_is_sent() -> None:
    scene = Scene("ordinary", idle=0, endpoints=3, retry=ONCE).open()
    fail_dial(scene, ConnectionRefusedError())
    fail_dial(scene, ConnectionRefusedError())
    assert (scene.upstream.calls, scene.call.attempts, scene.upstream.budget.taken) == (1, 3, 0)


# -- pauses --------------------------------------------------------------------------------------------------------


@given(st.floats(0.0, 10.0), st.integers(1, 9), st.floats(0.0, 1.0, exclude_max=True))
def test_pauses_double_are_spread_and_have_an_end(backoff: float, number: int, share: float) -> None:
    first = retry.pause(Retry(backoff=backoff), number, share)
    assert 0.5 * backoff <= first <= 1.5 * max(backoff, retry.LONGEST)
    assert first <= retry.pause(Retry(backoff=backoff), number + 1, share) <= 2.0 * first + 1e-9


def test_a_pause_that_the_hold_does_not_outlive_ends_in_no_news() -> None:
    scene = Scene("template", idle=2, retry=Retry(backoff=20.0)).open()
    scene.loop.advance(29.5)
    GONE(scene)
    assert pausing(scene)
    scene.loop.advance(10.0)
    assert scene.call.outcome is Outcome.BLANK and scene.call.attempts == 1
    scene.check_settled()


def test_what_failed_is_told_once_of_each_attempt() -> None:
    told: list[tuple[str, Outcome, int]] = []
    scene = Scene("ordinary", idle=2, endpoints=2, retry=ONCE)
    scene.upstream.watch = lambda endpoint, outcome, status, since: told.append((endpoint.host, outcome, status))
    scene.open()
    head(503, b"", True)(scene)
    scene.serve.on_gone(scene.call)
    assert told == [(asked(scene)[0], Outcome.UPSTREAM_ERROR, 503)], "and nothing of a client that left in the pause"
