"""One process of a worker, from its start to its end: what it is given, the line to it, and what it ended with."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.machine.directory import Directory
from gateway.machine.link import Handler, Link
from gateway.machine.pulse import Pulse

COMMAND = (sys.executable, "-P", "-m", "gateway.machine.worker")  # -P: what lies in the working directory is no module
_INSTALL = "install the gateway where its user may run it"
_REMEDIES = {
    errno.EACCES: _INSTALL,
    errno.ENOENT: _INSTALL,
    errno.EAGAIN: "allow more processes (ulimit -u, TasksMax=)",
    errno.ENOMEM: "give it more memory, or write fewer workers",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}

_FOREIGN = "by hand, or for want of memory: see the kernel's log"


@dataclass(frozen=True, slots=True)
class Machine:
    """What all workers are given."""

    config: Path
    workers: int
    sockets: Mapping[str, Sequence[socket.socket]]
    directory: Directory


class LaunchError(OSError):
    """The process of a worker cannot be started; the text is one sentence for the operator."""


def _why_not(error: OSError) -> str:
    reason = (error.strerror or "unknown error").lower()
    return f"cannot be started: {COMMAND[0]}: {reason}; {_REMEDIES.get(error.errno or 0, 'look what the system lacks')}"


class Life:
    """`owner` is whom the store lends to, as the process said; `code` its exit code, or the negative of a signal."""

    def __init__(self, number: int, process: asyncio.subprocess.Process) -> None:
        self.number = number
        self.owner = ""
        self.served = False  # ever
        self.began = asyncio.get_running_loop().time()
        self.code: int | None = None
        self.link: Link
        self.pulse = Pulse()
        self._killed_as = ""  # by us, and why
        self._process = process
        self._failed: tuple[int, str] | None = None
        self._when_served: Callable[[], object] = lambda: None

    @classmethod
    async def begin(cls, machine: Machine, number: int, handlers: Mapping[str, Handler]) -> Life:
        """Raises LaunchError."""
        try:
            return await cls._begin(machine, number, handlers)
        except OSError as error:
            raise LaunchError(error.errno or 0, _why_not(error)) from None

    @classmethod
    async def _begin(cls, machine: Machine, number: int, handlers: Mapping[str, Handler]) -> Life:
        ours, its = socket.socketpair()
        sockets = {name: [sock.fileno() for sock in some] for name, some in machine.sockets.items()}
        orders = {"config": str(machine.config), "number": number, "workers": machine.workers,
                  "directory": str(machine.directory.path), "lock": machine.directory.lock, "link": its.fileno(),
                  "sockets": sockets}  # fmt: skip
        inherits = [its.fileno(), machine.directory.lock, *(each for some in sockets.values() for each in some)]
        with its:
            process = await asyncio.create_subprocess_exec(
                *COMMAND, json.dumps(orders), stdin=asyncio.subprocess.DEVNULL, pass_fds=inherits,
                start_new_session=True,  # Ctrl-C in a terminal means the supervisor
            )  # fmt: skip
        life = cls(number, process)
        life.link = await Link.over(ours, {**handlers, **life._handlers()})
        return life

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def serves(self) -> bool:
        return self.served and not self.link.lost.done()

    @property
    def failed_with(self) -> tuple[int, str]:
        """Exit code and sentence for the operator, of one that did not come to serve."""
        return self._failed or (1, f"gateway: a worker {self.how} before it served")

    @property
    def how(self) -> str:
        """How it ended, in words."""
        code = self.code or 0
        if self._failed is not None:
            return f"could not start ({self._failed[1]})"
        if code >= 0:
            return f"(pid {self.pid}) ended with exit code {code}"
        hint = f" ({self._killed_as or _FOREIGN})" if code == -signal.SIGKILL else ""
        return f"(pid {self.pid}) was ended by {signal.Signals(-code).name}{hint}"

    def when_served(self, call: Callable[[], object]) -> None:
        self._when_served = call
        if self.served:
            call()

    async def end(self) -> None:
        """Waits for the end of the process, and for the last it had to say."""
        self.code = await self._process.wait()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.link.lost), 1.0)
        self.link.close()

    def kill(self, why: str = "") -> None:
        if self.code is None:
            self._killed_as = self._killed_as or why
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _handlers(self) -> Mapping[str, Handler]:
        return {"ready": self._ready, "failed": self._fail, "alive": self.pulse.beats}

    def _ready(self, owner: str, pid: int) -> None:
        self.owner, self.served = owner, True
        self._when_served()

    def _fail(self, code: int, text: str) -> None:
        self._failed = code, text
