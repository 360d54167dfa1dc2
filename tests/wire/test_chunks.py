"""The chunks of an answer as they leave the gateway. There are clients that take one chunk for one document: what the
upstream sent as one arrives as one, however the bytes were cut on their way, and nothing waits for a chunk to be whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.kit.raw import RawClient, get
from tests.kit.stage import stage
from tests.kit.upstreams import End, ScriptedUpstream, Step, chunked

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def in_turns(*pieces: bytes) -> tuple[list[Step], list[asyncio.Event]]:
    """A script that sends each piece but the first only when its event is set."""
    gates = [asyncio.Event() for _ in pieces[1:]]
    steps: list[Step] = [pieces[0]]
    for gate, piece in zip(gates, pieces[1:], strict=True):
        steps += [gate, piece]
    return steps, gates


async def body_as_sent(raw: RawClient, last: bytes = END) -> bytes:
    """The bytes of the body as they came, framing and all."""
    await raw.seen(last)
    return raw.left.partition(b"\r\n\r\n")[2]


async def test_chunks_that_come_in_one_read_stay_apart(tmp_path: Path) -> None:
    documents = chunked(b'{"a":1}\n', b'{"b":2}\n', b'{"c":"\r\n0\r\n\r\n"}\n')
    async with ScriptedUpstream((HEAD + documents,), (HEAD, documents)) as up, stage(up, tmp_path) as (_, raw):
        for target in ("/with-the-head", "/after-it"):
            await raw.send(get(target))
            assert await body_as_sent(raw, chunked(b'{"c":"\r\n0\r\n\r\n"}\n')) == documents
            await raw.read_answer()


async def test_a_chunk_that_comes_in_many_reads_stays_one_and_none_of_it_waits(tmp_path: Path) -> None:
    pieces = (HEAD + b"1", b"0", b"\r", b"\n", b"0123", b"456789abcde", b"f", b"\r", b"\n", END)
    steps, gates = in_turns(*pieces)
    shown = [b"10\r\n", b"10\r\n0123", b"10\r\n0123456789abcde", b"10\r\n0123456789abcdef"]
    async with ScriptedUpstream(steps) as up, stage(up, tmp_path) as (_, raw):
        await raw.send(get())
        for number, gate in enumerate(gates):
            gate.set()
            if 2 <= number <= 5:  # the size is passed on once it is known, and bytes as they come
                await raw.seen(shown[number - 2])
            await asyncio.sleep(0.01)  # or pieces would come in one read
        assert await body_as_sent(raw) == chunked(b"0123456789abcdef")


@pytest.mark.parametrize("bytewise", [False, True])
async def test_extensions_and_trailers_end_here_and_the_chunks_stay(tmp_path: Path, bytewise: bool) -> None:
    body = b'3;name="x"\r\nabc\r\n000A;y\r\n0123456789\r\n0;last\r\nX-Sum: 1\r\n\r\n'
    pieces: Sequence[bytes] = [body[at : at + 1] for at in range(len(body))] if bytewise else [body]
    async with ScriptedUpstream([HEAD, *pieces]) as up, stage(up, tmp_path) as (_, raw):
        await raw.send(get())
        assert await body_as_sent(raw) == b"3\r\nabc\r\n000A\r\n0123456789\r\n" + END


async def test_a_client_of_http_1_0_gets_the_content_alone(tmp_path: Path) -> None:
    async with ScriptedUpstream([HEAD, chunked(b"one", b"two")]) as up, stage(up, tmp_path) as (gw, raw):
        found = await raw.ask(get(version="1.0"))
        assert (found.framing, bytes(found.body)) == ("eof", b"onetwo")
        assert (await gw.record())["bytes_out"] == 6


async def test_what_ends_with_its_connection_is_a_chunk_for_every_piece_that_comes(tmp_path: Path) -> None:
    steps, gates = in_turns(b"HTTP/1.1 200 OK\r\n\r\n", b"first", b"second")
    async with ScriptedUpstream([*steps, End.CLOSE]) as up, stage(up, tmp_path) as (_, raw):
        await raw.send(get())
        await raw.seen(b"\r\n\r\n")
        gates[0].set()
        await raw.seen(chunked(b"first", end=False))
        gates[1].set()
        assert await body_as_sent(raw) == chunked(b"first", b"second")
