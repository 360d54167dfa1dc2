"""The usual scene of a wire test: a client, a gateway on the test's loop, and an upstream that is already there."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from .gateways import InProcess, config, gateway
from .raw import RawClient, client
from .upstreams import ScriptedUpstream


@contextlib.asynccontextmanager
async def stage(up: ScriptedUpstream, folder: Path, **tables: Any) -> AsyncIterator[tuple[InProcess, RawClient]]:
    """A gateway before `up`, configured with `config(up.url, **tables)`, and one connected client."""
    async with gateway(config(up.url, **tables), folder) as gw, client(gw.port) as raw:
        yield gw, raw
