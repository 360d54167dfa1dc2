"""How answers end: with services of HTTP/1.0, with their connection, at their head. The client always sees where, and a
connection to the service is used again only where nothing of an answer can still be on it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.raw import get
from tests.kit.stage import stage
from tests.kit.strict import Cut
from tests.kit.upstreams import End, ScriptedUpstream, answer, chunked
from tests.kit.waiting import until

from .test_responses import numbered

OLD = b"HTTP/1.0 200 OK\r\n"
SIZED = OLD + b"Content-Length: 2\r\n"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(
    ("script", "body", "again"),
    [
        ((OLD + b"\r\n", b"first ", b"second", End.CLOSE), b"first second", False),
        ((OLD + b"Connection: keep-alive\r\n\r\n", b"whole", End.CLOSE), b"whole", False),
        ((OLD + b"\r\n", End.CLOSE), b"", False),
        ((SIZED + b"\r\nok",), b"ok", False),
        ((SIZED + b"Connection: close\r\n\r\nok",), b"ok", False),
        ((SIZED + b"Connection: keep-alive\r\n\r\nok",), b"ok", True),
    ],
    ids=["close", "close though kept", "empty", "sized", "sized and closed", "sized and kept"],
)
async def test_a_service_of_http_1_0_is_served_to_every_client(
    tmp_path: Path, script: tuple[bytes | End, ...], body: bytes, again: bool, version: str
) -> None:
    async with ScriptedUpstream(script, then=numbered) as up, stage(up, tmp_path) as (gw, raw):
        found = await raw.ask(get("/1", "Connection: keep-alive", version=version))
        assert (found.status, bytes(found.body)) == (200, body)
        if found.framing == "eof":
            assert await raw.closed() and raw.reset_by is None
        else:
            assert bytes((await raw.ask(get("/2", version=version))).body) == b"/2"
            assert len(up.peers) == (1 if again else 2)
        assert (await gw.records(1))[0]["outcome"] == "answered"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("head", [OLD + b"\r\n", OLD + b"Content-Length: 100\r\n\r\n"], ids=["close", "sized"])
async def test_a_service_of_http_1_0_that_is_cut_by_a_reset_is_never_a_whole_answer(
    tmp_path: Path, head: bytes, version: str
) -> None:
    async with ScriptedUpstream((head + b"part", End.RESET), faults=True) as up, stage(up, tmp_path) as (gw, raw):
        await raw.send(get(version=version))
        try:
            found = await raw.read_answer()
            assert found.status == 502 or (found.framing == "eof" and raw.reset_by is not None)
        except Cut:
            pass
        assert (await gw.record())["outcome"] in ("truncated", "upstream_reset")


@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("extra", [b"body", chunked(b"body"), answer(b"smuggled")], ids=["body", "chunk", "answer"])
async def test_a_body_where_none_may_be_reaches_nobody(tmp_path: Path, method: str, head: bytes, extra: bytes) -> None:
    async with ScriptedUpstream((head + extra,), then=numbered) as up, stage(up, tmp_path) as (_, raw):
        found = await raw.ask(get("/1", method=method))
        assert bytes(found.body) == b"" and found.status in (200, 204, 304)
        await until(lambda: not up.peers[0].live)
        assert bytes((await raw.ask(get("/2"))).body) == b"/2"
