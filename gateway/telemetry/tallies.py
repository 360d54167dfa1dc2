"""What calls add up to: plain integers and bucket arrays, counted once a call at its settling and read by whoever
exports or shows them. Everything outlives reloads under its name, and everything is bounded (docs/metrics.md).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final, TypeVar

from gateway.outcome import ANSWERED, ENDINGS, EVICTED, INTERNAL_ERROR, UPSTREAM_ERROR, Outcome
from gateway.outcome import NEWS as NEWS_CAME
from gateway.telemetry.consumers import MOST, Consumers
from gateway.telemetry.histogram import HOLD, NEWS, REQUEST, Histogram, merged
from gateway.telemetry.lag import Lag

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.plan import Snapshot

OTHER: Final = "_OTHER"  # OpenTelemetry's word for what is not told apart
MAX_REQUESTS: Final = 2000  # distinct label sets of ordinary calls
KEPT_GONE: Final = 200  # routes, and endpoints, that a reload took away and whose numbers stay
METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
REFUSALS = (Outcome.RATE_LIMITED, Outcome.CAPPED, Outcome.OVERLOADED)
FAILED: Final = frozenset(outcome for outcome, ending in ENDINGS.items() if ending.share == "error")

K = TypeVar("K")
Request = tuple[str, str, str, int, str]  # method, template, scheme, status (0: none was sent), error


class RouteTally:
    """The calls of one route. `outcomes` are those of polls, `calls` those of ordinary calls; `holds` has the polls
    that reached an upstream."""

    __slots__ = ("calls", "clamped", "evictions", "holds", "news", "outcomes", "work")

    def __init__(self) -> None:
        self.outcomes: dict[Outcome, int] = {}
        self.calls: dict[Outcome, int] = {}
        self.holds: dict[Outcome, Histogram] = {}
        self.work = Histogram(REQUEST)
        self.news = Histogram(NEWS)
        self.clamped: dict[str, int] = {}  # by cause
        self.evictions = 0  # by a poll that took the place

    @property
    def hold(self) -> Histogram:
        """How long polls were held, however they ended."""
        return merged(HOLD, self.holds.values())

    @property
    def refusals(self) -> dict[str, int]:
        """Polls and ordinary calls that a limit refused, by reason."""
        return {each.value: self.outcomes.get(each, 0) + self.calls.get(each, 0) for each in REFUSALS}


class ConsumerTally:
    __slots__ = ("held", "outcomes")

    def __init__(self) -> None:
        self.outcomes: dict[Outcome, int] = {}
        self.held = 0.0  # seconds


class Run:
    """Calls one after the other that count alike, as those of a crowd do: they are added up together, when one of
    another kind comes or somebody looks. That is a thirtieth of a wake. `there` are the last of them, at one endpoint:
    where calls are balanced each goes to another."""

    __slots__ = ("clamped", "endpoint", "number", "outcome", "plan", "poll", "tally", "there")

    def __init__(self, call: Call, outcome: Outcome, tally: RouteTally) -> None:
        self.plan = call.plan
        self.endpoint = call.endpoint
        self.poll = call.hold is not None
        self.clamped = call.clamped_by
        self.outcome = outcome
        self.tally = tally
        self.number = 0
        self.there = 0

    def fits(self, call: Call, outcome: Outcome) -> bool:
        return (
            call.plan is self.plan
            and outcome is self.outcome
            and (call.hold is not None) is self.poll
            and call.clamped_by == self.clamped
        )


class Tallies:
    """All of them. `labelled` has every consumer apart, if that is wanted; `consumers` only the busiest."""

    def __init__(self, lag: Lag, *, label_consumers: bool = False) -> None:
        self.lag = lag
        self._routes: dict[str, RouteTally] = {"": RouteTally()}
        self._endpoints: dict[tuple[str, str], dict[Outcome, int]] = {}
        self._run: Run | None = None
        self.requests: dict[Request, Histogram] = {}  # ordinary calls
        self.other_requests = Histogram(REQUEST)  # those beyond MAX_REQUESTS
        self.consumers = Consumers()
        self.labelled: dict[str, ConsumerTally] | None = {} if label_consumers else None

    @property
    def routes(self) -> dict[str, RouteTally]:
        """By name; "" are calls that no route matched."""
        self._bring_in()
        return self._routes

    @property
    def endpoints(self) -> dict[tuple[str, str], dict[Outcome, int]]:
        """By upstream and endpoint."""
        self._bring_in()
        return self._endpoints

    def count(self, call: Call) -> None:
        """A call ended. The path of every call: dictionaries and integers, nothing else."""
        outcome, ended = call.outcome or INTERNAL_ERROR, call.ended if call.ended is not None else call.started
        run = self._run
        if run is None or not run.fits(call, outcome):
            self._bring_in()
            run = self._run = Run(call, outcome, self._route(call.plan.route if call.plan is not None else ""))
        run.number += 1
        if call.endpoint is not run.endpoint:
            self._bring_in_endpoint(run)
            run.endpoint = call.endpoint
        run.there += 1
        tally, held = run.tally, 0.0
        if call.hold is None:
            took = ended - call.started
            self._request(call, outcome).record(took - call.passing(ended) if call.lasts else took)
            if call.upgrade is not None:
                tally.evictions += outcome is EVICTED and (call.note or "").startswith("for ")
        else:
            held = call.held(ended)
            self._poll(tally, call, outcome, ended - call.started, held)
        if call.identity is not None:
            self.consumers.count(call.identity.consumer, held)
            if self.labelled is not None:
                self._label(self.labelled, call.identity.consumer, outcome, held)

    def _bring_in(self) -> None:
        """Adds up the calls of the run that is over."""
        run, self._run = self._run, None
        if run is None:
            return
        outcome, tally, number = run.outcome, run.tally, run.number
        outcomes = tally.outcomes if run.poll else tally.calls
        outcomes[outcome] = outcomes.get(outcome, 0) + number
        if run.poll and run.clamped is not None:
            tally.clamped[run.clamped] = tally.clamped.get(run.clamped, 0) + number
        self._bring_in_endpoint(run)

    def _bring_in_endpoint(self, run: Run) -> None:
        if run.endpoint is not None and run.plan is not None:
            counts = self._endpoints.setdefault((run.plan.upstream.name, run.endpoint.name), {})
            counts[run.outcome] = counts.get(run.outcome, 0) + run.there
        run.there = 0

    def _poll(self, tally: RouteTally, call: Call, outcome: Outcome, took: float, held: float) -> None:
        if call.parked_at is not None:
            hold = tally.holds.get(outcome)
            if hold is None:
                hold = tally.holds[outcome] = Histogram(HOLD)
            hold.record(held)
        tally.work.record(took - held - call.waited - (call.passing(call.started + took) if call.lasts else 0.0))
        if outcome is NEWS_CAME and call.news_latency is not None:
            tally.news.record(call.news_latency)
        elif outcome is EVICTED and call.note is not None and call.note.startswith("for "):
            tally.evictions += 1

    def mark(self, call: Call, trace: str, span: str, wall: float) -> None:
        """The trace of a call that was counted is kept: its values are examples of their buckets."""
        outcome, ended = call.outcome or INTERNAL_ERROR, call.ended if call.ended is not None else call.started
        took, held = ended - call.started, call.held(ended)
        if call.hold is None:
            self._request(call, outcome).mark(took - call.passing(ended), trace, span, wall)
            return
        tally = self._route(call.plan.route if call.plan is not None else "")
        tally.work.mark(took - held - call.waited, trace, span, wall)
        if outcome in tally.holds:
            tally.holds[outcome].mark(held, trace, span, wall)
        if outcome is NEWS_CAME and call.news_latency is not None:
            tally.news.mark(call.news_latency, trace, span, wall)

    def _request(self, call: Call, outcome: Outcome) -> Histogram:
        method = call.method if call.method in METHODS else OTHER
        template = call.plan.path if call.plan is not None else ""
        error = "" if outcome is ANSWERED else error_type(call.status, outcome)
        key = (method, template, call.conn.scheme, call.status, error)
        found = self.requests.get(key)
        if found is None:
            if len(self.requests) >= MAX_REQUESTS:
                return self.other_requests
            found = self.requests[key] = Histogram(REQUEST)
        return found

    def _label(self, labelled: dict[str, ConsumerTally], consumer: str, outcome: Outcome, held: float) -> None:
        tally = labelled.get(consumer)
        if tally is None:
            name = consumer if len(labelled) < MOST else OTHER
            tally = labelled.get(name) or labelled.setdefault(name, ConsumerTally())
        tally.outcomes[outcome] = tally.outcomes.get(outcome, 0) + 1
        tally.held += held

    def _route(self, name: str) -> RouteTally:
        return self._routes.get(name) or self._routes.setdefault(name, RouteTally())

    # -- reload --------------------------------------------------------------------------------------------------

    def renew(self, snapshot: Snapshot) -> None:
        """A configuration is in force: its routes and endpoints have their zeros, and of those that are gone only the
        last keep their numbers."""
        routes = {"": None} | {plan.route: None for plan in snapshot.plans}
        endpoints = {(up.name, each.name): None for up in snapshot.upstreams.values() for each in up.endpoints}
        for name in routes:
            self.routes.setdefault(name, RouteTally())
        for key in endpoints:
            self.endpoints.setdefault(key, {})
        _forget(self.routes, routes)
        _forget(self.endpoints, endpoints)
        if len(self.requests) > MAX_REQUESTS // 2:
            templates = {"", *(plan.path for plan in snapshot.plans)}
            self.requests = {key: each for key, each in self.requests.items() if key[1] in templates}


def _forget(known: dict[K, Any], live: Collection[K]) -> None:
    gone = [key for key in known if key not in live]
    for key in gone[: max(len(gone) - KEPT_GONE, 0)]:
        del known[key]


def error_type(status: int, outcome: Outcome) -> str:
    """`error.type`: an upstream's own 5xx as it is written, else the outcome of what failed; empty if nothing did."""
    if outcome is UPSTREAM_ERROR:
        return str(status)
    return outcome._value_ if outcome in FAILED or not 0 < status < 500 else ""
