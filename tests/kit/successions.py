"""One gateway after another at the same addresses: newcomers that take over (`gateway run --replace`), and clients that
connect all the while and tell what came of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from .gateways import SECRET, Record, hold, read_records, route
from .machines import Machine, Systemd, _end, _ports_of, machine_config
from .raw import RawClient, connect, get
from .strict import Cut
from .upstreams import HoldingUpstream, ScriptedUpstream
from .waiting import until

WINDOW = 'drain = "2s"\nstop_grace = "20s"\ncontrol = "unix:c.sock"\n'
LONG = hold(absent='"120s"', max='"120s"')  # however slowly the next process starts
PAUSE = 0.01  # seconds from one probe to the next


def two_routes(
    up: HoldingUpstream, quick: ScriptedUpstream, mark: str = "old", workers: int = 2, server: str = WINDOW,
    state: str = "", more: str = "", policies: str = '"poll", "mark"', **tables: Any,
) -> str:  # fmt: skip
    """`/poll` is held by `up`, `/quick` answered by `quick`; every answer of either bears the mark."""
    return machine_config(
        up.port, workers=workers, state=state or ("shared://" if workers > 1 else "memory://"), server=server,
        more=f'{LONG}{more}[policy.mark.headers]\nresponse = {{ set = {{ X-Mark = "{mark}" }} }}\n'
        f'[upstream.quick]\nendpoints = ["http://127.0.0.1:{quick.port}"]\n',
        routes=route("quick", "/quick", ["mark"]).replace('upstream = "up"', 'upstream = "quick"')
        + route("poll", "/poll").replace("policies = []", f"policies = [{policies}]"),
        **tables,
    )  # fmt: skip


def marked(text: str, mark: str) -> str:
    """The same configuration, with another mark."""
    return text.replace('X-Mark = "old"', f'X-Mark = "{mark}"')


@contextlib.asynccontextmanager
async def newcomer(
    text: str, folder: Path, name: str = "newcomer", serves: bool = True, **process: Any
) -> AsyncIterator[Machine]:
    """`gateway run --replace` on that configuration; unless it `serves`, it is not waited for. It runs in a
    folder of its own, by which its workers are told from those of the one before."""
    file, own, systemd = folder / "gateway.toml", folder / name, Systemd()
    own.mkdir(exist_ok=True)
    output = own / "output.txt"
    file.write_text(text.replace("file:calls.jsonl", f"file:{folder}/calls.jsonl"), "utf-8")
    environ = {**os.environ, "GATEWAY_TEST_SECRET": SECRET, "NOTIFY_SOCKET": systemd.name}
    command = [sys.executable, "-m", "gateway", "run", "--replace", "-c", str(file)]
    with output.open("wb") as sink:
        started = subprocess.Popen(command, stdout=sink, stderr=sink, cwd=own, env=environ, **process)
    found = Machine(*_ports_of(text), folder / "calls.jsonl", started, output, systemd)
    try:
        if serves:
            await until(lambda: started.poll() is not None or "in the place of" in found.said(), "its turn", 60)
            assert started.poll() is None, found.said()
        yield found
    finally:
        _end(found)


async def polls(port: int, up: HoldingUpstream, many: int, *fields: str) -> list[RawClient]:
    """So many clients more, each with a poll that is held."""
    before = up.begun
    clients = [await connect(port) for _ in range(many)]
    for raw in clients:
        await raw.send(get("/poll", *fields))
    await until(lambda: up.begun == before + many, "polls that have reached the service")
    return clients


async def ends(clients: list[RawClient]) -> Counter[tuple[int, str]]:
    """How they ended: status and mark, (0, "") where there was no answer."""
    return Counter(await asyncio.gather(*map(_end_of, clients)))


async def _end_of(raw: RawClient) -> tuple[int, str]:
    try:
        found = await raw.read_answer()
        return found.status, found.one("X-Mark") or ""
    except (Cut, OSError):
        return 0, ""
    finally:
        await raw.close()


async def records_of(folder: Path, count: int) -> list[Record]:
    """The records of all processes, once there are so many."""

    def found() -> list[Record]:
        return read_records(folder / "calls.jsonl")

    await until(lambda: len(found()) >= count, f"{count} records")
    return found()


class Probes:
    """Clients that connect one after the other and ask `/quick`: what came of each."""

    def __init__(self, port: int) -> None:
        self.found: Counter[tuple[int, str]] = Counter()
        self._port = port
        self._over = False
        self.task: asyncio.Task[None] | None = None

    async def one(self) -> tuple[int, str]:
        try:
            raw = await connect(self._port)
        except OSError as error:
            return 0, type(error).__name__
        await raw.send(get("/quick"))
        return await _end_of(raw)

    async def until_only(self, mark: str) -> None:
        """Until the one with that mark answers; whoever hands on may still take some meanwhile, and loses none."""
        while (end := await self.one()) != (200, mark):
            assert end[0] == 200, end

    async def run(self) -> None:
        while not self._over:
            self.found[await self.one()] += 1
            await asyncio.sleep(PAUSE)

    async def stop(self) -> None:
        """Whoever connected last has its answer, or not."""
        self._over = True
        if self.task is not None:
            await self.task

    async def until_seen(self, mark: str, times: int = 20) -> None:
        await until(lambda: self.found[200, mark] >= times, f"{times} answers of {mark}, not only {self.found}")

    @property
    def lost(self) -> dict[tuple[int, str], int]:
        return {end: times for end, times in self.found.items() if end[0] != 200}


@contextlib.asynccontextmanager
async def probes(port: int) -> AsyncIterator[Probes]:
    """All the while; `stop` them before the last gateway ends."""
    found = Probes(port)
    found.task = asyncio.create_task(found.run())
    try:
        yield found
    finally:
        await found.stop()
