"""Peers that vanish without FIN or RST: every socket the gateway has, on both sides, asks its peer for a sign of life.
That the kernel then does what it is told is shown by `make chaos`, where a link can be cut.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.kit.certificates import Certificate
from tests.kit.gateways import InProcess, config, gateway, hold, route
from tests.kit.raw import client, get
from tests.kit.sockets import linux_only, options, wanted
from tests.kit.upstreams import HoldingUpstream
from tests.kit.waiting import until

pytestmark = linux_only
POLL = {"more": hold(), "routes": route(policies=["poll"])}
SECONDS = 37.0


def sides(gw: InProcess) -> tuple[Any, Any]:
    """The sockets of the only call: its client's and its service's."""
    (connection,) = gw.app._edge.connections
    assert connection.transport is not None and connection.call is not None
    upstream: Any = connection.call.up
    return tuple(side.get_extra_info("socket") for side in (connection.transport, upstream.transport))  # type: ignore[return-value]


@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
async def test_both_sockets_of_a_held_call_are_probed(tmp_path: Path, certificate: Certificate, secure: bool) -> None:
    trust = f'tls = {{ ca = "file:{certificate.cert}" }}' if secure else ""
    tls = f'tls = {{ cert = "file:{certificate.cert}", key = "file:{certificate.key}" }}\n' if secure else ""
    async with HoldingUpstream(tls=certificate.server() if secure else None) as up:
        text = config(up.url, server=f'{tls}vanished_after = "{SECONDS:g}s"', upstream=trust, **POLL)
        async with gateway(text, tmp_path) as gw, client(gw.port, certificate.client() if secure else None) as raw:
            await raw.send(get())
            await until(lambda: up.held == 1)
            assert [options(side) for side in sides(gw)] == [wanted(SECONDS)] * 2


async def test_a_unix_socket_has_nothing_to_ask_and_its_upstream_is_probed(tmp_path: Path) -> None:
    listen = [f"unix:{tmp_path}/g.sock"]
    async with (
        HoldingUpstream() as up,
        gateway(config(up.url, listen=listen, **POLL), tmp_path) as gw,
        client(tmp_path / "g.sock") as raw,
    ):
        await raw.send(get())
        await until(lambda: up.held == 1)
        assert options(sides(gw)[1]) == wanted(90.0)
