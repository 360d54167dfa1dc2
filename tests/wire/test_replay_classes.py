"""What becomes of a poll of each replay class when something ends it, on real sockets. The expectations are read from
the table; that the gateway keeps to it is what is looked at here.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.holds.replay import REPLAY
from tests.kit.gateways import TEMPLATE, hold, route
from tests.kit.limits import cap, outcomes, polled
from tests.kit.polls import end
from tests.kit.raw import client, get
from tests.kit.stage import stage
from tests.kit.upstreams import End, HoldingUpstream, ScriptedUpstream, answer
from tests.kit.waiting import until

CLASSES = pytest.mark.parametrize("replay", REPLAY)
ORIGIN, NEVER = '{ answer = "origin" }', '{ answer = "never" }'


def polls(replay: str, *limits: str, server: str = "", **values: object) -> dict[str, str]:
    """A route of polls of that class, with the template where the class may have one."""
    values = {"empty": TEMPLATE if REPLAY[replay].early else ORIGIN, "margin": '"100ms"', **values}
    names = ["poll", *(["limits"] if limits else [])]
    return {
        "more": hold(replay=f'"{replay}"', **values) + "".join(limits),
        "routes": route(policies=names),
        "server": server,
    }


@CLASSES
async def test_a_connection_that_dies_after_the_poll_was_sent(tmp_path: Path, replay: str) -> None:
    async with ScriptedUpstream((End.RESET,)) as up, stage(up, tmp_path, **polls(replay)) as (gw, raw):
        found = await raw.ask(get())
        again = REPLAY[replay].again
        assert (found.status, len(up.requests)) == ((200, 2) if again else (502, 1))
        assert (await gw.record())["outcome"] == ("news" if again else "upstream_reset")


@CLASSES
async def test_a_connection_that_is_not_to_be_had(tmp_path: Path, replay: str) -> None:
    """Not a byte was sent: any poll goes elsewhere."""
    async with ScriptedUpstream() as dead, ScriptedUpstream() as up:
        await dead.close()
        tables = polls(replay)
        async with stage(up, tmp_path, **tables) as (gw, _):
            text = gw.app.path.read_text("utf-8").replace(f'"{up.url}"', f'"{dead.url}", "{up.url}"')
            gw.app.path.write_text(text, "utf-8")
            assert await gw.app.reload() == []
            for _ in range(4):
                async with client(gw.port) as raw:
                    assert (await raw.ask(get())).status == 200
        assert len(up.requests) == 4


@CLASSES
async def test_an_old_connection_carries_only_what_may_be_sent_again(tmp_path: Path, replay: str) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, **polls(replay)) as (gw, raw):
        await raw.ask(get())
        (endpoint,) = gw.app._serve.snapshot.upstreams["up"].endpoints
        await until(lambda: len(endpoint.idle) == 1)
        next(iter(endpoint.idle)).idle_since -= 2.0
        await raw.ask(get())
        assert len(up.peers) == (2 if REPLAY[replay].fresh else 1)


@CLASSES
async def test_a_deadline_is_told_in_the_template_or_as_a_504(tmp_path: Path, replay: str) -> None:
    tables = polls(replay, absent='"200ms"')
    async with HoldingUpstream() as up, stage(up, tmp_path, **tables) as (gw, raw):
        found = await raw.ask(get())
        early = REPLAY[replay].early
        assert found.status == (200 if early else 504)
        assert (await gw.record())["outcome"] == ("overrun" if early else "upstream_timeout")
        assert len(up.requests) == 1, "never again after a deadline"
        await until(lambda: up.held == 0)


@CLASSES
async def test_a_drain_leaves_to_its_end_what_may_not_be_ended_early(tmp_path: Path, replay: str) -> None:
    early = REPLAY[replay].early
    tables = polls(replay, server=f'drain = "{"500ms" if early else "10s"}"\nstop_grace = "20s"')
    async with HoldingUpstream() as up, stage(up, tmp_path, **tables) as (gw, raw):
        await polled(up, raw, get())
        draining = asyncio.ensure_future(gw.app.drain())
        await until(lambda: gw.app._serve.draining is not None)
        if early:
            found = await raw.read_answer()
            assert (bytes(found.body), found.one("Connection")) == (b"[]", "close")
        else:
            await until(lambda: up.held == 1)
            assert up.publish() == 1
            assert bytes((await raw.read_answer()).body) == b'["news"]'
        await draining
        assert (await gw.record())["outcome"] == ("drained" if early else "news")


@CLASSES
async def test_only_what_may_be_ended_early_is_ended_by_the_operator(tmp_path: Path, replay: str) -> None:
    async with HoldingUpstream() as up, stage(up, tmp_path, **polls(replay)) as (gw, raw):
        await polled(up, raw, get())
        early = int(REPLAY[replay].early)
        assert await end(gw, all=True) == {"ended": early, "not_endable": 1 - early}
        assert up.publish() == 1 or early
        assert (await raw.read_answer()).status == 200
        assert (await gw.record())["outcome"] == ("evicted" if early else "news")


@pytest.mark.parametrize("replay", [name for name, rights in REPLAY.items() if rights.early])
@pytest.mark.parametrize("rule", ["evict", "supersede"])
async def test_what_may_be_ended_early_makes_room_and_is_not_sent_again(tmp_path: Path, replay: str, rule: str) -> None:
    limits = [cap(per='"route"', on_excess='"evict-oldest"')] if rule == "evict" else []
    values = {"concurrency": '"newest-wins"'} if rule == "supersede" else {}
    async with (
        HoldingUpstream() as up,
        stage(up, tmp_path, **polls(replay, *limits, **values)) as (gw, first),
        client(gw.port) as second,
    ):
        await polled(up, first, get())
        await polled(up, second, get())
        assert (await first.read_answer()).status == (200 if rule == "evict" else 409)
        await until(lambda: up.held == 1)
        up.publish()
        assert (await second.read_answer()).status == 200
        assert len(up.requests) == 2
        assert await outcomes(gw, 2) == {"evicted" if rule == "evict" else "superseded": 1, "news": 1}


@CLASSES
async def test_a_connection_that_dies_inside_the_answer(tmp_path: Path, replay: str) -> None:
    begun = answer(b"0123456789")[:-4]
    async with ScriptedUpstream((begun, End.CLOSE)) as up, stage(up, tmp_path, **polls(replay)) as (gw, raw):
        await raw.send(get())
        assert (await gw.record())["outcome"] == "truncated"
        assert len(up.requests) == 1
