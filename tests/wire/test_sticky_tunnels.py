"""Sessions that are tunnels: what a handshake says and where it goes count as of any call; one that lasts is in use."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from gateway.upstream.sticky import Sticky
from tests.kit.gateways import config, gateway, route
from tests.kit.raw import client
from tests.kit.tunnels import WEBSOCKET, Far, FarEnd, opened, switching

STICKY = 'balance = "sticky:query.sid"\nsticky = { id = "header:X-Session" }'


def text(*ends: FarEnd) -> str:
    return config(*(each.port for each in ends), upstream=STICKY, more=WEBSOCKET, routes=route(policies=["ws"]))


async def test_a_session_that_begins_with_a_tunnel_stays_where_it_began(tmp_path: Path) -> None:
    numbers = count()

    def name(far: Far) -> bytes:
        return switching() if b"sid=" in far.head else switching(f"X-Session: s{next(numbers)}")

    async with FarEnd(name) as one, FarEnd(name) as two, gateway(text(one, two), tmp_path) as gw:
        for number in range(10):
            places = []
            for target in ("/", f"/?sid=s{number}"):
                before = len(one.all)
                async with client(gw.port) as raw:
                    await opened(raw, target)
                    places.append(len(one.all) > before)
            assert places[0] == places[1]


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_session_is_used_for_as_long_as_its_tunnel_lasts(tmp_path: Path, elsewhere: bool) -> None:
    """Its endpoint is remembered from the end on, but not where the session has moved meanwhile."""
    async with FarEnd() as one, FarEnd() as two, gateway(text(one, two), tmp_path) as gw:
        upstream = gw.app._serve.snapshot.upstreams["up"]
        sticky = upstream.sessions
        assert isinstance(sticky, Sticky)
        async with client(gw.port) as raw:
            await opened(raw, "/?sid=a")
            ((key, (home, _)),) = sticky.pins._kept.items()
            sticky.pins.forget(key)  # nobody has used it for `keep`
            other = next(each for each in upstream.endpoints if each is not home)
            if elsewhere:
                sticky.pins.put(key, other, gw.app._timers.now(), 600.0)
        await gw.record()
        assert sticky.pins.get(key, gw.app._timers.now(), 600.0) is (other if elsewhere else home)
