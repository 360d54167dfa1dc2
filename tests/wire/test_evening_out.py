"""How load evens out: after an endpoint was started anew its polls are not lost for ever, new ones fill it up; and with
a slow start one that joins does not get everybody at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.kit.gateways import InProcess, config, gateway, hold, route
from tests.kit.ports import free_port
from tests.kit.raw import RawClient, connect, get
from tests.kit.upstreams import HoldingUpstream
from tests.kit.waiting import soon, until

POLL = {"more": hold(), "routes": route(policies=["poll"])}


async def park(gw: InProcess, count: int) -> list[RawClient]:
    clients = [await connect(gw.port) for _ in range(count)]
    for raw in clients:
        await raw.send(get("/?since=1"))
    return clients


async def leave(clients: Sequence[RawClient]) -> None:
    for raw in clients:
        await raw.close()


async def restart(up: HoldingUpstream) -> HoldingUpstream:
    """Another one at the same port, which knows nothing."""
    again = HoldingUpstream()
    again.port = up.port
    return await again.__aenter__()


@pytest.mark.parametrize("balance", ["least-held", "random-two"])
async def test_an_endpoint_that_was_started_anew_is_filled_up_by_new_polls(tmp_path: Path, balance: str) -> None:
    goes = HoldingUpstream()
    goes.port = free_port()
    async with HoldingUpstream() as stays, goes:
        text = config(stays.port, goes.port, upstream=f'balance = "{balance}"', **POLL)
        async with gateway(text, tmp_path) as gw:
            clients = await park(gw, 12)
            await until(lambda: stays.held + goes.held == 12 and goes.held > 2)
            await goes.close()
            await until(lambda: stays.held == 12)  # cursor polls are asked again
            again = await restart(goes)
            try:
                clients += await park(gw, 36)
                await until(lambda: stays.held + again.held == 48)
                assert abs(stays.held - again.held) <= (0 if balance == "least-held" else 8)
            finally:
                await leave(clients)
                await again.close()


@pytest.mark.parametrize(("slow_start", "most"), [("0s", 16), ("10m", 2)])
async def test_one_that_joins_gets_everybody_unless_it_starts_slowly(
    tmp_path: Path, slow_start: str, most: int
) -> None:
    async with HoldingUpstream() as old, HoldingUpstream() as new:
        line = f'slow_start = "{slow_start}"'
        async with gateway(config(old.port, upstream=line, **POLL), tmp_path) as gw:
            clients = await park(gw, 16)
            await until(lambda: old.held == 16)
            text = config(old.port, new.port, upstream=line, **POLL)
            gw.app.path.write_text(text.replace("file:calls.jsonl", f"file:{gw.log}"), "utf-8")
            assert await soon(gw.app.reload()) == []
            clients += await park(gw, 16)
            await until(lambda: old.held + new.held == 32)
            assert 1 <= new.held <= most and (slow_start != "0s" or new.held == most)
            await leave(clients)
