"""Two polls of one poller, and one that comes back too soon, on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from pathlib import Path

import pytest

from tests.kit.gateways import config, gateway, route
from tests.kit.jealous import ASK, FATAL, NEWEST, OLDEST, Jealous, at_hand, lost, poll, two
from tests.kit.limits import alice, bob, cap, limited, outcomes, polled, several, waiting, waits
from tests.kit.polls import listed
from tests.kit.raw import client, get
from tests.kit.stage import stage
from tests.kit.strict import Cut
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream, answer, chunked
from tests.kit.waiting import until


async def test_the_newest_poll_wins_and_the_older_one_is_told_in_its_own_words(tmp_path: Path) -> None:
    async with Jealous() as up, two(up, tmp_path, NEWEST) as (gw, first, second):
        await at_hand(up, first, second)
        await polled(up, first, get("/?sid=x"))
        await polled(up, second, get("/?sid=x"))
        assert lost(await first.read_answer())
        await until(lambda: up.held == 1)
        assert up.publish() == 1 and (await second.read_answer()).status == 200
        *_, older, newer = await gw.records(4)
        assert (older["outcome"], older["blame"], older["note"]) == ("superseded", "downstream", f"for {newer['id']}")
        assert newer["outcome"] == "news" and up.together == 1
        assert len(gw.app._limits.pollers) == 0


async def test_of_forty_polls_of_one_session_at_once_one_is_left_at_the_upstream(tmp_path: Path) -> None:
    async with Jealous() as up, two(up, tmp_path, NEWEST) as (gw, _, _), several(gw, 40) as crowd:
        await at_hand(up, *crowd[:5])
        for one in crowd:
            one.writer.write(get("/?sid=x"))
        await outcomes(gw, 44)
        await until(lambda: up.held == 1)
        assert up.publish() == 1
        assert await outcomes(gw, 45) == {"superseded": 39, "news": 6}


async def test_other_sessions_and_polls_without_one_are_left_alone(tmp_path: Path) -> None:
    async with Jealous() as up, two(up, tmp_path, NEWEST) as (gw, first, second), several(gw, 2) as (third, fourth):
        for raw, target in ((first, "/?sid=x"), (second, "/?sid=y"), (third, "/"), (fourth, "/")):
            await polled(up, raw, get(target))
        assert up.publish() == 4
        assert await outcomes(gw, 4) == {"news": 4}


async def test_a_poll_of_another_consumer_ends_nobody(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, cap(most=9), poll=poll(NEWEST)) as (gw, raw),
        client(gw.port) as other,
    ):
        await polled(up, raw, alice("/?sid=x"))
        await polled(up, other, bob("/?sid=x"))
        assert up.publish() == 2
        assert await outcomes(gw, 2) == {"news": 2}


async def test_a_poll_that_is_sent_ahead_waits_for_its_own_answer(tmp_path: Path) -> None:
    """On one connection answers come in order: nobody is overtaken there."""
    for rule in (NEWEST, OLDEST, FATAL):
        folder = tmp_path / rule
        folder.mkdir()
        async with Jealous() as up, two(up, folder, rule) as (gw, first, _):
            await first.send(get("/?sid=x") + get("/?sid=x"))
            for _ in range(2):
                await until(lambda: up.held == 1)
                assert up.publish() == 1 and (await first.read_answer()).status == 200
            assert await outcomes(gw, 2) == {"news": 2} and up.together == 1


async def test_a_cap_full_of_the_older_poll_lets_the_newer_in(tmp_path: Path) -> None:
    async with (
        Jealous() as up,
        limited(up, tmp_path, cap(), poll=poll(NEWEST)) as (gw, first),
        several(gw, 2) as (second, third),
    ):
        await polled(up, first, alice("/?sid=x"))
        await polled(up, second, alice("/?sid=x"))
        assert lost(await first.read_answer())
        assert (await third.ask(alice("/?sid=other"))).status == 429, "the cap still counts"
        await until(lambda: up.held == 1)
        up.publish()
        assert (await second.read_answer()).status == 200
        assert up.together == 1 and await outcomes(gw, 3) == {"superseded": 1, "news": 1, "capped": 1}
        assert gw.app._store.held("policy.limits.hold_cap[0]", "alice") == 0


async def test_where_the_oldest_wins_the_newcomer_is_told(tmp_path: Path) -> None:
    async with Jealous() as up, two(up, tmp_path, OLDEST) as (gw, first, second):
        await polled(up, first, get("/?sid=x"))
        assert lost(await second.ask(get("/?sid=x")))
        assert up.publish() == 1 and (await first.read_answer()).status == 200
        await polled(up, second, get("/?sid=x"))
        up.publish()
        await second.read_answer()
        records = {one["outcome"]: one for one in await gw.records(3)}
        assert (records["conflict"]["level"], records["conflict"]["blame"]) == ("notice", "downstream")
        assert records["conflict"]["attempts"] == 0


@pytest.mark.parametrize("rule", [NEWEST, OLDEST, FATAL])
async def test_a_client_that_leaves_and_comes_back_is_served(tmp_path: Path, rule: str) -> None:
    async with Jealous() as up, two(up, tmp_path, rule) as (gw, first, second):
        await at_hand(up, first, second)
        await polled(up, first, get("/?sid=x"))
        first.sock.shutdown(socket.SHUT_WR)  # in this order, whatever a loop makes of it
        second.sock.send(get("/?sid=x"))
        await until(lambda: up.begun == 4 and up.held == 1)
        assert up.together == 1 and up.publish() == 1
        assert (await second.read_answer()).status == 200
        assert await outcomes(gw, 4) == {"client_gone": 1, "news": 3}


@pytest.mark.parametrize("rule", [NEWEST, OLDEST, FATAL])
async def test_a_client_that_breaks_off_and_comes_back_is_served(tmp_path: Path, rule: str) -> None:
    """A reset and the next poll are read in one turn of the loop, and only the next one tells of the reset."""
    async with Jealous() as up, two(up, tmp_path, rule) as (gw, one, second):
        await at_hand(up, one, second)
        with socket.create_connection(("127.0.0.1", gw.port)) as first:
            first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            first.send(get("/?sid=x"))
            await until(lambda: up.held == 1)
        second.sock.send(get("/?sid=x"))
        await until(lambda: up.begun == 4 and up.held == 1)
        assert up.together == 1 and up.publish() == 1
        assert (await second.read_answer()).status == 200
        ends = await outcomes(gw, 4)
        assert ends["news"] == 3 and ends["client_gone"] + ends["superseded"] == 1


async def test_a_poll_that_is_held_on_is_broken_off_for_a_newer_one(tmp_path: Path) -> None:
    begun = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"[\n", end=False)
    async with (
        ScriptedUpstream([begun, asyncio.Event()], (answer(b"[1]"),)) as up,
        stage(up, tmp_path, more=poll(NEWEST, early_headers="true"), routes=route(policies=["poll"])) as (gw, first),
        client(gw.port) as second,
    ):
        await first.send(get("/?sid=x"))
        await first.seen(b"[\n\r\n")
        assert (await second.ask(get("/?sid=x"))).status == 200
        with pytest.raises(Cut):
            await first.read_answer()
        await until(lambda: up.live <= 1)
        assert await outcomes(gw, 2) == {"superseded": 1, "news": 1}


async def test_a_poll_that_comes_anew_keeps_its_place_though_others_wait_for_one(tmp_path: Path) -> None:
    line = cap(on_excess='"wait"', per='"route"', max_waiting="1")
    async with (
        Jealous() as up,
        limited(up, tmp_path, line, poll=poll(NEWEST)) as (gw, first),
        several(gw, 2) as (second, stranger),
    ):
        await polled(up, first, alice("/?sid=x"))
        await waits(gw, stranger, bob("/?sid=y"))
        await polled(up, second, alice("/?sid=x"))
        assert lost(await first.read_answer())
        await until(lambda: up.held == 1)
        up.publish()
        assert (await second.read_answer()).status == 200
        await until(lambda: len(up.requests) == 3 and up.held == 1)
        up.publish()
        assert (await stranger.read_answer()).status == 200
        assert await outcomes(gw, 3) == {"superseded": 1, "news": 2}


async def test_a_reload_changes_nothing_for_who_polls(tmp_path: Path) -> None:
    async with Jealous() as up, two(up, tmp_path, FATAL) as (gw, first, second):
        await polled(up, first, get("/?sid=x"))
        assert await gw.app.reload() == []
        await waits(gw, second, get("/?sid=x"))
        assert await gw.app.reload() == []
        up.publish()
        await until(lambda: up.begun == 2 and up.held == 1)
        assert up.together == 1 and up.publish() == 1
        assert (await second.read_answer()).status == 200


async def test_a_first_that_is_still_connecting_is_the_first(tmp_path: Path) -> None:
    """Nobody accepts at the address of the upstream: the kernel's queue is full."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        address = deaf.getsockname()
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(address)
            text = config(
                address[1], more=poll(NEWEST), routes=route(policies=["poll"]), upstream='connect_timeout = "10s"'
            )
            async with gateway(text, tmp_path) as gw, client(gw.port) as first, client(gw.port) as second:
                await first.send(get("/?sid=x"))
                await until(lambda: len(gw.app._limits.pollers) == 1)
                await second.send(get("/?sid=x"))
                assert lost(await first.read_answer())
                record = await gw.record()
                assert (record["outcome"], record["attempts"], record["held"]) == ("superseded", 1, 0)


async def test_a_secret_key_stands_nowhere(tmp_path: Path) -> None:
    values = {"secret": '["query:sid"]', "cursor": '{ request = "query:sid" }'}
    async with Jealous() as up, two(up, tmp_path, FATAL, **values) as (gw, first, second):
        await polled(up, first, get("/?sid=s3cret"))
        await waits(gw, second, get("/?sid=s3cret"))
        shown = json.dumps(await listed(gw)) + (await gw.admin("/api/overview"))[1].decode()
        up.publish()
        await first.read_answer()
        await until(lambda: up.held == 1)
        up.publish()
        shown += json.dumps(await gw.records(2))
        assert "s3cret" not in shown


async def test_who_comes_back_too_soon_waits_and_the_upstream_is_spared(tmp_path: Path) -> None:
    values = {"min_repoll": '"800ms"', "ask": ASK, "rewrite": "true"}
    async with HoldingUpstream() as up, two(up, tmp_path, "many", **values) as (gw, first, second):
        await polled(up, first, get("/?sid=x&ms=10000"))
        assert up.publish(b"[]") == 1
        await first.read_answer()
        await waits(gw, first, get("/?sid=x&ms=10000"))
        await polled(up, second, get("/?sid=y&ms=10000"))
        await until(lambda: up.held == 2)
        assert up.publish() == 2
        assert (await first.read_answer()).status == 200
        await polled(up, first, get("/?sid=x&ms=10000"))
        assert waiting(gw) == 0, "after news nobody waits"
        (record,) = [one for one in await gw.records(3) if "waited" in one]
        assert record["outcome"] == "news" and 0.3 < record["waited"] < 5
        (asked,) = [one for one in up.requests if "sid=x" in one.target and "ms=10000" not in one.target]
        assert abs(int(asked.target.partition("ms=")[2]) - 1000 * (10 - record["waited"])) < 300


async def test_pollers_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        two(up, tmp_path, NEWEST, min_repoll='"50ms"') as (gw, _, _),
        several(gw, 200) as crowd,
    ):
        for number, one in enumerate(crowd):
            one.writer.write(get(f"/?sid={number}"))
        await until(lambda: len(up.requests) == 200)
        assert len(gw.app._limits.pollers) == 200
        up.publish(b"[]")
        await asyncio.gather(*(one.read_answer() for one in crowd))
        await until(lambda: len(gw.app._limits.pollers) == 0)
