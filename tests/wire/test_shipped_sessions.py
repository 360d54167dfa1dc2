"""Shipped policies for protocols that the older three are not enough for, on real sockets: holds agreed in a handshake,
one poll at a time, wishes inside a body, answers that begin early, work that must not be handed out twice.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.kit.gateways import route
from tests.kit.limits import outcomes, polled, waits
from tests.kit.raw import client, get, post, post_chunked
from tests.kit.stage import stage
from tests.kit.strict import Message
from tests.kit.upstreams import End, HoldingUpstream, ScriptedUpstream, Step, answer, chunked
from tests.kit.waiting import until

JSON = "Content-Type: application/json"
XML = "Content-Type: text/xml; charset=utf-8"
STREAMING = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
QUICK = {"min": '"100ms"', "absent": '"100ms"', "max": '"100ms"', "margin": '"100ms"'}


def at(policy: str, path: str, **values: str) -> dict[str, Any]:
    """A route for a shipped policy, some of its keys replaced (TOML text)."""
    table = "".join(f"{key} = {value}\n" for key, value in values.items())
    return {"routes": route(path=path, policies=[policy], extra=f"[route.hold]\n{table}" if values else "")}


class Speaking(HoldingUpstream):
    """Answers what begins a session, or is sent beside a poll, at once; holds the rest."""

    def __init__(self, speaks: Callable[[Message], bytes | None]) -> None:
        super().__init__()
        self.then = self._speak
        self._speaks = speaks

    def _speak(self, request: Message) -> Sequence[Step]:
        said = self._speaks(request)
        return self._hold(request) if said is None else (said,)


# -- Socket.IO, SockJS -------------------------------------------------------------------------------------------------

OPENED = b'0{"sid":"s1","upgrades":["websocket"],"pingInterval":40000,"pingTimeout":20000,"maxPayload":1000000}'
FRAMED = b'97:0{"sid":"s1","upgrades":["websocket"],"pingInterval":40000,"pingTimeout":20000}2:40'
IO = "/socket.io/?EIO=4&transport=polling"


def engine(opened: bytes) -> Callable[[Message], bytes | None]:
    def speaks(request: Message) -> bytes | None:
        if request.method == "POST":
            return answer(b"ok")
        return (
            answer(opened, "200 OK", "Content-Type: text/plain; charset=UTF-8") if "sid" not in request.target else None
        )

    return speaks


@pytest.mark.parametrize("opened", [OPENED, FRAMED])
async def test_socket_io_is_held_as_the_handshake_says_and_by_one_poll_at_a_time(tmp_path: Path, opened: bytes) -> None:
    up = Speaking(engine(opened))
    async with up, stage(up, tmp_path, **at("engineio", "/socket.io/")) as (gw, raw), client(gw.port) as other:
        assert bytes((await raw.ask(get(IO))).body) == opened
        await polled(up, raw, get(f"{IO}&sid=s1"))
        (held,) = await gw.held()
        assert held["hold_granted"] == 40
        await waits(gw, other, get(f"{IO}&sid=s1"))
        async with client(gw.port) as sender:
            assert (await sender.ask(post(b"3", f"{IO}&sid=s1"))).status == 200
            refused = await sender.ask(get(f"{IO}&sid=s1"))
            assert (refused.status, json.loads(bytes(refused.body))) == (400, {"code": 3, "message": "Bad request"})
        assert up.publish(b"2") == 1
        assert bytes((await raw.read_answer()).body) == b"2"
        await until(lambda: up.held == 1)
        assert up.publish(b'42["news"]') == 1
        assert bytes((await other.read_answer()).body) == b'42["news"]'
        assert await outcomes(gw, 5) == {"answered": 2, "empty": 1, "news": 1, "conflict": 1}


async def test_a_session_of_socket_io_that_nobody_saw_begin_has_the_usual_hold(tmp_path: Path) -> None:
    up = Speaking(engine(OPENED))
    async with up, stage(up, tmp_path, **at("engineio", "/socket.io/")) as (gw, raw):
        await polled(up, raw, get(f"{IO}&sid=s9"))
        (held,) = await gw.held()
        assert held["hold_granted"] == 25
        up.publish(b"2")


async def test_a_frame_of_sockjs_is_waited_for_behind_its_headers_and_a_second_poll_is_told_so(tmp_path: Path) -> None:
    frame = asyncio.Event()
    up = ScriptedUpstream(then=(STREAMING, frame, chunked(b"h\n")))
    xhr = post(b"", "/sockjs/000/s1/xhr")
    tables = at("sockjs", "/sockjs/{server}/{session}/xhr")
    async with up, stage(up, tmp_path, **tables) as (gw, raw), client(gw.port) as other:
        await raw.send(xhr)
        await raw.seen(b"\r\n\r\n")
        (held,) = await gw.held()
        assert held["state"] == "relaying"
        second = await other.ask(xhr)
        assert (second.status, bytes(second.body)) == (200, b'c[2010,"Another connection still open"]\n')
        assert len(up.requests) == 1
        frame.set()
        assert bytes((await raw.read_answer()).body) == b"h\n"
        records = await gw.records(2)
        assert sorted(record["outcome"] for record in records) == ["conflict", "empty"]
        assert {record["path"] for record in records} == {"/sockjs/000/***/xhr"}


# -- BOSH, Bayeux ------------------------------------------------------------------------------------------------------

CREATED = b"<body wait='30' requests='2' hold='1' sid='s1' xmlns='http://jabber.org/protocol/httpbind'/>"
BEGINS = b"<body rid='1' to='a.example' wait='60' hold='1' xmlns='http://jabber.org/protocol/httpbind'/>"
POLLS = b"<body rid='2' sid='s1' xmlns='http://jabber.org/protocol/httpbind'/>"
SILENT = b"<body xmlns='http://jabber.org/protocol/httpbind'/>"


async def test_bosh_has_its_hold_from_the_session_and_the_very_same_request_is_sent_again(tmp_path: Path) -> None:
    up = ScriptedUpstream((answer(CREATED, "200 OK", XML),), (End.CLOSE,), then=(answer(SILENT, "200 OK", XML),))
    async with up, stage(up, tmp_path, **at("bosh", "/http-bind")) as (gw, raw):
        await raw.ask(post(BEGINS, "/http-bind", XML))
        assert bytes((await raw.ask(post(POLLS, "/http-bind", XML))).body) == SILENT
        assert [bytes(request.body) for request in up.requests] == [BEGINS, POLLS, POLLS]
        record = (await gw.records(2))[-1]
        assert (record["hold_granted"], record["outcome"], record["attempts"]) == (30, "empty", 2)


async def test_two_requests_of_a_bosh_session_are_held_side_by_side(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        stage(up, tmp_path, **at("bosh", "/http-bind")) as (gw, raw),
        client(gw.port) as other,
    ):
        await polled(up, raw, post(POLLS, "/http-bind", XML))
        await polled(up, other, post(POLLS.replace(b"'2'", b"'3'"), "/http-bind", XML))
        assert len(await gw.held()) == 2
        assert up.publish(SILENT, "200 OK", XML) == 2


async def test_a_connect_of_bayeux_has_the_hold_that_the_handshake_advised(tmp_path: Path) -> None:
    shaken = b'[{"channel":"/meta/handshake","successful":true,"clientId":"c1","advice":{"timeout":30000}}]'
    up = Speaking(lambda request: answer(shaken, "200 OK", JSON) if b"/meta/handshake" in request.body else None)
    async with up, stage(up, tmp_path, **at("bayeux", "/cometd/**")) as (gw, raw):
        await raw.ask(post(b'[{"channel":"/meta/handshake","version":"1.0"}]', "/cometd/handshake", JSON))
        batch = b'[{"channel":"/a","clientId":"c1","data":1},{"channel":"/meta/connect","clientId":"c1"}]'
        await polled(up, raw, post(batch, "/cometd/connect", JSON))
        (held,) = await gw.held()
        assert (held["hold_granted"], bytes(up.requests[-1].body)) == (30, batch)
        up.publish(b'[{"channel":"/meta/connect","successful":true}]')
        await raw.read_answer()
        assert (await gw.records(2))[-1]["outcome"] == "empty"


# -- work that is handed out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "framed", [post, lambda body, target, *fields: post_chunked(body, target=target, fields=fields)]
)
async def test_camunda_is_asked_for_no_more_than_a_minute(tmp_path: Path, framed: Callable[..., bytes]) -> None:
    up = ScriptedUpstream((answer(b'{"jobs":[]}', "200 OK", JSON),))
    async with up, stage(up, tmp_path, **at("camunda8-jobs", "/v2/jobs/activation")) as (gw, raw):
        body = b'{"type": "pay", "requestTimeout": 300000, "maxJobsToActivate": 5}'
        await raw.ask(framed(body, "/v2/jobs/activation", JSON))
        assert bytes(up.requests[0].body) == b'{"type": "pay", "requestTimeout": 60000, "maxJobsToActivate": 5}'
        record = await gw.record()
        assert (record["hold_asked"], record["hold_granted"], record["outcome"]) == (300, 60, "empty")


@pytest.mark.parametrize(
    ("policy", "path", "body"),
    [
        ("camunda8-jobs", "/v2/jobs/activation", b'{"type":"pay","requestTimeout":20000}'),
        ("gitlab-runner", "/api/v4/jobs/request", b'{"token":"t","last_update":"7c9"}'),
        ("bayeux", "/cometd/connect", b'[{"channel":"/meta/connect","clientId":"c1"}]'),
    ],
)
async def test_what_may_have_been_handed_out_is_never_asked_for_again(
    tmp_path: Path, policy: str, path: str, body: bytes
) -> None:
    async with ScriptedUpstream(then=(End.CLOSE,)) as up, stage(up, tmp_path, **at(policy, path)) as (gw, raw):
        assert (await raw.ask(post(body, path, JSON))).status == 502
        assert len(up.requests) == 1
        assert (await gw.record())["attempts"] == 1


async def test_a_runner_without_a_position_is_an_ordinary_call(tmp_path: Path) -> None:
    up = ScriptedUpstream(then=(answer(b"", "204 No Content", "X-GitLab-Last-Update: 7c9", length=False),))
    async with up, stage(up, tmp_path, **at("gitlab-runner", "/api/v4/jobs/request")) as (gw, raw):
        found = await raw.ask(post(b'{"token":"t"}', "/api/v4/jobs/request", JSON))
        assert (found.status, found.one("X-GitLab-Last-Update")) == (204, "7c9")
        await raw.ask(post(b'{"token":"t","last_update":"7c9"}', "/api/v4/jobs/request", JSON))
        assert [record["outcome"] for record in await gw.records(2)] == ["answered", "empty"]
        assert [request.one("Gateway-Hold") for request in up.requests] == [None, "50.000"]


# -- feeds by position -------------------------------------------------------------------------------------------------


async def test_dropbox_is_spoken_for_when_it_says_nothing_and_its_request_is_left_as_it_is(tmp_path: Path) -> None:
    path, body = "/2/files/list_folder/longpoll", b'{"cursor": "ZtkX9", "timeout": 480}'
    quick = QUICK | {"jitter": '{ span = "0s" }'}
    async with HoldingUpstream() as up, stage(up, tmp_path, **at("dropbox-longpoll", path, **quick)) as (gw, raw):
        found = await raw.ask(post(body, path, JSON))
        assert (found.status, bytes(found.body)) == (200, b'{"changes":false}')
        assert found.one("Content-Type") == "application/json"
        assert bytes(up.requests[0].body) == body
        await until(lambda: up.live == 0)
        assert "ZtkX9" not in json.dumps(await gw.record())


async def test_events_of_syncthing_are_waited_for_behind_its_headers(tmp_path: Path) -> None:
    events = asyncio.Event()
    up = ScriptedUpstream(then=(STREAMING, events, chunked(b"[]\n")))
    async with up, stage(up, tmp_path, **at("syncthing", "/rest/events")) as (gw, raw):
        await raw.send(get("/rest/events?since=41&timeout=3600"))
        await raw.seen(b"\r\n\r\n")
        assert up.requests[0].target == "/rest/events?since=41&timeout=60"
        (held,) = await gw.held()
        assert (held["state"], held["hold_granted"]) == ("relaying", 60)
        events.set()
        assert bytes((await raw.read_answer()).body) == b"[]\n"
        assert (await gw.record())["outcome"] == "empty"


async def test_a_reader_of_a_durable_stream_is_carried_on_with_the_cursor_of_its_last_answer(tmp_path: Path) -> None:
    news = answer(b"x", "200 OK", "Stream-Next-Offset: 0_42", "Stream-Cursor: 1674")
    up = Speaking(lambda request: news if "offset=0_41" in request.target else None)
    quick = QUICK | {"absent": '"unbounded"'}
    async with up, stage(up, tmp_path, **at("durable-streams", "/v1/stream/**", **quick)) as (gw, raw):
        await raw.ask(get("/v1/stream/s?offset=0_41&live=long-poll"))
        found = await raw.ask(get("/v1/stream/s?offset=0_42&live=long-poll&cursor=1674"))
        assert found.status == 204
        fields = [found.one(f"Stream-{name}") for name in ("Next-Offset", "Up-To-Date", "Cursor", "Closed")]
        assert fields == ["0_42", "true", "1674", None]
        assert (await gw.records(2))[-1]["outcome"] == "blank"


async def test_a_subscriber_of_nchan_is_told_408_by_either_and_nobody_takes_it_for_a_failure(tmp_path: Path) -> None:
    up = ScriptedUpstream((answer(b"", "408 Request Timeout"),), then=lambda _: (asyncio.Event(),))
    quick = QUICK | {"absent": '"unbounded"'}
    async with up, stage(up, tmp_path, **at("nchan", "/sub/**", **quick)) as (gw, raw):
        poll = get("/sub/a", "If-Modified-Since: Sat, 28 Nov 2026 10:00:00 GMT", "If-None-Match: 0")
        for _ in range(5):
            found = await raw.ask(poll)
            assert (found.status, bytes(found.body)) == (408, b"")
        records = await gw.records(5)
        assert [record["outcome"] for record in records] == ["empty"] + ["blank"] * 4
        assert {record["blame"] for record in records if "blame" in record} <= {"none"}
