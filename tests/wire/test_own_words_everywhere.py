"""Refusals in a protocol's own words, on real sockets, wherever a poll may be told no: a wait that is said
in the body is the one in the head.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.gateways import SIGNED_IN, InProcess, bearer, hold, route
from tests.kit.limits import cap, limit, polled, waits
from tests.kit.raw import RawClient, client, get, post
from tests.kit.stage import stage
from tests.kit.strict import Message
from tests.kit.upstreams import HoldingUpstream

WORDS = '{"code":{status},"wait":{retry_after},"wait_ms":{retry_after_ms},"text":"{detail}"}'
OWN = {
    "refusals": "{ " + ", ".join(f"{status} = {{ body = '{WORDS}' }}" for status in (400, 401, 403, 429, 503)) + " }",
    "empty": '{ answer = "origin" }',
    "replay": '"destructive"',
    "margin": '"100ms"',
    "rewrite": "true",
    "ask": '[{ in = "query", name = "ms", unit = "ms" }]',
}
MINE = get("/", bearer("alice"))


def tables(*limits: str, upstream: str = "", more: str = "", server: str = "", **values: str) -> dict[str, Any]:
    names = ["signed-in", "poll", *(["limits"] if limits or more else [])]
    return {
        "more": SIGNED_IN + hold(**(OWN | values)) + "".join(limits) + more,
        "routes": route(policies=names),
        "upstream": upstream,
        "server": server,
    }


@contextlib.asynccontextmanager
async def scene(folder: Path, **given: Any) -> AsyncIterator[tuple[HoldingUpstream, InProcess, RawClient]]:
    async with HoldingUpstream() as up, stage(up, folder, **given) as (gw, raw):
        yield up, gw, raw


def worded(found: Message, status: int) -> int | None:
    """What the head says of when to come back. The body says the same."""
    said = json.loads(bytes(found.body))
    assert (found.status, said["code"], found.one("Content-Type")) == (status, status, "application/json")
    assert found.one("Cache-Control") == "no-store" and said["text"]
    assert said["wait_ms"] == 1000 * said["wait"]
    after = found.one("Retry-After")
    assert after is None or int(after) == said["wait"] >= 1
    return int(after) if after is not None else None


async def test_an_address_that_may_not_call(tmp_path: Path) -> None:
    given = tables(more='[policy.limits.allow_list]\naddresses = ["192.0.2.0/24"]\n')
    async with scene(tmp_path, **given) as (_, _, raw):
        assert worded(await raw.ask(MINE), 403) is None


async def test_a_scope_that_is_lacking(tmp_path: Path) -> None:
    given = tables()
    given["more"] = given["more"].replace('provider = "main"\n', 'provider = "main"\nscopes = ["feed"]\n', 1)
    async with scene(tmp_path, **given) as (_, _, raw):
        found = await raw.ask(MINE)
        assert worded(found, 403) is None and "insufficient_scope" in (found.one("WWW-Authenticate") or "")


async def test_a_token_that_ends_during_the_hold(tmp_path: Path) -> None:
    given = tables()
    given["more"] = given["more"].replace("[policy.signed-in", 'leeway = "0s"\n[policy.signed-in', 1)
    async with scene(tmp_path, **given) as (_, _, raw):
        found = await raw.ask(get("/", bearer("alice", ttl=2)))
        assert worded(found, 401) is None and found.one("WWW-Authenticate")


@pytest.mark.parametrize("more", [{}, {"on_excess": '"wait"', "max_waiting": "1"}])
async def test_a_cap_that_is_full_and_the_line_before_it(tmp_path: Path, more: dict[str, str]) -> None:
    async with scene(tmp_path, **tables(cap(**more))) as (up, gw, first), client(gw.port) as second:
        await polled(up, first, MINE)
        async with client(gw.port) as third:
            if more:
                await waits(gw, second, get("/?ms=300", bearer("alice")))
                assert worded(await third.ask(MINE), 429)
                assert worded(await second.read_answer(), 429), "it waited in vain"
            else:
                assert worded(await second.ask(MINE), 429)


async def test_a_rate_in_whose_line_no_turn_comes_in_time(tmp_path: Path) -> None:
    given = tables(limit("1/hour", burst="1", mode='"delay"'))
    async with scene(tmp_path, **given) as (up, gw, first), client(gw.port) as second:
        await polled(up, first, MINE)
        after = worded(await second.ask(MINE), 429)
        assert after is not None and after > 3000


async def test_who_comes_back_too_soon_and_has_no_time_to_wait(tmp_path: Path) -> None:
    given = tables(min_repoll='"5s"', absent='"300ms"', idle='["json: == []"]')
    async with scene(tmp_path, **given) as (up, gw, raw):
        await polled(up, raw, get("/?ms=9000", bearer("alice")))
        up.publish(b"[]")
        await raw.read_answer()
        after = worded(await raw.ask(MINE), 429)
        assert after is not None and after >= 4, "no sooner than the rest of those five seconds"
        assert (await gw.records(2))[1]["outcome"] == "rate_limited"


async def test_a_wish_that_is_too_long(tmp_path: Path) -> None:
    async with scene(tmp_path, **tables(over_max='"reject"')) as (_, _, raw):
        assert worded(await raw.ask(get("/?ms=900000", bearer("alice"))), 400) is None


async def test_a_body_that_is_badly_framed(tmp_path: Path) -> None:
    async with scene(tmp_path, **tables()) as (_, _, raw):
        bad = post(b"", "/", bearer("alice")).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"zz\r\n"
        assert worded(await raw.ask(bad), 400) is None


async def test_an_upstream_that_is_full(tmp_path: Path) -> None:
    async with scene(tmp_path, **tables(upstream="max_held = 1")) as (up, gw, first), client(gw.port) as second:
        await polled(up, first, MINE)
        waits = {worded(await second.ask(MINE), 503) for _ in range(12)}
        assert len(waits) > 1 and None not in waits, "those who are refused together do not come back together"


async def test_a_gateway_that_drains(tmp_path: Path) -> None:
    given = tables(server='drain = "1s"\nstop_grace = "20s"')
    async with scene(tmp_path, **given) as (up, gw, raw):
        await polled(up, raw, MINE)
        draining = asyncio.ensure_future(gw.app.drain())
        found = await raw.read_answer()
        assert worded(found, 503) and found.one("Connection") == "close"
        await draining
        assert (await gw.record())["outcome"] == "drained"
