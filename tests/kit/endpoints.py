"""Several endpoints behind one upstream, looked at from outside: configurations of them, what the admin API says of
each, and what the call log says happened to them.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any

from .gateways import OF_ENDPOINTS, Record, Running, config, read_records
from .raw import client, get
from .strict import Cut
from .upstreams import ScriptedUpstream
from .waiting import until


def fleet(*urls: str, lines: str = "", **tables: Any) -> str:
    """A configuration of one upstream whose calls go to its endpoints in turn. `lines` are of its table."""
    text = config("http://x", upstream=f'balance = "round-robin"\n{lines}', **tables)
    return text.replace('endpoints = ["http://x"]', f"endpoints = {json.dumps(list(urls))}")


async def endpoints(gw: Running) -> list[Record]:
    """Those of the only upstream, as the admin API has them."""
    status, body = await gw.admin("/api/upstreams")
    assert status == 200, body
    found: list[Record] = json.loads(body)["upstreams"][0]["endpoints"]
    return found


async def endpoint(gw: Running, up: ScriptedUpstream) -> Record:
    name = up.url.partition("://")[2]
    return next(each for each in await endpoints(gw) if each["name"] == name)


def happened(gw: Running) -> list[Record]:
    return [record for record in read_records(gw.log) if record.get("kind") in OF_ENDPOINTS]


async def events(gw: Running, count: int) -> list[Record]:
    """The lines of the call log that tell of endpoints, once there are so many."""
    await until(lambda: len(happened(gw)) >= count, f"{count} events")
    return happened(gw)


def calls(gw: Running) -> list[Record]:
    return [record for record in read_records(gw.log) if "kind" not in record]


async def statuses(gw: Running, count: int, target: str = "/") -> list[int]:
    """Of so many calls, one after the other, each on a connection of its own."""
    found = []
    for _ in range(count):
        async with client(gw.port) as raw:
            found.append((await raw.ask(get(target))).status)
    return found


async def fail(port: int, count: int) -> None:
    """So many calls, of which nobody minds how they end."""
    for _ in range(count):
        async with client(port) as raw:
            with contextlib.suppress(Cut):
                await raw.ask(get())


@contextlib.contextmanager
def nobody() -> Iterator[str]:
    """The URL of a port on which nobody listens, and which nobody else gets meanwhile."""
    with socket.socket() as keeper:
        keeper.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{keeper.getsockname()[1]}"
