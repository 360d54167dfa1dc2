"""Tunnels: what one costs that stands idle, and what a message costs that is echoed through one, beside nginx on the
same core in the same minute. The two take turns in short rounds, so that a machine that drifts favours neither.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import click

from .measure import Figures, Scale, settle, warm
from .process import MeasureError, Process, free_ports, spawn
from .proxies import PROXY_CORE, Stage
from .wire import ASKED, ECHOED, SWITCHING, handshake

TALKING = 64  # tunnels in which messages pass, one at a time in each
ROUND = 50_000  # messages
AT_ONCE = 50  # tunnels opened together

NGINX = """\
daemon off;
worker_processes 1;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/nginx.err warn;
events {{ worker_connections 20000; }}
http {{
  access_log {directory}/nginx.log;
  client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
  uwsgi_temp_path {directory}; scgi_temp_path {directory};
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://127.0.0.1:{upstream};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
      proxy_read_timeout 1h;
    }}
  }}
}}
"""


@asynccontextmanager
async def nginx(upstream: int) -> AsyncIterator[tuple[Process, int] | None]:
    """An nginx before that upstream, on the proxy's core, and its port; None where none is installed."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        yield None
        return
    with TemporaryDirectory(prefix="bench-") as name:
        directory, port = Path(name), free_ports(1)[0]
        path = directory / "nginx.conf"
        path.write_text(NGINX.format(directory=directory, port=port, upstream=upstream))
        argv = [program, "-c", str(path), "-e", f"{directory}/nginx.err"]
        with spawn("nginx", argv, PROXY_CORE, directory) as proxy:
            await proxy.listening(port)
            yield proxy, port


class Talker(asyncio.Protocol):
    """One client. While messages are left it sends one whenever one has come back."""

    __slots__ = ("_head", "_room", "opened", "transport")
    transport: asyncio.Transport

    def __init__(self, room: Room, opened: asyncio.Future[None]) -> None:
        self._room = room
        self.opened = opened
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it

    def data_received(self, data: bytes) -> None:
        if self.opened.done():
            self._room.came(self, len(data))
            return
        self._head += data
        if self._head.endswith(b"\r\n\r\n"):
            if self._head.startswith(SWITCHING[:12]):
                self.opened.set_result(None)
            else:
                self.opened.set_exception(MeasureError(f"no tunnel but {self._head[:300]!r}"))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(MeasureError("a tunnel was lost before it was open"))
        self._room.lost()


class Room:
    """All clients of one proxy, and the messages they have to pass."""

    def __init__(self) -> None:
        self.talkers: list[Talker] = []
        self._left = 0  # messages to be sent
        self._due = 0  # bytes that are still to come back
        self._done: asyncio.Future[None] | None = None

    async def open(self, port: int, count: int, tokens: Iterator[str]) -> None:
        loop = asyncio.get_running_loop()
        while len(self.talkers) < count:
            more = [await self._dial(loop, port, token) for token in islice(tokens, min(AT_ONCE, count))]
            await asyncio.gather(*(talker.opened for talker in more))
            self.talkers += more

    async def _dial(self, loop: asyncio.AbstractEventLoop, port: int, token: str) -> Talker:
        transport, talker = await loop.create_connection(lambda: Talker(self, loop.create_future()), "127.0.0.1", port)
        transport.write(handshake(token))
        return talker

    async def echo(self, count: int) -> None:
        """Passes so many messages there and back."""
        self._done = asyncio.get_running_loop().create_future()
        self._left, self._due = count - TALKING, count * len(ECHOED)
        for talker in self.talkers[:TALKING]:
            talker.transport.write(ASKED)
        await self._done

    def came(self, talker: Talker, size: int) -> None:
        self._due -= size
        if self._left > 0:
            self._left -= 1
            talker.transport.write(ASKED)
        elif not self._due and self._done is not None:
            self._done.set_result(None)

    def lost(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(MeasureError("a tunnel was lost"))

    def close(self) -> None:
        for talker in self.talkers:
            talker.transport.abort()


async def tunnels(stage: Stage, scale: Scale) -> list[Figures]:
    """Memory of idle tunnels in a fresh process; then messages through this proxy and through nginx, in turns."""
    await warm(stage)
    room, other = Room(), Room()
    await room.open(stage.port, TALKING, stage.tokens)
    await settle()
    before = stage.proxy.pss()["Pss"]
    await room.open(stage.port, TALKING + scale.tunnels, stage.tokens)
    await settle(1.0)
    figures: Figures = {"tunnel_kib": (stage.proxy.pss()["Pss"] - before) / scale.tunnels}
    async with nginx(stage.upstream) as beside:
        if beside is None:
            click.echo("nginx is not installed, so nothing is compared with it; it is a Debian package", err=True)
        else:
            await other.open(beside[1], TALKING, stage.tokens)
        spent = [0.0, 0.0]
        rounds = max(1, scale.echoes // ROUND)
        for _ in range(rounds):
            spent[0] += await _round(room, stage.proxy)
            if beside is not None:
                spent[1] += await _round(other, beside[0])
        other.close()
    figures["tunnel_us"] = spent[0] / rounds / ROUND * 1e6
    if beside is not None:
        figures["tunnel_nginx_us"] = spent[1] / rounds / ROUND * 1e6
        figures["tunnel_nginx"] = spent[0] / spent[1]
    room.close()
    return [figures]


async def _round(room: Room, proxy: Process) -> float:
    """Seconds of CPU that a round takes the proxy."""
    cpu, began = proxy.cpu(), time.perf_counter()
    await room.echo(ROUND)
    if time.perf_counter() - began > 120:
        raise MeasureError(f"{proxy.name} takes too long")
    return proxy.cpu() - cpu
