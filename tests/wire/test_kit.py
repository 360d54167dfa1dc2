"""The judge is judged: the strict readers refuse what they must, and the kit's client and upstream agree
with each other when no gateway stands between them.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.kit.certificates import Certificate
from tests.kit.raw import client, get, post_chunked
from tests.kit.strict import Broken, Cut, Message, Source, advance, read_request, read_response
from tests.kit.upstreams import End, HoldingUpstream, ScriptedUpstream, answer
from tests.kit.waiting import until

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"


def read(data: bytes, *, response: bool = False) -> Message:
    source = Source(bytearray(data), eof=True)
    reading = read_response(source) if response else read_request(source)
    while (message := advance(reading)) is None:
        pass
    return message


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\nHost: x\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        HEAD + b"Host: y\r\n\r\n",
        HEAD + b" folded\r\n\r\n",
        HEAD + b"A : b\r\n\r\n",
        HEAD + b"A: b\x00c\r\n\r\n",
        HEAD + b"A: b\nB: c\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
        HEAD + b"Content-Length: +1\r\n\r\na",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n",
    ],
)
def test_a_request_that_could_be_read_in_two_ways_is_broken(data: bytes) -> None:
    with pytest.raises(Broken):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        HEAD,
        HEAD + b"Content-Length: 2\r\n\r\na",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
    ],
)
def test_a_message_that_ends_early_is_cut(data: bytes) -> None:
    with pytest.raises(Cut):
        read(data)


def test_an_answer_behind_interim_answers_is_found() -> None:
    data = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + answer(b"late")
    found = read(data, response=True)
    assert (found.status, bytes(found.body), len(found.interim)) == (200, b"late", 2)


async def test_client_and_upstream_agree_without_a_gateway() -> None:
    async with ScriptedUpstream((answer(b"one"),), (b"HTTP/1.1 200 OK\r\n\r\nrest", End.CLOSE)) as up:
        async with client(up.port) as raw:
            await raw.send_bytewise(post_chunked(b"abc", b"d"))
            assert bytes((await raw.read_answer()).body) == b"one"
            assert bytes((await raw.ask(get("/y"))).body) == b"rest"
        await until(lambda: up.live == 0)
        assert [bytes(request.body) for request in up.requests] == [b"abcd", b""]


async def test_the_upstream_reports_a_second_request_before_the_answer() -> None:
    async with ScriptedUpstream((asyncio.Event(),), faults=True) as up, client(up.port) as raw:
        await raw.send(get("/a") + get("/b"))
        assert "before its answer" in (await until(lambda: up.faults))[0]


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("ending", ["fin", "rst"])
async def test_the_upstream_knows_who_is_held_and_who_left(certificate: Certificate, tls: bool, ending: str) -> None:
    async with (
        HoldingUpstream(tls=certificate.server() if tls else None) as up,
        client(up.port, certificate.client() if tls else None) as stays,
        client(up.port, certificate.client() if tls else None) as leaves,
    ):
        await stays.send(get())
        await leaves.send(get())
        await until(lambda: up.held == 2)
        if ending == "fin":
            await leaves.close()
        else:
            leaves.reset()
        await until(lambda: up.live == 1)
        up.publish(b"news")
        assert bytes((await stays.read_answer()).body) == b"news"


async def test_a_reset_is_told_from_an_end() -> None:
    script = (b"HTTP/1.1 200 OK\r\n\r\npart", End.RESET)
    async with ScriptedUpstream(script, faults=True) as up, client(up.port) as raw:
        await raw.send(get())
        assert bytes((await raw.read_answer()).body) in (b"part", b"")
        assert isinstance(raw.reset_by, ConnectionError)
