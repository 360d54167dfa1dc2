"""Numbers to be exported without a gateway behind them: tallies of a few calls, with what a hostile name may hold."""

from __future__ import annotations

from typing import Any, cast

from gateway.outcome import Outcome
from gateway.state.condition import Condition
from gateway.telemetry.histogram import HOLD, REQUEST, Histogram
from gateway.telemetry.instruments import Gauges, Watched
from gateway.telemetry.lag import Lag
from gateway.telemetry.tallies import ConsumerTally, RouteTally, Tallies
from gateway.upstream.resolve import Name

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
NASTY = 'a "b" \\ c\n\u2028é'


def gauges(**values: Any) -> Gauges:
    """A gateway in which everything has happened: no metric is without a series."""
    tallies = Tallies(Lag(cast(Any, None)), label_consumers=True)
    tallies.lag.most, tallies.lag.gc_pause = 0.25, 0.002
    for name in ("updates", NASTY):
        tallies.routes[name] = _route()
    tallies.endpoints["up", "10.0.0.1:80"] = {Outcome.NEWS: 3}
    for status, error in ((200, ""), (503, "503"), (0, "client_gone")):
        tallies.requests["GET", "/updates", "http", status, error] = _times(REQUEST, 0.005, 0.3, 99.0)
    tallies.requests["_OTHER", "", "http", 404, ""] = _times(REQUEST, 0.0)
    assert tallies.labelled is not None
    tallies.labelled["alice"] = ConsumerTally()
    tallies.labelled["alice"].outcomes[Outcome.NEWS], tallies.labelled["alice"].held = 3, 61.5
    settled = {
        "held": {("updates", "parked"): 7, (NASTY, "waiting"): 1}, "connections": 9, "max_connections": 100,
        "log_lines_dropped": 3, "shed": {"connections": 4}, "reloads": 2, "reloads_failed": 1,
        "last_reload_at": 1_700_000_000.5, "draining": False, "endpoint_held": {("up", "10.0.0.1:80"): 7},
        "sessions_moved": {"up": 2}, "notes_failed": 1,
        "spans": (12, 1), "tallies": tallies, "names": {"api.internal": _name()},
        "endpoints": {("up", "10.0.0.1:80"): Watched(True, {"eject": 2, "restore": 2}, {"good": 40, "bad": 3})},
        "sent_again": {("up", "sent"): 2, ("up", "denied"): 1}, "circuits": {"up": (True, 3)},
        "state": _state(),
    }  # fmt: skip
    return Gauges(**cast(Any, settled | values))


def _state() -> Condition:
    state = Condition("redis://localhost:6379/0", 1_700_000_000.0, parts=2, slow=3, reasserted=4)
    state.errors["slow"] = 3
    return state


def _name() -> Name:
    name = Name("api.internal")
    name.places, name.found_at, name.ok, name.failed = (("10.0.0.1",),), 1_700_000_000.25, 5, 2
    return name


def _route() -> RouteTally:
    tally = RouteTally()
    tally.outcomes = {Outcome.NEWS: 3, Outcome.EVICTED: 1, Outcome.CAPPED: 2}
    tally.calls = {Outcome.ANSWERED: 4}
    tally.holds = {Outcome.NEWS: _times(HOLD, 0.1, 12.0, 301.0), Outcome.EVICTED: _times(HOLD, 3.0)}
    tally.holds[Outcome.NEWS].mark(12.0, TRACE, SPAN, 1_700_000_000.25)
    tally.work.record(0.004)
    tally.news.record(0.0003)
    tally.clamped, tally.evictions = {"max": 2}, 1
    return tally


def _times(bounds: tuple[float, ...], *values: float) -> Histogram:
    found = Histogram(bounds)
    for value in values:
        found.record(value)
    return found
