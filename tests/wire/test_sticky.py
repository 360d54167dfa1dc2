"""Sessions that live in the memory of one endpoint: every call of one goes where it began, over reloads and beside
others, and when that endpoint is gone the session goes on elsewhere and its record says so.
"""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.kit.gateways import InProcess, config, gateway, hold, route
from tests.kit.raw import RawClient, client, get, post
from tests.kit.session_servers import STICKY, SessionServer, begun, session_servers, within
from tests.kit.upstreams import End, HoldingUpstream, ScriptedUpstream, answer
from tests.kit.waiting import soon, until

BEGIN = get("/")
POLLS = {"more": hold(), "routes": route(policies=["poll"])}


def before(*servers: ScriptedUpstream, where: str = "query", more: str = "", **tables: Any) -> str:
    return config(*(server.url for server in servers), upstream=f"{STICKY[where]}\n{more}", **tables)


async def begin(raw: RawClient, count: int, where: str = "query") -> list[str]:
    return [begun(await raw.ask(BEGIN), where) for _ in range(count)]


async def reload(gw: InProcess, text: str) -> None:
    gw.app.path.write_text(text.replace("file:calls.jsonl", f"file:{gw.log}"), "utf-8")
    assert await soon(gw.app.reload()) == []


async def moved(gw: InProcess) -> float:
    """What the metric says."""
    page = (await gw.admin("/metrics"))[1].decode()
    return float(
        next(line for line in page.splitlines() if line.startswith("longpoll_sessions_moved_total")).split()[1]
    )


# -- where a session began ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("where", "pieces"), [("query", 1), ("query", 3), ("header", 1), ("cookie", 1)])
async def test_every_call_of_a_session_goes_where_it_began(tmp_path: Path, where: str, pieces: int) -> None:
    async with (
        session_servers(3, where, pieces) as servers,
        gateway(before(*servers, where=where), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        sessions = await begin(raw, 12, where)
        for session in sessions * 3:
            found = await raw.ask(within(session, where))
            assert (found.status, found.body.decode()) == (200, session[:2])
        assert Counter(session[:2] for session in sessions) == {"s0": 4, "s1": 4, "s2": 4}
        assert "session_moved" not in [record.get("note") for record in await gw.records(48)]
        assert await moved(gw) == 0
    assert not [server.strangers for server in servers if server.strangers]


async def test_polls_of_a_session_and_posts_beside_them_meet_at_one_endpoint(tmp_path: Path) -> None:
    polls = {"more": hold(when='["query:sid present", "method == GET"]'), "routes": route(policies=["poll"])}
    async with (
        session_servers(2) as servers,
        gateway(before(*servers, **polls), tmp_path) as gw,
        client(gw.port) as raw,
        client(gw.port) as other,
    ):
        (session,) = await begin(raw, 1)
        home = next(server for server in servers if session in server.sessions)
        go = asyncio.Event()
        home.scripts = [()] * home.begun + [(go, answer(b"[1]"))]
        await raw.send(within(session))
        await until(lambda: home.held == 1)
        for _ in range(3):
            assert (await other.ask(post(b"x", f"/?sid={session}"))).status == 200
        go.set()
        assert (await raw.read_answer()).status == 200
    assert not servers[0].strangers and not servers[1].strangers


@pytest.mark.parametrize("status", ["400 Bad Request", "503 Service Unavailable"])
async def test_an_answer_that_is_an_error_begins_no_session(tmp_path: Path, status: str) -> None:
    refuses: tuple[bytes, ...] = (answer(b'0{"sid":"x1"}', status),)
    async with (
        ScriptedUpstream(then=refuses) as one,
        ScriptedUpstream(then=refuses) as two,
        gateway(before(one, two), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        for _ in range(2):
            await raw.ask(BEGIN)
        assert len(sticky(gw).pins) == 0


@pytest.mark.parametrize(
    "body",
    [b"0[]", b'0{"sid":null}', b'0{"sid":"', b"", b'0{"sid":"a"}' + b" " * 5000, b"\xff\xfe"],
    ids=["none", "null", "cut", "empty", "long", "bytes"],
)
async def test_an_answer_that_names_no_session_is_passed_on_as_it_is(tmp_path: Path, body: bytes) -> None:
    async with (
        ScriptedUpstream(then=(answer(body),)) as up,
        gateway(before(up, up), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        assert (await raw.ask(BEGIN)).body == body
        assert len(sticky(gw).pins) == 0


async def test_a_compressed_answer_teaches_nothing_and_its_session_goes_where_its_name_leads(tmp_path: Path) -> None:
    packed = gzip.compress(b'0{"sid":"z1"}')
    async with (
        ScriptedUpstream(then=(answer(packed, "200 OK", "Content-Encoding: gzip"),)) as one,
        ScriptedUpstream(then=(answer(packed, "200 OK", "Content-Encoding: gzip"),)) as two,
        gateway(before(one, two), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        assert (await raw.ask(BEGIN)).body == packed and len(sticky(gw).pins) == 0
        for _ in range(4):
            await raw.ask(within("z1"))
        assert sorted(len([one for one in up.requests if "sid" in one.target]) for up in (one, two)) == [0, 4]


def sticky(gw: InProcess) -> Any:
    return gw.app._serve.snapshot.upstreams["up"].sessions


# -- when it cannot stay there -----------------------------------------------------------------------------------------


async def test_sessions_of_a_dead_endpoint_go_on_at_another_and_their_records_say_so(tmp_path: Path) -> None:
    async with session_servers(3) as servers, gateway(before(*servers), tmp_path) as gw, client(gw.port) as raw:
        sessions = await begin(raw, 9)
        dead = servers[1]
        await dead.close()
        found = {session: (await raw.ask(within(session))).status for session in sessions}
        assert found == {session: 400 if session in dead.sessions else 200 for session in sessions}
        records = (await gw.records(18))[9:]
        notes = [record.get("note") for record in records]
        assert notes == ["session_moved" if session in dead.sessions else None for session in sessions]
        assert {record["attempts"] for record in records if record.get("note")} == {2}
        assert await moved(gw) == 3
        fresh = await begin(raw, 4)  # as clients do that were told so
        assert [(await raw.ask(within(session))).status for session in fresh] == [200] * 4
        assert await moved(gw) == 3


async def test_a_session_that_moved_is_at_home_where_it_is_served_now(tmp_path: Path) -> None:
    """Services may share their sessions: then nobody notices but who reads the log."""
    async with session_servers(3) as servers, gateway(before(*servers), tmp_path) as gw, client(gw.port) as raw:
        (session,) = await begin(raw, 1)
        for server in servers:
            server.sessions.add(session)
        await next(server for server in servers if server.name == session[:2]).close()
        places = {(await raw.ask(within(session))).body.decode() for _ in range(5)}
        assert len(places) == 1 and session[:2] not in places
        assert [record.get("note") for record in (await gw.records(6))[1:]] == ["session_moved", *[None] * 4]
        assert await moved(gw) == 1


@pytest.mark.parametrize("down", [False, True])
async def test_a_poll_whose_connection_died_goes_elsewhere_only_if_its_endpoint_is_down(
    tmp_path: Path, down: bool
) -> None:
    go = asyncio.Event()
    async with (
        HoldingUpstream() as one,
        HoldingUpstream() as two,
        gateway(before(one, two, **POLLS), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        await raw.send(within("s1"))
        await until(lambda: one.held + two.held == 1)
        home, other = (one, two) if one.held else (two, one)
        home.publish()
        assert (await raw.read_answer()).status == 200
        home.scripts = [()] * home.begun + [(go, End.RESET)]
        await raw.send(within("s1"))
        await until(lambda: home.held == 1)
        if down:
            await home.close()
        go.set()
        at = other if down else home
        await until(lambda: at.begun == (1 if down else 3) and at.held == 1)
        at.publish()
        assert (await raw.read_answer()).status == 200
        record = (await gw.records(2))[1]
    assert (record["outcome"], record["endpoint"]) == ("news", f"127.0.0.1:{at.port}")
    assert (record["attempts"], record["note"] == "session_moved") == ((3, True) if down else (2, False))


# -- reloads -----------------------------------------------------------------------------------------------------------


async def test_a_reload_and_a_new_endpoint_leave_every_session_where_it_is(tmp_path: Path) -> None:
    async with session_servers(4) as servers, gateway(before(*servers[:2]), tmp_path) as gw, client(gw.port) as raw:
        sessions = await begin(raw, 10)
        await reload(gw, before(*servers, more='slow_start = "10s"'))
        assert [(await raw.ask(within(session))).status for session in sessions] == [200] * 10
        assert len({session[:2] for session in await begin(raw, 40)}) == 4
        assert await moved(gw) == 0
    assert not [server.strangers for server in servers if server.strangers]


async def test_sessions_of_an_endpoint_that_was_removed_move_and_the_others_stay(tmp_path: Path) -> None:
    async with session_servers(3) as servers, gateway(before(*servers), tmp_path) as gw, client(gw.port) as raw:
        sessions = await begin(raw, 9)
        await reload(gw, before(*servers[:2]))
        for session in sessions:
            assert (await raw.ask(within(session))).status == (400 if session[:2] == "s2" else 200)
        assert await moved(gw) == 3
        assert not [one for one in servers[2].requests if "sid" in one.target]


async def test_sessions_that_a_gateway_did_not_see_begin_go_where_every_gateway_sends_them(tmp_path: Path) -> None:
    async with HoldingUpstream() as one, HoldingUpstream() as two:
        one.then = two.then = (answer(),)
        names = [f"n{number}" for number in range(20)]
        seen = []
        for turn in range(2):
            (tmp_path / f"{turn}").mkdir()
            async with gateway(before(one, two), tmp_path / f"{turn}") as gw, client(gw.port) as raw:
                for name in names:
                    assert (await raw.ask(within(name))).status == 200
                records = await gw.records(20)
                seen.append([record["endpoint"] for record in records])
                assert not [record for record in records if record.get("note")]
    assert seen[0] == seen[1] and len(set(seen[0])) == 2


async def test_a_session_that_nobody_used_is_forgotten(tmp_path: Path) -> None:
    text = before().replace('skip = "0" }', 'skip = "0", keep = "300ms" }')
    async with SessionServer("s0") as one, SessionServer("s1") as two:
        text = text.replace("endpoints = []", f'endpoints = ["{one.url}", "{two.url}"]')
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            sessions = await begin(raw, 20)
            assert [(await raw.ask(within(session))).status for session in sessions] == [200] * 20
            forgotten = gw.app._timers.now() + 0.3
            await until(lambda: gw.app._timers.now() > forgotten)
            assert {(await raw.ask(within(session))).status for session in sessions} == {200, 400}
            assert await moved(gw) == 0


# -- values ------------------------------------------------------------------------------------------------------------


async def test_calls_of_one_value_meet_at_one_endpoint_and_another_one_moves_few(tmp_path: Path) -> None:
    async with ScriptedUpstream() as one, ScriptedUpstream() as two, ScriptedUpstream() as three:
        text = config(one.url, two.url, upstream='balance = "hash:query.doc"')
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            for _ in range(2):
                for number in range(30):
                    assert (await raw.ask(get(f"/?doc={number}"))).status == 200
            await reload(gw, config(one.url, two.url, three.url, upstream='balance = "hash:query.doc"'))
            for number in range(30):
                assert (await raw.ask(get(f"/?doc={number}"))).status == 200
            places = [record["endpoint"] for record in await gw.records(90)]
    assert places[:30] == places[30:60] and len(set(places[:30])) == 2
    assert all(after in (then, f"127.0.0.1:{three.port}") for then, after in zip(places[:30], places[60:], strict=True))
    assert 1 <= len(three.requests) <= 20


async def test_a_drained_endpoint_keeps_its_sessions_and_begins_none(tmp_path: Path) -> None:
    async with (
        session_servers(2) as servers,
        gateway(before(*servers), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        sessions = await begin(raw, 4)
        drained = f"127.0.0.1:{servers[0].port}"
        gw.app.members.drain("up", drained, True)
        for session in sessions * 2:  # between two of them nothing is held or open there
            assert (await raw.ask(within(session))).body.decode() == session[:2]
        assert {session[:2] for session in await begin(raw, 4)} == {"s1"}
        gw.app.members.drain("up", drained, False)
        for session in sessions:
            assert (await raw.ask(within(session))).body.decode() == session[:2]
        assert await moved(gw) == 0
    assert not [server.strangers for server in servers if server.strangers]
