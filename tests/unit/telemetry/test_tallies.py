"""What calls add up to: every ending counted once and in one place, nothing that a client can make grow, and a reload
that takes nothing away from a counter that somebody watches.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.call import Call, Try
from gateway.identity.claims import Identity
from gateway.outcome import Outcome
from gateway.telemetry import tallies as module
from gateway.telemetry.tallies import KEPT_GONE, OTHER, Tallies, error_type
from tests.kit.calls import head_of
from tests.kit.records import record_of
from tests.kit.serving import POLLS, Scene

SCENE = Scene()


def tallies(**settings: bool) -> Tallies:
    return Tallies(cast(Any, None), **settings)


def call(outcome: Outcome = Outcome.ANSWERED, *, poll: bool = False, method: str = "GET", status: int = 200,
         consumer: str | None = None, planned: bool = True, **fields: Any) -> Call:  # fmt: skip
    """A call that began at 100 and ended at 130; a poll was sent at 100.5 and answered at 129."""
    made = Call(cast(Any, SCENE.conn), SCENE.serve, "0" * 32, head_of(method=method), "192.0.2.7", 100.0)
    made.plan = SCENE.plan if planned else None
    made.outcome, made.ended, made.status = outcome, 130.0, status
    if poll:
        made.hold, made.sent_at, made.first_byte_at = POLLS["template"], 100.5, 129.0
    if consumer is not None:
        made.identity = Identity("main", consumer, None)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("poll", [True, False])
def test_every_ending_is_counted_once_as_what_it_was(outcome: Outcome, poll: bool) -> None:
    counted = tallies()
    counted.count(call(outcome, poll=poll))
    tally = counted.routes["updates"]
    assert (tally.outcomes, tally.calls) == (({outcome: 1}, {}) if poll else ({}, {outcome: 1}))
    assert sum(each.count for each in counted.requests.values()) == (0 if poll else 1)
    assert (tally.hold.count, tally.work.count) == ((1, 1) if poll else (0, 0))
    assert not counted.routes[""].outcomes and not counted.routes[""].calls


@given(st.lists(st.tuples(st.sampled_from(Outcome), st.booleans(), st.booleans()), max_size=40))
def test_the_sum_over_all_endings_is_the_number_of_calls(calls: list[tuple[Outcome, bool, bool]]) -> None:
    counted = tallies()
    for outcome, poll, planned in calls:
        counted.count(call(outcome, poll=poll, planned=planned))
    sums = [sum(tally.outcomes.values()) + sum(tally.calls.values()) for tally in counted.routes.values()]
    assert sum(sums) == len(calls)
    ordinary = sum(sum(tally.calls.values()) for tally in counted.routes.values())
    assert sum(each.count for each in counted.requests.values()) == ordinary


@given(
    st.lists(
        st.tuples(
            st.sampled_from([Outcome.NEWS, Outcome.EMPTY, Outcome.CAPPED]),
            st.booleans(),
            st.booleans(),
            st.sampled_from([None, "max", "token"]),
            st.booleans(),
        ),
        max_size=40,
    ),
    st.sets(st.integers(0, 40)),
)
def test_whoever_looks_sees_all_calls_that_ended_however_many_in_a_row_were_alike(
    calls: list[tuple[Outcome, bool, bool, str | None, bool]], looks: set[int]
) -> None:
    endpoint, seen, unseen = SCENE.upstream.endpoints[0], tallies(), tallies()
    model: dict[tuple[object, ...], int] = {}
    for number, (outcome, poll, planned, clamped, sent) in enumerate(calls):
        for counted in (seen, unseen):
            reached = endpoint if sent else None
            counted.count(call(outcome, poll=poll, planned=planned, clamped_by=clamped, endpoint=reached))
        route = "updates" if planned else ""
        keys: list[tuple[object, ...]] = [("ended", route, poll, outcome)]
        keys += [("clamped", route, clamped)] if poll and clamped is not None else []
        keys += [("endpoint", outcome)] if sent and planned else []
        for key in keys:
            model[key] = model.get(key, 0) + 1
        if number in looks:
            assert flat(seen) == model
    assert flat(seen) == flat(unseen) == model


def flat(counted: Tallies) -> dict[tuple[object, ...], int]:
    found: dict[tuple[object, ...], int] = {}
    for name, tally in counted.routes.items():
        for poll, outcomes in ((True, tally.outcomes), (False, tally.calls)):
            found |= {("ended", name, poll, outcome): number for outcome, number in outcomes.items()}
        found |= {("clamped", name, cause): number for cause, number in tally.clamped.items()}
    for outcomes in counted.endpoints.values():
        found |= {("endpoint", outcome): number for outcome, number in outcomes.items()}
    return found


def test_a_poll_is_its_hold_and_its_work_and_what_its_news_took() -> None:
    counted = tallies()
    counted.count(call(Outcome.NEWS, poll=True, waited=0.5, news_latency=0.0002, clamped_by="max"))
    tally = counted.routes["updates"]
    assert tally.holds[Outcome.NEWS].sum == 28.5
    assert tally.work.sum == pytest.approx(1.0)
    assert tally.news.sum == 0.0002
    assert tally.clamped == {"max": 1}


def test_a_poll_that_was_sent_again_was_held_all_the_while() -> None:
    endpoint = SCENE.upstream.endpoints[0]
    never = Try(endpoint, 100.0, 100.5, False, Outcome.UPSTREAM_REFUSED)
    died = Try(endpoint, 100.5, 120.0, True, Outcome.UPSTREAM_RESET)
    again = call(Outcome.NEWS, poll=True, tries=(never, died), sent_at=120.5)
    counted = tallies()
    counted.count(again)
    counted.mark(again, "0" * 32, "0" * 16, 0.0)
    tally = counted.routes["updates"]
    assert (tally.hold.sum, tally.work.sum) == (28.5, 1.5)
    assert [found.value for found in (tally.hold.exemplars or {}).values()] == [28.5]
    record = record_of(again, 0.0, 130.0, SCENE.serve.snapshot)
    assert (record["held"], record["work"]) == (28.5, 1.5)


def test_a_poll_that_never_reached_an_upstream_was_not_held() -> None:
    counted = tallies()
    counted.count(call(Outcome.CAPPED, poll=True, sent_at=None, first_byte_at=None))
    tally = counted.routes["updates"]
    assert (tally.outcomes, tally.holds) == ({Outcome.CAPPED: 1}, {})
    assert tally.refusals == {"rate_limited": 0, "capped": 1, "overloaded": 0}


def test_only_news_has_the_latency_of_news() -> None:
    counted = tallies()
    counted.count(call(Outcome.TRUNCATED, poll=True, news_latency=0.1))
    assert counted.routes["updates"].news.count == 0


@pytest.mark.parametrize(("note", "evictions"), [("for 0af7", 1), ("ended by the operator", 0), (None, 0)])
def test_an_eviction_is_a_place_that_another_poll_took(note: str | None, evictions: int) -> None:
    counted = tallies()
    counted.count(call(Outcome.EVICTED, poll=True, note=note))
    assert counted.routes["updates"].evictions == evictions


@pytest.mark.parametrize(
    ("method", "shown"), [("GET", "GET"), ("PATCH", "PATCH"), ("PROPFIND", OTHER), ("get", OTHER), ("", OTHER)]
)
def test_a_method_that_is_not_of_http_is_not_told_apart(method: str, shown: str) -> None:
    counted = tallies()
    counted.count(call(method=method))
    assert list(counted.requests) == [(shown, "/updates", "http", 200, "")]


@pytest.mark.parametrize(
    ("status", "outcome", "error"),
    [
        (200, Outcome.ANSWERED, ""),
        (404, Outcome.ANSWERED, ""),
        (503, Outcome.UPSTREAM_ERROR, "503"),
        (504, Outcome.UPSTREAM_TIMEOUT, "upstream_timeout"),
        (502, Outcome.UPSTREAM_RESET, "upstream_reset"),
        (503, Outcome.OVERLOADED, "overloaded"),
        (503, Outcome.DRAINED, "drained"),
        (200, Outcome.TRUNCATED, "truncated"),
        (429, Outcome.RATE_LIMITED, ""),
        (404, Outcome.NO_ROUTE, ""),
        (0, Outcome.CLIENT_GONE, "client_gone"),
        (200, Outcome.CLIENT_GONE, ""),
        (500, Outcome.INTERNAL_ERROR, "internal_error"),
    ],
)
def test_an_error_is_the_upstreams_status_or_the_gateways_word(status: int, outcome: Outcome, error: str) -> None:
    assert error_type(status, outcome) == error


@pytest.mark.parametrize(("poll", "marked"), [(True, 3), (False, 1)])
def test_a_kept_trace_is_an_example_of_everything_its_call_was_counted_in(poll: bool, marked: int) -> None:
    counted, kept = tallies(), call(Outcome.NEWS, poll=poll, news_latency=0.0002)
    counted.count(kept)
    counted.mark(kept, "a" * 32, "1" * 16, 1.0)
    tally = counted.routes["updates"]
    everywhere = [*tally.holds.values(), tally.work, tally.news, *counted.requests.values()]
    assert sum(len(each.exemplars or {}) for each in everywhere) == marked
    for each in everywhere:
        for place in each.exemplars or {}:
            assert each.buckets[place] == 1


def test_paths_that_somebody_made_up_make_no_series() -> None:
    counted = tallies()
    for number in range(1000):
        counted.count(call(Outcome.NO_ROUTE, status=404, planned=False, path=f"/made/up/{number}"))
    assert list(counted.requests) == [("GET", "", "http", 404, "")]
    assert counted.routes[""].calls == {Outcome.NO_ROUTE: 1000}


def test_of_too_many_kinds_of_answers_the_rest_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REQUESTS", 5)
    counted = tallies()
    for status in range(200, 210):
        counted.count(call(status=status))
    assert (len(counted.requests), counted.other_requests.count) == (5, 5)


def test_endpoints_are_told_apart_by_their_upstream() -> None:
    counted = tallies()
    endpoint = SCENE.upstream.endpoints[0]
    counted.count(call(endpoint=endpoint))
    counted.count(call(Outcome.UPSTREAM_RESET, poll=True, endpoint=endpoint))
    assert counted.endpoints == {("up", "10.0.0.1"): {Outcome.ANSWERED: 1, Outcome.UPSTREAM_RESET: 1}}


def test_consumers_are_a_label_only_where_that_is_wanted() -> None:
    counted, labelled = tallies(), tallies(label_consumers=True)
    for each in (counted, labelled):
        for _ in range(2):
            each.count(call(Outcome.NEWS, poll=True, consumer="alice"))
        alice = each.consumers.of("alice")
        assert len(each.consumers) == 1 and alice is not None and (alice.calls, alice.held) == (2, 57.0)
    assert counted.labelled is None
    assert labelled.labelled is not None
    assert (labelled.labelled["alice"].outcomes, labelled.labelled["alice"].held) == ({Outcome.NEWS: 2}, 57.0)


def test_consumers_beyond_a_thousand_are_one() -> None:
    counted = tallies(label_consumers=True)
    for number in range(1003):
        counted.count(call(consumer=f"c{number}"))
    counted.count(call(consumer="c0"))
    assert counted.labelled is not None and len(counted.labelled) == 1001
    assert counted.labelled[OTHER].outcomes == {Outcome.ANSWERED: 3}
    assert counted.labelled["c0"].outcomes == {Outcome.ANSWERED: 2}


def test_a_reload_keeps_what_was_counted_and_shows_what_is_new() -> None:
    counted = tallies()
    counted.renew(SCENE.snapshot)
    assert (list(counted.routes), list(counted.endpoints)) == (["", "updates"], [("up", "10.0.0.1")])
    counted.count(call())
    counted.renew(replace(SCENE.snapshot, plans=(replace(SCENE.plan, route="new"),)))
    assert list(counted.routes) == ["", "updates", "new"]
    assert counted.routes["updates"].calls == {Outcome.ANSWERED: 1}


def test_of_routes_that_are_gone_only_the_last_are_kept() -> None:
    counted = tallies()
    for number in range(KEPT_GONE + 50):
        counted.renew(replace(SCENE.snapshot, plans=(replace(SCENE.plan, route=f"r{number}"),)))
    assert len(counted.routes) == 1 + 1 + KEPT_GONE  # no route, the live one, those that are gone
    assert {"", f"r{KEPT_GONE + 49}"} <= counted.routes.keys() and "r0" not in counted.routes


def test_of_endpoints_that_are_gone_only_the_last_are_kept() -> None:
    counted = tallies()
    counted.count(call(endpoint=SCENE.upstream.endpoints[0]))
    counted.endpoints.update({("old", f"e{number}"): {} for number in range(KEPT_GONE + 50)})
    counted.renew(SCENE.snapshot)
    live = {(up.name, each.name) for up in SCENE.snapshot.upstreams.values() for each in up.endpoints}
    assert live <= counted.endpoints.keys() and len(counted.endpoints) == len(live) + KEPT_GONE
    assert ("old", "e0") not in counted.endpoints and ("old", f"e{KEPT_GONE + 49}") in counted.endpoints


def test_templates_that_are_gone_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REQUESTS", 4)
    counted = tallies()
    for status in (200, 201, 202):
        counted.count(call(status=status))
    counted.count(call(Outcome.NO_ROUTE, status=404, planned=False))
    counted.renew(replace(SCENE.snapshot, plans=(replace(SCENE.plan, path="/other"),)))
    assert list(counted.requests) == [("GET", "", "http", 404, "")]
