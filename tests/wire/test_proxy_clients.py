"""Clients whom a PROXY header names, at the door and behind it: each counts for itself, in limits, lists and places."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.certificates import Certificate
from tests.kit.gateways import config, gateway, route
from tests.kit.proxy_headers import v1
from tests.kit.raw import client, connect, get
from tests.kit.upstreams import ScriptedUpstream
from tests.kit.waiting import until

from .test_proxy_protocol import BEHIND, tls_of, turned_away


async def test_connections_count_for_the_client_and_not_for_its_proxy(tmp_path: Path) -> None:
    server = BEHIND + "per_address = { connections = 2 }\n"
    async with ScriptedUpstream() as up, gateway(config(up.port, server=server), tmp_path) as gw:
        crowd = [await connect(gw.port, first=[v1("192.0.2.7")]) for _ in range(2)]
        crowd += [await connect(gw.port, first=[v1(f"192.0.2.{number}")]) for number in (8, 9)]
        for raw in crowd:
            assert (await raw.ask(get())).status == 200
        async with client(gw.port, first=[v1("192.0.2.7")]) as late:
            assert (await late.read_answer()).status == 429
        await crowd[0].close()
        await until(lambda: gw.app._edge.room.open == 3)
        async with client(gw.port, first=[v1("192.0.2.7")]) as again:
            assert (await again.ask(get())).status == 200
        for raw in crowd:
            await raw.close()
        await turned_away(gw, "address", 1)


async def test_allow_lists_and_limits_per_address_see_the_client(tmp_path: Path) -> None:
    more = '[policy.edge.allow_list]\naddresses = ["192.0.2.0/24"]\n'
    more += '[[policy.edge.rate_limit]]\nrate = "1/min"\nburst = 1\nper = "address"\n'
    text = config(1, server=BEHIND, more=more, routes=route(policies=["edge"]))
    async with ScriptedUpstream() as up, gateway(text.replace(':1"', f':{up.port}"'), tmp_path) as gw:
        found = []
        for address in ("192.0.2.7", "192.0.2.7", "192.0.2.8", "198.51.100.1"):
            async with client(gw.port, first=[v1(address)]) as raw:
                found.append((await raw.ask(get())).status)
        assert found == [200, 429, 200, 403]


@pytest.mark.parametrize(("client_address", "seen"), [("192.0.2.7", "192.0.2.7"), ("127.0.0.9", "203.0.113.9")])
async def test_what_a_client_says_of_itself_is_believed_only_of_a_trusted_proxy(
    tmp_path: Path, client_address: str, seen: str
) -> None:
    """The header names another proxy, or a stranger who would like to be one."""
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, server=BEHIND), tmp_path) as gw,
        client(gw.port, first=[v1(client_address)]) as raw,
    ):
        assert (await raw.ask(get("/", "X-Forwarded-For: 203.0.113.9"))).status == 200
        assert (await gw.record())["peer"] == seen


@pytest.mark.parametrize("encrypted", [False, True])
async def test_who_is_one_too_many_is_told_so_behind_its_header(
    tmp_path: Path, certificate: Certificate, encrypted: bool
) -> None:
    server = BEHIND + "max_connections = 1\n" + (tls_of(certificate) if encrypted else "")
    tls = certificate.client() if encrypted else None
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, server=server), tmp_path) as gw,
        client(gw.port, tls, first=[v1("192.0.2.7")]) as raw,
    ):
        assert (await raw.ask(get())).status == 200
        async with client(gw.port, tls, first=[v1("192.0.2.8")]) as late:
            assert (await late.read_answer()).status == 503
        await until(lambda: gw.app._edge.room.away == 0)
