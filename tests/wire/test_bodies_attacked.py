"""What holds of a connection and of the upstream however a body that is read comes, ends, waits or is sent again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.edge.http1 import UPLOAD_BUFFER
from tests.kit.certificates import Certificate
from tests.kit.gateways import bearer, config, gateway, hold, route
from tests.kit.limits import cap, limit, limited, waiting
from tests.kit.raw import client, get, post
from tests.kit.stage import stage
from tests.kit.upstreams import End, HoldingUpstream, ScriptedUpstream, answer, chunked
from tests.kit.waiting import until

from .test_bodies_read import JSON, asks, begun, text, waits
from .test_reload import reload

POLL = post(text(since=7, timeout=900), "/", JSON)
CHUNKED = get("/", JSON, "Transfer-Encoding: chunked", method="POST")


@pytest.mark.parametrize(
    ("first", "status", "goes_on"),
    [
        (POLL, 200, True),
        (post(b"{", "/", JSON), 200, True),
        (post(text(since=7) + b" " * 900, "/", JSON), 200, True),
        (CHUNKED + chunked(b"x" * 200, b"y" * 200), 200, True),
        (post(text(since=7, timeout="abc"), "/", JSON), 200, True),
        (CHUNKED + b"zz\r\n", 400, False),
        (CHUNKED + b"5\r\nabcdeXX\r\n", 400, False),
        (get("/", JSON, "Content-Length: 99999999", method="POST"), 413, False),
    ],
)
async def test_what_follows_a_body_is_the_next_request_or_nothing(
    tmp_path: Path, first: bytes, status: int, goes_on: bool
) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, **asks()) as (_, raw):
        await raw.send(first + POLL)
        assert (await raw.read_answer()).status == status
        if goes_on:
            assert (await raw.read_answer()).status == 200
            assert json.loads(bytes(up.requests[-1].body)) == {"since": 7, "timeout": 20}
        else:
            assert await raw.closed()
            assert up.requests == []


async def test_a_refused_wish_leaves_the_connection_for_the_next(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, **asks(over_max='"reject"')) as (_, raw):
        await raw.send(POLL + post(text(since=1, timeout=5), "/", JSON))
        assert [(await raw.read_answer()).status for _ in range(2)] == [400, 200]
        assert len(up.requests) == 1


@pytest.mark.parametrize("field", ["Content_Length: 3", "content_length: 3", "Transfer_Encoding: chunked"])
async def test_a_rewritten_body_has_one_length_whatever_else_looks_like_one(tmp_path: Path, field: str) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, **asks()) as (_, raw):
        assert (await raw.ask(post(text(since=7, timeout=900), "/", JSON, field))).status == 200
        seen = up.requests[0]
        assert json.loads(bytes(seen.body)) == {"since": 7, "timeout": 20}
        told = [name for name, _ in seen.headers if "length" in name.lower() or "encoding" in name.lower()]
        assert told == ["Content-Length"]


async def test_a_poll_that_is_sent_again_keeps_the_wish_in_its_path_and_its_body(tmp_path: Path) -> None:
    table = asks(ask='[{ in = "path", name = "wait" }]', replay='"cursor"')
    table["routes"] = route(path="/p/{wait}/x", policies=["poll"])
    body = text(since=7)
    async with ScriptedUpstream((End.CLOSE,), (answer(b"[1]"),)) as up, stage(up, tmp_path, **table) as (gw, raw):
        assert (await raw.ask(post(body, "/p/900/x?a=1", JSON))).status == 200
        assert [bytes(one.body) for one in up.requests] == [body] * 2
        assert {one.target for one in up.requests} <= {"/p/20/x?a=1", "/p/19/x?a=1"}
        record = await gw.record()
        assert (record["attempts"], record["path"]) == (2, "/p/900/x")


async def test_a_poll_in_line_for_a_place_goes_with_its_body_and_what_is_left(tmp_path: Path) -> None:
    poll = asks()["more"]
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, cap(on_excess='"wait"', max_waiting="5"), poll=poll) as (gw, raw),
        client(gw.port) as other,
    ):
        request = post(text(since=7, timeout=10), "/", JSON, bearer())
        await raw.send(request)
        await until(lambda: up.held == 1)
        await other.send(request)
        await until(lambda: waiting(gw) == 1)
        up.publish()
        await until(lambda: len(up.requests) == 2)
        seen = json.loads(bytes(up.requests[1].body))
        assert seen["since"] == 7 and 1 <= seen["timeout"] <= 10
        up.publish()
        assert (await other.read_answer()).status == 200


async def test_a_body_that_is_read_across_a_reload_is_judged_by_the_rules_it_came_under(tmp_path: Path) -> None:
    body = text(since=7, timeout=900)
    async with ScriptedUpstream() as up, stage(up, tmp_path, **asks()) as (gw, raw):
        await begun(raw, up, body, JSON)
        await waits(gw)
        assert await reload(gw, config(up.url, more=hold("other"), routes=route(policies=["other"]))) == []
        await raw.send(body[-len(body) // 2 :])
        assert (await raw.read_answer()).status == 200
        assert json.loads(bytes(up.requests[0].body))["timeout"] == 20
        await raw.ask(post(body, "/", JSON))
        assert bytes(up.requests[1].body) == body


async def test_half_bodies_of_many_are_all_told_that_their_time_is_up(tmp_path: Path) -> None:
    half = get("/", JSON, "Content-Length: 65536", method="POST") + b"x" * 32_768
    tables = asks(body_limit='"64KiB"')
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.url, server='body_idle_timeout = "300ms"', **tables), tmp_path) as gw,
    ):
        for _ in range(5):
            async with client(gw.port) as one, client(gw.port) as two, client(gw.port) as three:
                crowd = (one, two, three)
                for raw in crowd:
                    await raw.send(half)
                assert [(await raw.read_answer()).status for raw in crowd] == [408] * 3
        assert await gw.held() == []
        assert up.requests == []


async def test_another_endpoint_gets_the_body_of_a_poll_that_the_first_could_not_take(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, gateway(config("http://127.0.0.1:1", up.url, **asks()), tmp_path) as gw:
        async with client(gw.port) as raw:
            for _ in range(2):
                assert (await raw.ask(POLL)).status == 200
        assert [json.loads(bytes(one.body)) for one in up.requests] == [{"since": 7, "timeout": 20}] * 2
        assert max(record["attempts"] for record in await gw.records(2)) == 2


@pytest.mark.parametrize(("field", "stays"), [("Connection: keep-alive", True), ("X-A: b", False)])
async def test_an_old_client_may_ask_in_its_body_too(tmp_path: Path, field: str, stays: bool) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, **asks()) as (_, raw):
        found = await raw.ask(post(text(since=7, timeout=900), "/", JSON, field).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        assert (found.status, found.one("Connection")) == (200, "keep-alive" if stays else "close")
        assert json.loads(bytes(up.requests[0].body))["timeout"] == 20


@pytest.mark.parametrize("whole", [True, False])
async def test_who_shuts_its_sending_side_is_answered_only_behind_a_whole_body(tmp_path: Path, whole: bool) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, server='half_close = "answer"', **asks()) as (gw, raw):
        await raw.send(POLL if whole else POLL[:-3])
        if not whole:
            await waits(gw)
        raw.half_close()
        assert (await gw.record())["outcome"] == ("news" if whole else "client_gone")
        assert len(up.requests) == whole


@pytest.mark.parametrize(
    ("fields", "apart", "told"),
    [
        (("Expect: 100-continue",), True, [100]),
        (("Expect: 100-continue",), False, []),  # it did not wait
        ((), True, []),
        ((), False, []),
    ],
)
async def test_only_who_waits_for_it_is_told_to_go_on(
    tmp_path: Path, fields: tuple[str, ...], apart: bool, told: list[int]
) -> None:
    body = text(since=7, timeout=5)
    head = get("/", JSON, f"Content-Length: {len(body)}", *fields, method="POST")
    async with ScriptedUpstream() as up, stage(up, tmp_path, **asks()) as (gw, raw):
        await raw.send(head if apart else head + body)
        if apart:
            await waits(gw)
            await raw.send(body)
        found = await raw.read_answer()
        assert (found.status, [each.status for each in found.interim]) == (200, told)
        assert up.requests[0].one("Expect") is None


async def test_a_body_too_long_to_be_looked_into_is_not_read_on_while_its_call_waits(tmp_path: Path) -> None:
    """It is an ordinary call then, and waits in line for a place like one, its client with it."""
    body = b"x" * (4 * 1024 * 1024)
    line = cap("concurrency_cap", on_excess='"wait"', max_waiting="5")
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, line, poll=asks()["more"]) as (gw, raw),
        client(gw.port) as other,
    ):
        await raw.send(get("/", bearer()))
        await until(lambda: up.held == 1)
        head = get("/big", JSON, "Transfer-Encoding: chunked", bearer(), method="POST")
        other.writer.write(head + chunked(body))
        await until(lambda: waiting(gw) == 1)
        (held,) = [one for one in gw.app._edge.connections if one.call is not None and one.call.path == "/big"]
        await until(lambda: held._reading_paused)
        assert held._whole is not None
        assert held._whole.size + len(held._buffer) <= 2 * UPLOAD_BUFFER + 256 * 1024
        up.publish()
        await until(lambda: len(up.requests) == 2 and up.requests[1].complete)
        assert bytes(up.requests[1].body) == body


async def test_a_poll_in_line_for_a_token_goes_with_its_body_and_what_is_left(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, limit("1/s", mode='"delay"', burst="1"), poll=asks()["more"]) as (gw, raw),
        client(gw.port) as other,
    ):
        request = post(text(since=7, timeout=10), "/", JSON, bearer())
        await raw.send(request)
        await until(lambda: up.held == 1)
        await other.send(request)
        await until(lambda: len(up.requests) == 2)
        assert json.loads(bytes(up.requests[0].body))["timeout"] == 10
        assert 1 <= json.loads(bytes(up.requests[1].body))["timeout"] <= 9
        up.publish()
        assert (await other.read_answer()).status == 200


async def test_bodies_are_read_behind_tls_too_in_any_pieces_and_one_behind_the_other(
    tmp_path: Path, certificate: Certificate
) -> None:
    tls = f'tls = {{ cert = "file:{certificate.cert}", key = "file:{certificate.key}" }}'
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.url, server=tls, **asks()), tmp_path) as gw,
        client(gw.port, certificate.client()) as raw,
    ):
        await raw.send_bytewise(POLL[:-4])
        await raw.send(POLL[-4:] + POLL)
        assert [(await raw.read_answer()).status for _ in range(2)] == [200, 200]
        assert [json.loads(bytes(one.body))["timeout"] for one in up.requests] == [20, 20]
