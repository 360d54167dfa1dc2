"""`gateway run` as a process: its event loop, its signals, its exit code."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from gateway.app import App


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one, else what asyncio has."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def run(path: Path) -> int:
    """Serves until SIGTERM or Ctrl-C (drain; a second one stops at once); SIGHUP reloads. Returns the exit code."""
    sys.unraisablehook = _tell_of_bugs
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_serve_until_told(path))


def _tell_of_bugs(found: sys.UnraisableHookArgs) -> None:
    """ssl prints five lines for each client that asks for a host which is no text: a stranger shall not fill the
    log."""
    if not (isinstance(found.exc_value, UnicodeDecodeError) and isinstance(found.object, bytes)):
        sys.__unraisablehook__(found)


async def _serve_until_told(path: Path) -> int:
    app = App(path)
    loop = asyncio.get_running_loop()
    signals = Signals(app)
    loop.add_signal_handler(signal.SIGHUP, signals.reload)  # before the start: SIGHUP would end the process
    await app.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.end)
    await app.wait_stopped()
    return 0  # a reload that still reads is given up


class Signals:
    """What was asked for by signals. A reload that waits for its turn serves for all that are asked for meanwhile."""

    def __init__(self, app: App) -> None:
        self.tasks: set[asyncio.Task[object]] = set()
        self._app = app
        self._ending = False
        self._reload_asked = False

    def end(self) -> None:
        self._run(self._app.stop() if self._ending else self._app.drain())
        self._ending = True

    def reload(self) -> None:
        if not self._reload_asked:
            self._reload_asked = True
            self._run(self._reload())

    async def _reload(self) -> None:
        self._reload_asked = False
        await self._app.reload()

    def _run(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
