"""What is profiled: the gateway as it is compared with its peers, with everything on that the example has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.bench.peers.gateway import GATEWAY, interpreted
from tests.bench.peers.peer import POLL, Limits
from tests.bench.peers.playing import minted
from tests.bench.proxies import Command, Ports, Stage, stage


def full(ports: Ports, directory: Path) -> list[str]:
    """Its command. From the sources: of what is compiled no function is seen."""
    return interpreted(ports, directory, Limits())


@asynccontextmanager
async def profiled(command: Command = full) -> AsyncIterator[Stage]:
    """Started by that command, with a collector beside it."""
    async with stage(GATEWAY.name, command, GATEWAY.beside) as on:
        on.poll, on.tokens = POLL, minted()
        yield on
