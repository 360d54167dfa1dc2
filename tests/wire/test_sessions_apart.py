"""Sessions of which two polls must never be at the upstream at once, on real sockets: the second is kept back, and ends
like every other call.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.jealous import ASK, FATAL, Jealous, at_hand, lost, two
from tests.kit.limits import outcomes, polled, several, waits
from tests.kit.polls import end, listed
from tests.kit.raw import client, get
from tests.kit.waiting import until


@pytest.mark.parametrize("how", ["answer", "close", "reset", "deadline"])
async def test_the_second_poll_of_a_session_goes_on_when_the_first_has_ended(tmp_path: Path, how: str) -> None:
    async with (
        Jealous() as up,
        two(up, tmp_path, FATAL, ask=ASK, over_max='"reject"', margin='"100ms"') as (gw, first, second),
    ):
        await at_hand(up, first, second)
        await polled(up, first, get(f"/?sid=x&ms={500 if how == 'deadline' else 10_000}"))
        await waits(gw, second, get("/?sid=x&ms=10000"))
        (kept,) = [one for one in await gw.held() if one["state"] == "waiting"]
        assert (kept["endpoint"], kept["attempts"], kept["endable"]) == (None, 0, True)
        async with client(gw.port) as third:
            assert lost(await third.ask(get("/?sid=x")))
        if how == "answer":
            assert up.publish() == 1
        elif how != "deadline":
            first.reset() if how == "reset" else await first.close()
        await until(lambda: len(up.requests) == 4 and up.held == 1)
        assert up.together == 1
        up.publish()
        assert (await second.read_answer()).status == 200
        ended = {"answer": "news", "close": "client_gone", "reset": "client_gone", "deadline": "upstream_timeout"}[how]
        assert await outcomes(gw, 5) == {ended: 1, "conflict": 1} | {"news": 4 if how == "answer" else 3}
        (waited,) = [one for one in await gw.records(5) if "waited" in one]
        assert waited["hold_granted"] == 10 and waited["outcome"] == "news"


async def test_two_clients_that_take_turns_never_meet_at_the_upstream(tmp_path: Path) -> None:
    async with Jealous() as up, two(up, tmp_path, FATAL) as (gw, first, second):
        await polled(up, first, get("/?sid=x"))
        for turn in range(20):
            here, there = (first, second) if turn % 2 == 0 else (second, first)
            await waits(gw, there, get("/?sid=x"))
            assert up.publish() == 1 and (await here.read_answer()).status == 200
            await until(lambda turn=turn: len(up.requests) == turn + 2 and up.held == 1)
        assert up.together == 1


async def test_a_second_that_hangs_up_is_gone_and_another_may_wait(tmp_path: Path) -> None:
    async with Jealous() as up, two(up, tmp_path, FATAL) as (gw, first, second), several(gw, 1) as (third,):
        await polled(up, first, get("/?sid=x"))
        await waits(gw, second, get("/?sid=x"))
        second.reset()
        record = await gw.record()
        assert (record["outcome"], record["attempts"]) == ("client_gone", 0)
        await waits(gw, third, get("/?sid=x"))
        up.publish()
        await until(lambda: len(up.requests) == 2)


async def test_the_operator_ends_a_poll_that_is_kept_back(tmp_path: Path) -> None:
    async with Jealous() as up, two(up, tmp_path, FATAL) as (gw, first, second):
        await polled(up, first, get("/?sid=x"))
        await waits(gw, second, get("/?sid=x"))
        assert await end(gw, all=True) == {"ended": 1, "not_endable": 1}
        assert lost(await second.read_answer())
        record = await gw.record()
        assert (record["outcome"], record["note"]) == ("evicted", "by operator")
        assert (await listed(gw))["calls"][0]["state"] == "parked"


async def test_a_drain_ends_the_first_and_the_second(tmp_path: Path) -> None:
    async with Jealous() as up, two(up, tmp_path, FATAL, server='drain = "300ms"') as (gw, first, second):
        await polled(up, first, get("/?sid=x"))
        await waits(gw, second, get("/?sid=x"))
        await gw.app.drain()
        assert await first.closed(), "nobody but the upstream may say anything to it"
        found = await second.read_answer()  # which nobody was asked for
        assert (found.status, found.one("Connection")) == (503, "close")
        assert await outcomes(gw, 2) == {"drained": 2} and len(up.requests) == 1
