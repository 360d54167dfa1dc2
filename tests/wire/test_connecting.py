"""The time between a request and a connection for it: a TLS endpoint that accepts and never shakes hands stands for
every slow connect.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kit.gateways import config, gateway, hold, route
from tests.kit.raw import client, get, post
from tests.kit.upstreams import ScriptedUpstream
from tests.kit.waiting import until


class Mute:
    """Accepts connections and says nothing. `live` counts those that the gateway keeps."""

    def __init__(self) -> None:
        self.live = 0
        self.accepted = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.live += 1
        self.accepted += 1
        with contextlib.suppress(ConnectionError):
            while await reader.read(65536):
                pass
        self.live -= 1
        writer.close()


@contextlib.asynccontextmanager
async def mute() -> AsyncIterator[tuple[Mute, str]]:
    endpoint = Mute()
    server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0)
    try:
        yield endpoint, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest.mark.parametrize("ending", ["fin", "rst"])
async def test_a_client_that_leaves_while_the_gateway_connects(tmp_path: Path, ending: str) -> None:
    text = {"more": hold(), "routes": route(policies=["poll"]), "upstream": 'connect_timeout = "60s"'}
    async with mute() as (endpoint, url), gateway(config(url, **text), tmp_path) as gw, client(gw.port) as raw:
        await raw.send(get())
        await until(lambda: endpoint.live == 1)
        if ending == "fin":
            await raw.close()
        else:
            raw.reset()
        await until(lambda: endpoint.live == 0)
        assert (await gw.record())["outcome"] == "client_gone"


@pytest.mark.parametrize("request_bytes", [get(), post(b"body"), post(bytes(200_000))])
async def test_a_connect_that_takes_too_long_fails_over(tmp_path: Path, request_bytes: bytes) -> None:
    clocks = 'connect_timeout = "500ms"\nbalance = "round-robin"'
    async with mute() as (endpoint, url), ScriptedUpstream() as lives:
        text = config(url, url.replace("https", "http").replace(url[-5:], str(lives.port)), upstream=clocks)
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            assert [(await raw.ask(request_bytes)).status for _ in range(2)] == [200, 200]
            assert endpoint.accepted >= 1
            await until(lambda: endpoint.live == 0)
            assert all(request.complete for request in lives.requests)


async def test_a_connect_that_takes_too_long_is_an_error_at_last(tmp_path: Path) -> None:
    async with mute() as (endpoint, url):
        text = config(url, upstream='connect_timeout = "200ms"')
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            assert (await raw.ask(get())).status == 504
            await until(lambda: endpoint.live == 0)
            record = await gw.record()
            assert (record["outcome"], record["note"]) == ("upstream_refused", "timeout")
            assert record["blame"] == "upstream"
