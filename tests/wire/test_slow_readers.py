"""A client that stops reading a long answer: what waits for it in the gateway's memory is bounded, whatever came in one
read, and it loses nothing when it reads on.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.sockets import PIECE
from tests.kit.gateways import InProcess
from tests.kit.raw import RawClient, get
from tests.kit.stage import stage
from tests.kit.upstreams import ScriptedUpstream, Step, chunked
from tests.kit.waiting import until

MIB = 1024 * 1024
SIZE = 40 * MIB  # more than any kernel keeps, however far it let its buffers grow
BLOCK = bytes(range(256)) * (MIB // 256)
FRAMINGS: dict[str, list[Step]] = {
    "length": [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE, *[BLOCK] * (SIZE // MIB)],
    "chunked": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[chunked(BLOCK, end=False)] * (SIZE // MIB),
                b"0\r\n\r\n"],
    "one chunk": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % SIZE, *[BLOCK] * (SIZE // MIB),
                  b"\r\n0\r\n\r\n"],
}  # fmt: skip


def waiting(gw: InProcess) -> int:
    """Bytes that wait for the only client."""
    (connection,) = gw.app._edge.connections
    assert connection.transport is not None
    return connection.transport.get_write_buffer_size()


async def read_on(raw: RawClient, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await raw.reader.read(MIB)
    return data


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_what_waits_for_a_client_that_stops_reading_is_less_than_64_kib(tmp_path: Path, framing: str) -> None:
    most, data = 0, b""
    async with ScriptedUpstream(FRAMINGS[framing]) as up, stage(up, tmp_path) as (gw, raw):
        await raw.send(get())
        for _ in range(4):  # the kernels' own buffers grow as it reads: then more comes in one read
            data += await read_on(raw, 2 * MIB)
            raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await until(lambda: waiting(gw) > 0)
            await asyncio.sleep(0.02)  # were the upstream read on, it would show
            most = max(most, waiting(gw))
            raw.writer.transport.resume_reading()  # type: ignore[attr-defined]
        raw.source.data += data
        found = await raw.read_answer()
    assert 0 < most < 2 * PIECE
    assert bytes(found.body) == BLOCK * (SIZE // MIB)
