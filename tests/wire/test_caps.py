"""Caps on real sockets: never one more than the cap at the upstream, a place that is free in the moment it is left,
evictions that end, and polls and ordinary calls that are never counted together.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from tests.kit.gateways import InProcess, Record, bearer, hold
from tests.kit.limits import alice, bob, cap, left, limit, limited, outcomes, polled, statuses
from tests.kit.raw import client, get
from tests.kit.strict import Message
from tests.kit.upstreams import End, HoldingUpstream, Script, ScriptedUpstream, Step, answer
from tests.kit.waiting import soon, until


class Crowd(HoldingUpstream):
    """Remembers how many it ever held at once."""

    most = 0

    def _hold(self, request: Message) -> Sequence[Step]:
        steps = super()._hold(request)
        self.most = max(self.most, self.held)
        return steps


async def test_a_cap_of_three_under_two_hundred_polls(tmp_path: Path) -> None:
    async with (
        Crowd() as up,
        limited(up, tmp_path, cap(most=3, per='"route"'), poll=hold()) as (gw, _),
        contextlib.AsyncExitStack() as stack,
    ):
        crowd = [await stack.enter_async_context(client(gw.port)) for _ in range(200)]
        answers = [asyncio.ensure_future(one.ask(get("/", bearer(f"c{at}")))) for at, one in enumerate(crowd)]
        await until(lambda: sum(one.done() for one in answers) == 197)
        assert Counter(one.result().status for one in answers if one.done()) == {429: 197}
        waits = [int(one.result().one("Retry-After") or 0) for one in answers if one.done()]
        assert min(waits) >= 1 and len(set(waits)) > 1
        await until(lambda: up.held == 3)
        assert up.publish() == 3
        assert [(await soon(one)).status for one in answers].count(200) == 3
        assert (up.most, len(up.requests)) == (3, 3)
        assert await outcomes(gw, 200) == {"capped": 197, "news": 3}


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_place_is_free_in_the_moment_its_client_left(tmp_path: Path, how: str) -> None:
    async with HoldingUpstream() as up, limited(up, tmp_path, cap(), poll=hold()) as (gw, raw):
        await raw.send(alice())
        await until(lambda: up.held == 1)
        raw.reset() if how == "reset" else await raw.close()
        records = await gw.records(1)
        assert records[0]["outcome"] == "client_gone"
        async with client(gw.port) as again:
            await again.send(alice())
            await until(lambda: len(up.requests) == 2)
            assert up.publish() >= 1
            assert (await again.read_answer()).status == 200


async def test_a_client_that_leaves_and_comes_back_a_hundred_times_is_never_refused(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, limited(up, tmp_path, cap(), poll=hold()) as (gw, _):
        for turn in range(100):
            async with client(gw.port) as raw:
                await raw.send(alice())
                await until(lambda turn=turn: len(up.requests) == turn + 1)
        assert await outcomes(gw, 100) == {"client_gone": 100}


async def test_a_capped_poll_is_recorded_and_told(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, limited(up, tmp_path, cap(), poll=hold()) as (gw, raw):
        await raw.send(alice())
        await until(lambda: up.held == 1)
        async with client(gw.port) as other:
            refused = await other.ask(alice())
            assert refused.status == 429
            assert json.loads(bytes(refused.body))["type"] == "urn:longpoll-gateway:too_many_polls"
            record = await gw.record()
            assert (record["outcome"], record["blame"], record["held"]) == ("capped", "downstream", 0)


def by_outcome(records: list[Record], outcome: str) -> list[Record]:
    return [record for record in records if record["outcome"] == outcome]


EVICT = cap(on_excess='"evict-oldest"', most=2)


async def test_the_oldest_poll_makes_room_and_its_record_says_for_whom(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, EVICT, poll=hold()) as (gw, oldest),
        client(gw.port) as second,
        client(gw.port) as third,
    ):
        for raw in (oldest, second, third):
            await polled(up, raw, alice())
        found = await oldest.read_answer()
        assert (found.status, bytes(found.body)) == (200, b"[]")
        assert found.one("Content-Type") == "application/json"
        await until(lambda: up.held == 2)
        assert up.publish() >= 2
        assert [(await raw.read_answer()).status for raw in (second, third)] == [200, 200]
        records = await gw.records(3)
        (evicted,) = by_outcome(records, "evicted")
        assert evicted["blame"] == "downstream"
        assert evicted["note"] in [f"for {record['id']}" for record in by_outcome(records, "news")]
        assert all("note" not in record for record in by_outcome(records, "news"))


async def test_two_tabs_do_not_evict_each_other_for_ever(tmp_path: Path) -> None:
    limits = cap(on_excess='"evict-oldest"', evict_grace='"30s"')
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, limits, poll=hold()) as (gw, first),
        client(gw.port) as second,
    ):
        await polled(up, first, alice())
        await polled(up, second, alice())
        assert bytes((await first.read_answer()).body) == b"[]"
        refused = await first.ask(alice())
        assert refused.status == 429
        assert 2 <= int(refused.one("Retry-After") or 0) <= 30 * 1.2 + 2
        assert up.held == 1
        up.publish()
        assert bytes((await second.read_answer()).body) == b'["news"]'
        assert await outcomes(gw, 3) == {"evicted": 1, "capped": 1, "news": 1}
        await polled(up, first, alice())  # a free place is for everybody


async def test_an_evicted_poll_is_not_refunded(tmp_path: Path) -> None:
    limits = (limit("5/hour", refund_empty="true"), cap(on_excess='"evict-oldest"'))
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, *limits, poll=hold()) as (gw, first),
        client(gw.port) as second,
    ):
        await polled(up, first, alice())
        await polled(up, second, alice())
        assert left(await first.read_answer()) == [3]  # its own token and that of the newcomer
        assert left(await first.ask(alice())) == [3]


async def test_a_poll_whose_answer_has_begun_is_not_evicted(tmp_path: Path) -> None:
    limits = cap(on_excess='"evict-oldest"')
    rest = asyncio.Event()
    news = answer(b'["long news"]', "200 OK", "Content-Type: application/json")
    async with (
        ScriptedUpstream((news[:-2], rest, news[-2:])) as up,
        limited(up, tmp_path, limits, poll=hold()) as (gw, first),
        client(gw.port) as second,
    ):
        await first.send(alice())
        while not first.left.endswith(b"news"):
            await first._fill()
        assert (await second.ask(alice())).status == 429
        rest.set()
        assert bytes((await first.read_answer()).body) == b'["long news"]'
        records = await gw.records(2)
        assert [record["outcome"] for record in records] == ["capped", "news"]
        assert not any("note" in record for record in records)


async def test_nobody_is_evicted_for_a_poll_that_another_cap_refuses(tmp_path: Path) -> None:
    limits = (cap(on_excess='"evict-oldest"'), cap(most=2, per='"route"'))
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, *limits, poll=hold()) as (gw, first),
        client(gw.port) as second,
        client(gw.port) as third,
    ):
        await polled(up, first, alice())
        await polled(up, second, bob())
        assert (await third.ask(alice())).status == 429
        assert up.held == 2
        assert (await gw.record())["outcome"] == "capped"


async def test_polls_and_ordinary_calls_have_caps_of_their_own(tmp_path: Path) -> None:
    limits = (cap("concurrency_cap"), cap("hold_cap"))
    poll = hold(when='["query:poll present"]')
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, *limits, poll=poll) as (gw, raw),
        contextlib.AsyncExitStack() as stack,
    ):
        others = [await stack.enter_async_context(client(gw.port)) for _ in range(3)]
        await polled(up, raw, alice("/?poll=1"))
        await polled(up, others[0], alice("/"))
        refused = await others[1].ask(alice("/"))
        assert json.loads(bytes(refused.body))["type"] == "urn:longpoll-gateway:too_many_calls"
        refused = await others[2].ask(alice("/?poll=1"))
        assert json.loads(bytes(refused.body))["type"] == "urn:longpoll-gateway:too_many_polls"
        assert up.publish() == 2
        assert [(await one.read_answer()).status for one in (raw, others[0])] == [200, 200]


# -- every ending gives the place back --------------------------------------------------------------------------------


async def free(up: ScriptedUpstream, gw: InProcess, request: bytes) -> None:
    """The only place is free: a poll that takes it is admitted."""
    before = len(up.requests)
    async with client(gw.port) as raw:
        await raw.send(request)
        await until(lambda: len(up.requests) == before + 1, "a free place")


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ((asyncio.Event,), "overrun"),
        ((answer(b"[1]"),), "news"),
        ((answer(b"[]"),), "empty"),
        ((answer(b"", "500 Oops"),), "upstream_error"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[", End.CLOSE), "truncated"),
        ((b"garbage\r\n\r\n", End.CLOSE), "upstream_bad"),
    ],
)
async def test_every_ending_gives_the_place_back(tmp_path: Path, script: tuple[object, ...], outcome: str) -> None:
    steps = [step() if step is asyncio.Event else step for step in script]
    poll = hold(absent='"300ms"', margin='"100ms"', replay='"never"')
    async with (
        ScriptedUpstream(cast(Script, steps), then=(asyncio.Event(),)) as up,
        limited(up, tmp_path, cap(), poll=poll) as (gw, raw),
    ):
        await raw.send(alice())
        assert (await gw.record())["outcome"] == outcome
        await free(up, gw, alice())


async def test_a_poll_that_ends_with_its_token_gives_its_place_back(tmp_path: Path) -> None:
    more = 'leeway = "0s"\n'
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, cap(), poll=hold(margin='"100ms"'), provider=more) as (gw, raw),
    ):
        assert (await raw.ask(get("/", bearer("alice", ttl=2)))).status == 200
        assert (await gw.record())["outcome"] in ("blank", "expired")
        await free(up, gw, alice())


async def test_polls_that_are_drained_give_their_places_back(tmp_path: Path) -> None:
    limits = cap(most=2, per='"route"')
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, limits, poll=hold(), server='drain = "300ms"') as (gw, raw),
        client(gw.port) as other,
    ):
        await polled(up, raw, alice())
        await polled(up, other, bob())
        await gw.app.drain()
        assert await outcomes(gw, 2) == {"drained": 2}
        assert gw.app._store.size == 0


async def test_a_poll_that_cannot_be_forwarded_gives_its_place_back(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, limited(up, tmp_path, cap(), poll=hold()) as (gw, raw):
        await up.close()
        assert await statuses(raw, alice(), alice(), alice()) == [502, 502, 502]
        assert await outcomes(gw, 3) == {"upstream_refused": 3}
        assert gw.app._store.size == 0


async def test_polls_that_an_evicted_client_had_sent_ahead_do_not_take_the_place_back(tmp_path: Path) -> None:
    limits = cap(on_excess='"evict-oldest"', per='"route"')
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, limits, poll=hold()) as (gw, first),
        client(gw.port) as second,
    ):
        await polled(up, first, alice() * 3)
        await polled(up, second, bob())
        assert [(await first.read_answer()).status for _ in range(3)] == [200, 429, 429]
        await until(lambda: up.held == 1)
        up.publish()
        assert (await second.read_answer()).status == 200
        assert await outcomes(gw, 4) == {"evicted": 1, "capped": 2, "news": 1}
