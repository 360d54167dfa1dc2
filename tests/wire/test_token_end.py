"""A hold never outlives its token: what each dialect does when the end comes first. The gateway's wall clock is set to
just before the end of a token that is good for decades, and stands still there.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.clock import Clock
from tests.kit.gateways import SIGNED_IN, config, gateway, hold, route, token
from tests.kit.raw import RawClient, client, get
from tests.kit.strict import Message
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import until

EXP, LEEWAY = 4_000_000_000, 30.0
WHO = f"Authorization: Bearer {token(exp=EXP, iat=1)}"
POLLS = route(policies=["signed-in", "poll"])
IN_QUERY = '[{ in = "query", name = "timeout", unit = "s" }]'


def ending_in(seconds: float) -> Clock:
    """A wall clock by which WHO ends (leeway included) that many seconds from any moment at which it is looked at."""
    return Clock(wall=lambda: EXP + LEEWAY - seconds)


async def refused(raw: RawClient) -> Message:
    """The answer to a poll with a token that is over."""
    found = await raw.ask(get("/", WHO))
    assert found.status == 401
    assert 'error="invalid_token"' in (found.one("WWW-Authenticate") or "")
    return found


async def test_an_upstream_that_cannot_be_told_is_answered_for_at_the_end_of_the_token(tmp_path: Path) -> None:
    more = SIGNED_IN + hold(margin='"100ms"')
    end = EXP + LEEWAY
    wall = [end - 0.8]
    async with HoldingUpstream() as up:
        text = config(up.port, more=more, routes=POLLS)
        async with gateway(text, tmp_path, Clock(wall=lambda: wall[0])) as gw, client(gw.port) as raw:
            await raw.send(get("/", WHO))
            await until(lambda: up.held == 1)
            wall[0] = end
            found = await raw.read_answer()
            assert (found.status, bytes(found.body), found.one("Connection")) == (200, b"[]", None)
            await until(lambda: up.live == 0)
            await refused(raw)
            first, second = await gw.records(2)
    assert (first["outcome"], first["clamped_by"], first["blame"]) == ("expired", "token", "downstream")
    assert first["hold_granted"] == 0.7
    assert (second["outcome"], second["attempts"]) == ("unauthenticated", 0)
    assert len(up.requests) == 1


async def test_an_upstream_that_can_be_told_is_told_of_the_shorter_hold(tmp_path: Path) -> None:
    more = SIGNED_IN + hold(ask=IN_QUERY, rewrite="true")
    async with HoldingUpstream() as up:
        text = config(up.port, more=more, routes=POLLS)
        async with gateway(text, tmp_path, ending_in(9.5)) as gw, client(gw.port) as raw:
            await raw.send(get("/?timeout=20", WHO))
            await until(lambda: up.held == 1)
            assert up.publish(b"[]") == 1
            assert (await raw.read_answer()).status == 200
            record = await gw.record()
    assert up.requests[0].target == "/?timeout=8"  # 9.5 s less the margin of 1 s, in whole seconds
    assert (record["outcome"], record["clamped_by"], record["hold_asked"]) == ("empty", "token", 20)
    assert record["hold_granted"] == 8.5


async def test_a_poll_nobody_may_cut_is_not_begun_when_its_token_ends_too_soon(tmp_path: Path) -> None:
    """article-updates holds 25 s: the server would hand its queue to a poll that is cut at the token's end."""
    routes = route(policies=["signed-in", "article-updates"])
    async with ScriptedUpstream() as up:
        text = config(up.port, more=SIGNED_IN, routes=routes)
        async with gateway(text, tmp_path, ending_in(20)) as gw, client(gw.port) as raw:
            found = await refused(raw)
            record = await gw.record()
    assert json.loads(bytes(found.body))["type"].endswith("token_expired")
    assert (record["outcome"], record["status"], record["attempts"]) == ("unauthenticated", 401, 0)
    assert (record["clamped_by"], record["consumer"]) == ("token", "alice")
    assert not up.peers


async def test_the_same_poll_is_begun_when_its_token_outlives_the_hold(tmp_path: Path) -> None:
    routes = route(policies=["signed-in", "article-updates"])
    async with ScriptedUpstream() as up:
        text = config(up.port, more=SIGNED_IN, routes=routes)
        async with gateway(text, tmp_path, ending_in(27)) as gw, client(gw.port) as raw:
            assert (await raw.ask(get("/", WHO))).status == 200
            assert (await gw.record())["outcome"] == "news"


@pytest.mark.parametrize("empty", [None, '{ answer = "origin" }'])
async def test_a_token_that_leaves_no_hold_worth_having_is_refused_at_once(tmp_path: Path, empty: str | None) -> None:
    values = {"ask": IN_QUERY, "rewrite": "true", **({} if empty is None else {"empty": empty})}
    async with ScriptedUpstream() as up:
        text = config(up.port, more=SIGNED_IN + hold(**values), routes=POLLS)
        async with gateway(text, tmp_path, ending_in(1.05)) as gw, client(gw.port) as raw:
            await refused(raw)
            assert (await gw.record())["clamped_by"] == "token"
    assert not up.peers


async def test_where_the_route_says_so_a_hold_may_outlive_its_token(tmp_path: Path) -> None:
    more = SIGNED_IN + 'expiry = "ignore"\n' + hold()
    async with HoldingUpstream() as up:
        text = config(up.port, more=more, routes=POLLS)
        async with gateway(text, tmp_path, ending_in(2)) as gw, client(gw.port) as raw:
            await raw.send(get("/", WHO))
            await until(lambda: up.held == 1)
            (held,) = await gw.held()
            up.publish()
            assert (await raw.read_answer()).status == 200
    assert (held["clamped_by"], held["hold_granted"]) == (None, 10)
    assert held["ends_in"] > 2


async def test_an_ordinary_call_is_not_shortened_by_its_token(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up:
        text = config(up.port, more=SIGNED_IN, routes=route(policies=["signed-in"]))
        async with gateway(text, tmp_path, ending_in(1)) as gw, client(gw.port) as raw:
            assert (await raw.ask(get("/", WHO))).status == 200


async def test_a_remembered_token_ends_like_any_other(tmp_path: Path) -> None:
    """Verified tokens are remembered: their end is looked at every time."""
    wall = [float(EXP)]
    async with ScriptedUpstream() as up:
        text = config(up.port, more=SIGNED_IN, routes=route(policies=["signed-in"]))
        async with gateway(text, tmp_path, Clock(wall=lambda: wall[0])) as gw, client(gw.port) as raw:
            statuses = []
            for second in (0, 0, LEEWAY - 0.01, LEEWAY, LEEWAY + 1):
                wall[0] = EXP + second
                statuses.append((await raw.ask(get("/", WHO))).status)
    assert statuses == [200, 200, 200, 401, 401]
