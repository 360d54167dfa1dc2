"""A peer on its stage: started with its limits, ready when it answers for the first time, and what it was told in the
words of its own configuration.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..load import Control
from ..process import MeasureError
from ..proxies import Ports, Stage, stage, tokens
from ..wire import answer_end, request, status
from .peer import POLL, Limits, Peer, written

CLAIMS = {"tenant": "tenant-7", "tier": "gold", "scope": "updates:read"}
READY = 20.0  # seconds in which a proxy that listens must serve


@dataclass(slots=True)
class Told:
    """How a peer was started: its files as they stood, and the command."""

    files: dict[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)
    directory: Path = Path()


@asynccontextmanager
async def playing(peer: Peer, limits: Limits, told: Told | None = None) -> AsyncIterator[Stage]:
    """That peer before a fresh upstream."""
    told = told or Told()

    def command(ports: Ports, directory: Path) -> list[str]:
        told.command, told.directory = peer.command(ports, directory, limits), directory
        told.files = written(peer, directory)
        return told.command

    async with stage(peer.name, command, peer.beside) as on:
        on.poll, on.tokens = POLL, minted()
        if peer.tls:
            on.tls = ssl.create_default_context(cafile=str(told.directory / "tls" / "cert.pem"))
        await _ready(on)
        yield on


def minted() -> Iterator[str]:
    """Tokens with all the claims that the gateway's policies ask for."""
    return tokens(**CLAIMS)


async def _ready(on: Stage) -> None:
    until, last = time.monotonic() + READY, b""
    token = next(on.tokens)
    while time.monotonic() < until:
        with suppress(OSError, TimeoutError):
            last = await ask(on, request("/now", token), 5.0)
            if last and status(last) == 200:
                return
        await asyncio.sleep(0.05)
    raise MeasureError(f"{on.proxy.name} does not serve but says {last[:300]!r}; it printed {on.proxy.last_words()}")


async def ask(on: Stage, wire: bytes, within: float) -> bytes:
    """The whole answer to one request on a connection of its own; what came of it when that was closed."""
    async with asyncio.timeout(within):
        reader, writer = await asyncio.open_connection("127.0.0.1", on.port, ssl=on.tls)
        try:
            writer.write(wire)
            data = b""
            while not answer_end(data):
                more = await reader.read(1 << 20)
                if not more:
                    break
                data += more
            return data
        finally:
            writer.transport.abort()


async def connections(control: Control) -> float:
    """How many the upstream has ever seen."""
    return (await control.stats())["connections"]
