"""Limits that two gateways share, on real sockets: never one more than the cap at the upstream, whoever asks; the
oldest poll ends wherever it is parked, who waits comes in his order wherever he waits, and what one gives back another
may have.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from pathlib import Path

import pytest

from gateway.state.shared_route import MOMENT
from tests.kit.across import STATES, clients, in_line, lent, stands, two
from tests.kit.gateways import bearer, hold
from tests.kit.limits import alice, bob, cap, left, limit, outcomes, polled
from tests.kit.raw import client, get
from tests.kit.upstreams import HoldingUpstream
from tests.kit.waiting import soon, until

from .test_caps import Crowd

pytestmark = pytest.mark.parametrize("state", STATES)
LONG = hold(absent='"60s"', max='"90s"')  # longer than any of these tests takes
WAIT = {"on_excess": '"wait"', "max_waiting": "10", "per": '"route"'}


async def test_a_cap_of_three_under_two_hundred_polls_at_two_gateways(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        Crowd() as up,
        two(state, monkeypatch, up, tmp_path, cap(most=3, per='"route"'), poll=LONG) as (one, other),
        contextlib.AsyncExitStack() as stack,
    ):
        crowd = [await stack.enter_async_context(client((one, other)[at % 2].port)) for at in range(200)]
        answers = [asyncio.ensure_future(raw.ask(get("/", bearer(f"c{at}")))) for at, raw in enumerate(crowd)]
        await until(lambda: sum(each.done() for each in answers) == 197)
        assert Counter(each.result().status for each in answers if each.done()) == {429: 197}
        await until(lambda: up.held == 3)
        assert up.publish() == 3
        assert [(await soon(each)).status for each in answers].count(200) == 3
        assert (up.most, len(up.requests)) == (3, 3)
        assert await outcomes(one, 100) + await outcomes(other, 100) == {"capped": 197, "news": 3}
        await until(lambda: not lent(one) + lent(other))


async def test_the_oldest_poll_ends_wherever_it_is_parked(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evict = cap(on_excess='"evict-oldest"', most=2, evict_grace='"0s"')
    async with (
        Crowd() as up,
        two(state, monkeypatch, up, tmp_path, evict, poll=LONG) as (one, other),
        clients(one, other, other, one) as (first, second, third, fourth),
    ):
        for raw in (first, second, third):
            await polled(up, raw, alice())
        found = await first.read_answer()
        assert (found.status, bytes(found.body)) == (200, b"[]")
        await polled(up, fourth, alice())
        assert bytes((await second.read_answer()).body) == b"[]"
        assert up.most == 2
        up.publish()
        assert [bytes((await raw.read_answer()).body) for raw in (third, fourth)] == [b'["news"]'] * 2
        mine, theirs = await one.records(2), await other.records(2)
        assert mine[0]["note"] == f"for {theirs[1]['id']}" and theirs[0]["note"] == f"for {mine[1]['id']}"
        assert Counter(record["outcome"] for record in mine + theirs) == {"evicted": 2, "news": 2}


async def test_who_was_evicted_at_one_gateway_does_not_evict_at_the_other(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evict = cap(on_excess='"evict-oldest"', evict_grace='"30s"')
    async with (
        HoldingUpstream() as up,
        two(state, monkeypatch, up, tmp_path, evict, poll=LONG) as (one, other),
        clients(one, other, other) as (first, second, again),
    ):
        await polled(up, first, alice())
        await polled(up, second, alice())
        assert bytes((await first.read_answer()).body) == b"[]"
        refused = await again.ask(alice())
        assert refused.status == 429
        assert 2 <= int(refused.one("Retry-After") or 0) <= 30 * 1.2 + 2
        assert up.held == 1


async def test_who_waits_is_served_in_the_order_of_coming_wherever_it_waits(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        Crowd() as up,
        two(state, monkeypatch, up, tmp_path, cap(**WAIT), poll=LONG) as (one, other),
        clients(one, *[other, one, other, other, one] * 2) as (first, *rest),
    ):
        await polled(up, first, get("/0", bearer("alice")))
        for at, raw in enumerate(rest, 1):
            await stands((other, one, other, other, one)[(at - 1) % 5], raw, get(f"/{at}", bearer(f"c{at}")))
        for number, raw in enumerate([first, *rest], 1):
            await until(lambda number=number: len(up.requests) == number and up.held == 1)
            assert {request.target for request in up.requests} == {f"/{at}" for at in range(number)}
            up.publish()
            assert (await raw.read_answer()).status == 200
        assert up.most == 1 and not in_line(one) + in_line(other)
        await until(lambda: not lent(one) + lent(other))


async def test_a_line_is_as_long_as_it_may_be_for_all_gateways_together(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        HoldingUpstream() as up,
        two(state, monkeypatch, up, tmp_path, cap(**{**WAIT, "max_waiting": "2"}), poll=LONG) as (one, other),
        clients(one, other, one, other, one) as (first, second, third, fourth, fifth),
    ):
        await polled(up, first, alice())
        await stands(other, second, alice())
        await stands(one, third, alice())
        assert [(await raw.ask(bob())).status for raw in (fourth, fifth)] == [429, 429]
        await second.close()
        await until(lambda: not in_line(other))
        await stands(other, fourth, bob())  # over the same way as the word that one has left
        assert (await fifth.ask(bob())).status == 429


async def test_a_place_goes_on_when_its_client_leaves_at_the_other_gateway(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        Crowd() as up,
        two(state, monkeypatch, up, tmp_path, cap(**WAIT), poll=LONG) as (one, other),
        clients(one, other, one) as (first, second, third),
    ):
        await polled(up, first, alice())
        await stands(other, second, alice())
        await stands(one, third, bob())
        await second.close()  # who leaves the line keeps nobody from it
        await until(lambda: not in_line(other))
        first.reset()
        await until(lambda: len(up.requests) == 2 and up.held == 1)
        up.publish()
        assert (await third.read_answer()).status == 200
        assert await outcomes(one, 2) + await outcomes(other, 1) == {"client_gone": 2, "news": 1}


async def test_a_gateway_that_drains_hands_its_places_on(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = cap(most=2, **WAIT)
    async with (
        Crowd() as up,
        two(state, monkeypatch, up, tmp_path, limits, poll=LONG, server='drain = "300ms"') as (one, other),
        clients(one, one, other, other) as (first, second, third, fourth),
    ):
        await polled(up, first, alice())
        await polled(up, second, alice())
        await stands(other, third, bob())
        await stands(other, fourth, bob())
        await one.app.drain()
        await until(lambda: len(up.requests) == 4 and up.held == 2)
        assert up.most == 2
        up.publish()
        assert [bytes((await raw.read_answer()).body) for raw in (third, fourth)] == [b'["news"]'] * 2
        assert await outcomes(one, 2) == {"drained": 2}


async def test_tokens_are_counted_once_whichever_gateway_is_asked(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        HoldingUpstream() as up,
        two(state, monkeypatch, up, tmp_path, limit("4/hour"), poll=LONG) as (one, other),
        clients(one, other, one, other) as raws,
    ):
        for raw in raws:
            await polled(up, raw, alice())
        up.publish()
        assert [left(await raw.read_answer()) for raw in raws][-1] == [0]
        assert [(await raw.ask(alice())).status for raw in raws] == [429] * 4


async def test_clients_that_leave_while_the_store_is_asked_leave_nothing_behind(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = (limit("1000/hour"), cap(most=1, per='"route"'))
    async with (
        Crowd() as up,
        two(state, monkeypatch, up, tmp_path, *limits, poll=LONG) as (one, other),
    ):
        for turn in range(60):
            async with client((one, other)[turn % 2].port) as raw:
                await raw.send(alice())
                for _ in range(turn % 7):
                    await asyncio.sleep(0)
                raw.reset()
        await until(lambda: not one.app._edge.room.open + other.app._edge.room.open and not lent(one) + lent(other))
        assert up.most <= 1
        async with client(one.port) as raw:
            await polled(up, raw, alice())
            await until(lambda: up.held == 1)
            up.publish()
            assert (await raw.read_answer()).status == 200


async def test_a_poll_that_was_held_is_told_what_others_have_left_of_its_rate(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        Crowd() as up,
        two(state, monkeypatch, up, tmp_path, limit("10/day"), poll=LONG) as (one, other),
        clients(one, other, other) as (held, second, third),
    ):
        await polled(up, held, alice())
        for raw in (second, third):
            await polled(up, raw, alice())
        await asyncio.sleep(2 * MOMENT)  # a hold, to whom the first one is a moment
        up.publish()
        told = [left(await raw.read_answer()) for raw in (held, second, third)]
        assert told == [[7] if state == "shared" else [9], [7], [7]]  # with Redis it is what this gateway was last told
