"""Tunnels over TLS on either side: the same bytes, the same ends; only a half cannot be shut there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kit.certificates import Certificate
from tests.kit.gateways import config, gateway, route
from tests.kit.raw import client
from tests.kit.tunnels import WEBSOCKET, FarEnd, closing, frame, opened, taken
from tests.kit.waiting import until

SIDES = ["client", "upstream", "both"]


def text(up: FarEnd, certificate: Certificate, side: str, policy: str = "") -> str:
    theirs = f'tls = {{ ca = "file:{certificate.cert}" }}' if side != "client" else ""
    ours = f'tls = {{ cert = "file:{certificate.cert}", key = "file:{certificate.key}" }}' if side != "upstream" else ""
    scheme = "http" if side == "client" else "https"
    return config(
        f"{scheme}://localhost:{up.port}" if side != "client" else up.port, server=ours, upstream=theirs,
        more=f"{WEBSOCKET}{policy}\n", routes=route(policies=["ws"]),
    )  # fmt: skip


@pytest.mark.parametrize("side", SIDES)
async def test_what_passes_is_whole_and_the_end_is_said(tmp_path: Path, certificate: Certificate, side: str) -> None:
    theirs = certificate.server() if side != "client" else None
    ours = certificate.client() if side != "upstream" else None
    async with FarEnd(tls=theirs) as up, gateway(text(up, certificate, side, 'max_time = "1s"'), tmp_path) as gw:
        async with client(gw.port, ours) as raw:
            await opened(raw)
            far = await up.far()
            sent, back = frame(b"s" * 300_000, masked=True), frame(b"b" * 300_000)
            raw.writer.write(sent)
            far.send(back)
            await taken(raw, back)
            await until(lambda: far.got[: len(sent)] == sent)
            await taken(raw, closing(1001))
            await raw.send(closing(1001, masked=True))
            assert await raw.closed()
            await until(lambda: len(far.got) == len(sent) + 8)
            far.writer.close()
        record = await gw.record()
    assert (record["outcome"], record["note"]) == ("tunnelled", "max_time")
    assert (record["bytes_in"], record["bytes_out"]) == (len(sent) + 8, len(back))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("first", ["client", "upstream"])
async def test_an_end_of_one_side_is_the_end_of_the_other(
    tmp_path: Path, certificate: Certificate, side: str, first: str
) -> None:
    theirs = certificate.server() if side != "client" else None
    ours = certificate.client() if side != "upstream" else None
    async with FarEnd(tls=theirs) as up, gateway(text(up, certificate, side), tmp_path) as gw:
        async with client(gw.port, ours) as raw:
            await opened(raw)
            far = await up.far()
            if first == "client":
                await raw.send(closing(1000, masked=True))
                await until(lambda: far.got == closing(1000, masked=True))
                await asyncio.gather(raw.close(), until(lambda: far.over))
                far.writer.close()
            else:
                far.send(closing(1000))
                far.writer.close()
                await taken(raw, closing(1000))
                assert await raw.closed()
                await raw.close()
        assert (await gw.record())["outcome"] == "tunnelled"
        await until(lambda: gw.app._edge.room.open == 0)
