"""Real `Serve`, `Timers` and `Forwarder` on a loop that is cranked by hand, for tests of the life of a call. Only the
two sockets' sides are stand-ins: `Conn` for the client's connection and `Up` for one to the upstream; both only record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

from gateway.call import Call, Lease, State
from gateway.clock import NEVER, Clock, Timers
from gateway.config.balances import Balance
from gateway.head import RequestHead, ResponseHead
from gateway.holds.budget import LONGEST
from gateway.holds.plan import UNBOUNDED, HoldPlan, Template
from gateway.limits import Limits
from gateway.outcome import Outcome
from gateway.parse import Parsers
from gateway.pipeline import Reply, Step
from gateway.plan import Snapshot
from gateway.routing import Router, Rule
from gateway.serve import Serve
from gateway.shapes import EdgeLimits, Retry
from gateway.state.memory import MemoryStore
from gateway.upstream.balance import Upstream
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.forward import Forwarder

from .calls import head_of
from .glue import HANDSHAKE, UPGRADES, Glue
from .holds import hold_plan
from .plans import limits_of, plan_of

WALL = 1_700_000_000.0  # Unix seconds at loop second 0
BLANK = Reply(Outcome.BLANK, 200, ((b"Content-Type", b"application/json"),), b"[]")
TEMPLATE = Template(200, lambda _: BLANK.headers, lambda _: b"[]", lambda _: True, BLANK)
POLLS: dict[str, HoldPlan] = {
    "template": hold_plan(answer="template", template=TEMPLATE),
    "origin": hold_plan(answer="origin", replay="destructive"),
    "never": hold_plan(answer="never", replay="never"),
    "early": hold_plan(answer="template", template=TEMPLATE, early_headers=True),
    "endless": hold_plan(template=TEMPLATE, early_headers=True, ask=(), rewrite=False, absent=UNBOUNDED, max=LONGEST),
}
NO_PAUSE = Retry(backoff=0.0)  # before the same endpoint is asked again
UPDATES = Rule(None, "/updates", ())
KINDS: tuple[str, ...] = ("ordinary", "upload", "upgrade", *POLLS)


class Handle:
    """What `call_at` returns here."""

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Work(Handle):
    """A task that never gets anywhere; it is done once it is cancelled."""

    def __init__(self, loop: HandLoop) -> None:
        super().__init__(loop.now, lambda: None)
        self._loop = loop
        self._callbacks: list[Callable[[Any], None]] = []

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self._callbacks.append(callback)

    def cancel(self) -> None:
        super().cancel()
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            self._loop.call_soon(callback, self)


class HandLoop:
    """As much of an event loop as timers, futures and dials ask for. Nothing happens until `advance`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.handles: list[Handle] = []
        self.tasks: list[Work] = []
        self.errors: list[BaseException] = []

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def call_at(self, when: float, callback: Callable[[], None]) -> Handle:
        self.handles.append(Handle(when, callback))
        return self.handles[-1]

    def call_later(self, delay: float, callback: Callable[[], None]) -> Handle:
        return self.call_at(self.now + delay, callback)

    def call_soon(self, callback: Callable[..., None], *args: Any, context: Any = None) -> Handle:
        return self.call_at(self.now, lambda: callback(*args))

    def create_task(self, work: Coroutine[Any, Any, None]) -> Work:
        work.close()  # no dial ever connects here
        self.tasks.append(Work(self))
        return self.tasks[-1]

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context["exception"])

    def advance(self, seconds: float) -> None:
        """Lets time pass; every callback runs at its instant."""
        end = self.now + seconds
        while True:
            self.handles = [handle for handle in self.handles if not handle.cancelled]
            handle = min(self.handles, key=lambda one: one.when, default=None)
            if handle is None or handle.when > end:
                break
            self.handles.remove(handle)
            self.now = max(self.now, handle.when)
            try:
                handle.callback()
            except Exception as error:  # as every loop does
                self.errors.append(error)
        self.now = end


class Conn:
    """The client's connection. While `full`, what is written stays in its buffer, as `pause_writing` says."""

    scheme = "http"
    certificate: str | None = None

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.full = False
        self.log: list[tuple[Any, ...]] = []

    def _sent(self, *entry: Any) -> bool:
        self.log.append(entry)
        call = self.scene.call
        if self.full:
            self.scene.serve.on_choked(call)
        return not self.full

    def answer(self, status: int, headers: Any, body: bytes, close: bool, fresh: bytes) -> bool:
        return self._sent("answer", status, headers, body, close)

    def begin(self, head: ResponseHead, drops: Any, extra: bytes, fresh: bytes, data: bytes, ended: bool,
              framed: bytes | None) -> bool:  # fmt: skip
        return self._sent("begin", head.status, data, ended)

    def switch(self, head: ResponseHead, drops: Any, extra: bytes, fresh: bytes, up: Any, data: bytes) -> Glue:
        self.log.append(("switch", head.status, data))
        return Glue(self.scene)

    def write(self, data: bytes, framed: bytes | None = None) -> None:
        self._sent("write", data)

    def finish(self) -> bool:
        return self._sent("finish")

    def hint(self, head: ResponseHead, drops: Any) -> None:
        self.log.append(("hint", head.status))

    def cut(self) -> None:
        self.log.append(("cut",))

    def abort(self, *, reset: bool) -> None:
        self.log.append(("abort", reset))

    def settled(self, call: Call) -> None:
        self.log.append(("settled",))

    def read_whole(self, limit: int) -> None:
        self.log.append(("read_whole", limit))

    def start_upload(self) -> None:
        self.log.append(("start_upload",))

    def pause_upload(self) -> None:
        self.log.append(("pause_upload",))

    def resume_upload(self) -> None:
        self.log.append(("resume_upload",))

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [entry for entry in self.log if entry[0] == name]


class Up:
    """One idle connection to an endpoint, always fresh."""

    keepalive = 4.0

    def __init__(self, loop: HandLoop) -> None:
        self._loop = loop
        self.wire = b""
        self.log: list[str] = []
        self.body = b""

    @property
    def idle_since(self) -> float:
        return self._loop.now

    def alive(self) -> bool:
        return True

    def start(self, call: Call, raw: bytes) -> None:
        self.wire = raw
        self.log.append("start")

    def upload(self, data: bytes, ended: bool) -> None:
        self.body += data
        self.log.append("ended" if ended else "upload")

    def pause(self) -> None:
        self.log.append("pause")

    def resume(self) -> None:
        self.log.append("resume")

    def cancel(self) -> None:
        self.log.append("cancel")

    def close(self) -> None:
        self.log.append("close")


class Scene:
    """One call of a kind ("ordinary", "upload", or one of POLLS) and all it needs to live.

    `idle` connections wait at the endpoint; with none the call is parked behind a dial. `changes` go to the Plan.
    """

    def __init__(self, kind: str = "ordinary", *, idle: int = 1, endpoints: int = 1, steps: tuple[Step, ...] = (),
                 hold: HoldPlan | None = None, head: RequestHead | None = None, rule: Rule = UPDATES,
                 **changes: Any) -> None:  # fmt: skip
        self.loop = HandLoop()
        loop = cast(asyncio.AbstractEventLoop, self.loop)
        self.timers = Timers(loop)
        self.upstream = Upstream("up", Balance("round-robin"))
        self.upstream.endpoints = tuple(Endpoint(self.upstream, f"10.0.0.{n}", 80) for n in range(1, endpoints + 1))
        self.ups = [Up(self.loop) for _ in range(idle)]
        for endpoint in self.upstream.endpoints:
            endpoint.idle.extend(cast(Any, self.ups))
        self.store = MemoryStore()
        changes |= limits_of(self.store, changes.get("rates", ()), changes.get("caps", ()))
        if kind == "upgrade":
            changes = {"upgrade": UPGRADES, **changes}
        self.plan = plan_of(self.upstream, steps=steps, hold=hold or POLLS.get(kind), **changes)
        router = Router([(rule, self.plan)])
        self.snapshot = Snapshot(router, (self.plan,), EdgeLimits(), {"up": self.upstream})
        self.records: list[Call] = []
        self.others: tuple[Lease, ...] = ()  # what is held by others
        self.limits = Limits(loop, self.timers, self.store)
        self.serve = Serve(
            self.snapshot, Clock(self.loop.time, lambda: WALL + self.loop.now), self.timers,
            Forwarder(loop, Parsers(loop), self.timers), self.limits,
            self.records.append,
        )  # fmt: skip
        self.conn = Conn(self)
        method, length = ("POST", 10) if kind == "upload" else ("GET", None)
        fields = HANDSHAKE.items() if kind == "upgrade" else ()
        self.head = head or head_of("/updates", *fields, method=method, length=length)
        self.call = Call(cast(Any, self.conn), self.serve, "0" * 32, self.head, "192.0.2.7", self.loop.now)

    def open(self) -> Scene:
        self.serve.open(self.call)
        return self

    @property
    def held(self) -> int:
        """Places taken at the endpoints; those of the upstream are the same."""
        counts = [endpoint.held for endpoint in self.upstream.endpoints]
        assert min(counts) >= 0 and sum(counts) == self.upstream.held
        return sum(counts)

    def check_settled(self) -> None:
        """What holds of every call that is over: one record, nothing borrowed, no clock, no connection kept."""
        call = self.call
        assert self.records == [call]
        assert call.state is State.SETTLED and call.outcome is not None and call.ended is not None
        assert self.held == 0 and call.leases == ()
        assert self.store.held("cap", "updates") == len(self.others) and not self.limits.waiting
        assert call.up is None and all(task.cancelled for task in self.loop.tasks)
        assert (call.due, call.filed) == (NEVER, NEVER)
        assert not any(call in bucket for bucket in self.timers._buckets.values())
        assert self.conn.log.count(("settled",)) == 1
