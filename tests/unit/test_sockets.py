"""Options of sockets on both sides: peers that vanished without a word are found, small writes leave at once."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from gateway.config.addresses import parse_listen
from gateway.edge.listen import bind
from gateway.sockets import PROBE_AFTER, PROBE_EVERY, PROBES, USER_TIMEOUT
from tests.kit.gateways import config, gateway
from tests.kit.raw import client, get
from tests.kit.upstreams import HoldingUpstream
from tests.kit.waiting import until

pytestmark = pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="options of Linux")


def options(sock: Any) -> dict[str, int]:
    tcp = ("TCP_NODELAY", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
    found = {name: sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in tcp}
    return found | {"SO_KEEPALIVE": sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)}


WANTED = {
    "TCP_NODELAY": 1, "TCP_KEEPIDLE": PROBE_AFTER, "TCP_KEEPINTVL": PROBE_EVERY, "TCP_KEEPCNT": PROBES,
    "TCP_USER_TIMEOUT": USER_TIMEOUT, "SO_KEEPALIVE": 1,
}  # fmt: skip


def test_accepted_connections_inherit_the_options_of_their_listener() -> None:
    (listening,) = bind(parse_listen("127.0.0.1:0", Path()))
    listening.setblocking(True)
    with listening, socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
        assert options(accepted) == WANTED


async def test_both_sockets_of_a_held_call_have_them(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, gateway(config(up.port), tmp_path) as gw, client(gw.port) as raw:
        await raw.send(get())
        await until(lambda: up.held == 1)
        (connection,) = gw.app._edge.connections
        assert connection.transport is not None and connection.call is not None
        upstream: Any = connection.call.up
        sides = (connection.transport, upstream.transport)
        assert [options(side.get_extra_info("socket")) for side in sides] == [WANTED] * 2
