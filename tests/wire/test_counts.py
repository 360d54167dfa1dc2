"""`GET /api/limits`, and `gateway explain` that asks it: the counts are those of the running gateway, asking changes
nothing, and whoever does or does not listen there, an explanation comes out.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from gateway.config import read_config
from gateway.config.settings import Config
from gateway.explain.gather import explain
from gateway.explain.live import ABSENT, ask
from gateway.explain.model import Count, Explanation
from gateway.explain.request import Described, describe
from gateway.explain.text import render
from tests.kit.gateways import InProcess, free_port, hold, token
from tests.kit.limits import alice, bob, cap, limit, limited, polled
from tests.kit.raw import connect, get
from tests.kit.upstreams import HoldingUpstream

STRANGE = "is no gateway, or of another version: counts unknown"
LIMITS = (limit("60/hour", burst="5"), limit("1000/hour", per='"address"'), cap(most=2), cap("concurrency_cap", 3))
RATE, ADDRESS, POLLS, CALLS = (
    f"policy.limits.{kind}"
    for kind in ("rate_limit.consumer.0", "rate_limit.address.0", "hold_cap.consumer.0", "concurrency_cap.consumer.0")
)


async def counts(gw: InProcess, *pairs: tuple[str, str]) -> list[dict[str, Any]]:
    query = urlencode([each for pair in pairs for each in zip(("limit", "key"), pair, strict=True)])
    status, body = await gw.admin(f"/api/limits?{query}" if pairs else "/api/limits")
    assert status == 200, body
    found: list[dict[str, Any]] = json.loads(body)["limits"]
    return found


async def explained(folder: Path, who: str | None = "alice", file: str = "", patience: float = 5.0) -> Explanation:
    """An explanation by the configuration that runs, or by the one in `file`."""
    path = folder / "gateway.toml"
    if file:
        path = folder / "other.toml"
        path.write_text(file)
    config, _ = read_config(path)
    fields = (("Authorization", f"Bearer {token(who)}"),) if who is not None else ()
    return await explained_by(config, describe("GET", "/x", fields), patience)


async def explained_by(config: Config, request: Described, patience: float = 5.0) -> Explanation:
    return await asyncio.to_thread(
        explain, config, request, time.time(), asking=lambda pairs: ask(config, pairs, os.environ, patience)
    )


def by_kind(story: Explanation) -> dict[str, Count | None]:
    return {f"{each.kind} {each.per}": each.count for each in story.limits}


async def test_what_is_left_and_held_is_told_in_the_order_of_the_question(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, limited(up, tmp_path, *LIMITS, poll=hold()) as (gw, raw):
        await polled(up, raw, alice("/1"))
        pairs = [(POLLS, "alice"), (RATE, "alice"), (RATE, "bob"), (CALLS, "alice"), (ADDRESS, "127.0.0.1"), ("x", "y")]
        told = await counts(gw, *pairs)
        assert [(each["limit"], each["key"]) for each in told] == pairs
        assert told[0] == {"limit": POLLS, "key": "alice", "kind": "hold_cap", "held": 1, "max": 2, "waiting": 0}
        assert (told[1]["kind"], told[1]["left"], 0 < told[1]["reset"] <= 60) == ("rate", 4, True)
        assert (told[2]["left"], told[2]["reset"]) == (5, 0)
        assert (told[3]["kind"], told[3]["held"], told[3]["max"]) == ("concurrency_cap", 0, 3)
        assert told[4]["left"] == 999
        assert told[5] == {"limit": "x", "key": "y", "kind": None}
        up.publish()
        await raw.read_answer()
        assert (await counts(gw, (POLLS, "alice")))[0]["held"] == 0


async def test_asking_about_made_up_names_costs_nothing_and_changes_nothing(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, limited(up, tmp_path, *LIMITS, poll=hold()) as (gw, raw):
        await polled(up, raw, alice("/1"))
        before = await counts(gw)
        assert {each["limit"]: each["keys"] for each in before} == {RATE: 1, ADDRESS: 1, POLLS: 1, CALLS: 0}
        for number in range(20):
            await counts(gw, *((limit, f"made-up-{number}-{each}") for each in range(16) for limit in (RATE, POLLS)))
            await counts(gw, *((f"limit-{number}-{each}", "alice") for each in range(64)))
        assert await counts(gw) == before


@pytest.mark.parametrize(
    "query",
    ["limit=x", "key=x", "key=x&limit=y", "limit=x&limit=y", "limit=x&key=y&limit=z", "limit=x&key=y&z=1", "a=b&c=d"],
)
async def test_a_question_that_is_none_is_told_what_one_is(tmp_path: Path, query: str) -> None:
    async with HoldingUpstream() as up, limited(up, tmp_path, *LIMITS, poll=hold()) as (gw, _):
        status, body = await gw.admin(f"/api/limits?{query}")
        assert (status, json.loads(body)) == (
            400, {"error": "the parameters are limit=L&key=K, in this order and as often as needed"},
        )  # fmt: skip


async def test_more_keys_than_a_person_asks_about_are_refused(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, limited(up, tmp_path, *LIMITS, poll=hold()) as (gw, _):
        assert (await gw.admin("/api/limits?" + "&".join(["limit=x&key=y"] * 64)))[0] == 200
        status, body = await gw.admin("/api/limits?" + "&".join(["limit=x&key=y"] * 65))
        assert (status, json.loads(body)) == (400, {"error": "at most 64 keys are told at once"})


async def test_explain_tells_the_counts_of_the_running_gateway(tmp_path: Path) -> None:
    admin = f"127.0.0.1:{free_port()}"
    async with HoldingUpstream() as up, limited(up, tmp_path, *LIMITS, poll=hold(), admin=admin) as (gw, raw):
        await polled(up, raw, alice("/1"))
        others = [await connect(gw.port) for _ in range(2)]
        await polled(up, others[0], alice("/2"))
        await polled(up, others[1], bob("/3"))
        story = await explained(tmp_path)
        assert story.counts_from == f"as the gateway at {admin} counts them now"
        found = by_kind(story)
        assert found["hold_cap consumer"] == Count(True, held=2, max=2)
        rate, address = found["rate_limit consumer"], found["rate_limit address"]
        assert rate is not None and address is not None
        assert (rate.left, address.left) == (3, 997)
        text = " ".join(render(story).split())
        assert "counts under alice: 2 of 2 held, so one more is one too many" in text
        again = by_kind(await explained(tmp_path))
        assert again["hold_cap consumer"] == found["hold_cap consumer"]
        assert (again["rate_limit consumer"] or Count(False)).left == 3, "an explanation takes nothing"
        assert by_kind(await explained(tmp_path, who="bob"))["hold_cap consumer"] == Count(True, held=1, max=2)
        for other in others:
            await other.close()


async def test_who_waits_in_line_is_counted(tmp_path: Path) -> None:
    admin = f"127.0.0.1:{free_port()}"
    line = cap(most=1, on_excess='"wait"')
    async with HoldingUpstream() as up, limited(up, tmp_path, line, poll=hold(), admin=admin) as (gw, raw):
        await polled(up, raw, alice("/1"))
        others = [await connect(gw.port) for _ in range(2)]
        for number, other in enumerate(others):
            await other.send(alice(f"/{number}"))
        await until_waiting(gw, 2)
        assert by_kind(await explained(tmp_path))["hold_cap consumer"] == Count(True, held=1, max=1, waiting=2)
        for other in others:
            await other.close()


async def until_waiting(gw: InProcess, count: int) -> None:
    for _ in range(200):
        if sum(call["state"] == "waiting" for call in await gw.held()) == count:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"never {count} in line")


async def test_a_stranger_and_a_device_are_found_under_their_own_keys(tmp_path: Path) -> None:
    """Keys that stand in for another, and digests, are the same in the explanation and in the running gateway."""
    admin = f"127.0.0.1:{free_port()}"
    limits = (
        limit("60/hour", per='"header:X-Device"'),
        limit("50/hour", per='"consumer"'),
        limit("9/s", per='"address"'),
    )
    async with HoldingUpstream() as up, limited(up, tmp_path, *limits, signed=False, admin=admin) as (_, raw):
        await polled(up, raw, get("/x", "X-Device: mine"))
        config, _ = read_config(tmp_path / "gateway.toml")
        story = await explained_by(config, describe("GET", "/x", (("X-Device", "mine"),)))
        left = {each.per: each.count.left for each in story.limits if each.count is not None}
        assert (left["header:X-Device"], left["consumer"]) == (59, 49)


async def test_the_admin_token_of_the_configuration_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TEST_ADMIN", "the token that counts")
    admin = f'127.0.0.1:{free_port()}"\ntoken = "env:GATEWAY_TEST_ADMIN'
    async with HoldingUpstream() as up, limited(up, tmp_path, *LIMITS, poll=hold(), admin=admin):
        assert by_kind(await explained(tmp_path))["hold_cap consumer"] == Count(True, held=0, max=2)
        monkeypatch.setenv("GATEWAY_TEST_ADMIN", "a wrong admin token")
        story = await explained(tmp_path)
        assert story.counts_from == (
            "the running gateway does not accept the admin token of this configuration: counts unknown"
        )
        assert set(by_kind(story).values()) == {None}
        assert "a wrong admin token" not in render(story)


async def test_an_admin_listener_on_a_unix_socket_is_asked(tmp_path: Path) -> None:
    admin = f"unix:{tmp_path}/a.sock"
    async with HoldingUpstream() as up, limited(up, tmp_path, *LIMITS, poll=hold(), admin=admin) as (_, raw):
        await polled(up, raw, alice("/1"))
        assert by_kind(await explained(tmp_path))["hold_cap consumer"] == Count(True, held=1, max=2)


async def test_a_limit_that_the_running_gateway_does_not_have_yet_is_told(tmp_path: Path) -> None:
    admin = f"127.0.0.1:{free_port()}"
    async with HoldingUpstream() as up, limited(up, tmp_path, *LIMITS, poll=hold(), admin=admin):
        text = (tmp_path / "gateway.toml").read_text() + cap(most=9, per='"tenant"')
        story = await explained(tmp_path, file=text)
        assert by_kind(story)["hold_cap tenant"] == Count(False)
        assert by_kind(story)["hold_cap consumer"] == Count(True, held=0, max=2)
        assert "the running gateway has no such limit; reload it" in " ".join(render(story).split())


async def test_where_nobody_listens_the_counts_are_unknown_and_the_rest_is_told(tmp_path: Path) -> None:
    admin = f"127.0.0.1:{free_port()}"
    async with HoldingUpstream() as up, limited(up, tmp_path, *LIMITS, poll=hold(), admin=admin):
        pass
    story = await explained(tmp_path)
    assert (story.verdict.result, story.counts_from) == ("held", ABSENT)
    assert ABSENT in render(story)
    text = (tmp_path / "gateway.toml").read_text()
    none = await explained(tmp_path, file=text.replace(f'[admin]\nlisten = "{admin}"\n', ""))
    assert none.counts_from == "there is no [admin] listener to ask: counts unknown"
    gone = await explained(tmp_path, file=text.replace(admin, f"unix:{tmp_path}/gone.sock"))
    assert gone.counts_from == ABSENT


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", STRANGE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<ht>", STRANGE),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"limits":["x"]', STRANGE),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", STRANGE),
        (b"HTTP/1.1 302 Found\r\nLocation: http://h/\r\nContent-Length: 0\r\n\r\n", STRANGE),
        (b"SSH-2.0-OpenSSH\r\n", ABSENT),
        (b"", ABSENT),
        (None, ABSENT),
    ],
    ids=["nothing", "a page", "broken", "missing", "elsewhere", "no HTTP", "closed", "silent"],
)  # fmt: skip
async def test_whoever_else_listens_there_an_explanation_comes_out(
    tmp_path: Path, answer: bytes | None, said: str
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await reader.read()  # until the other side gives up
        else:
            writer.write(answer)
        writer.close()

    port = free_port()
    admin = f"127.0.0.1:{port}"
    async with HoldingUpstream() as up, limited(up, tmp_path, *LIMITS, poll=hold(), admin=admin):
        pass
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with server:
        story = await explained(tmp_path, patience=0.2 if answer is None else 5.0)
    assert story.counts_from is not None
    assert story.counts_from.endswith(said)
    assert story.verdict.result == "held"


async def test_the_command_asks_unless_it_is_told_not_to(tmp_path: Path) -> None:
    admin = f"127.0.0.1:{free_port()}"
    async with HoldingUpstream() as up, limited(up, tmp_path, *LIMITS, poll=hold(), admin=admin) as (_, raw):
        await polled(up, raw, alice("/1"))
        told = await command(tmp_path)
        assert [each["count"] for each in told["limits"] if each["kind"] == "hold_cap"] == [
            {"known": True, "left": None, "reset": None, "held": 1, "max": 2, "waiting": 0}
        ]
        told = await command(tmp_path, "--no-live")
        assert told["counts_from"] == "the running gateway was not asked: counts unknown"
        assert {each["count"] for each in told["limits"]} == {None}


async def command(folder: Path, *options: str) -> dict[str, Any]:
    """`gateway explain` in a process of its own, which passes."""
    arguments = ["-c", str(folder / "gateway.toml"), "-H", f"Authorization: Bearer {token()}", "--json", *options]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "explain", *arguments, "GET", "/x", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(out)
    return found
