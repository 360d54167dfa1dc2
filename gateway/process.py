"""`gateway run` as a process: its event loop, its signals, its exit code."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

from gateway.app import App
from gateway.config import read_config
from gateway.machine.notify import Notifier
from gateway.machine.planning import cores
from gateway.machine.sockets import handed_over
from gateway.machine.supervisor import Supervisor
from gateway.machine.workers import StartError


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one, else what asyncio has."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def run(path: Path) -> int:
    """Serves until SIGTERM or Ctrl-C (drain; a second one stops at once); SIGHUP reloads. Returns the exit code.

    Raises ConfigError, ValueError or OSError, each with sentences for the operator.
    """
    sys.unraisablehook = tell_of_bugs
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    config, notices = read_config(path)
    handed_over(os.environ, config.server.listen)
    notifier = Notifier(os.environ)
    workers = config.server.workers or cores()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        if workers == 1:
            return runner.run(_serve_until_told(Alone(App(path, read=(config, notices)), notifier)))
        try:
            return runner.run(_serve_until_told(Supervisor(path, (config, notices), workers, notifier)))
        except StartError as error:
            print(error, file=sys.stderr)
            return error.code


def tell_of_bugs(found: sys.UnraisableHookArgs) -> None:
    """ssl prints five lines for each client that asks for a host which is no text: a stranger shall not fill the
    log."""
    if not (isinstance(found.exc_value, UnicodeDecodeError) and isinstance(found.object, bytes)):
        sys.__unraisablehook__(found)


class Served(Protocol):
    """What a process of `gateway run` does: an App, or a Supervisor of several."""

    async def start(self) -> None: ...

    async def reload(self) -> object: ...

    async def drain(self) -> None: ...

    async def stop(self) -> None: ...

    async def wait_stopped(self) -> None: ...


async def _serve_until_told(served: Served) -> int:
    loop = asyncio.get_running_loop()
    signals = Signals(served)
    loop.add_signal_handler(signal.SIGHUP, signals.reload)  # before the start: SIGHUP would end the process
    await served.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.end)
    await served.wait_stopped()
    return 0  # a reload that still reads is given up


class Alone:
    """The only process of its machine: an App, and systemd is told how it is."""

    def __init__(self, app: App, notifier: Notifier) -> None:
        self._app = app
        self._notifier = notifier
        self.stop = app.stop
        self.wait_stopped = app.wait_stopped

    async def start(self) -> None:
        await self._app.start()
        self._notifier.ready("serving")
        self._notifier.watch(asyncio.get_running_loop())

    async def reload(self) -> None:
        self._notifier.reloading()
        problems = await self._app.reload()
        self._notifier.ready(f"serving; the reload failed: {problems[0]}" if problems else "serving")

    async def drain(self) -> None:
        self._notifier.stopping("draining")
        await self._app.drain()


class Signals:
    """What was asked for by signals. A reload that waits for its turn serves for all that are asked for meanwhile."""

    def __init__(self, served: Served) -> None:
        self.tasks: set[asyncio.Task[object]] = set()
        self._served = served
        self._ending = False
        self._reload_asked = False

    def end(self) -> None:
        self._run(self._served.stop() if self._ending else self._served.drain())
        self._ending = True

    def reload(self) -> None:
        if not self._reload_asked:
            self._reload_asked = True
            self._run(self._reload())

    async def _reload(self) -> None:
        self._reload_asked = False
        await self._served.reload()

    def _run(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
