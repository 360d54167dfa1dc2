"""Ending polls by a filter: what an operator may write, which calls are meant by it, and at what pace they end."""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501

from __future__ import annotations

import asyncio

import pytest

from gateway.admin.ending import Ended, Selection, choose, end, pace, read_selection
from gateway.call import Call
from gateway.config.problems import ConfigError
from gateway.outcome import Outcome
from tests.kit.serving import Scene


def problems(**given: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_selection(given)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({}, 'filter: chooses nothing; write what to end, such as "route", or "all": true'),
        ({"limit": 3}, 'filter: chooses nothing; write what to end, such as "route", or "all": true'),
        ({"within": "1s", "dry_run": True}, 'filter: chooses nothing; write what to end, such as "route", or "all": true'),
        ({"all": False}, 'filter: chooses nothing; write what to end, such as "route", or "all": true'),
        ({"all": True, "route": "x"}, "filter: all: is more than the rest of the filter; remove one of them"),
        ({"rute": "x"}, "filter: rute: unknown key; did you mean 'route'?"),
        ({"older": "20s"}, "filter: older: unknown key; did you mean 'older_than'?"),
        ({"route": ""}, "filter: route: is empty; write a value, or leave it out"),
        ({"route": "x", "consumer": None}, "filter: consumer: is empty; write a value, or leave it out"),
        ({"state": "held"}, 'filter: state: is none of the values it can have; write "waiting", "parked", "relaying" or "tunnelling"'),
        ({"poll": "yes"}, "filter: poll: is of the wrong kind; write true or false"),
        ({"sort": "since"}, "filter: sort: unknown key; write one of: all, consumer, dry_run, endpoint, id, limit, older_than, peer, poll, q, route, state, tenant, within"),
        ({"route": 7}, "filter: route: is no text; write text in quotes"),
        ({"route": ["a", "b"]}, "filter: route: is no text; write text in quotes"),
        ({"older_than": 20}, 'filter: older_than: is a number without a unit; write a duration in quotes, such as "25s"'),
        ({"all": "yes"}, "filter: all: is of the wrong kind; write true or false"),
        ({"all": 1}, "filter: all: is of the wrong kind; write true or false"),
        ({"all": True, "limit": 0}, "filter: limit: must be at least 1; write 1"),
        ({"all": True, "limit": 1.5}, "filter: limit: is of the wrong kind; write a whole number, such as limit = 100"),
        ({"all": True, "within": "1h"}, 'filter: within: is longer than 600 seconds; write a shorter time, such as "10s"'),
    ],
)  # fmt: skip
def test_a_filter_that_cannot_be_meant_is_refused(given: dict[str, object], line: str) -> None:
    assert problems(**given) == [line]


def test_every_problem_is_told_at_once() -> None:
    assert len(problems(rute="x", limit="x", consumer=None, within="1h")) == 4


def calls(*kinds: str) -> list[Call]:
    """Calls that are parked, one a kind; the n-th began at n seconds."""
    found = []
    for second, kind in enumerate(kinds):
        scene = Scene(kind)
        scene.call.started = float(second)
        found.append(scene.open().call)
    return found


async def test_only_what_may_be_told_no_news_is_chosen_longest_held_first() -> None:
    held = calls("template", "origin", "template", "never", "ordinary", "template")
    found, others = await choose(reversed(held), Selection(all=True), 10.0)
    assert (found, others) == ([held[0], held[2], held[5]], 3)
    found, others = await choose(reversed(held), Selection(all=True, limit=2), 10.0)
    assert (found, others) == ([held[0], held[2]], 3), "of those that can be ended"


async def test_age_is_counted_from_the_start_of_the_call() -> None:
    held = calls("template", "template", "template")
    assert (await choose(held, Selection(older_than="8s"), 10.0))[0] == held[:2]  # type: ignore[arg-type]
    assert (await choose(held, Selection(older_than="10s"), 10.0))[0] == []  # type: ignore[arg-type]


async def test_connections_between_calls_and_calls_that_are_over_are_nobody() -> None:
    held = calls("template", "template")
    held[0].serve.on_gone(held[0])
    assert await choose([None, *held], Selection(all=True), 10.0) == ([held[1]], 0)


@pytest.mark.parametrize("key", ["route", "consumer", "tenant", "endpoint", "peer", "id"])
async def test_what_a_call_has_not_is_not_what_was_asked_for(key: str) -> None:
    held = calls("template")
    held[0].endpoint = None
    assert await choose(held, read_selection({key: "other"}), 10.0) == ([], 0)


@pytest.mark.parametrize(
    ("count", "within", "size", "pause"),
    [
        (0, 10.0, 200, 0.0),
        (10_000, 0.0, 200, 0.0),
        (10_000, 10.0, 50, 0.05),
        (3, 9.0, 1, 3.0),
        (100_000, 1.0, 200, 0.002),
    ],
)
def test_the_pace(count: int, within: float, size: int, pause: float) -> None:
    assert pace(count, within) == (size, pytest.approx(pause))


async def test_a_thousand_calls_do_not_take_one_turn_of_the_loop() -> None:
    held = calls(*["template"] * 1000)
    left = []

    async def others() -> None:
        while not left or left[-1]:
            left.append(sum(call.evictable for call in held))
            await asyncio.sleep(0)

    watching = asyncio.ensure_future(others())
    assert await end(held, Selection(all=True), 1000.0) == Ended(1000, 0)
    await watching
    assert set(left) == {1000, 800, 600, 400, 200, 0}
    assert {(call.outcome, call.note) for call in held} == {(Outcome.EVICTED, "by operator")}


async def test_a_dry_run_ends_nobody() -> None:
    held = calls("template", "origin")
    assert await end(held, Selection(all=True, dry_run=True), 10.0) == Ended(1, 1)
    assert all(call.outcome is None for call in held)


async def test_a_call_that_ended_meanwhile_is_not_counted() -> None:
    held = calls(*["template"] * 201)
    ending = asyncio.ensure_future(end(held, Selection(all=True), 1000.0))
    while held[0].outcome is None:
        await asyncio.sleep(0)
    held[-1].serve.on_gone(held[-1])
    assert await ending == Ended(200, 0)
    assert (held[-1].outcome, held[-1].note) == (Outcome.CLIENT_GONE, None)


async def test_it_stops_when_nobody_wants_it_any_more() -> None:
    held = calls(*["template"] * 500)
    answers = iter([True, False])
    assert await end(held, Selection(all=True), 1000.0, lambda: next(answers)) == Ended(200, 0)
    assert sum(call.evictable for call in held) == 300
