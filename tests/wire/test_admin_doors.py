"""A crowd at the admin listener: it gets a few connections, the operator his answers, the polls their descriptors."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.admin.doors import MOST
from tests.kit.gateways import config, gateway
from tests.kit.raw import RawClient, client, connect, get, post
from tests.kit.upstreams import ScriptedUpstream
from tests.kit.waiting import soon, until


async def closed(raw: RawClient) -> RawClient:
    assert await raw.closed()
    return raw


async def test_who_says_nothing_makes_way_and_whose_request_is_under_way_does_not(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, gateway(config(up.port), tmp_path) as gw:
        async with client(gw.admin_port) as asking:
            head, _, body = post(b'{"all": true}', "/api/held/end", "Gateway-Admin: 1").partition(b"\r\n\r\n")
            await asking.send(head + b"\r\n\r\n")
            silent = [await connect(gw.admin_port) for _ in range(3 * MOST)]
            ends = [asyncio.ensure_future(closed(raw)) for raw in silent]
            await until(lambda: sum(end.done() for end in ends) >= 2 * MOST)
            async with client(gw.admin_port) as operator:
                assert (await operator.ask(get("/healthz"))).status == 200
            assert sum(end.done() for end in ends) < len(ends), "no more are ended than must be"
            await asking.send(body)
            assert (await asking.read_answer("POST")).status == 200
        for raw in silent:
            await raw.close()
        await soon(asyncio.gather(*ends, return_exceptions=True))


async def test_who_is_refused_keeps_no_place_by_a_body_that_does_not_come(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, gateway(config(up.port), tmp_path) as gw:
        refused = []
        for _ in range(2 * MOST):
            refused.append(raw := await connect(gw.admin_port))
            await raw.send(get("/api/drain", "Content-Length: 9", method="POST"))
            assert (await raw.read_answer()).status == 403
        async with client(gw.admin_port) as operator:
            assert (await operator.ask(get("/readyz"))).status == 200
        for raw in refused:
            await raw.close()
