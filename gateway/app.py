"""The composition root: builds a running gateway from a configuration file, starts it, drains it, stops it. Knows
everyone and decides nothing.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from aiohttp import web

from gateway.admin import live
from gateway.admin.api import make_admin
from gateway.call import Call, State
from gateway.clock import Clock, Timers
from gateway.config import read_config
from gateway.config.addresses import is_loopback
from gateway.config.compile import compile_config
from gateway.config.references import read_secret
from gateway.config.settings import Config
from gateway.descriptors import raise_limit
from gateway.drain import Drain
from gateway.edge.http1 import Downstream, Edge
from gateway.edge.listen import BACKLOG, bind
from gateway.edge.tls import server_context
from gateway.limits import Limits
from gateway.outcome import Outcome
from gateway.parse import Parsers
from gateway.policies.rate_limit import Screen
from gateway.serve import Serve
from gateway.state.memory import MemoryStore
from gateway.telemetry.log import CallLog
from gateway.telemetry.record import build
from gateway.upstream.forward import Forwarder

logger = logging.getLogger("gateway")

GC_THRESHOLDS = (50_000, 50, 1000)  # a full collection over parked polls stops the loop: let it be rare
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "notice": logging.INFO, "warning": logging.WARNING,
          "error": logging.ERROR}  # fmt: skip
AFTER_DRAIN = 0.5  # seconds for the last bytes of the last answers to leave


class App:
    """One gateway. `await start()`, then `await drain()` or `await stop()`; `ports` are those really listened on.

    Raises ConfigError, ValueError or OSError from `start`, each with a sentence for the operator.
    """

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self.path = path
        self.ports: list[int] = []
        self.admin_port: int | None = None
        self._clock = clock or Clock()
        self._servers: list[asyncio.Server] = []
        self._sockets: list[Path] = []
        self._runner: web.AppRunner | None = None
        self._stopped = asyncio.Event()
        self._draining = False

    async def start(self) -> None:
        """Reads the configuration, builds everything and listens. What was opened is closed again if it fails."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        config, notices = read_config(self.path)
        if logger.level == logging.NOTSET:
            logger.setLevel(LEVELS[config.log.level])
        self._timers = Timers(loop)
        self._store = MemoryStore()
        snapshot = compile_config(config, self._clock.wall, screen=Screen(self._store, self._timers.now))
        for notice in notices:
            logger.warning(notice)
        raise_limit()
        parsers = Parsers(loop)
        self._log = CallLog(loop, config.log.calls)
        forwarder = Forwarder(loop, parsers, self._timers, config.server.vanished_after)
        limits = Limits(loop, self._timers, self._store)
        self._serve = Serve(snapshot, self._clock, self._timers, forwarder, limits, self._record)
        self._edge = Edge(self._serve, parsers, self._timers, snapshot.edge, config.server.half_close)
        self._config = config
        await self._listen(config, loop)
        if config.admin is not None:
            await self._listen_admin(config)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)

    async def _listen(self, config: Config, loop: asyncio.AbstractEventLoop) -> None:
        tls = config.server.tls
        context = server_context(tls.cert, tls.key) if tls is not None else None
        if context is not None and "uvloop" not in type(loop).__module__:
            logger.warning("TLS without uvloop takes ten times the memory per connection; install uvloop")
        for address in config.server.listen:
            for sock in bind(address, config.server.vanished_after):
                encrypted = context if address.path is None else None
                factory = partial(Downstream, self._edge, "https" if encrypted is not None else "http")
                server = await loop.create_server(
                    factory, sock=sock, ssl=encrypted, backlog=BACKLOG,
                    ssl_handshake_timeout=config.server.header_timeout if encrypted is not None else None,
                )  # fmt: skip
                self._servers.append(server)
                if address.path is not None:
                    self._sockets.append(Path(address.path))
                else:
                    self.ports.append(sock.getsockname()[1])
            logger.info("listening on %s", address)

    async def _listen_admin(self, config: Config) -> None:
        admin = config.admin
        assert admin is not None
        token = read_secret(admin.token, os.environ) if admin.token is not None else None
        loopback = is_loopback(admin.listen)
        application = make_admin(self, token, loopback and admin.listen.path is None)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        for sock in bind(admin.listen):
            await web.SockSite(self._runner, sock).start()
            if admin.listen.path is None:
                self.admin_port = sock.getsockname()[1]
            else:
                self._sockets.append(Path(admin.listen.path))
        logger.info("admin on %s", admin.listen)

    def _record(self, call: Call) -> None:
        record = build(
            call,
            self._clock.wall(),
            self._timers.now(),
            self._serve.snapshot.log_values,
            self._serve.snapshot.secret_prefixes,
        )
        self._log.write(record)

    # -- what the admin side asks --------------------------------------------------------------------------------

    def ready(self) -> tuple[bool, str]:
        return (False, "draining") if self._draining else (True, "serving")

    def log_lines_dropped(self) -> int:
        return self._log.dropped

    def held(self, limit: int) -> dict[str, object]:
        return live.held((connection.call for connection in self._edge.connections), self._timers.now(), limit)

    def routes(self) -> list[dict[str, object]]:
        return live.routes(self._serve.snapshot)

    # -- the end -------------------------------------------------------------------------------------------------

    async def wait_stopped(self) -> None:
        await self._stopped.wait()

    async def drain(self) -> None:
        """Stops accepting, ends what is held by the table of DESIGN.md section 4 within `server.drain`, then stops."""
        if self._draining:
            return
        self._draining = True
        now, window = self._timers.now(), self._config.server.drain
        logger.info("draining for at most %gs", window)
        drain = self._serve.draining = Drain(now, now + window)
        for server in self._servers:
            server.close()
        for connection in list(self._edge.connections):
            if connection.call is not None:
                self._serve.on_drain(connection.call, drain)
            else:
                connection.close_if_idle()
        while self._edge.connections and self._timers.now() < drain.end + AFTER_DRAIN and not self._stopped.is_set():
            await asyncio.sleep(0.02)
        await self.stop()

    async def stop(self) -> None:
        """Stops now: listeners and connections close, the log is written out."""
        if self._stopped.is_set():
            return
        self._draining = True
        self._stopped.set()
        for server in self._servers:
            server.close()
        if hasattr(self, "_edge"):
            for connection in list(self._edge.connections):
                call = connection.call
                connection.abort(reset=call is not None and call.state is State.RELAYING)
                if call is not None:
                    self._serve.on_gone(call, Outcome.DRAINED)
        if self._runner is not None:
            await self._runner.cleanup()
        for path in self._sockets:
            path.unlink(missing_ok=True)
        if hasattr(self, "_log"):
            self._log.close()
        if self._servers:
            logger.info("stopped")


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one, else what asyncio has."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def run(path: Path) -> int:
    """`gateway run`: serves until SIGTERM or Ctrl-C (drain; a second one stops at once). Returns the exit code."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_serve_until_told(path))


async def _serve_until_told(path: Path) -> int:
    app = App(path)
    await app.start()
    drains: list[asyncio.Task[None]] = []

    def told() -> None:
        drains.append(asyncio.ensure_future(app.stop() if drains else app.drain()))

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)
    loop.add_signal_handler(signal.SIGHUP, logger.warning, "reload is not available in this version; restart instead")
    await app.wait_stopped()
    await asyncio.gather(*drains)
    return 0
