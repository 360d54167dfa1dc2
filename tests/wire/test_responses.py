"""What an upstream may get wrong in an answer, and what the client then sees: a well-formed answer, a 502, or a
connection that is visibly cut. Never a byte that could be read as something else, never a poisoned connection.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kit.gateways import route
from tests.kit.raw import get
from tests.kit.stage import stage
from tests.kit.strict import Message
from tests.kit.upstreams import End, ScriptedUpstream, Step, answer, chunked
from tests.kit.waiting import until

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def numbered(request: Message) -> list[Step]:
    return [answer(request.target.encode(), "200 OK")]


async def test_a_body_that_ends_with_the_connection(tmp_path: Path) -> None:
    script = (OK + b"\r\nfirst ", b"second", End.CLOSE)
    async with ScriptedUpstream(script, then=numbered) as up, stage(up, tmp_path) as (gw, raw):
        found = await raw.ask(get())
        assert (found.framing, bytes(found.body)) == ("chunked", b"first second")
        assert bytes((await raw.ask(get("/next"))).body) == b"/next"
        assert [record["outcome"] for record in await gw.records(2)] == ["answered", "answered"]


async def test_several_interim_answers_before_the_final_one(tmp_path: Path) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    async with (
        ScriptedUpstream((interim + answer(b"a"),), (interim, answer(b"b")), then=numbered) as up,
        stage(up, tmp_path) as (_, raw),
    ):
        assert bytes((await raw.ask(get("/1"))).body) == b"a"
        assert bytes((await raw.ask(get("/2"))).body) == b"b"
        assert bytes((await raw.ask(get("/3"))).body) == b"/3"


async def test_endless_interim_answers_are_502(tmp_path: Path) -> None:
    def flood(_: Message) -> list[Step]:
        return [b"HTTP/1.1 102 Processing\r\n\r\n" * 50] * 200

    async with ScriptedUpstream(flood, then=numbered) as up, stage(up, tmp_path) as (gw, raw):
        assert (await raw.ask(get())).status == 502
        assert (await gw.record())["outcome"] == "upstream_bad"
        await until(lambda: up.live == 0)
        assert bytes((await raw.ask(get("/next"))).body) == b"/next"


@pytest.mark.parametrize("rest", [b"garbage", answer(b"smuggled"), b"HTTP/1.1 500 Oops\r\n\r\n", b"\r\n\r\n", b"\x00"])
@pytest.mark.parametrize("apart", [False, True])
async def test_garbage_behind_an_answer_harms_nobody(tmp_path: Path, rest: bytes, apart: bool) -> None:
    whole = answer(b"good")
    script = (whole, rest) if apart else (whole + rest,)
    async with ScriptedUpstream(script, then=numbered) as up, stage(up, tmp_path) as (_, raw):
        assert bytes((await raw.ask(get("/1"))).body) == b"good"
        if apart:
            await until(lambda: not up.peers[0].live or len(up.peers) > 1 or not up.peers[0].playing)
            await asyncio.sleep(0.02)  # the garbage must have had its chance to arrive on the idle connection
        assert bytes((await raw.ask(get("/2"))).body) == b"/2"
        assert len(up.peers) == 2
        await until(lambda: up.live == 1)


REPAIRED_OR_REFUSED = [
    ("bare LF", b"HTTP/1.1 200 OK\nX: y\nContent-Length: 2\n\nok"),
    ("bare LF in the middle", OK + b"X: a\nInjected: b\r\nContent-Length: 2\r\n\r\nok"),
    ("folded", OK + b"X: a\r\n Injected: b\r\nContent-Length: 2\r\n\r\nok"),
    ("NUL", OK + b"X: a\x00b\r\nContent-Length: 2\r\n\r\nok"),
    ("bare CR", OK + b"X: a\rInjected: b\r\nContent-Length: 2\r\n\r\nok"),
    ("control", OK + b"X: a\x01\x1b\x7fb\r\nContent-Length: 2\r\n\r\nok"),
    ("space before colon", OK + b"Content-Length : 2\r\n\r\nok"),
    ("no colon", OK + b"nonsense\r\nContent-Length: 2\r\n\r\nok"),
    ("empty name", OK + b": x\r\nContent-Length: 2\r\n\r\nok"),
    ("control in the reason", b"HTTP/1.1 200 O\x01K\r\nContent-Length: 2\r\n\r\nok"),
    ("LF in the reason", b"HTTP/1.1 200 O\nInjected: x\r\nContent-Length: 2\r\n\r\nok"),
    ("no reason", b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"),
    ("chunk size with a space", CHUNKED + b"2 \r\nok\r\n0\r\n\r\n"),
    ("chunk extension", CHUNKED + b"2;a=b\r\nok\r\n0\r\n\r\n"),
    ("trailers", CHUNKED + b"2\r\nok\r\n0\r\nX-Sum: 1\r\nInjected: b\r\n\r\n"),
    ("HTTP/1.0", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
]


@pytest.mark.parametrize(
    "data", [case[1] for case in REPAIRED_OR_REFUSED], ids=[case[0] for case in REPAIRED_OR_REFUSED]
)
async def test_a_lenient_head_is_repaired_or_refused(tmp_path: Path, data: bytes) -> None:
    script = (data, End.CLOSE)
    async with ScriptedUpstream(script, then=numbered) as up, stage(up, tmp_path) as (_, raw):
        found = await raw.ask(get())  # read strictly: a raw relay of these bytes would be Broken
        assert found.one("Injected") is None
        assert found.status == 502 or (found.status == 200 and bytes(found.body) == b"ok")
        assert bytes((await raw.ask(get("/next"))).body) == b"/next"


BAD = [
    ("CL and TE", OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("TE and CL", OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n"),
    ("two lengths", OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
    ("equal lengths", OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok"),
    ("length list", OK + b"Content-Length: 2, 2\r\n\r\nok"),
    ("signed length", OK + b"Content-Length: +2\r\n\r\nok"),
    ("negative length", OK + b"Content-Length: -2\r\n\r\nok"),
    ("huge length", OK + b"Content-Length: 99999999999999999999\r\n\r\nok"),
    ("gzip coding", OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    ("doubled chunked", OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    ("TE twice", OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("TE identity", OK + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok"),
    ("500 fields", OK + b"".join(b"X-%d: y\r\n" % n for n in range(500)) + b"Content-Length: 2\r\n\r\nok"),
    ("10 MiB head", OK + b"X: " + b"y" * 10 * 1024 * 1024 + b"\r\nContent-Length: 2\r\n\r\nok"),
    ("101 unasked", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"),
    ("no HTTP", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    ("HTTP/2", b"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("status 99", b"HTTP/1.1 99 Low\r\nContent-Length: 2\r\n\r\nok"),
    ("status 1000", b"HTTP/1.1 1000 High\r\nContent-Length: 2\r\n\r\nok"),
    ("status +200", b"HTTP/1.1 +20 Signed\r\nContent-Length: 2\r\n\r\nok"),
    ("early garbage", b"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
]


@pytest.mark.parametrize("data", [case[1] for case in BAD], ids=[case[0] for case in BAD])
async def test_an_answer_that_cannot_be_relayed_is_502(tmp_path: Path, data: bytes) -> None:
    async with ScriptedUpstream((data,), then=numbered) as up, stage(up, tmp_path) as (gw, raw):
        assert (await raw.ask(get())).status == 502
        await until(lambda: up.live == 0)
        assert bytes((await raw.ask(get("/next"))).body) == b"/next"
        assert [record["outcome"] for record in await gw.records(2)] == ["upstream_bad", "answered"]


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\n", OK + b"Content-Length: 2\r\n"])
@pytest.mark.parametrize("end", [End.CLOSE, End.RESET])
async def test_a_head_that_is_cut_is_502(tmp_path: Path, part: bytes, end: End) -> None:
    script: tuple[Step, ...] = (part, end) if part else (end,)
    async with ScriptedUpstream(then=script, faults=True) as up, stage(up, tmp_path) as (gw, raw):
        assert (await raw.ask(get())).status == 502
        assert (await gw.record())["outcome"] == "upstream_reset"
        assert len(up.requests) == 1


BODILESS = [
    ("204 with a length", "GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204),
    ("204 chunked", "GET", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 204),
    ("304 with a length", "GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n", 304),
    ("HEAD with a length", "HEAD", OK + b"Content-Length: 5\r\n\r\n", 200),
    ("HEAD chunked", "HEAD", CHUNKED, 200),
    ("HEAD without framing", "HEAD", OK + b"\r\n", 200),
]


@pytest.mark.parametrize(
    ("method", "data", "status"), [case[1:] for case in BODILESS], ids=[case[0] for case in BODILESS]
)
async def test_an_answer_without_a_body_ends_at_its_head(tmp_path: Path, method: str, data: bytes, status: int) -> None:
    async with ScriptedUpstream((data,), then=numbered) as up, stage(up, tmp_path) as (_, raw):
        found = await raw.ask(get(method=method))
        assert (found.status, bytes(found.body)) == (status, b"")
        if status == 204:  # RFC 9110 8.6 and RFC 9112 6.1
            assert found.one("Content-Length") is None
            assert found.one("Transfer-Encoding") is None
        assert bytes((await raw.ask(get("/next"))).body) == b"/next"


async def test_a_redirect_and_cookies_are_passed_on_and_not_followed(tmp_path: Path) -> None:
    moved = answer(b"", "302 Found", "Location: http://127.0.0.1:1/elsewhere", "Set-Cookie: a=1", "Set-Cookie: b=2")
    async with ScriptedUpstream((moved,), then=numbered) as up, stage(up, tmp_path) as (_, raw):
        found = await raw.ask(get())
        assert (found.status, found.all("Set-Cookie")) == (302, ["a=1", "b=2"])
        assert found.one("Location") == "http://127.0.0.1:1/elsewhere"
        await raw.ask(get("/next"))
        assert up.requests[1].one("Cookie") is None


async def test_a_body_is_relayed_as_it_comes(tmp_path: Path) -> None:
    more = asyncio.Event()
    script = (CHUNKED + chunked(b"early", end=False), more, chunked(b"late"))
    async with ScriptedUpstream(script) as up, stage(up, tmp_path) as (_, raw):
        await raw.send(get())
        start = await raw.reader.readuntil(b"early\r\n")
        more.set()
        raw.source.data += start
        assert bytes((await raw.read_answer()).body) == b"earlylate"


async def test_compressed_bytes_pass_untouched(tmp_path: Path) -> None:
    script = (answer(b"\x1f\x8b\x08broken", "200 OK", "Content-Encoding: gzip"),)
    async with ScriptedUpstream(script) as up, stage(up, tmp_path) as (_, raw):
        found = await raw.ask(get())
        assert (bytes(found.body), found.one("Content-Encoding")) == (b"\x1f\x8b\x08broken", "gzip")
        assert up.requests[0].one("Accept-Encoding") is None


async def test_an_upstream_error_is_relayed_and_recorded(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream((answer(b"sorry", "503 Busy", "Retry-After: 3"),)) as up,
        stage(up, tmp_path) as (gw, raw),
    ):
        found = await raw.ask(get())
        assert (found.status, bytes(found.body), found.one("Retry-After")) == (503, b"sorry", "3")
        record = await gw.record()
        assert (record["outcome"], record["blame"], record["status"]) == ("upstream_error", "upstream", 503)


async def test_a_silent_upstream_is_504(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream((asyncio.Event(),), then=numbered) as up,
        stage(up, tmp_path, upstream='response_timeout = "300ms"') as (gw, raw),
    ):
        assert (await raw.ask(get())).status == 504
        await until(lambda: up.live == 0)
        assert (await gw.record())["outcome"] == "upstream_timeout"
        assert bytes((await raw.ask(get("/next"))).body) == b"/next"


async def test_a_head_that_only_drips_is_504(tmp_path: Path) -> None:
    def drip(_: Message) -> list[Step]:
        return [step for byte in OK * 50 for step in (bytes([byte]), pause())]

    async with (
        ScriptedUpstream(drip) as up,
        stage(up, tmp_path, routes=route(extra='response_timeout = "300ms"')) as (gw, raw),
    ):
        assert (await raw.ask(get())).status == 504
        await until(lambda: up.live == 0)
        assert (await gw.record())["outcome"] == "upstream_timeout"


def finish(done: asyncio.Future[bytes]) -> None:
    if not done.done():
        done.set_result(b"")


def pause() -> Step:
    done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.01, finish, done)
    return done


async def test_an_upstream_nobody_listens_at_is_502(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path) as (gw, raw):
        await up.close()
        assert (await raw.ask(get())).status == 502
        record = await gw.record()
        assert (record["outcome"], record["blame"]) == ("upstream_refused", "upstream")
