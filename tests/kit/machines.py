"""A machine to test: `gateway run` with several workers, as a process with processes under it. It is looked at from
outside: what it tells systemd, its sockets, its workers' processes, what each of them answers in the machine's
directory.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .gateways import SECRET, Process, Record, config
from .ports import free_port
from .waiting import until, until_sync

PROCESSES = 60.0  # seconds, a net: three processes start beside many others


class Systemd:
    """Whom a service tells how it is: a real datagram socket, in the abstract namespace. `said` is each datagram so
    far, as a dict of its lines."""

    def __init__(self) -> None:
        self.name = f"@gateway-test-{secrets.token_hex(8)}"
        self._said: list[dict[str, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind("\0" + self.name[1:])

    @property
    def said(self) -> list[dict[str, str]]:
        with contextlib.suppress(BlockingIOError):
            while True:
                lines = self._socket.recv(4096).decode().splitlines()
                self._said.append(dict(line.split("=", 1) for line in lines))
        return self._said

    def heard(self, name: str) -> bool:
        """Whether a variable was ever told."""
        return any(name in each for each in self.said)

    def close(self) -> None:
        self._socket.close()


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """One worker, as it was found. `directory` is the machine's."""

    number: int
    pid: int
    directory: Path


@dataclass
class Machine(Process):
    """Its `port` is that of the first address, its admin listener speaks for all workers."""

    systemd: Systemd = field(default_factory=Systemd)

    @property
    def workers(self) -> dict[int, WorkerProcess]:
        """Those that are there now, by number; also those that do not serve yet, and those that end."""
        found = map(_worker, _children(self.process.pid))
        return {each.number: each for each in found if each is not None}

    def kill(self, number: int, how: signal.Signals = signal.SIGKILL) -> int:
        """Ends a worker without a warning; its pid."""
        pid = self.workers[number].pid
        os.kill(pid, how)
        return pid

    async def until_serving(self, count: int) -> None:
        """Until so many workers answer."""
        await until(lambda: len(self.answering()) == count, f"{count} workers that serve: {self.said()}", PROCESSES)

    async def exit_code(self) -> int:
        await until(lambda: self.process.poll() is not None, f"the machine's exit: {self.said()}", PROCESSES)
        return int(self.process.returncode)

    def answering(self) -> list[int]:
        """The numbers of the workers that answer."""
        return [number for number, each in self.workers.items() if _ask(each, "/healthz")[0] == 200]

    async def of_worker(self, number: int, path: str) -> Any:
        """What the admin side of one worker answers, JSON."""
        status, body = await asyncio.to_thread(_ask, self.workers[number], path)
        assert status == 200, (status, body)
        return json.loads(body)

    async def held_by(self) -> dict[int, list[Record]]:
        """The calls of `/api/held`, worker by worker."""
        return {number: (await self.of_worker(number, "/api/held"))["calls"] for number in sorted(self.workers)}

    def said(self) -> str:
        """What the processes wrote."""
        return self.output.read_text("utf-8", "replace")


def machine_config(
    *upstreams: str | int, workers: int | str = 2, state: str = "shared://", server: str = "", more: str = "",
    listen: Sequence[str] = (), **tables: Any,
) -> str:  # fmt: skip
    """`config` for several workers, with free ports."""
    return config(
        *upstreams, server=f"workers = {json.dumps(workers)}\n{server}", more=f'[state]\nurl = "{state}"\n{more}',
        listen=listen or [f"127.0.0.1:{free_port()}"], admin=f"127.0.0.1:{free_port()}", **tables,
    )  # fmt: skip


@contextlib.contextmanager
def machine(
    text: str, folder: Path, command: Sequence[str] = (sys.executable, "-m", "gateway"), serves: bool = True,
    **process: Any,
) -> Iterator[Machine]:  # fmt: skip
    """`gateway run` on that configuration, all its workers ready, or not waited for unless it `serves`; killed at the
    end with all of them, if it still runs. `command` is what comes before "run", `process` is for
    `subprocess.Popen`."""
    file, output = folder / "gateway.toml", folder / "output.txt"
    file.write_text(text.replace("file:calls.jsonl", f"file:{folder}/calls.jsonl"), "utf-8")
    systemd = Systemd()
    environ = {**os.environ, "GATEWAY_TEST_SECRET": SECRET, "NOTIFY_SOCKET": systemd.name, **process.pop("env", {})}
    with output.open("wb") as sink:
        whole = [*command, "run", "-c", str(file)]
        started = subprocess.Popen(whole, stdout=sink, stderr=sink, cwd=folder, env=environ, **process)
    port, admin_port = _ports_of(text)
    found = Machine(port, admin_port, folder / "calls.jsonl", started, output, systemd)
    try:
        if serves:
            until_sync(lambda: started.poll() is not None or systemd.heard("READY"), "READY=1", PROCESSES)
            assert started.poll() is None, found.said()
        yield found
    finally:
        _end(found)


def _end(found: Machine) -> None:
    """Nobody is left, not even of a machine whose supervisor was killed."""
    left = [each.pid for each in map(_worker, _everybody()) if each is not None and _is_of(each, found)]
    for pid in (found.process.pid, *left):
        if pid != found.process.pid or found.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    found.process.wait()
    found.systemd.close()


def _is_of(worker: WorkerProcess, machine: Machine) -> bool:
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{worker.pid}/cwd") == str(machine.output.parent.resolve())
    return False


def _ports_of(text: str) -> tuple[int, int]:
    found = tomllib.loads(text)
    first, admin = found["server"]["listen"][0], found["admin"]["listen"]
    port = first.rpartition(":")[2] if first[:3] not in ("uni", "fd:") else 0
    return int(port), int(admin.rpartition(":")[2])


def _everybody() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _children(parent: int) -> list[int]:
    return [pid for pid in _everybody() if _parent(pid) == parent]


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _worker(pid: int) -> WorkerProcess | None:
    """What this process was told when it was started, if it is a worker and not a zombie."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_text("utf-8").split("\0")
    except OSError:
        return None
    if "gateway.machine.worker" not in arguments:
        return None
    orders = json.loads(arguments[arguments.index("gateway.machine.worker") + 1])
    return WorkerProcess(orders["number"], pid, Path(orders["directory"]))


def _ask(worker: WorkerProcess, path: str) -> tuple[int, bytes]:
    """A GET to the admin side of a worker; nobody there is status 0."""
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(str(worker.directory / f"worker-{worker.number}.sock"))
            connection = http.client.HTTPConnection("localhost")
            connection.sock = sock
            connection.request("GET", path)
            found = connection.getresponse()
            return found.status, found.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
