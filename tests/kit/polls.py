"""Polls that are held by a real gateway, and the operator who lists and ends them over its admin listener."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

from .gateways import SIGNED_IN, Running, bearer, config, hold, route
from .raw import RawClient, client, connect, get, post
from .upstreams import ScriptedUpstream


async def listed(gw: Running, **asked: Any) -> dict[str, Any]:
    """A page of `/api/held`."""
    status, body = await gw.admin(f"/api/held?{urlencode(asked)}")
    assert status == 200, body
    found: dict[str, Any] = json.loads(body)
    return found


async def end(gw: Running, **chosen: Any) -> dict[str, Any]:
    """What the operator is told."""
    async with client(gw.admin_port) as admin:
        found = await admin.ask(post(json.dumps(chosen).encode(), "/api/held/end", "Gateway-Admin: 1"))
    assert found.status == 200, found.body
    said: dict[str, Any] = json.loads(bytes(found.body))
    return said


@contextlib.asynccontextmanager
async def polling(gw: Running, *requests: bytes) -> AsyncIterator[list[RawClient]]:
    """One connection a request, each of which has been sent."""
    clients: list[RawClient] = []
    try:
        for request in requests:
            clients.append(await connect(gw.port))
            await clients[-1].send(request)
        yield clients
    finally:
        for one in clients:
            await one.close()


def crowd(up: ScriptedUpstream, other: ScriptedUpstream) -> str:
    """Two routes over two endpoints, signed in, behind a proxy that says who calls."""
    jwt = SIGNED_IN.replace("[policy.", 'tenant = "tenant"\n[policy.', 1)
    names = ["signed-in", "poll"]
    return config(
        up.port, other.port, more=jwt + hold(), server='trusted_proxies = ["127.0.0.1"]',
        routes=route("a", "/a", names) + route("b", "/b", names),
    )  # fmt: skip


def requests() -> list[bytes]:
    return [
        get(path, bearer(who, tenant=of), f"X-Forwarded-For: {peer}")
        for path in ("/a", "/b")
        for who, of, peer in (
            ("alice", "acme", "192.0.2.1"),
            ("bob", "acme", "192.0.2.2"),
            ("eve", "other", "192.0.2.2"),
        )
    ]
