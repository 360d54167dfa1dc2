"""`gateway top` before a real gateway with real polls: what is held appears, is filtered and sorted as one types, ends
when it is told to; and whoever is not there is said so, and found again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Static

from gateway.top.screen import Top
from gateway.top.where import Where, parse_url
from tests.kit.gateways import InProcess, bearer, config, gateway, hold, route
from tests.kit.polls import crowd, listed, polling, requests
from tests.kit.raw import get
from tests.kit.upstreams import HoldingUpstream
from tests.kit.waiting import until

ONE_LOOP = pytest.mark.asyncio(loop_factories=["asyncio"])  # a process of its own asks
TOKEN = "an admin token of the tests"
ADMIN = '[admin]\ntoken = "env:GATEWAY_TEST_ADMIN"'


def where(gw: InProcess) -> Where:
    return parse_url(f"127.0.0.1:{gw.admin_port}")


@contextlib.asynccontextmanager
async def watching(at: Where, token: str | None = None) -> AsyncIterator[tuple[Top, Pilot[None]]]:
    top = Top(at, token, every=0.2)
    async with top.run_test(size=(120, 30)) as pilot:
        yield top, pilot


def rows(top: Top, table: str = "calls") -> list[list[str]]:
    """What stands in the table."""
    found = top.query_one(f"#{table}", DataTable)
    return [[str(cell) for cell in found.get_row(each.key)] for each in found.ordered_rows]


def said(top: Top, part: str = "state") -> str:
    return str(top.query_one(f"#{part}", Static).content)


async def shows(top: Top, fact: Callable[[list[list[str]]], bool]) -> list[list[str]]:
    await until(lambda: fact(rows(top)), "a table that shows it")
    return rows(top)


async def type_in(pilot: Pilot[None], text: str) -> None:
    await pilot.press(*text)


async def test_a_poll_that_is_held_appears_and_goes(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        gateway(config(up.port, more=hold(), routes=route(policies=["poll"])), tmp_path) as gw,
        watching(where(gw)) as (top, _),
    ):
        await until(lambda: "0 held" in said(top))
        async with polling(gw, get("/")):
            (line,) = await shows(top, lambda found: len(found) == 1)
            assert (line[0], line[1], line[2]) == ("all", "-", "parked")
            assert (line[5], line[6]) == (f"127.0.0.1:{up.port}", "127.0.0.1")
            await until(lambda: "1 held (0 waiting), 1 of" in said(top))
        await shows(top, lambda found: not found)


async def test_it_is_filtered_as_one_types_and_sorted_by_a_key(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        HoldingUpstream() as other,
        gateway(crowd(up, other), tmp_path) as gw,
        polling(gw, *requests()),
        watching(where(gw)) as (top, pilot),
    ):
        await shows(top, lambda found: len(found) == 6)
        await pilot.press("2")
        await shows(top, lambda found: [line[1] for line in found] == sorted(["alice", "bob", "eve"] * 2))
        await pilot.press("2")
        await shows(top, lambda found: [line[1] for line in found] == sorted(["alice", "bob", "eve"] * 2, reverse=True))
        await pilot.press("slash")
        await type_in(pilot, "EVE")
        await shows(top, lambda found: [line[1] for line in found] == ["eve", "eve"])
        assert "2 of 6 match 'EVE'" in said(top, "shown")
        await pilot.press("escape")
        await shows(top, lambda found: len(found) == 6)


async def test_a_poll_that_is_selected_ends_when_that_is_confirmed(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        HoldingUpstream() as other,
        gateway(crowd(up, other), tmp_path) as gw,
        polling(gw, *requests()),
        watching(where(gw)) as (top, pilot),
    ):
        await shows(top, lambda found: len(found) == 6)
        top.sort = "consumer"
        await shows(top, lambda found: [line[1] for line in found[2:4]] == ["bob", "bob"])
        table = top.query_one("#calls", DataTable)
        await pilot.press("ctrl+home", "down", "down", "down")
        await until(lambda: table.cursor_row == 3)
        await pilot.press("e", "n")
        await pilot.press("e", "enter")  # the button that changes nothing has the focus
        assert len(await gw.held()) == 6
        await until(lambda: top.screen is top.screen_stack[0])
        await pilot.press("e", "y")
        (record,) = await gw.records(1)
        assert (record["consumer"], record["outcome"], record["note"]) == ("bob", "evicted", "by operator")
        await shows(top, lambda found: len(found) == 5)


async def test_a_call_that_cannot_be_ended_is_not_asked_about(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        gateway(config(up.port), tmp_path) as gw,
        polling(gw, get("/")),
        watching(where(gw)) as (top, pilot),
    ):
        await shows(top, lambda found: len(found) == 1)
        await pilot.press("e")
        await until(lambda: top._notifications)
        assert top.screen is top.screen_stack[0]
        assert len(await gw.held()) == 1


async def test_the_selection_stays_with_its_poll_when_others_come(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        HoldingUpstream() as other,
        gateway(crowd(up, other), tmp_path) as gw,
        polling(gw, get("/b", bearer("zoe"))),
        watching(where(gw)) as (top, pilot),
    ):
        await shows(top, lambda found: len(found) == 1)
        await pilot.press("2")
        async with polling(gw, *requests()):
            await shows(top, lambda found: len(found) == 7)
            assert top.query_one("#calls", DataTable).cursor_row == 6


async def test_routes_are_summed_up(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        HoldingUpstream() as other,
        gateway(crowd(up, other), tmp_path) as gw,
        polling(gw, *requests(), get("/b", bearer("zoe"))),
        watching(where(gw)) as (top, pilot),
    ):
        await shows(top, lambda found: len(found) == 7)
        await pilot.press("t")
        assert [line[:3] for line in rows(top, "routes")] == [["b", "4", "0"], ["a", "3", "0"]]
        assert [top.query_one(f"#{one}").display for one in ("calls", "routes")] == [False, True]
        up.publish()
        other.publish()
        await until(lambda: {line[4] for line in rows(top, "routes")}.isdisjoint({"-", "0.0"}), "news a second")
        assert "calls/s" in said(top)


async def test_help_names_every_key(tmp_path: Path) -> None:
    async with gateway(config(1), tmp_path) as gw, watching(where(gw)) as (top, pilot):
        await pilot.press("question_mark")
        text = str(top.screen.query_one(Static).content)
        assert all(f"{key}  " in text for key in ("/", "Escape", "e", "t", "q", "1 to 7"))
        await pilot.press("escape", "q")
        await until(lambda: not top.is_running)


async def test_nobody_there_is_a_message_and_a_gateway_that_comes_is_found(tmp_path: Path) -> None:
    async with gateway(config(1), tmp_path) as gw:
        at = where(gw)
    async with watching(at) as (top, _):
        await until(lambda: "does not answer (" in said(top))
        assert said(top).endswith("; is the gateway running? (asking again)")
        async with gateway(config(1, admin=at.name), tmp_path):
            await until(lambda: "serving" in said(top))
        await until(lambda: "does not answer" in said(top))


async def test_a_gateway_that_drains_is_told_so(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        gateway(config(up.port, more=hold(), routes=route(policies=["poll"])), tmp_path) as gw,
        polling(gw, get("/")),
        watching(where(gw)) as (top, _),
    ):
        await until(lambda: ": serving, 1 held" in said(top))
        gw.app.begin_drain()
        await until(lambda: ": draining, " in said(top))


@pytest.mark.parametrize(
    ("token", "part"),
    [(None, "asks for a token; give --token"), ("wrong", "does not accept this token"), (TOKEN, "held")],
)
async def test_a_token_that_is_missing_or_wrong_is_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str | None, part: str
) -> None:
    monkeypatch.setenv("GATEWAY_TEST_ADMIN", TOKEN)
    async with gateway(config(1).replace("[admin]", ADMIN), tmp_path) as gw, watching(where(gw), token) as (top, _):
        await until(lambda: part in said(top))
        assert TOKEN not in said(top)


async def test_what_a_client_calls_itself_is_text_and_no_markup(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        HoldingUpstream() as other,
        gateway(crowd(up, other), tmp_path) as gw,
        polling(gw, get("/a", bearer("[bold red]x[/]"))),
        watching(where(gw)) as (top, pilot),
    ):
        await shows(top, lambda found: [line[1] for line in found] == ["[bold red]x[/]"])
        await pilot.press("e")
        assert "[bold red]x[/]" in str(top.screen.query_one(Static).content)


async def once(*arguments: object, **env: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `gateway top`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "top", *map(str, arguments), env={**os.environ, **env},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert b"Traceback" not in err, err
    return process.returncode or 0, out.decode(), err.decode().strip()


@ONE_LOOP
async def test_once_agrees_with_the_list_of_what_is_held(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        HoldingUpstream() as other,
        gateway(crowd(up, other), tmp_path) as gw,
        polling(gw, *requests()),
    ):
        await until(lambda: up.held + other.held == 6)
        code, out, _ = await once("--url", f"127.0.0.1:{gw.admin_port}", "--sort", "consumer", "--once")
        lines = [line.split() for line in out.splitlines()]
        told = (await listed(gw, sort="consumer"))["calls"]
        assert code == 0
        assert out.startswith(f"127.0.0.1:{gw.admin_port}: serving, 6 held (0 waiting), 6 of ")
        assert [(line[0], line[1], line[2], line[-2], line[-1]) for line in lines[4:]] == [
            (call["route"], call["consumer"], call["state"], call["endpoint"], call["peer"]) for call in told
        ]
        code, out, _ = await once("--url", f"http://127.0.0.1:{gw.admin_port}", "--filter", "eve", "--once")
        assert (code, len(out.splitlines()), "2 of 6 match 'eve'" in out) == (0, 6, True)


@ONE_LOOP
async def test_once_finds_address_and_token_in_the_configuration(tmp_path: Path) -> None:
    text = config(1, admin=f"unix:{tmp_path}/a.sock").replace("[admin]", ADMIN)
    os.environ["GATEWAY_TEST_ADMIN"] = TOKEN
    async with gateway(text, tmp_path):
        code, out, err = await once("-c", tmp_path / "gateway.toml", "--once", GATEWAY_TEST_ADMIN=TOKEN)
        assert (code, out.splitlines()[1:], err) == (0, ["0 held, by since, longest first"], "")
        code, out, err = await once("--url", f"unix:{tmp_path}/a.sock", "--once")
        assert (code, out, "asks for a token" in err) == (1, "", True)
        code, _, _ = await once("--url", f"unix:{tmp_path}/a.sock", "--token", "env:MINE", "--once", MINE=TOKEN)
        assert code == 0


@ONE_LOOP
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--url", "127.0.0.1:1", "--once"], 1, "Error: 127.0.0.1:1 does not answer ("),
        (["--url", "nowhere", "--once"], 2, "names no port"),
        (["--url", "127.0.0.1:1", "--token", "abc"], 2, "everybody on this machine can read a command line; "),
        (["--url", "127.0.0.1:1", "--sort", "age"], 2, "is no column; write one of route, consumer, "),
        (["--url", "127.0.0.1:1"], 2, "this is not a terminal; write --once for plain text"),
        (["-c", "gone.toml", "--once"], 2, "gateway: gone.toml: no such file or directory; check the path"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_a_sentence_and_an_exit_code(arguments: list[str], code: int, said: str) -> None:
    found, out, err = await once(*arguments)
    assert (found, out) == (code, "")
    assert said in err
