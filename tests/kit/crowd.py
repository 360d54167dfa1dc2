"""Many calls at one gateway: the real `Serve`, `Limits`, `MemoryStore`, `Timers` and `Forwarder` on a loop whose clock
jumps. Only sockets are stand-ins. `sent` and `records` tell what reached the upstream, and how calls ended, in order.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from gateway.call import Call, State
from gateway.clock import Clock, Timers
from gateway.drain import Drain
from gateway.holds.idle import compile_idle
from gateway.holds.plan import HoldPlan
from gateway.limits import Limits
from gateway.parse import Parsers
from gateway.plan import Plan, Snapshot
from gateway.policies.caps import Cap
from gateway.policies.rate_limit import RateLimit
from gateway.routing import Router, Rule
from gateway.serve import Serve
from gateway.shapes import EdgeLimits
from gateway.state.memory import MemoryStore
from gateway.state.store import Store
from gateway.upstream.balance import Upstream
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.forward import Forwarder
from gateway.waiting import Spot

from .calls import head_of
from .heads import response
from .jumping import JumpingLoop
from .plans import limits_of, plan_of
from .serving import POLLS, WALL, Conn, Up

JSON = {"Content-Type": "application/json"}


class Caller:
    """One client with one call. `who` is its address, by which limits of this crowd count."""

    def __init__(self, crowd: Crowd, who: str, target: str) -> None:
        self.who = who
        self.serve = crowd.serve
        self.conn = Conn(cast(Any, self))
        self.call = Call(cast(Any, self.conn), crowd.serve, who, head_of(target), who, crowd.loop.now)

    @property
    def spot(self) -> Spot | None:
        return self.call.up if isinstance(self.call.up, Spot) else None

    @property
    def over(self) -> bool:
        return self.call.state is State.SETTLED

    @property
    def status(self) -> int | None:
        return self.call.status or None

    def leave(self) -> None:
        self.serve.on_gone(self.call)

    def answered(self, body: bytes = b"[1]", status: int = 200) -> None:
        """The upstream answers, all at once."""
        self.call.up = None  # a connection forgets its call before it tells of the end
        self.serve.on_head(self.call, response(status, JSON, len(body)), body, True)


class _Watched(Up):
    def __init__(self, crowd: Crowd) -> None:
        super().__init__(cast(Any, crowd.loop))
        self.crowd = crowd

    def start(self, call: Call, raw: bytes) -> None:
        super().start(call, raw)
        self.crowd.on_sent(call, raw)


class Crowd:
    """A route `/updates` where every request is a poll (`?timeout=`, 25 s otherwise; 204 is "no news") and a route
    `/calls`, both under the same limits."""

    def __init__(self, rates: tuple[RateLimit, ...] = (), caps: tuple[Cap, ...] = (), *, hold: HoldPlan | None = None,
                 max_held: int = 20_000, room: int = 10_000, loop: JumpingLoop | None = None,
                 store: Store | None = None, **changes: Any) -> None:  # fmt: skip
        self.loop = loop or JumpingLoop()
        self.timers = Timers(self.loop)
        self.upstream = Upstream("up", max_held=max_held)
        (endpoint,) = self.upstream.endpoints = (Endpoint(self.upstream, "10.0.0.1", 80),)
        endpoint.idle.extend(cast(Any, [_Watched(self) for _ in range(room)]))
        self.store: Store = store or MemoryStore()
        more = {**limits_of(self.store, rates, caps), **changes}
        hold = replace(hold or POLLS["template"], idle=compile_idle(["status == 204"])[0])
        polls = plan_of(self.upstream, hold=hold, **more)
        calls = replace(plan_of(self.upstream, **more), route="calls", path="/calls")
        self.plans: dict[str, Plan] = {"/updates": polls, "/calls": calls}
        router = Router([(Rule(None, path, ()), plan) for path, plan in self.plans.items()])
        self.limits = Limits(self.loop, self.timers, self.store)
        self.serve = Serve(
            Snapshot(router, (polls, calls), EdgeLimits(), {"up": self.upstream}),
            Clock(self.loop.time, lambda: WALL + self.loop.now), self.timers,
            Forwarder(self.loop, Parsers(self.loop), self.timers), self.limits, self.on_settled,
        )  # fmt: skip
        self.callers: list[Caller] = []
        self.sent: list[Call] = []
        self.records: list[Call] = []

    def on_sent(self, call: Call, raw: bytes) -> None:
        self.sent.append(call)

    def on_settled(self, call: Call) -> None:
        self.records.append(call)

    def poll(self, who: str = "a", timeout: float = 25.0) -> Caller:
        return self.call(who, f"/updates?timeout={timeout:g}")

    def call(self, who: str = "a", target: str = "/calls") -> Caller:
        caller = Caller(self, who, target)
        self.callers.append(caller)
        self.serve.open(caller.call)
        return caller

    def drain(self, window: float) -> None:
        drain = self.serve.draining = Drain(self.loop.now, self.loop.now + window)
        for caller in self.callers:
            self.serve.on_drain(caller.call, drain)

    @property
    def order(self) -> list[str]:
        """Whose calls reached the upstream, in that order."""
        return [call.peer for call in self.sent]
