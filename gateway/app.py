"""The composition root: builds a running gateway from a configuration file, starts it, reloads it, drains it, stops it.
Knows everyone and decides nothing.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import ssl
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from gateway.admin.api import make_admin
from gateway.admin.listener import AdminListener
from gateway.call import State
from gateway.clock import Clock, Timers
from gateway.config import read_config
from gateway.config.disk import Copy, reading
from gateway.config.schema import Server
from gateway.drain import Drain
from gateway.edge.accept import BATCH, SHARED_BATCH
from gateway.edge.edge import Edge
from gateway.edge.listen import Bound, bind_all
from gateway.edge.listeners import Listeners
from gateway.edge.room import Room, Shed
from gateway.edge.trim import Trim, malloc_trim
from gateway.limits import Limits
from gateway.loading import Built, Read, build, for_a_restart
from gateway.machine.part import ALONE, Part
from gateway.operating import Operator
from gateway.outcome import Outcome
from gateway.parse import Parsers
from gateway.policies.rate_limit import Screen
from gateway.poller import MOST, Poller, open_pollers
from gateway.ramp import Ramp
from gateway.reloading import Reloads
from gateway.serve import Serve
from gateway.sparing import Sparing
from gateway.state.memory import MemoryStore
from gateway.state.noting import notes_of
from gateway.state.opening import open_store
from gateway.state.sweep import Sweep
from gateway.telemetry.keeping import Telemetry
from gateway.upstream.forward import Forwarder
from gateway.upstream.members import Members
from gateway.upstream.pins import share
from gateway.upstream.resolve import Names, Resolve, system
from gateway.upstream.wards import Wards

logger = logging.getLogger("gateway")

GC_THRESHOLDS = (50_000, 50, 1000)  # a full collection over parked polls stops the loop: let it be rare
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "notice": logging.INFO, "warning": logging.WARNING,
          "error": logging.ERROR}  # fmt: skip
# Of upstreams, read in one turn of the loop: 3 ms. All of a crowd are read soon, for an ordinary answer may be behind
# them; those of polls are told some a turn (`rush`).
ANSWERS = 1024
AFTER_DRAIN = 0.5  # seconds for the last bytes of the last answers to leave
BETWEEN_POLLS = 1.0  # seconds a draining gateway waits for the next poll of a client that was just answered


class App:
    """One gateway. `await start()`, then `await reload()`, `await drain()` or `await stop()`; `ports` are those really
    listened on.

    Raises ConfigError, ValueError or OSError from `start`, each with a sentence for the operator.
    """

    def __init__(
        self, path: Path, clock: Clock | None = None, resolve: Resolve = system, copy: Copy | None = None,
        part: Part = ALONE, read: Read | None = None,
    ) -> None:  # fmt: skip
        self.path = path
        self._part = part
        self._read = read  # what the first configuration is, if it was read already
        self._ramp: Ramp | None = None
        self._copy = copy  # of the files, where what lies there now is not what counts
        self._bound: Bound | None = None
        self._clock = clock or Clock()
        self.members = Members(Names(resolve, self._clock.wall))
        self._listeners: Listeners | None = None
        self._pollers: tuple[Poller | None, ...] = ()
        self._admin: AdminListener | None = None
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()  # to its end
        self.draining = False
        self._drain: asyncio.Task[None] | None = None
        self._reloads = Reloads(self._load, self._swap, self._clock.wall)

    @property
    def ports(self) -> list[int]:
        return self._listeners.ports if self._listeners is not None else []

    @property
    def owner(self) -> str:
        """Whom the store lends to: this start of this process."""
        found: str = getattr(self._store, "owner", self._part.owner)
        return found

    @property
    def admin_port(self) -> int | None:
        return self._admin.port if self._admin is not None else None

    async def start(self) -> None:
        """Reads the configuration, builds everything and listens. What was opened is closed again if it fails."""
        try:
            with reading(self._copy):
                await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        self._timers = Timers(loop)
        read = self._read or read_config(self.path)
        self._store = open_store(read[0].state, self._part, self._clock.wall, os.environ)
        self._screen = Screen(self._store, self._timers.now)
        built = build(self.path, self._clock.wall, self._screen, part=self._part, read=read)
        self._read = None
        config = self._config = self._opened = built.config
        self._sets_level = logger.level == logging.NOTSET
        if self._part.alone:  # of several, their supervisor tells
            logger.info("%s", built.files)
        if built.tls is not None and "uvloop" not in type(loop).__module__:
            logger.warning("TLS without uvloop takes ten times the memory per connection; install uvloop")
        parsers = Parsers(loop)
        clients, upstreams = self._pollers = open_pollers(loop, MOST, ANSWERS)  # no crowd is before another
        parsers.rush.outbox = upstreams.outbox if upstreams is not None else None
        crowds = (*self._pollers, parsers.rush)
        self._telemetry = Telemetry(loop, self._clock, self._timers, config, built.snapshot, self._part, crowds)
        self.members.changed = self._look_after
        self._forwarder = Forwarder(loop, parsers, self._timers, config.server.vanished_after, upstreams)
        self._limits = Limits(loop, self._timers, self._store)
        self._wards = Wards(loop, self._timers, self._telemetry.happened)
        self._serve = Serve(built.snapshot, self._clock, self._timers, self._forwarder, self._limits,
                            self._telemetry.settled)  # fmt: skip
        self._edge = Edge(
            self._serve, parsers, self._timers, built.snapshot.edge, config.server.half_close,
            Room(neighbours=self._part.neighbours),
            Sparing[Shed](loop, lambda shed, times: logger.warning("%s", self._edge.room.words(shed, times))),
            self._clock.wall, clients,
        )  # fmt: skip
        if (give_back := malloc_trim()) is not None:
            Trim(self._timers, self._edge.room, give_back)
        self.notes = notes_of(self._part)
        if self.notes is not None:
            self._serve.share(self.notes)
            self._limits.pollers.notes = self.notes
        self._serve.sheds_hold = self._edge.sheds_hold
        self._serve.arrives = self._telemetry.arrives
        if isinstance(self._store, MemoryStore):
            Sweep(self._timers, self._store)
        else:
            await self._store.start()
        self._swap(built)
        await self.members.ahead(built.snapshot.upstreams)
        bound = self._bound = self._bind(config.server)
        operator = Operator(self, self._edge, self._timers, self._telemetry, self._reloads, self._limits, self._store)
        if config.admin is not None:
            inner = not self._part.alone
            make = partial(make_admin, operator, inner=inner)
            self._admin = AdminListener(self._part.admin(config.admin), make, self._part.given, inner)
            await self._admin.start()
        self._start_ramp(loop, config.server)
        self._telemetry.start(operator.gauges)
        self._listeners = self._listen(loop, bound, built.tls)  # last: who is taken is served
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)

    def _bind(self, server: Server) -> Bound:
        given = self._part.sockets
        return bind_all(server, self._part.given) if given is None else Bound(given)

    def _listen(self, loop: asyncio.AbstractEventLoop, bound: Bound, tls: ssl.SSLContext | None) -> Listeners:
        return Listeners(loop, self._edge, bound, tls, BATCH if self._part.alone else SHARED_BATCH)

    def _start_ramp(self, loop: asyncio.AbstractEventLoop, server: Server) -> None:
        if server.ramp is not None:
            count, seconds = server.ramp
            self._serve.ramp = self._ramp = Ramp(loop, self._timers, count / self._part.workers, seconds, self._ramped)

    def _ramped(self) -> None:
        """Who was to come back after the start has come."""
        self._serve.ramp = None

    # -- another configuration -----------------------------------------------------------------------------------

    async def reload(self) -> list[str]:
        """Makes what is in the file now count, for every call that begins from now on. Returns the problems, each one
        line: with any of them nothing has changed."""
        problems = [] if self.draining else await self._reloads.run(lambda: not self.draining)
        return ["the gateway is draining; start it again instead"] if self.draining else problems

    async def prepare_reload(self, copy: Copy) -> list[str]:
        """The first of two steps, for processes that take them together: builds what is in the copy of the files.
        Returns the problems."""
        return await self._reloads.prepare(lambda: self._load(copy))

    async def commit_reload(self) -> list[str]:
        """The second: that counts from now on."""
        return await self._reloads.commit()

    def abandon_reload(self, problems: list[str]) -> None:
        """Instead of the second: not all could take it, for these reasons."""
        self._reloads.abandon(problems)

    def _load(self, copy: Copy | None = None) -> Built:
        old = self._serve.snapshot
        with reading(copy):
            built = build(self.path, self._clock.wall, self._screen, old.upstreams, self._part)
        if old.plans and not built.snapshot.plans:  # most likely a file that is being written
            raise ValueError(
                f"{self.path}: route: nothing would be served any more; write [[route]], or end the gateway"
            )
        self.members.wait_ahead(built.snapshot.fresh)
        return built

    def _tell(self, built: Built) -> None:
        if self._sets_level:
            logger.setLevel(LEVELS[built.config.log.level])
        if self._part.alone:  # else its supervisor says so once for all
            for notice in (*built.notices, *for_a_restart(self._opened, built.config)):
                logger.warning(notice)

    def _swap(self, built: Built) -> None:
        """In one turn of the loop. Calls keep the plan they began with; meters, places and connections go on."""
        self._tell(built)
        config, snapshot, old = built.config, built.snapshot, self._serve.snapshot
        self.members.renew(snapshot)
        if self.notes is not None:
            share(snapshot.upstreams.values(), self.notes)
        self._config = config
        prefixes = {*old.secret_prefixes, *snapshot.secret_prefixes}  # clients ask on for a route that is gone
        self._serve.snapshot = replace(snapshot, secret_prefixes=tuple(sorted(prefixes, key=len)))
        self._telemetry.renew(self._serve.snapshot)
        self._edge.limits, self._edge.half_close = snapshot.edge, config.server.half_close
        self._edge.room.allow(built.files.connections, snapshot.edge.per_address, snapshot.edge.exempt)
        self._forwarder.allow(built.files.connections)
        self._serve.parked = self._telemetry.parked if config.log.start_of_hold else None
        self._store.retain(built.limits)
        self._limits.renew(built.limits)
        self._look_after()
        if self._listeners is not None:
            self._listeners.show(built.tls)
        self._end_routes({plan.route for plan in old.plans} - {plan.route for plan in snapshot.plans})

    def _look_after(self) -> None:
        """Endpoints came or went: those there are now are counted, and watched."""
        self._telemetry.tallies.renew(self._serve.snapshot)
        self._wards.renew(self._serve.snapshot.upstreams.values())

    def _end_routes(self, gone: set[str]) -> None:
        """Polls of routes that are no more end as in a drain, spread over its window. Ordinary calls just finish."""
        now = self._timers.now()
        drain = Drain(now, now + self._config.server.drain)
        for connection in list(self._edge.connections) if gone else ():
            call = connection.call
            lasts = call is not None and (call.hold is not None or call.lasts)
            if call is not None and lasts and call.plan is not None and call.plan.route in gone:
                self._serve.on_drain(call, drain)

    # -- the end -------------------------------------------------------------------------------------------------

    def begin_drain(self, at_once: bool = False) -> dict[str, object]:
        """Drains and stops, as SIGTERM does, or without `server.shutdown_delay`; returns what will happen. Asked again
        it begins nothing new."""
        server = self._config.server
        delay = 0.0 if at_once else server.shutdown_delay
        if self._drain is None:
            self._drain = asyncio.ensure_future(self.drain(self._window(delay)))
        return {"draining": True, "listeners_close_in": delay, "window": server.drain}

    def offer(self) -> dict[str, Sequence[socket.socket]]:
        """What is listened on, by address, for a process that is to take this one's place."""
        here = [bound for bound in (self._bound, self._admin.bound if self._admin is not None else None) if bound]
        return {name: some for bound in here for name, some in bound.sockets.items()}

    def hand_over(self, addresses: Collection[str]) -> None:
        """Another process listens there now, and this one does no more; what is held here ends as in a drain, which is
        to follow."""
        if self._listeners is not None:
            self._listeners.hand_over(addresses)
        if self._admin is not None:
            self._admin.hand_over(addresses)

    def own(self) -> None:
        """The process before has let go of what it handed on: files of unix sockets end with this one."""
        for bound in (self._bound, self._admin.bound if self._admin is not None else None):
            if bound is not None:
                bound.own()

    async def wait_stopped(self) -> None:
        await self._stopped.wait()

    def _window(self, delay: float) -> Drain:
        """That of a drain that begins so many seconds from now."""
        return Drain.after(self._timers.now(), delay, self._config.server.drain)

    async def drain(self, drain: Drain | None = None) -> None:
        """Turns readiness red, and when the window begins (`server.shutdown_delay` later) stops accepting and ends what
        is held by the table of DESIGN.md section 4 until it is over (`server.drain` later). Then stops. Idle
        connections stay open meanwhile: a poll that is sent on one gets its short hold."""
        if self.draining:
            return
        self.draining = True
        now = self._timers.now()
        drain = drain or self._window(self._config.server.shutdown_delay)
        if drain.begun > now:
            logger.info("not ready any more; listeners close in %.1fs", drain.begun - now)
            if await self._sleep(drain.begun - now):
                return
        logger.info("draining for at most %gs", drain.end - drain.begun)
        self._serve.draining = drain
        if self._listeners is not None:
            self._listeners.close()
        for connection in list(self._edge.connections):
            if connection.call is not None:
                self._serve.on_drain(connection.call, drain)
        await self._wait_for_calls(drain)
        await self.stop()

    async def _wait_for_calls(self, drain: Drain) -> None:
        """Until all connections are closed, or nothing is under way any more and whoever was just answered has had a
        moment to ask again, or the window is over."""
        quiet, patience = 0.0, min(BETWEEN_POLLS, (drain.end - drain.begun) / 4)
        while self._edge.room.open and self._timers.now() < drain.end + AFTER_DRAIN:
            if any(connection.call is not None for connection in self._edge.connections):
                quiet = self._timers.now()
            elif self._timers.now() >= (quiet or drain.begun) + patience:
                for connection in list(self._edge.connections):
                    connection.close_if_idle()
            if await self._sleep(0.02):
                return

    async def _sleep(self, seconds: float) -> bool:
        """Whether the gateway was stopped meanwhile."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def stop(self) -> None:
        """Stops now: listeners and connections close, the log is written out. Asked again it waits for that."""
        if not self._stopping.is_set():
            self.draining = True
            self._stopping.set()
            try:
                await self._stop()
            finally:
                self._stopped.set()
        await self._stopped.wait()

    async def _stop(self) -> None:
        if self._listeners is not None:
            self._listeners.abort()
        elif self._bound is not None:
            self._bound.close()
        if hasattr(self, "_edge"):
            for connection in list(self._edge.connections):
                call = connection.call
                connection.abort(reset=call is not None and call.state is State.RELAYING)
                if call is not None:
                    self._serve.on_gone(call, Outcome.DRAINED)
        if self._admin is not None:
            await self._admin.stop()
        self.members.close()
        if self._ramp is not None:
            self._ramp.close()
        if hasattr(self, "_store") and not isinstance(self._store, MemoryStore):
            await self._store.close()
        if hasattr(self, "_wards"):
            await self._wards.close()
        if hasattr(self, "_telemetry"):
            self._telemetry.close()
        for poller in self._pollers:
            if poller is not None:
                poller.close()
        await asyncio.sleep(0)  # in which they let go of their sockets
        if self._listeners is not None:
            logger.info("stopped")
