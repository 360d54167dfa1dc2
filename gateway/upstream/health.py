"""Who watches the endpoints of an upstream and decides which take calls: strikes by how calls end there, probes by what
they find, one clock for all that is due. Everything known of an endpoint lies in its `standing`; nothing is kept here.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.clock import NEVER, Timers
from gateway.upstream import ejection
from gateway.upstream.standing import EJECTION, HEALTH, Event, Kind, Probe

if TYPE_CHECKING:
    from gateway.outcome import Outcome
    from gateway.upstream.balance import Upstream
    from gateway.upstream.endpoint import Endpoint

JITTER = 0.1  # share of the interval by which a probe comes earlier or later


@dataclass(frozen=True, slots=True)
class Health:
    """The `health` of an upstream. Times are seconds; without `status` every 2xx is good."""

    path: str
    interval: float = 5.0
    timeout: float = 1.0
    healthy: int = 2
    unhealthy: int = 3
    status: frozenset[int] = frozenset()
    host: str | None = None


class Watcher:
    """Watches one upstream. `say` is told what happens, `probe` begins a probe whose result comes as `probed`."""

    __slots__ = ("_probe", "_random", "_say", "_timers", "due", "filed", "upstream")

    def __init__(
        self, upstream: Upstream, timers: Timers, say: Callable[[Event], None],
        probe: Callable[[Watcher, Endpoint, Health], None], chance: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        self.upstream = upstream
        self.due = NEVER
        self.filed = NEVER
        self._timers = timers
        self._say = say
        self._probe = probe
        self._random = chance

    def renew(self) -> None:
        """The upstream begins, or goes on as another configuration describes it. What is not watched any more takes
        nobody out."""
        rules, probing = self.upstream.ejection, self.upstream.health
        self.upstream.guard(self.told if rules is not None else None)
        for endpoint in self.upstream.endpoints:
            endpoint.wary = True  # what counts may be something else by now
            if rules is None:
                endpoint.standing.strikes.clear()
                self._let_in(endpoint, EJECTION)
            if probing is None:
                endpoint.standing.probe = endpoint.standing.probe_at = None
                self._let_in(endpoint, HEALTH)
            elif endpoint.standing.probe_at is not None:  # sooner, where the interval is shorter now
                endpoint.standing.probe_at = min(endpoint.standing.probe_at, self._timers.now() + probing.interval)
        self._arm()

    def end(self) -> None:
        """The upstream is no more."""
        self.upstream.guard(None)
        self._timers.cancel(self)

    def on_due(self, now: float) -> None:
        """Ejections that are over, and probes that are due."""
        for endpoint in self.upstream.endpoints:
            if endpoint.standing.until <= now:
                self._let_in(endpoint, EJECTION)
            self._look_after(endpoint, now)
        self._arm()

    def _arm(self) -> None:
        """For what comes first. Who joins is probed from now on; who was away may be out for longer than it had to."""
        now, probing = self._timers.now(), self.upstream.health
        standings = [each.standing for each in self.upstream.endpoints]
        dues = [each.until for each in standings]
        if probing is not None:
            for each in standings:
                if each.probe_at is None:  # spread from the beginning
                    each.probe_at = now + self._random() * probing.interval
            dues += [each.probe_at for each in standings if each.probe_at is not None]
        self._timers.arm(self, min(dues, default=NEVER))

    # -- how calls end -------------------------------------------------------------------------------------------

    def told(self, endpoint: Endpoint, outcome: Outcome, status: int, since: float | None) -> None:
        """A call, or one attempt of it, that was given to the endpoint at `since`, ended."""
        rules, strikes = self.upstream.ejection, endpoint.standing.strikes
        assert rules is not None
        strike = ejection.is_strike(rules, outcome, status, endpoint.overruns)
        if strike is False:
            strikes.clear()
            endpoint.wary = bool(rules.status)
        if not strike:
            return
        endpoint.wary = True
        if strikes.add(rules, outcome, self._timers.now(), since):
            self._eject(rules, endpoint, ejection.reason(outcome, status))

    def _eject(self, rules: ejection.Ejection, endpoint: Endpoint, why: str) -> None:
        members = self.upstream.endpoints
        if endpoint.out or endpoint not in members:
            return
        if not ejection.may_eject(rules, sum(bool(each.out) for each in members), len(members)):
            return
        now, standing = self._timers.now(), endpoint.standing
        standing.times = ejection.in_a_row(standing.times, standing.since, standing.lasted, now)
        standing.lasted = ejection.lasts(rules, standing.times)
        standing.until = now + standing.lasted
        standing.good = 0
        self._take_out(endpoint, EJECTION, "eject", why)
        standing.strikes.clear()
        if standing.until < self.due:
            self._timers.arm(self, standing.until)

    # -- what probes find ----------------------------------------------------------------------------------------

    def _look_after(self, endpoint: Endpoint, now: float) -> None:
        probing, standing = self.upstream.health, endpoint.standing
        if probing is not None and standing.probe_at is not None and standing.probe_at <= now:
            standing.probe_at = now + probing.interval * (1 + JITTER * (2 * self._random() - 1))
            self._probe(self, endpoint, probing)

    def probed(self, endpoint: Endpoint, found: Probe) -> None:
        """The result of a probe. So many of a kind in a row count; good ones also end a first ejection early, but not
        one of those that follow: then it is calls that fail there, whatever it says of itself."""
        probing, standing = self.upstream.health, endpoint.standing
        if probing is None or endpoint not in self.upstream.endpoints:
            return
        standing.probe = found
        standing.probes["good" if found.good else "bad"] += 1
        standing.good, standing.bad = (standing.good + 1, 0) if found.good else (0, standing.bad + 1)
        if standing.bad >= probing.unhealthy and HEALTH not in endpoint.out:
            self._take_out(endpoint, HEALTH, "probe", found.said)
        elif standing.good >= probing.healthy:
            if standing.times == 1:
                self._let_in(endpoint, EJECTION)
            self._let_in(endpoint, HEALTH)

    # -- in and out ----------------------------------------------------------------------------------------------

    def _take_out(self, endpoint: Endpoint, reason: str, kind: Kind, why: str) -> None:
        if not endpoint.out:
            endpoint.standing.since = self._timers.now()
        self.upstream.take_out(endpoint, reason)
        self._tell(endpoint, kind, why)

    def _let_in(self, endpoint: Endpoint, reason: str) -> None:
        """It is back unless there is another reason."""
        if reason not in endpoint.out:
            return
        if reason == EJECTION:
            endpoint.standing.until = NEVER
            endpoint.standing.strikes.clear()  # calls that it still carried may have failed meanwhile
        self.upstream.put_back(endpoint, reason)
        if not endpoint.out:
            endpoint.standing.since = self._timers.now()
            self._tell(endpoint, "restore", reason)

    def _tell(self, endpoint: Endpoint, kind: Kind, why: str) -> None:
        members, standing, ejected = self.upstream.endpoints, endpoint.standing, kind == "eject"
        standing.events[kind] += 1
        self._say(
            Event(
                kind, self.upstream.name, endpoint.name, why, sum(not each.out for each in members), len(members),
                standing.lasted if ejected else None, len(standing.strikes) if ejected else None,
                standing.times if ejected else None,
            )
        )  # fmt: skip
