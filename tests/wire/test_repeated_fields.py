"""A client that repeats its header fields on a connection: each of its requests is still judged and rewritten by the
route and the moment that it meets.
"""

from __future__ import annotations

import time
from pathlib import Path

from gateway.clock import Clock
from tests.kit.gateways import SIGNED_IN, bearer, config, gateway, hold, route
from tests.kit.raw import client, get
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import until

FIELDS = ("Cookie: a=1; session=x; b=2", "X-Secret: s3cr3t", "X-Other: o")


async def test_each_route_takes_out_what_is_its_own(tmp_path: Path) -> None:
    more = '[[policy.quiet.headers]]\nrequest = { remove = ["X-Secret"] }\n'
    routes = route("open", "/open") + route("shut", "/shut", policies=["quiet"])
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, more=more, routes=routes), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        for path in ("/open", "/shut", "/open", "/shut"):
            assert (await raw.ask(get(path, *FIELDS))).status == 200
    assert [seen.one("X-Secret") for seen in up.requests] == ["s3cr3t", None, "s3cr3t", None]
    assert {(seen.one("X-Other"), seen.one("Cookie")) for seen in up.requests} == {("o", "a=1; session=x; b=2")}


async def test_each_route_asks_for_its_own_token(tmp_path: Path) -> None:
    more = f'{SIGNED_IN}\n[policy.strict.jwt]\nprovider = "main"\nscopes = ["write"]\n'
    routes = route("a", "/a", ["signed-in"]) + route("b", "/b", ["strict"]) + route("c", "/c")
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, more=more, routes=routes), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        mine = bearer("alice", scope="read")
        paths = ("/a", "/b", "/a", "/c", "/b", "/a")
        assert [(await raw.ask(get(path, mine))).status for path in paths] == [200, 403, 200, 200, 403, 200]
        other = bearer("bob", scope="write")
        assert [(await raw.ask(get(path, other))).status for path in paths] == [200] * 6
        consumers = [record.get("consumer") for record in await gw.records(12)]
    assert consumers == [*["alice"] * 3, None, *["alice"] * 2, *["bob"] * 3, None, *["bob"] * 2]


async def test_a_token_that_has_ended_meanwhile_is_refused(tmp_path: Path) -> None:
    wall = [time.time()]
    async with ScriptedUpstream() as up:
        text = config(up.port, more=SIGNED_IN, routes=route(policies=["signed-in"]))
        async with gateway(text, tmp_path, Clock(wall=lambda: wall[0])) as gw, client(gw.port) as raw:
            mine = bearer("alice", ttl=60)
            assert [(await raw.ask(get("/", mine))).status for _ in range(3)] == [200, 200, 200]
            wall[0] += 3600.0
            assert (await raw.ask(get("/", mine))).status == 401


async def test_a_poll_keeps_nothing_of_its_fields_while_it_is_held(tmp_path: Path) -> None:
    routes = route(policies=["poll"])
    async with (
        HoldingUpstream() as up,
        gateway(config(up.port, more=hold(), routes=routes), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        await raw.send(get("/poll", *FIELDS))
        await until(lambda: up.held == 1)
        (connection,) = gw.app._edge.connections
        assert connection._before is None and connection.call is not None and connection.call.head is None
