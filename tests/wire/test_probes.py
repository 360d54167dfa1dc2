"""Active probes on the wire: what is asked of an endpoint, how often and with which certificates; that its calls follow
what it answers; and that a gateway that reloads or ends leaves no probe behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.kit.certificates import make_certificate
from tests.kit.endpoints import endpoint, events, fleet, happened, nobody, statuses
from tests.kit.gateways import gateway
from tests.kit.strict import Message
from tests.kit.upstreams import End, ScriptedUpstream, Step, answer
from tests.kit.waiting import until

FAST = 'interval = "50ms", timeout = "5s", healthy = 2, unhealthy = 3'
HERE = ("localhost", "127.0.0.1")


def health(more: str = "", path: str = "/healthz", fast: str = FAST) -> str:
    return f'health = {{ path = "{path}", {fast}{", " if more else ""}{more} }}\nejection = false\n'


class Doctored(ScriptedUpstream):
    """Answers probes by `says`, and every call well."""

    def __init__(self, *says: Step, **options: Any) -> None:
        super().__init__(then=self._answer, **options)
        self.says: tuple[Step, ...] = says or (answer(),)

    def _answer(self, request: Message) -> Iterable[Step]:
        return self.says if "healthz" in request.target else (answer(b"a call"),)

    @property
    def probes(self) -> list[Message]:
        return [request for request in self.requests if "healthz" in request.target]

    @property
    def calls(self) -> int:
        return len(self.requests) - len(self.probes)


ILL: dict[str, tuple[tuple[Step, ...], str]] = {
    "status": ((answer(b"", "500 Internal Server Error"),), "status 500"),
    "redirect": ((answer(b"", "302 Found", "Location: /elsewhere"),), "status 302"),
    "closed": ((End.CLOSE,), "ServerDisconnectedError"),
    "malformed": ((b"what is this\r\n\r\n", End.CLOSE), "ClientResponseError"),
}


@pytest.mark.parametrize("illness", ILL)
async def test_an_endpoint_that_says_it_is_ill_takes_no_calls_until_it_is_well(tmp_path: Path, illness: str) -> None:
    says, said = ILL[illness]
    async with (
        Doctored(*says) as ill,
        Doctored() as well,
        gateway(fleet(ill.url, well.url, lines=health()), tmp_path) as gw,
    ):
        (event,) = await events(gw, 1)
        assert (event["kind"], event["why"], event["taking"], event["members"]) == ("probe", said, 1, 2)
        assert len(ill.probes) >= 3
        found = await endpoint(gw, ill)
        assert (found["state"], found["why"], found["back_in"]) == ("out", ["health"], None)
        assert (found["probe"]["good"], found["probe"]["said"]) == (False, said)
        assert await statuses(gw, 4) == [200] * 4
        assert (ill.calls, well.calls) == (0, 4)
        ill.says = (answer(),)
        assert [each["kind"] for each in await events(gw, 2)] == ["probe", "restore"]
        assert await statuses(gw, 4) == [200] * 4
        assert (ill.calls, well.calls) == (2, 6)
        assert "/elsewhere" not in {request.target for request in ill.requests}


async def test_an_endpoint_that_does_not_answer_its_probes_in_time_is_taken_out(tmp_path: Path) -> None:
    async with (
        Doctored(asyncio.Event()) as hung,
        Doctored() as well,
        gateway(fleet(hung.url, well.url, lines=health(fast='interval = "50ms", timeout = "20ms"')), tmp_path) as gw,
    ):
        name = f"127.0.0.1:{hung.port}"
        await until(lambda: [each["why"] for each in happened(gw) if each["endpoint"] == name][:1] == ["timeout"])


async def test_an_endpoint_where_nobody_listens_is_found_before_any_call_is(tmp_path: Path) -> None:
    with nobody() as url:
        async with Doctored() as well, gateway(fleet(url, well.url, lines=health()), tmp_path) as gw:
            (event,) = await events(gw, 1)
            assert event["why"] == "ConnectionRefusedError"
            await statuses(gw, 4)
            assert {record["attempts"] for record in await gw.records(4)} == {1}


async def test_a_probe_is_a_plain_request_on_a_connection_of_its_own(tmp_path: Path) -> None:
    lines = health('host = "health.internal"', path="/healthz?deep=1") + 'headers = { set = { X-Key = "env:PATH" } }\n'
    async with Doctored() as up, gateway(fleet(f"{up.url}/base", lines=lines), tmp_path) as gw:
        await until(lambda: len(up.probes) >= 3)
        assert {request.target for request in up.probes} == {"/base/healthz?deep=1"}
        assert {request.one("Host") for request in up.probes} == {"health.internal"}
        assert all(request.method == "GET" and request.one("Cookie") is None for request in up.probes)
        assert {request.one("User-Agent") for request in up.probes} == {"longpoll-gateway-probe"}
        assert max(len(peer.requests) for peer in up.peers) == 1
        await until(lambda: up.live <= 1)
        assert happened(gw) == []


async def test_only_the_statuses_that_are_named_are_good(tmp_path: Path) -> None:
    async with (
        Doctored(answer(b"", "204 No Content")) as one,
        Doctored(answer(b"", "429 Too Many Requests")) as two,
        gateway(fleet(one.url, two.url, lines=health("status = [200, 429]")), tmp_path) as gw,
    ):
        (event,) = await events(gw, 1)
        assert (event["endpoint"], event["why"]) == (f"127.0.0.1:{one.port}", "status 204")
        assert (await endpoint(gw, two))["probe"]["said"] == "status 429"


async def test_probes_use_the_certificates_of_the_upstream(tmp_path: Path) -> None:
    own, shown = make_certificate(tmp_path / "own", *HERE), make_certificate(tmp_path / "client", "gateway")
    other = make_certificate(tmp_path / "other", *HERE)
    trust = f'tls = {{ ca = "file:{own.cert}", cert = "file:{shown.cert}", key = "file:{shown.key}" }}\n'
    async with (
        Doctored(tls=own.server(clients=shown)) as good,
        Doctored(tls=other.server()) as stranger,
        gateway(fleet(good.url, stranger.url, lines=health() + trust), tmp_path) as gw,
    ):
        (event,) = await events(gw, 1)
        assert (event["endpoint"], event["why"]) == (f"127.0.0.1:{stranger.port}", "tls")
        assert stranger.requests == []
        await until(lambda: len(good.probes) >= 2)
        assert (await endpoint(gw, good))["probe"]["good"] is True


async def test_a_certificate_for_another_name_needs_the_servers_name(tmp_path: Path) -> None:
    own = make_certificate(tmp_path / "own", "b.internal")
    tls = f'tls = {{ ca = "file:{own.cert}", server_name = "b.internal" }}\n'
    async with Doctored(tls=own.server()) as up, gateway(fleet(up.url, lines=health() + tls), tmp_path) as gw:
        await until(lambda: len(up.probes) >= 2)
        assert (await endpoint(gw, up))["probe"]["good"] is True


async def test_a_name_is_probed_where_it_is_under_its_own_name(tmp_path: Path) -> None:
    own = make_certificate(tmp_path / "own", "localhost")
    tls = f'tls = {{ ca = "file:{own.cert}" }}\n'
    async with Doctored(tls=own.server()) as up:
        url = up.url.replace("127.0.0.1", "localhost")
        async with gateway(fleet(url, lines=health() + tls), tmp_path) as gw:
            await until(lambda: len(up.probes) >= 2)
            assert {request.one("Host") for request in up.probes} == {f"localhost:{up.port}"}
            status, body = await gw.admin("/api/upstreams")
            assert status == 200 and b'"good":true' in body.replace(b" ", b"")


async def test_one_endpoint_alone_takes_calls_whatever_its_probes_say(tmp_path: Path) -> None:
    async with Doctored(answer(b"", "500 No")) as up, gateway(fleet(up.url, lines=health()), tmp_path) as gw:
        (event,) = await events(gw, 1)
        assert (event["taking"], event["members"]) == (0, 1)
        assert await statuses(gw, 3) == [200] * 3
        assert (await endpoint(gw, up))["state"] == "out"


async def test_when_all_are_ill_all_take_calls(tmp_path: Path) -> None:
    async with (
        Doctored(answer(b"", "500 No")) as one,
        Doctored(answer(b"", "500 No")) as two,
        gateway(fleet(one.url, two.url, lines=health()), tmp_path) as gw,
    ):
        await events(gw, 2)
        assert await statuses(gw, 4) == [200] * 4
        assert (one.calls, two.calls) == (2, 2)
        assert b'"taking":0' in (await gw.admin("/api/upstreams"))[1].replace(b" ", b"")


async def test_a_large_answer_is_not_read(tmp_path: Path) -> None:
    huge = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 100_000
    async with Doctored(huge, asyncio.Event()) as up, gateway(fleet(up.url, lines=health()), tmp_path) as gw:
        await until(lambda: len(up.probes) >= 3)
        assert (await endpoint(gw, up))["probe"]["good"] is True
        await until(lambda: up.live <= 1)


async def test_a_reload_begins_and_ends_probes_and_the_end_leaves_none(tmp_path: Path) -> None:
    async with Doctored() as up:
        text = fleet(up.url, lines="ejection = false\n")
        async with gateway(text, tmp_path) as gw:
            found = text.replace("file:calls.jsonl", f"file:{gw.log}")
            gw.app.path.write_text(found.replace("ejection = false\n", health()), "utf-8")
            assert await gw.app.reload() == []
            await until(lambda: len(up.probes) >= 3)
            gw.app.path.write_text(found, "utf-8")
            assert await gw.app.reload() == []
            await until(lambda: up.live == 0)
            assert (await endpoint(gw, up))["probe"] is None
            gw.app.path.write_text(found.replace("ejection = false\n", health()), "utf-8")
            assert await gw.app.reload() == []
            up.says = (asyncio.Event(),)
            count = len(up.probes)
            await until(lambda: len(up.probes) > count and up.held)
        await until(lambda: up.live == 0)
        count = len(up.probes)
        assert not [task for task in asyncio.all_tasks() if "Prober" in repr(task)]
        assert len(up.probes) == count
