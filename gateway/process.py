"""`gateway run` as a process: its event loop, its signals, its exit code."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from gateway.app import App
from gateway.config import read_config
from gateway.interpreter import SLOW, optimised
from gateway.machine.handover import CONTROL, Offer, Taken, take_over
from gateway.machine.link import Link
from gateway.machine.notify import Notifier
from gateway.machine.part import Part
from gateway.machine.planning import cores
from gateway.machine.replace import Control, Replaced, control_path
from gateway.machine.sockets import handed_over
from gateway.machine.supervisor import Supervisor
from gateway.machine.workers import StartError

logger = logging.getLogger("gateway")


NO_ORDERS = (
    signal.SIGUSR1,
    signal.SIGUSR2,
)  # to other servers they are; they would end a process that does not know them


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one, else what asyncio has."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def run(path: Path, replace: bool = False) -> int:
    """Serves until SIGTERM or Ctrl-C (drain; a second one stops at once); SIGHUP reloads. With `replace` it takes the
    place of the gateway that runs with this configuration. Returns the exit code.

    Raises ConfigError, ValueError or OSError, each with sentences for the operator.
    """
    _fill_standard()
    sys.unraisablehook = tell_of_bugs
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    config, notices = read_config(path)
    if not optimised():
        logger.info("%s", SLOW)
    handed_over(os.environ, config.server.listen)
    notifier = Notifier(os.environ)
    workers = config.server.workers or cores()
    control = control_path(path, config.server.control, os.environ)
    before = take_over(control) if replace else None
    given = before.sockets if before is not None else {}
    if replace and before is None:
        logger.warning("no gateway listens at unix:%s, so this one takes nobody's place", control)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        served: Served
        if workers == 1:
            served = Alone(App(path, part=Part(given=given), read=(config, notices)), notifier)
        else:
            served = Supervisor(path, (config, notices), workers, notifier, before)
        try:
            return runner.run(
                _serve_until_told(served, Control(control, served, config.server.control is not None), before)
            )
        except StartError as error:
            print(error, file=sys.stderr)
            return error.code


def _fill_standard() -> None:
    """Where whoever started us has closed standard input, output or error, nothing of ours comes in its place: a socket
    there would be written to, and libuv ends a process for it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free: this one


def tell_of_bugs(found: sys.UnraisableHookArgs) -> None:
    """ssl prints five lines for each client that asks for a host which is no text: a stranger shall not fill the
    log."""
    if not (isinstance(found.exc_value, UnicodeDecodeError) and isinstance(found.object, bytes)):
        sys.__unraisablehook__(found)


class Served(Replaced, Protocol):
    """What a process of `gateway run` does: an App, or a Supervisor of several."""

    async def start(self) -> None: ...

    async def reload(self) -> object: ...

    async def drain(self) -> None: ...

    async def stop(self) -> None: ...

    async def wait_stopped(self) -> None: ...

    def own(self) -> None:
        """What the process before has handed on is this one's alone."""

    def served(self) -> None:
        """Whoever waits for that is told that it serves, and can be asked to hand on."""


async def _serve_until_told(served: Served, control: Control, before: Taken | None) -> int:
    loop = asyncio.get_running_loop()
    signals = Signals(served)
    loop.add_signal_handler(signal.SIGHUP, signals.reload)  # before the start: each would end the process as it stands
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.end)
    for number in NO_ORDERS:
        loop.add_signal_handler(number, signals.puzzle, number)
    if before is not None:
        await before.listen({"pass": partial(served.heard, from_before=True)})
    if not await signals.start():
        return 0
    given = await _replace(served, before) if before is not None else ()
    control.open(given)
    served.served()
    await served.wait_stopped()
    control.close()
    return 0  # a reload that still reads is given up


async def _replace(served: Served, before: Taken) -> Sequence[socket.socket]:
    """We serve, so the process before may let go of what it has handed on: also of the socket over which it was asked,
    which is returned."""
    offer = served.offer()
    control = before.sockets.pop(CONTROL, ())
    if await before.ready((*offer.sockets, CONTROL)):
        logger.info("in the place of process %d, which ends what it holds", before.pid)
    else:
        logger.warning("process %d was gone before this one could take its place", before.pid)
    for name in before.sockets.keys() - offer.sockets.keys():
        for sock in before.sockets[name]:
            sock.close()
    served.own()
    return control


class Alone:
    """The only process of its machine: an App, and systemd is told how it is."""

    def __init__(self, app: App, notifier: Notifier) -> None:
        self._app = app
        self._notifier = notifier
        self._replaced = False
        self.successor: Link | None = None
        self.stop = app.stop
        self.own = app.own
        self.wait_stopped = app.wait_stopped

    async def start(self) -> None:
        await self._app.start()

    def served(self) -> None:
        self._notifier.ready("serving")
        self._notifier.watch(asyncio.get_running_loop())

    async def reload(self) -> None:
        self._notifier.reloading()
        problems = await self._app.reload()
        self._notifier.ready(f"serving; the reload failed: {problems[0]}" if problems else "serving")

    async def drain(self) -> None:
        if not self._replaced:
            self._notifier.stopping("draining")
        await self._app.drain()

    def offer(self) -> Offer:
        return Offer(self._app.offer())

    async def hand_over(self, pid: int, addresses: Collection[str]) -> None:
        self._replaced = True
        self._notifier.main(pid)
        self._app.hand_over(addresses)
        self._app.begin_drain(at_once=True)

    def heard(self, to: str, name: str, data: dict[str, Any], from_before: bool = False) -> None:
        """There is nobody here who shares anything with another process of this machine."""


class Signals:
    """What was asked for by signals. A reload that waits for its turn serves for all that are asked for meanwhile; what
    does not serve yet is reloaded when it does, and has nothing to drain."""

    def __init__(self, served: Served) -> None:
        self.tasks: set[asyncio.Task[object]] = set()
        self._served = served
        self._starting: asyncio.Task[None] | None = None
        self._started = asyncio.Event()
        self._ending = False
        self._reload_asked = False

    async def start(self) -> bool:
        """Whether it serves; else it was told to end before it did, and has ended."""
        if not self._ending:
            self._starting = asyncio.ensure_future(self._served.start())
            with suppress(asyncio.CancelledError):
                await self._starting
        if self._ending:
            await self._served.stop()
        self._started.set()
        return not self._ending

    def end(self) -> None:
        if self._started.is_set():
            self._run(self._served.stop() if self._ending else self._served.drain())
        elif not self._ending:
            logger.info("told to end before it served")
            if self._starting is not None:
                self._starting.cancel()
        self._ending = True

    def puzzle(self, number: signal.Signals) -> None:
        logger.warning(
            "%s changes nothing: a log that was moved needs none, SIGHUP is for the configuration", number.name
        )

    def reload(self) -> None:
        if not self._reload_asked:
            self._reload_asked = True
            self._run(self._reload())

    async def _reload(self) -> None:
        await self._started.wait()
        self._reload_asked = False
        await self._served.reload()

    def _run(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
