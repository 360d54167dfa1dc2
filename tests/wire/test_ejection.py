"""Outlier ejection on the wire: an endpoint where calls fail takes no more for a while, whatever way they fail; nothing
that clients do or that quiet polls are takes one out; some always stay; and everybody who looks is told.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.kit.endpoints import calls, endpoint, endpoints, events, fail, fleet, happened, nobody, statuses
from tests.kit.gateways import gateway, hold, route
from tests.kit.raw import client, connect, get, post
from tests.kit.upstreams import End, HoldingUpstream, Script, ScriptedUpstream, answer
from tests.kit.waiting import until

RULES = 'ejection = { strikes = 3, within = "1m", for = "10m" }'
SHORT = '\nresponse_timeout = "200ms"\nbody_idle_timeout = "200ms"'
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"

FAULTS: dict[str, tuple[Script, str]] = {
    "reset": ((End.RESET,), "upstream_reset"),
    "closed": ((End.CLOSE,), "upstream_reset"),
    "malformed": ((b"what is this\r\n\r\n",), "upstream_bad"),
    "cut": ((CUT, End.RESET), "truncated"),
    "silent": ((asyncio.Event(),), "upstream_timeout"),
    "status": ((answer(b"no", "503 Service Unavailable"),), "status 503"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_an_endpoint_where_calls_fail_takes_no_more(tmp_path: Path, fault: str) -> None:
    script, why = FAULTS[fault]
    lines = RULES.replace(" }", ", status = [503] }") + SHORT
    async with (
        ScriptedUpstream(then=script) as ill,
        ScriptedUpstream() as well,
        gateway(fleet(ill.url, well.url, lines=lines), tmp_path) as gw,
    ):
        await fail(gw.port, 6)
        (event,) = await events(gw, 1)
        assert (event["kind"], event["why"], event["strikes"]) == ("eject", why, 3)
        assert (event["endpoint"], event["taking"], event["members"]) == (f"127.0.0.1:{ill.port}", 1, 2)
        asked = len(ill.requests)
        assert await statuses(gw, 10) == [200] * 10
        assert len(ill.requests) == asked == 3
        found = await endpoint(gw, ill)
        assert (found["state"], found["why"], found["ejections"]) == ("out", ["ejection"], 1)
        assert 500 < found["back_in"] <= 600 and found["since"] >= 0
        assert (await endpoint(gw, well))["state"] == "in"


async def test_an_endpoint_that_cannot_be_reached_takes_no_more_and_no_call_is_harmed(tmp_path: Path) -> None:
    with nobody() as url:
        async with ScriptedUpstream() as well, gateway(fleet(url, well.url, lines=RULES), tmp_path) as gw:
            assert await statuses(gw, 12) == [200] * 12
            assert [each["why"] for each in await events(gw, 1)] == ["upstream_refused"]
            await until(lambda: len(calls(gw)) == 12)
            assert Counter(record["attempts"] for record in calls(gw)) == {2: 3, 1: 9}


async def test_an_answer_between_faults_keeps_it_in(tmp_path: Path) -> None:
    scripts: list[Script] = [(End.RESET,), (End.RESET,), (answer(),)] * 3
    async with (
        ScriptedUpstream(*scripts) as odd,
        ScriptedUpstream() as well,
        gateway(fleet(odd.url, well.url, lines=RULES), tmp_path) as gw,
    ):
        await fail(gw.port, 18)
        assert len(odd.requests) == 9
        found = await endpoint(gw, odd)
        assert (found["state"], found["strikes"], happened(gw)) == ("in", 0, [])


async def test_the_services_own_errors_keep_it_in_unless_they_are_named(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream(then=(answer(b"no", "500 Internal Server Error"),)) as odd,
        ScriptedUpstream() as well,
        gateway(fleet(odd.url, well.url, lines=RULES), tmp_path) as gw,
    ):
        assert Counter(await statuses(gw, 12)) == {500: 6, 200: 6}
        assert happened(gw) == []


# -- what never counts -------------------------------------------------------------------------------------------------


async def test_clients_that_leave_take_nobody_out(tmp_path: Path) -> None:
    tables: dict[str, Any] = {"more": hold(), "routes": route("polls", "/polls", ["poll"]) + route("rest")}
    async with (
        HoldingUpstream() as one,
        HoldingUpstream() as two,
        gateway(fleet(one.url, two.url, lines=RULES, **tables), tmp_path) as gw,
    ):
        for target in ("/polls", "/") * 8:
            raw = await connect(gw.port)
            await raw.send(get(target))
            await until(lambda: one.held + two.held == 1)
            await raw.close()
            await until(lambda: one.held + two.held == 0)
        await gw.records(16)
        assert {each["state"] for each in await endpoints(gw)} == {"in"}
        assert {each["strikes"] for each in await endpoints(gw)} == {0}


async def test_a_client_that_does_not_send_its_body_takes_nobody_out(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream(faults=True) as one,
        ScriptedUpstream(faults=True) as two,
        gateway(fleet(one.url, two.url, lines=RULES + SHORT), tmp_path) as gw,
    ):
        for _ in range(8):
            async with client(gw.port) as raw:
                await raw.send(post(b"whole body")[:-5])
                assert (await raw.read_answer()).status == 504
        records = await gw.records(8)
        assert {record["outcome"] for record in records} == {"upstream_timeout"}
        assert {record["note"] for record in records} == {"unfinished"}
        assert {each["strikes"] for each in await endpoints(gw)} == {0}


@pytest.mark.parametrize("status", ["204 No Content", "503 Service Unavailable"])
async def test_quiet_polls_take_nobody_out_whatever_status_they_have(tmp_path: Path, status: str) -> None:
    quiet = hold(idle='["status == 204", "status == 503"]')
    lines = RULES.replace(" }", ", status = [503] }")
    async with (
        ScriptedUpstream(then=(answer(b"", status),)) as one,
        ScriptedUpstream(then=(answer(b"", status),)) as two,
        gateway(fleet(one.url, two.url, lines=lines, more=quiet, routes=route(policies=["poll"])), tmp_path) as gw,
    ):
        await statuses(gw, 12)
        assert {record["outcome"] for record in await gw.records(12)} == {"empty"}
        assert {each["state"] for each in await endpoints(gw)} == {"in"}


async def test_polls_that_end_before_the_service_is_due_take_nobody_out(tmp_path: Path) -> None:
    short = hold(max='"200ms"', min='"100ms"', absent='"200ms"', rewrite="false", ask='[{ in = "query", name = "t" }]')
    async with (
        HoldingUpstream() as one,
        HoldingUpstream() as two,
        gateway(fleet(one.url, two.url, lines=RULES, more=short, routes=route(policies=["poll"])), tmp_path) as gw,
    ):
        clients = [await connect(gw.port) for _ in range(12)]
        for raw in clients:
            await raw.send(get("/?t=60"))
        assert {record["outcome"] for record in await gw.records(12)} == {"blank"}
        assert {each["strikes"] for each in await endpoints(gw)} == {0}
        for raw in clients:
            await raw.close()


async def test_a_process_that_ends_with_all_its_polls_is_struck_once(tmp_path: Path) -> None:
    """It may be back in a moment, as after a deploy: what it held says no more than one of them would."""
    queue = hold(replay='"destructive"', empty='{ answer = "origin" }')
    async with (
        HoldingUpstream() as one,
        HoldingUpstream() as two,
        gateway(fleet(one.url, two.url, lines=RULES, more=queue, routes=route(policies=["poll"])), tmp_path) as gw,
    ):
        clients = [await connect(gw.port) for _ in range(40)]
        for raw in clients:
            await raw.send(get())
        await until(lambda: one.held + two.held == 40)
        await one.close()
        assert {record["outcome"] for record in await gw.records(20)} == {"upstream_reset"}
        found = await endpoint(gw, one)
        assert (found["state"], found["strikes"], two.held) == ("in", 1, 20)
        for raw in clients:
            await raw.close()


# -- overruns (RELIABILITY row 18) -------------------------------------------------------------------------------------

POLLS = {"template": hold, "origin": lambda **more: hold(replay='"destructive"', empty='{ answer = "origin" }', **more)}


@pytest.mark.parametrize("kind", POLLS)
async def test_an_endpoint_that_leaves_polls_hanging_is_found_out(tmp_path: Path, kind: str) -> None:
    """Even behind a template, which looks like a quiet service to every client."""
    short = POLLS[kind](max='"150ms"', min='"100ms"', absent='"150ms"', margin='"50ms"')
    async with (
        HoldingUpstream() as hung,
        ScriptedUpstream(then=(answer(b"[1]"),)) as well,
        gateway(fleet(hung.url, well.url, lines=RULES, more=short, routes=route(policies=["poll"])), tmp_path) as gw,
    ):
        asked = await statuses(gw, 10)
        forgiven = 200 if kind == "template" else 504
        assert Counter(asked) == Counter([forgiven] * 2 + [504] * 3 + [200] * 5)
        (event,) = await events(gw, 1)
        assert (event["kind"], event["why"]) == ("eject", "overrun")
        assert len(hung.requests) == 5, "two are forgiven, three are strikes"
        assert await statuses(gw, 6) == [200] * 6
        assert len(hung.requests) == 5 and hung.held == 0
        await until(lambda: hung.live == 0)


async def test_news_between_overruns_keeps_it_in(tmp_path: Path) -> None:
    short = hold(max='"150ms"', min='"100ms"', absent='"150ms"', margin='"50ms"')
    scripts: list[Script] = [(asyncio.Event(),), (asyncio.Event(),), (answer(b"[1]"),)] * 3
    async with (
        ScriptedUpstream(*scripts) as odd,
        ScriptedUpstream(then=(answer(b"[1]"),)) as well,
        gateway(fleet(odd.url, well.url, lines=RULES, more=short, routes=route(policies=["poll"])), tmp_path) as gw,
    ):
        await statuses(gw, 18)
        assert len(odd.requests) == 9 and happened(gw) == []


async def test_a_crowd_that_is_left_hanging_gives_the_endpoint_away_and_leaves_nothing(tmp_path: Path) -> None:
    short = hold(max='"300ms"', min='"100ms"', absent='"300ms"', margin='"100ms"')
    async with (
        HoldingUpstream() as hung,
        ScriptedUpstream(then=(answer(b"[1]"),)) as well,
        gateway(fleet(hung.url, well.url, lines=RULES, more=short, routes=route(policies=["poll"])), tmp_path) as gw,
    ):
        clients = [await connect(gw.port) for _ in range(120)]
        for raw in clients:
            await raw.send(get())
        found = Counter([(await raw.read_answer()).status for raw in clients])
        assert found == {200: 62, 504: 58}, "60 hang: two are told that there is no news, then it is a 504"
        ended = Counter(record["outcome"] for record in await gw.records(120))
        assert ended == {"news": 60, "overrun": 2, "upstream_timeout": 58}
        assert [each["why"] for each in await events(gw, 1)] == ["overrun"]
        await until(lambda: hung.live == 0)
        assert {each["held"] for each in await endpoints(gw)} == {0}
        for raw in clients:
            await raw.close()
