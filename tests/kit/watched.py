"""An upstream that is watched, of a few endpoints, on a loop that is cranked by hand. Probes are only begun: the test
says what they find.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from gateway.clock import Timers
from gateway.outcome import Outcome
from gateway.upstream.balance import Upstream
from gateway.upstream.ejection import Ejection
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.health import Health, Watcher
from gateway.upstream.standing import Event, Probe

from .serving import HandLoop

FAULT = Outcome.UPSTREAM_REFUSED
EJECTS = Ejection(strikes=2, within=10.0, lasts=30.0)
PROBES = Health("/healthz", interval=5.0, healthy=2, unhealthy=3)


class Watched:
    """One upstream of some endpoints that is watched; `probed` are the probes that were begun, by endpoint and time."""

    def __init__(self, members: int = 2, ejects: Ejection | None = EJECTS, probes: Health | None = None,
                 chance: Callable[[], float] = lambda: 0.5) -> None:  # fmt: skip
        self.loop = HandLoop()
        self.timers = Timers(cast(Any, self.loop))
        self.events: list[Event] = []
        self.probed: list[tuple[Endpoint, float]] = []
        self.upstream = Upstream("up")
        self.upstream.endpoints = tuple(Endpoint(self.upstream, f"h{each}", 80) for each in range(members))
        self.upstream.ejection, self.upstream.health = ejects, probes
        self.watcher = Watcher(self.upstream, self.timers, self.events.append, self._probe, chance)
        self.watcher.renew()

    def _probe(self, watcher: Watcher, endpoint: Endpoint, health: Health) -> None:
        self.probed.append((endpoint, self.loop.now))

    def __getitem__(self, at: int) -> Endpoint:
        return self.upstream.endpoints[at]

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def strike(self, endpoint: Endpoint, times: int = EJECTS.strikes) -> None:
        for _ in range(times):
            self.upstream.told(endpoint, FAULT)

    def find(self, endpoint: Endpoint, *good: bool) -> None:
        for each in good:
            said = "status 200" if each else "timeout"
            self.watcher.probed(endpoint, Probe(each, said, self.loop.now, 0.1))

    def out(self) -> list[str]:
        return [each.host for each in self.upstream.endpoints if each.out]
