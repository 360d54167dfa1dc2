"""Several gateways that share a store elsewhere, for tests of what must hold whatever they do: on one loop whose clock
jumps, with what is at the upstream seen from there. Their rules have a limit of each kind.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

from gateway.asking import Asking
from gateway.call import Call
from gateway.outcome import Outcome
from gateway.policies.caps import compile_cap
from gateway.policies.rate_limit import compile_rate_limit
from gateway.state.store import Place

from .authority import Authority
from .crowd import Caller, Crowd
from .holds import hold_plan
from .jumping import JumpingLoop
from .pollers import LOSER, NEWEST, TEMPLATE
from .remote import Front

BURST = 1000
RATES = (
    compile_rate_limit("own", "own", (1.0, 4.0), 2, "address", {}, True, delay=True),
    compile_rate_limit("paid", "paid", (1.0, 1e9), BURST, "route", {}, False),  # no token comes back by itself
)
CAPS = (
    compile_cap("one", True, 1, "route", {}, max_waiting=4),
    compile_cap("polls", True, 3, "route", {}, max_waiting=6),
    compile_cap("tabs", True, 2, "address", {}, evict=True, grace=5.0),
    compile_cap("calls", False, 2, "route", {}, max_waiting=3),
)
SCENES: list[tuple[str, ...]] = [
    ("one", "paid"), ("polls", "calls", "paid"), ("own", "paid"), ("own", "polls", "paid"), ("tabs", "paid"),
    ("polls", "tabs", "paid"), ("own", "one", "polls", "tabs", "calls", "paid"),
]  # fmt: skip
DELAYS = [0.0, 0.0, 0.001, 0.02, 0.09]
MAX = {cap.limit: cap.max for cap in CAPS}
UNSERVED = {Outcome.OVERLOADED}


class Gateway(Crowd):
    """One of the processes. `dead`: nothing it does reaches anybody any more."""

    def __init__(self, world: World, front: Front, limits: tuple[str, ...], sessions: bool) -> None:
        self.world = world
        self.front = front
        rates, caps = (tuple(one for one in table if one.limit in limits) for table in (RATES, CAPS))
        hold = hold_plan(answer="template", template=TEMPLATE)
        if sessions:
            hold = replace(hold, key=lambda asked: asked.arg("sid"), concurrency=NEWEST, loser=LOSER, dialect="d")
        super().__init__(rates, caps, hold=hold, loop=world.loop, store=front)  # type: ignore[arg-type]

    def on_sent(self, call: Call, raw: bytes) -> None:
        if not self.front.dead:
            super().on_sent(call, raw)
            self.world.on_sent(self, call)

    def on_settled(self, call: Call) -> None:
        if not self.front.dead:
            super().on_settled(call)
            self.world.sent.pop(call, None)

    @property
    def alive(self) -> list[Caller]:
        return [one for one in self.callers if not one.over]


class World:
    """Some gateways, the store they share, and what is at the upstream."""

    def __init__(self, seed: int, limits: tuple[str, ...], at_once: bool, sessions: bool, number: int) -> None:
        self.loop = JumpingLoop()
        draw = Random(seed)

        def delay() -> float:
            return draw.choice(DELAYS)

        self.authority = Authority(self.loop, delay, None if at_once else delay)
        self.sent: dict[Call, None] = {}
        self.orphans: set[Call] = set()  # lost their places to who died before it had them, and have not heard of it
        self.paid = 0
        self.served: list[int] = []  # tickets of the line for one place, in the order in which they were served
        self.gateways = [
            Gateway(self, Front(self.authority, f"g{n}"), limits, sessions) for n in range(1, number + 1)
        ]  # fmt: skip

    @property
    def living(self) -> list[Gateway]:
        return [one for one in self.gateways if not one.front.dead]

    def on_sent(self, gateway: Gateway, call: Call) -> None:
        if call not in self.sent:
            self.paid += 1
        self.sent[call] = None
        for key, number in self.counts().items():
            assert number <= MAX[key[0]], f"{number} at the upstream under {key}"
        bearer = gateway.front.bearers.get(call)
        if bearer is not None and bearer.ticket is not None and "one" in {cap.limit for cap in places(call)}:
            self.served.append(bearer.ticket)

    def counts(self) -> Counter[tuple[str, str]]:
        sent = [call for call in self.sent if call not in self.orphans]
        return Counter((place.limit, place.key) for call in sent for place in places(call))

    def settle(self) -> None:
        """Until nothing is on its way to anybody."""
        for _ in range(200):
            self.loop.turns(5)
            talking = any(each.waiting for one in self.gateways for each in one.front.channels)
            if not self.asking and not talking and not self.unheard:
                return
            self.loop.advance(0.02)
        raise AssertionError("the store and its processes talk for ever")

    @property
    def unheard(self) -> bool:
        """Whether somebody asked who is not answered, be he over by now: a dead process confirms nothing, and is waited
        for."""
        return any(bearer.unheard for one in self.living for bearer in one.front.bearers.values())

    @property
    def asking(self) -> list[Call]:
        return [one.call for gateway in self.living for one in gateway.alive if isinstance(one.call.up, Asking)]

    def die(self, gateway: Gateway) -> None:
        for caller in gateway.callers:
            self.sent.pop(caller.call, None)
        known = [one for each in self.gateways for one in each.front.bearers.values()]
        self.orphans |= {one.call for one in known if one.lost}
        self.authority.bury(gateway.front)


def places(call: Call) -> list[Place]:
    assert call.plan is not None
    found = [cap.demand(call) for cap in call.plan.caps]
    return [one for one in found if one is not None]
