"""`POST /api/held/end` under real polls: exactly those that are meant end, in "no news"; nobody else notices."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.kit.gateways import config, gateway, hold, route
from tests.kit.limits import alice, bob, cap, limited, outcomes, polled
from tests.kit.polls import crowd, end, polling, requests
from tests.kit.raw import client, get, post
from tests.kit.upstreams import End, HoldingUpstream, ScriptedUpstream, answer
from tests.kit.waiting import soon, until

ORIGIN = {"empty": '{ answer = "origin" }', "replay": '"destructive"'}


@pytest.mark.parametrize("key", ["route", "consumer", "tenant", "endpoint", "peer", "id"])
async def test_what_a_filter_means_ends_and_nothing_else(tmp_path: Path, key: str) -> None:
    async with (
        HoldingUpstream() as up,
        HoldingUpstream() as other,
        gateway(crowd(up, other), tmp_path) as gw,
        polling(gw, *requests()),
    ):
        await until(lambda: up.held + other.held == 6)
        held = await gw.held()
        meant = {call["id"] for call in held if call[key] == held[0][key]}
        assert 0 < len(meant) < 6
        assert await end(gw, **{key: held[0][key]}, dry_run=True) == {
            "dry_run": True, "would_end": len(meant), "not_endable": 0,
        }  # fmt: skip
        assert len(await gw.held()) == 6
        assert await end(gw, **{key: held[0][key]}) == {"ended": len(meant), "not_endable": 0}
        assert {call["id"] for call in await gw.held()} == {call["id"] for call in held} - meant
        records = await gw.records(len(meant))
        assert {record["id"] for record in records} == meant
        assert {(record["outcome"], record["note"]) for record in records} == {("evicted", "by operator")}
        await until(lambda: up.live + other.live == 6 - len(meant), "their connections upstream to close")


async def test_filters_are_all_to_be_true_and_the_longest_held_go_first(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        HoldingUpstream() as other,
        gateway(crowd(up, other), tmp_path) as gw,
        polling(gw, *requests()),
    ):
        await until(lambda: up.held + other.held == 6)
        held = await gw.held()
        assert await end(gw, route="a", tenant="other") == {"ended": 1, "not_endable": 0}
        assert await end(gw, consumer="alice", tenant="other") == {"ended": 0, "not_endable": 0}
        assert await end(gw, older_than="1h") == {"ended": 0, "not_endable": 0}
        assert await end(gw, all=True, limit=1) == {"ended": 1, "not_endable": 0}
        assert held[0]["id"] not in {call["id"] for call in await gw.held()}
        assert await end(gw, older_than="0s", limit=100) == {"ended": 4, "not_endable": 0}
        assert await gw.held() == []


async def test_three_hundred_polls_end_while_others_stay(tmp_path: Path) -> None:
    routes = route("a", "/a", ["poll"]) + route("b", "/b", ["poll"])
    async with (
        HoldingUpstream() as up,
        gateway(config(up.port, more=hold(), routes=routes), tmp_path) as gw,
        polling(gw, *[get("/a")] * 300) as meant,
        polling(gw, *[get("/b")] * 20) as others,
    ):
        await until(lambda: up.held == 320)
        assert await end(gw, route="a") == {"ended": 300, "not_endable": 0}
        answers = [await one.read_answer() for one in meant]
        assert {(one.status, bytes(one.body)) for one in answers} == {(200, b"[]")}
        await until(lambda: up.held == 20)
        assert up.publish() == 20
        assert {bytes((await one.read_answer()).body) for one in others} == {b'["news"]'}
        assert await outcomes(gw, 320) == {"evicted": 300, "news": 20}


async def test_a_connection_goes_on_after_its_poll_was_ended(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        gateway(config(up.port, more=hold(), routes=route(policies=["poll"])), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        await polled(up, raw, get("/"))
        assert await end(gw, all=True) == {"ended": 1, "not_endable": 0}
        assert (await raw.read_answer()).status == 200
        await polled(up, raw, get("/"))
        up.publish()
        assert bytes((await raw.read_answer()).body) == b'["news"]'


async def test_what_may_not_be_told_no_news_is_counted_and_left_alone(tmp_path: Path) -> None:
    more = hold("origin", **ORIGIN) + hold("never", empty='{ answer = "never" }', replay='"never"') + hold("poll")
    routes = "".join(route(name, f"/{name}", [name]) for name in ("origin", "never", "poll")) + route("rest", "/rest")
    async with (
        HoldingUpstream() as up,
        gateway(config(up.port, more=more, routes=routes), tmp_path) as gw,
        polling(gw, get("/origin"), get("/never"), get("/rest"), get("/poll")) as clients,
    ):
        await until(lambda: up.held == 4)
        assert await end(gw, route="origin") == {"ended": 0, "not_endable": 1}
        assert await end(gw, all=True, dry_run=True) == {"dry_run": True, "would_end": 1, "not_endable": 3}
        assert await end(gw, all=True) == {"ended": 1, "not_endable": 3}
        assert [call["route"] for call in await gw.held()] == ["origin", "never", "rest"]
        assert up.publish() == 3
        bodies = [bytes((await one.read_answer()).body) for one in clients]
        assert bodies == [b'["news"]'] * 3 + [b"[]"]


async def test_two_ends_at_once_end_every_poll_once(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        gateway(config(up.port, more=hold(), routes=route(policies=["poll"])), tmp_path) as gw,
        polling(gw, *[get("/")] * 60) as clients,
    ):
        await until(lambda: up.held == 60)
        said = await asyncio.gather(*[end(gw, all=True, within="200ms") for _ in range(2)])
        assert sum(one["ended"] for one in said) == 60
        assert {(await one.read_answer()).status for one in clients} == {200}
        assert await outcomes(gw, 60) == {"evicted": 60}


async def test_polls_that_are_answered_meanwhile_are_answered_once(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        gateway(config(up.port, more=hold(), routes=route(policies=["poll"])), tmp_path) as gw,
        polling(gw, *[get("/")] * 50) as clients,
    ):
        await until(lambda: up.held == 50)
        ending = asyncio.ensure_future(end(gw, all=True, within="100ms"))
        await until(lambda: up.held < 50)
        up.publish()
        bodies = Counter([bytes((await one.read_answer()).body) for one in clients])
        said = await soon(ending)
        assert bodies == +Counter({b"[]": said["ended"], b'["news"]': 50 - said["ended"]})
        assert await outcomes(gw, 50) == +Counter(evicted=said["ended"], news=50 - said["ended"])
        assert not any(one.left for one in clients)


async def test_a_poll_whose_answer_has_begun_is_not_ended(tmp_path: Path) -> None:
    rest = asyncio.Event()
    news = answer(b'["long news"]', "200 OK", "Content-Type: application/json")
    async with (
        ScriptedUpstream((news[:-2], rest, news[-2:], End.CLOSE)) as up,
        gateway(config(up.port, more=hold(), routes=route(policies=["poll"])), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        await raw.send(get("/"))
        while not raw.left.endswith(b"news"):
            await raw._fill()
        assert await end(gw, all=True) == {"ended": 0, "not_endable": 0}
        rest.set()
        assert bytes((await raw.read_answer()).body) == b'["long news"]'


async def test_who_was_ended_by_the_operator_may_evict_at_once(tmp_path: Path) -> None:
    """No other poller took its place: the grace that keeps two tabs from ending each other is not for it."""
    limits = cap(on_excess='"evict-oldest"', per='"route"', evict_grace='"1h"')
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, limits, poll=hold()) as (gw, first),
        client(gw.port) as second,
    ):
        await polled(up, first, alice())
        assert await end(gw, consumer="alice") == {"ended": 1, "not_endable": 0}
        assert (await first.read_answer()).status == 200
        await polled(up, second, bob())
        await polled(up, first, alice())
        assert bytes((await second.read_answer()).body) == b"[]"
        up.publish()
        assert bytes((await first.read_answer()).body) == b'["news"]'


async def test_a_poll_that_waits_in_line_ends_too(tmp_path: Path) -> None:
    limits = cap(on_excess='"wait"', max_waiting="5", per='"route"')
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, limits, poll=hold()) as (gw, first),
        client(gw.port) as second,
    ):
        await polled(up, first, alice())
        await second.send(bob())
        await until(lambda: len(list(gw.app._edge.connections)) == 2)
        while {call["state"] for call in await gw.held()} != {"parked", "waiting"}:
            await asyncio.sleep(0)
        assert await end(gw, consumer="bob") == {"ended": 1, "not_endable": 0}
        assert bytes((await second.read_answer()).body) == b"[]"
        assert up.held == 1


async def test_an_operator_who_leaves_ends_no_more(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        gateway(config(up.port, more=hold(), routes=route(policies=["poll"])), tmp_path) as gw,
        polling(gw, *[get("/")] * 20),
    ):
        await until(lambda: up.held == 20)
        async with client(gw.admin_port) as admin:
            await admin.send(post(b'{"all": true, "within": "6s"}', "/api/held/end", "Gateway-Admin: 1"))
            await until(lambda: up.held == 19)
        await until(lambda: not any("RequestHandler.start" in repr(task) for task in asyncio.all_tasks()))
        assert (await gw.record())["note"] == "by operator"
        assert len(await gw.held()) == 19
