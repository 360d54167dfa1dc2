"""Probes and ejection where a name has several addresses: each address is asked, and judged, for itself, by the name
that the service knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.kit.certificates import make_certificate
from tests.kit.endpoints import endpoints, events, fail, fleet
from tests.kit.gateways import gateway, hold, route
from tests.kit.names import AnsweringAt, Script
from tests.kit.polls import polling
from tests.kit.raw import get
from tests.kit.strict import Message
from tests.kit.upstreams import End, ScriptedUpstream, Step, answer
from tests.kit.waiting import until

HEALTH = 'health = { path = "/healthz", interval = "20ms", timeout = "5s", healthy = 1, unhealthy = 1 }'


async def test_each_address_of_a_name_is_probed_by_the_name(tmp_path: Path) -> None:
    names = Script(api_test=["127.0.0.1", "127.0.0.2"])
    async with AnsweringAt("127.0.0.1") as well, AnsweringAt("127.0.0.2", well.port) as ill:
        ill.then = (answer(b"", "503 Service Unavailable"),)
        text = fleet(f"http://api.test:{well.port}", lines=HEALTH)
        async with gateway(text, tmp_path, resolve=names) as gw:
            assert (await events(gw, 1))[0]["endpoint"] == f"api.test@127.0.0.2:{well.port}"
            await until(lambda: len(well.requests) > 2)
            assert [each["state"] for each in await endpoints(gw)] == ["in", "out"]
    asked = {request.one("Host") for request in (*well.requests, *ill.requests)}
    assert asked == {f"api.test:{well.port}"}


@pytest.mark.parametrize("secure", [False, True])
async def test_a_probe_goes_where_calls_go(tmp_path: Path, secure: bool) -> None:
    """A name of which only the address of IPv6 is listened at; and a certificate for a name, at an address."""
    certificate = make_certificate(tmp_path, "api.test")
    names = Script(api_test=["127.0.0.1"] if secure else ["127.0.0.1", "::1"])
    up = ScriptedUpstream(tls=certificate.server()) if secure else AnsweringAt("::1")
    async with up:
        lines = f'{HEALTH}\ntls = {{ ca = "file:{certificate.cert}" }}' if secure else HEALTH
        text = fleet(f"http{'s' if secure else ''}://api.test:{up.port}", lines=lines)
        async with gateway(text, tmp_path, resolve=names) as gw:
            await until(lambda: len(up.requests) > 2)
            (found,) = await endpoints(gw)
            assert (found["state"], found["probe"]["said"]) == ("in", "status 200")


async def test_an_ejected_address_that_left_and_came_back_is_let_in_when_its_time_is_over(tmp_path: Path) -> None:
    names = Script(api_test=["127.0.0.1", "127.0.0.2"])
    lines = 'dns_refresh = "20ms"\nejection = { strikes = 2, within = "1m", for = "300ms" }'

    def ill_but_for_polls(request: Message) -> Sequence[Step]:
        return () if request.target.startswith("/poll") else (End.RESET,)

    async with AnsweringAt("127.0.0.1") as well, AnsweringAt("127.0.0.2", well.port) as ill:
        well.then = ill.then = ill_but_for_polls
        routes = route("poll", "/poll", ["poll"]) + route()
        text = fleet(f"http://api.test:{well.port}", lines=lines, more=hold(), routes=routes)
        async with gateway(text, tmp_path, resolve=names) as gw, polling(gw, get("/poll"), get("/poll")):
            await until(lambda: len(well.requests) == len(ill.requests) == 1)
            well.then = (answer(),)
            await fail(gw.port, 4)
            assert (await events(gw, 1))[0]["endpoint"] == f"api.test@127.0.0.2:{well.port}"
            names.at["api.test"] = ["127.0.0.1"]
            await until(lambda: len(gw.app.members.names["api.test"].places) == 1)
            names.at["api.test"] = ["127.0.0.1", "127.0.0.2"]
            assert (await events(gw, 2))[1]["kind"] == "restore"
            assert {each["state"] for each in await endpoints(gw)} == {"in"}
