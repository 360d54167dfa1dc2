"""Endpoints that are names: where a name is decides where new calls go, and nothing that is parked. A resolver that
fails or hangs is nobody's trouble but that of names nobody has seen yet (RELIABILITY.md row 31).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.certificates import make_certificate
from tests.kit.gateways import InProcess, config, gateway, hold, read_records, route
from tests.kit.names import AnsweringAt, HoldingAt, Script
from tests.kit.polls import polling
from tests.kit.raw import client, get
from tests.kit.upstreams import ScriptedUpstream
from tests.kit.waiting import until

OFTEN = 'dns_refresh = "100ms"'
POLL: dict[str, Any] = {"more": hold(), "routes": route(policies=["poll"]), "upstream": OFTEN}


async def upstream(gw: InProcess, name: str = "up") -> dict[str, Any]:
    """What `/api/upstreams` tells of one."""
    _, body = await gw.admin("/api/upstreams")
    found: dict[str, Any] = next(each for each in json.loads(body)["upstreams"] if each["name"] == name)
    return found


@contextlib.asynccontextmanager
async def named(names: Script, text: str, folder: Path) -> AsyncIterator[InProcess]:
    """A gateway whose names are those of a script, which ends with it."""
    try:
        async with gateway(text, folder, resolve=names) as gw:
            yield gw
    finally:
        names.go()


async def move(gw: InProcess, names: Script, host: str, *addresses: str) -> None:
    """The name is there from now on, and the gateway knows it."""
    names.at[host] = list(addresses)
    await until(lambda: [place[0] for place in gw.app.members.names[host].places] == sorted(addresses))


async def looked_up(names: Script, host: str, times: int) -> None:
    """So many more look-ups have begun: all but the last are over."""
    before = names.asked[host]
    await until(lambda: names.asked[host] >= before + times)


async def test_a_name_that_moves_takes_new_polls_with_it_and_leaves_the_parked_ones(tmp_path: Path) -> None:
    names = Script(api_test=["127.0.0.1"])
    async with HoldingAt("127.0.0.1") as old, HoldingAt("127.0.0.2", old.port) as new:
        text = config(f"http://api.test:{old.port}", **POLL)
        async with named(names, text, tmp_path) as gw, polling(gw, *[get()] * 200):
            await until(lambda: old.held == 200)
            await move(gw, names, "api.test", "127.0.0.2")
            async with polling(gw, *[get()] * 20):
                await until(lambda: new.held == 20)
                assert old.held == 200
                old.publish()
                new.publish()
                records = await gw.records(220)
    assert {(record["outcome"], record["attempts"]) for record in records} == {("news", 1)}
    assert {record["endpoint"] for record in records} == {f"api.test:{old.port}"}
    assert {request.one("Host") for request in (*old.requests, *new.requests)} == {f"api.test:{old.port}"}


async def test_a_cursor_poll_that_dies_with_the_old_address_goes_on_at_the_new_one(tmp_path: Path) -> None:
    names = Script(api_test=["127.0.0.1"])
    async with HoldingAt("127.0.0.1") as old, HoldingAt("127.0.0.2", old.port) as new:
        text = config(f"http://api.test:{old.port}", **POLL)
        async with named(names, text, tmp_path) as gw, polling(gw, get("/?since=1"), get("/?since=2")):
            await until(lambda: old.held == 2)
            await move(gw, names, "api.test", "127.0.0.2")
            await old.close()
            await until(lambda: new.held == 2)
            new.publish()
            assert {(each["outcome"], each["attempts"]) for each in await gw.records(2)} == {("news", 2)}


async def test_connections_to_an_address_that_is_left_are_not_used_again(tmp_path: Path) -> None:
    names = Script(api_test=["127.0.0.1"])
    async with AnsweringAt("127.0.0.1") as old, AnsweringAt("127.0.0.2", old.port) as new:
        text = config(f"http://api.test:{old.port}", upstream=OFTEN)
        async with named(names, text, tmp_path) as gw, client(gw.port) as raw:
            assert (await raw.ask(get())).status == 200
            assert old.live == 1
            names.at["api.test"] = ["127.0.0.2"]
            await until(lambda: old.live == 0)
            assert (await raw.ask(get())).status == 200
    assert (len(old.requests), len(new.requests)) == (1, 1)


async def test_an_unchanged_name_keeps_its_connections_through_many_look_ups(tmp_path: Path) -> None:
    names = Script(api_test=["127.0.0.2", "127.0.0.1"])
    async with AnsweringAt("127.0.0.1") as one, AnsweringAt("127.0.0.2", one.port) as two:
        text = config(f"http://api.test:{one.port}", upstream='dns_refresh = "20ms"\nbalance = "round-robin"')
        async with named(names, text, tmp_path) as gw, client(gw.port) as raw:
            for _ in range(2):
                assert (await raw.ask(get())).status == 200
            for _ in range(4):
                names.at["api.test"].reverse()
                await looked_up(names, "api.test", 2)
            for _ in range(2):
                assert (await raw.ask(get())).status == 200
    assert (len(one.peers), len(two.peers)) == (1, 1)


async def test_every_address_of_a_name_is_an_endpoint_that_says_which_it_is(tmp_path: Path) -> None:
    names = Script(api_test=["127.0.0.2", "127.0.0.1"])
    async with HoldingAt("127.0.0.1") as one, HoldingAt("127.0.0.2", one.port) as two:
        text = config(f"http://api.test:{one.port}", **POLL)
        async with named(names, text, tmp_path) as gw, polling(gw, *[get()] * 10):
            await until(lambda: (one.held, two.held) == (5, 5))
            labels = {f"api.test@{address}:{one.port}" for address in ("127.0.0.1", "127.0.0.2")}
            assert {call["endpoint"] for call in await gw.held()} == labels
            assert {each["name"] for each in (await upstream(gw))["endpoints"]} == labels
    assert {request.one("Host") for request in (*one.requests, *two.requests)} == {f"api.test:{one.port}"}


async def test_a_poll_at_an_address_that_comes_back_before_it_ended_is_counted_there(tmp_path: Path) -> None:
    """What is parked at an address that left for a while is part of its load again."""
    names = Script(api_test=["127.0.0.1"])
    async with HoldingAt("127.0.0.1") as one, HoldingAt("127.0.0.2", one.port) as two:
        text = config(f"http://api.test:{one.port}", **POLL)
        async with named(names, text, tmp_path) as gw, polling(gw, *[get()] * 6):
            await until(lambda: one.held == 6)
            await move(gw, names, "api.test", "127.0.0.2")
            await move(gw, names, "api.test", "127.0.0.1", "127.0.0.2")
            async with polling(gw, *[get()] * 6):
                await until(lambda: two.held == 6)
                assert one.held == 6


async def test_a_name_that_does_not_exist_keeps_no_gateway_from_starting_and_is_asked_again(tmp_path: Path) -> None:
    names = Script()
    async with AnsweringAt("127.0.0.1") as up:
        text = config(f"http://api.test:{up.port}", upstream=OFTEN)
        async with named(names, text, tmp_path) as gw, client(gw.port) as raw:
            refused = await raw.ask(get())
            assert (refused.status, int(refused.one("Retry-After") or 0) >= 1) == (503, True)
            record = await gw.record()
            assert (record["outcome"], record["note"], record["attempts"]) == ("upstream_refused", "unresolved", 0)
            await move(gw, names, "api.test", "127.0.0.1")
            assert (await raw.ask(get())).status == 200


@pytest.mark.parametrize("trouble", ["gone", "stalled"])
async def test_a_name_that_was_known_stays_where_it_was_while_looking_it_up_fails(
    tmp_path: Path, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    names = Script(api_test=["127.0.0.1"])
    async with AnsweringAt("127.0.0.1") as up:
        text = config(f"http://api.test:{up.port}", upstream=OFTEN)
        async with named(names, text, tmp_path) as gw, client(gw.port) as raw:
            if trouble == "gone":
                del names.at["api.test"]
                await until(lambda: gw.app.members.names["api.test"].row >= 2)
            else:
                names.stalled.add("api.test")
                await until(lambda: names.now["api.test"] == 1)
            assert (await raw.ask(get())).status == 200
            if trouble == "gone":
                said = [each.getMessage() for each in caplog.records if "cannot be looked up" in each.getMessage()]
                assert len(said) == 1 and "its last addresses count on" in said[0]


async def test_a_resolver_that_hangs_keeps_no_other_upstream_waiting(tmp_path: Path) -> None:
    names = Script(slow_test=["127.0.0.1"], quick_test=["127.0.0.1"])
    async with AnsweringAt("127.0.0.1") as up, AnsweringAt("127.0.0.2", up.port) as moved:
        more = "\n".join(
            f'[upstream.{name}]\nendpoints = ["http://{name}.test:{up.port}"]\n{OFTEN}' for name in ("slow", "quick")
        )
        routes = "".join(route(name, f"/{name}").replace('"up"', f'"{name}"') for name in ("slow", "quick"))
        text = config(f"http://127.0.0.1:{up.port}", more=more, routes=routes + route())
        async with named(names, text, tmp_path) as gw, client(gw.port) as raw:
            names.stalled.add("slow.test")
            await until(lambda: names.now["slow.test"] == 1)
            await move(gw, names, "quick.test", "127.0.0.2")
            for path in ("/", "/quick", "/slow"):
                assert (await raw.ask(get(path))).status == 200
            await looked_up(names, "quick.test", 5)
            assert names.most == {"slow.test": 1, "quick.test": 1}, "one look-up of a name at a time"
    assert len(moved.requests) == 1


async def test_a_name_that_hangs_from_the_start_is_unknown_and_the_others_are_served(tmp_path: Path) -> None:
    names = Script(slow_test=["127.0.0.1"])
    names.stalled.add("slow.test")
    async with AnsweringAt("127.0.0.1") as up:
        more = f'[upstream.slow]\nendpoints = ["http://slow.test:{up.port}"]'
        routes = route("slow", "/slow").replace('"up"', '"slow"') + route()
        async with named(names, config(up.port, more=more, routes=routes), tmp_path) as gw, client(gw.port) as raw:
            assert (await raw.ask(get("/slow"))).status == 503
            assert (await raw.ask(get("/"))).status == 200
            names.go()
            await until(lambda: gw.app.members.names["slow.test"].places)
            assert (await raw.ask(get("/slow"))).status == 200


async def test_where_nobody_listens_on_ipv4_the_address_of_ipv6_is_tried(tmp_path: Path) -> None:
    names = Script(api_test=["::1", "127.0.0.1"])
    async with AnsweringAt("::1") as up:
        text = config(f"http://api.test:{up.port}")
        async with named(names, text, tmp_path) as gw, client(gw.port) as raw:
            assert (await raw.ask(get())).status == 200
            record = await gw.record()
            assert (record["endpoint"], record["attempts"]) == (f"api.test:{up.port}", 1)


async def test_ipv4_is_preferred_where_a_name_has_both(tmp_path: Path) -> None:
    names = Script(api_test=["::1", "127.0.0.1"])
    async with AnsweringAt("127.0.0.1") as four, AnsweringAt("::1", four.port) as six:
        text = config(f"http://api.test:{four.port}")
        async with named(names, text, tmp_path) as gw, client(gw.port) as raw:
            assert (await raw.ask(get())).status == 200
    assert (len(four.requests), len(six.requests)) == (1, 0)


async def test_a_name_with_ipv6_only_is_served_there(tmp_path: Path) -> None:
    names = Script(api_test=["::1"])
    async with AnsweringAt("::1") as up:
        text = config(f"http://api.test:{up.port}")
        async with named(names, text, tmp_path) as gw, client(gw.port) as raw:
            assert (await raw.ask(get())).status == 200
    assert up.requests[0].one("Host") == f"api.test:{up.port}"


async def test_over_tls_a_name_is_verified_wherever_it_is(tmp_path: Path) -> None:
    names, certificate = Script(api_test=["127.0.0.1"], bad_test=["127.0.0.1"]), make_certificate(tmp_path, "api.test")
    tls = f'tls = {{ ca = "file:{certificate.cert}" }}'
    async with ScriptedUpstream(tls=certificate.server()) as up:
        for host, status in (("api.test", 200), ("bad.test", 502)):
            text = config(f"https://{host}:{up.port}", upstream=tls)
            async with named(names, text, tmp_path) as gw, client(gw.port) as raw:
                assert (await raw.ask(get())).status == status
    assert [request.one("Host") for request in up.requests] == [f"api.test:{up.port}"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
async def test_localhost_and_addresses_are_never_looked_up_apart(tmp_path: Path, host: str) -> None:
    names = Script()
    async with AnsweringAt("::1" if host == "[::1]" else "127.0.0.1") as up:
        text = config(f"http://{host}:{up.port}")
        async with named(names, text, tmp_path) as gw, client(gw.port) as raw:
            assert (await raw.ask(get())).status == 200
            assert (await gw.record())["endpoint"] == f"{host}:{up.port}"
    assert not names.asked


async def test_a_gateway_ends_at_once_while_a_look_up_hangs(tmp_path: Path) -> None:
    names = Script(api_test=["127.0.0.1"])
    async with AnsweringAt("127.0.0.1") as up:
        text = config(f"http://api.test:{up.port}", upstream=OFTEN)
        async with named(names, text, tmp_path) as gw, client(gw.port) as raw:
            assert (await raw.ask(get())).status == 200
            names.stalled.add("api.test")
            await until(lambda: names.now["api.test"] == 1)
            await raw.close()
            await asyncio.wait_for(gw.app.drain(), 10)
            assert names.now["api.test"] == 1
            assert len(read_records(gw.log)) == 1
