"""Every metric, once: its name, kind, unit, words and labels, and where its numbers are read. `/metrics` and OTLP are
both written from this table, so neither can have what the other lacks (docs/metrics.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from gateway.telemetry.histogram import HOLD, NEWS, REQUEST, Histogram
from gateway.telemetry.tallies import Tallies

if TYPE_CHECKING:
    from gateway.edge.room import Shed
    from gateway.state.condition import Condition
    from gateway.telemetry.workers import Manned
    from gateway.upstream.resolve import Name

Value = int | float | Histogram
Label = str | int
Points = Iterable[tuple[tuple[Label, ...], Value]]  # no label where there should be some: all that is not told apart


class Watched(NamedTuple):
    """How an endpoint stands: whether it takes calls, what happened to it by kind, its probes by result."""

    taking: bool
    events: Mapping[str, int]
    probes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Gauges:
    """What there is to see at one instant. Times are Unix seconds, totals count from the start of the process."""

    held: Mapping[tuple[str, str], int]  # by route and state
    connections: int
    log_lines_dropped: int
    draining: bool
    max_connections: int = 0
    shed: Mapping[Shed, int] = field(default_factory=dict)
    reloads: int = 0
    reloads_failed: int = 0
    last_reload_ok: bool = True
    last_reload_at: float = 0.0  # of the last one, whether it went well or not; 0 before the first
    endpoints: Mapping[tuple[str, str], Watched] = field(default_factory=dict)  # by upstream and endpoint
    endpoint_held: Mapping[tuple[str, str], int] = field(default_factory=dict)  # by upstream and endpoint
    sessions_moved: Mapping[str, int] = field(default_factory=dict)  # by upstream, of those that keep sessions
    sent_again: Mapping[tuple[str, str], int] = field(default_factory=dict)  # by upstream and "sent" or "denied"
    circuits: Mapping[str, tuple[bool, int]] = field(default_factory=dict)  # by upstream: open now, opened so often
    spans: tuple[int, int] | None = None  # kept and dropped; None where no traces are sent
    tallies: Tallies | None = None
    names: Mapping[str, Name] = field(default_factory=dict)  # that endpoints have
    state: Condition | None = None  # of a store that others share
    notes_failed: int | None = None  # where there are other workers
    workers: Mapping[int, Manned] = field(default_factory=dict)  # by number, where there are several


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric under OpenTelemetry's name. A label that is empty is no label."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str  # UCUM
    help: str
    labels: tuple[str, ...]
    read: Callable[[Gauges], Points]
    bounds: tuple[float, ...] = ()
    merge: Literal["sum", "max", "min"] = "sum"  # what those of several workers come to

    @property
    def family(self) -> str:
        """The name in Prometheus' formats, but for the suffixes of its samples."""
        name = self.name.replace(".", "_")
        suffix = {"s": "_seconds", "By": "_bytes"}.get(self.unit, "")
        return name if name.endswith(suffix) else name + suffix


def _each_route(seen: Gauges, read: Callable[[str, Tallies], Points]) -> Points:
    for route in seen.tallies.routes if seen.tallies is not None else ():
        assert seen.tallies is not None
        yield from read(route, seen.tallies)


def _calls(seen: Gauges) -> Points:
    def of_route(route: str, tallies: Tallies) -> Points:
        tally = tallies.routes[route]
        for poll, outcomes in (("true", tally.outcomes), ("false", tally.calls)):
            yield from (((route, poll, outcome.value), count) for outcome, count in outcomes.items())

    return _each_route(seen, of_route)


def _holds(seen: Gauges) -> Points:
    return _each_route(seen, lambda route, tallies: (
        ((route, outcome.value), held) for outcome, held in tallies.routes[route].holds.items()
    ))  # fmt: skip


def _work(seen: Gauges) -> Points:
    return _polled(_each_route(seen, lambda route, tallies: [((route,), tallies.routes[route].work)]))


def _news(seen: Gauges) -> Points:
    return _polled(_each_route(seen, lambda route, tallies: [((route,), tallies.routes[route].news)]))


def _polled(points: Points) -> Points:
    """Without the routes that nobody polls: most of a distribution's lines are zeros as it is."""
    return ((labels, each) for labels, each in points if isinstance(each, Histogram) and any(each.buckets))


def _clamped(seen: Gauges) -> Points:
    return _each_route(seen, lambda route, tallies: (
        ((route, cause), count) for cause, count in tallies.routes[route].clamped.items()
    ))  # fmt: skip


def _evictions(seen: Gauges) -> Points:
    return _each_route(seen, lambda route, tallies: [((route,), tallies.routes[route].evictions)] if route else ())


def _refusals(seen: Gauges) -> Points:
    return _each_route(seen, lambda route, tallies: (
        ((route, reason), count) for reason, count in tallies.routes[route].refusals.items() if route or count
    ))  # fmt: skip


def _requests(seen: Gauges) -> Points:
    if seen.tallies is not None:
        for (method, template, scheme, status, error), took in seen.tallies.requests.items():
            yield (method, template, status or "", scheme, error), took
        if any(seen.tallies.other_requests.buckets):
            yield (), seen.tallies.other_requests


def _endpoint_calls(seen: Gauges) -> Points:
    for (upstream, endpoint), outcomes in seen.tallies.endpoints.items() if seen.tallies is not None else ():
        yield from (((upstream, endpoint, outcome.value), count) for outcome, count in outcomes.items())


def _endpoint_counts(read: Callable[[Watched], Mapping[str, int]]) -> Callable[[Gauges], Points]:
    return lambda seen: (
        ((*key, what), number) for key, each in seen.endpoints.items() for what, number in read(each).items()
    )


def _consumer_calls(seen: Gauges) -> Points:
    labelled = seen.tallies.labelled if seen.tallies is not None else None
    for consumer, tally in labelled.items() if labelled is not None else ():
        yield from (((consumer, outcome.value), count) for outcome, count in tally.outcomes.items())


def _consumer_held(seen: Gauges) -> Points:
    labelled = seen.tallies.labelled if seen.tallies is not None else None
    return (((consumer,), tally.held) for consumer, tally in (labelled or {}).items())


def _lookups(seen: Gauges) -> Points:
    for host, name in seen.names.items():
        yield (host, "ok"), name.ok
        yield (host, "failed"), name.failed


def _tallied(read: Callable[[Tallies], float]) -> Callable[[Gauges], Points]:
    return lambda seen: [((), read(seen.tallies))] if seen.tallies is not None else ()


def _shared(read: Callable[[Condition], float]) -> Callable[[Gauges], Points]:
    return lambda seen: [((), read(seen.state))] if seen.state is not None else ()


def _spans(which: int) -> Callable[[Gauges], Points]:
    return lambda seen: [((), seen.spans[which])] if seen.spans is not None else ()


INSTRUMENTS: tuple[Instrument, ...] = (
    Instrument("http.server.request.duration", "histogram", "s", "Duration of ordinary calls; polls are elsewhere.",
               ("http.request.method", "http.route", "http.response.status_code", "url.scheme", "error.type"),
               _requests, REQUEST),
    Instrument("longpoll.hold.duration", "histogram", "s", "How long polls were held, from sent upstream to answered.",
               ("route", "outcome"), _holds, HOLD),
    Instrument("longpoll.work.duration", "histogram", "s", "What polls took beside being held and waiting in line.",
               ("route",), _work, REQUEST),
    Instrument("longpoll.news.latency", "histogram", "s", "From the upstream's first byte of news to ours handed on.",
               ("route",), _news, NEWS),
    Instrument("longpoll.calls", "counter", "{call}", "Calls by how they ended.", ("route", "poll", "outcome"), _calls),
    Instrument("longpoll.held", "gauge", "{call}", "Calls that wait for an answer.", ("route", "state"),
               lambda seen: seen.held.items()),
    Instrument("longpoll.grants.clamped", "counter", "{poll}", "Polls held longer or shorter than they asked for.",
               ("route", "cause"), _clamped),
    Instrument("longpoll.evictions", "counter", "{poll}", "Polls that ended to make room for another.", ("route",),
               _evictions),
    Instrument("longpoll.refusals", "counter", "{call}", "Calls refused by a limit.", ("route", "reason"), _refusals),
    Instrument("longpoll.endpoint.calls", "counter", "{call}", "Calls by the endpoint that had them last.",
               ("upstream", "endpoint", "outcome"), _endpoint_calls),
    Instrument("longpoll.endpoint.held", "gauge", "{call}", "Calls that an endpoint has now.",
               ("upstream", "endpoint"), lambda seen: seen.endpoint_held.items()),
    Instrument("longpoll.dns.lookups", "counter", "{lookup}", "Names of endpoints looked up.", ("name", "result"),
               _lookups),
    Instrument("longpoll.dns.addresses", "gauge", "{address}", "Addresses of a name that are endpoints.", ("name",),
               lambda seen: (((host,), len(name.places)) for host, name in seen.names.items()), merge="max"),
    Instrument("longpoll.dns.last_lookup_timestamp", "gauge", "s", "When a name was last found.", ("name",),
               lambda seen: (((host,), name.found_at) for host, name in seen.names.items()), merge="min"),
    Instrument("longpoll.endpoint.taking", "gauge", "", "Whether an endpoint takes new calls.",
               ("upstream", "endpoint"), lambda seen: ((at, int(one.taking)) for at, one in seen.endpoints.items()),
               merge="min"),
    Instrument("longpoll.endpoint.events", "counter", "{event}", "Endpoints that were ejected, went out or came back.",
               ("upstream", "endpoint", "kind"), _endpoint_counts(lambda each: each.events)),
    Instrument("longpoll.endpoint.probes", "counter", "{probe}", "Active probes of an endpoint.",
               ("upstream", "endpoint", "result"), _endpoint_counts(lambda each: each.probes)),
    Instrument("longpoll.sessions.moved", "counter", "{session}", "Sessions whose endpoint took no calls any more.",
               ("upstream",), lambda seen: (((upstream,), count) for upstream, count in seen.sessions_moved.items())),
    Instrument("longpoll.retries", "counter", "{attempt}", "Attempts that followed one an upstream may have seen.",
               ("upstream", "result"), lambda seen: seen.sent_again.items()),
    Instrument("longpoll.circuit.open", "gauge", "", "Whether no endpoint of an upstream can be reached.",
               ("upstream",), lambda seen: (((name,), int(now)) for name, (now, _) in seen.circuits.items()),
               merge="max"),
    Instrument("longpoll.circuit.opened", "counter", "{outage}", "How often no endpoint could be reached.",
               ("upstream",), lambda seen: (((name,), often) for name, (_, often) in seen.circuits.items())),
    Instrument("longpoll.consumer.calls", "counter", "{call}", "Calls by consumer.", ("consumer", "outcome"),
               _consumer_calls),
    Instrument("longpoll.consumer.held_seconds", "counter", "s", "Time that polls of a consumer were held.",
               ("consumer",), _consumer_held),
    Instrument("longpoll.loop.lag", "gauge", "s", "Longest delay of the event loop in the last 10 s.", (),
               _tallied(lambda tallies: tallies.lag.recent), merge="max"),
    Instrument("longpoll.loop.lag.max", "gauge", "s", "Longest delay of the event loop since the start.", (),
               _tallied(lambda tallies: tallies.lag.most), merge="max"),
    Instrument("longpoll.gc.pause.max", "gauge", "s", "Longest garbage collection since the start.", (),
               _tallied(lambda tallies: tallies.lag.gc_pause), merge="max"),
    Instrument("longpoll.state.up", "gauge", "", "Whether the store that nodes or workers share can be asked.", (),
               _shared(lambda state: int(state.answers)), merge="min"),
    Instrument("longpoll.state.parts", "gauge", "{process}", "Processes that share each limit, as last heard.", (),
               _shared(lambda state: state.parts), merge="max"),
    Instrument("longpoll.state.decisions", "counter", "{decision}", "Decisions on limits, by who made them.", ("by",),
               lambda seen: (((by,), count) for by, count in seen.state.decisions.items()) if seen.state else ()),
    Instrument("longpoll.state.slow", "counter", "{answer}", "Answers of the shared store that came too late.", (),
               _shared(lambda state: state.slow)),
    Instrument("longpoll.state.reasserted", "counter", "{lease}", "Leases that were made known to it once more.", (),
               _shared(lambda state: state.reasserted)),
    Instrument("longpoll.state.errors", "counter", "{error}", "What went wrong with the shared store.", ("kind",),
               lambda seen: (((kind,), count) for kind, count in seen.state.errors.items()) if seen.state else ()),
    Instrument("longpoll.notes.failed", "counter", "{note}", "Notes for other workers not read or written.", (),
               lambda seen: [((), seen.notes_failed)] if seen.notes_failed is not None else ()),
    Instrument("longpoll.connections", "gauge", "{connection}", "Client connections that are open.", (),
               lambda seen: [((), seen.connections)]),
    Instrument("longpoll.max_connections", "gauge", "{connection}", "Client connections there may be.", (),
               lambda seen: [((), seen.max_connections)]),
    Instrument("longpoll.shed", "counter", "{call}", "Calls and connections turned away at the door.",
               ("reason",), lambda seen: (((reason,), count) for reason, count in seen.shed.items())),
    Instrument("longpoll.log.lines.dropped", "counter", "{line}", "Lines of the call log that were lost.", (),
               lambda seen: [((), seen.log_lines_dropped)]),
    Instrument("longpoll.spans.kept", "counter", "{span}", "Spans that were made to be sent.", (), _spans(0)),
    Instrument("longpoll.spans.dropped", "counter", "{span}", "Spans that were lost.", (), _spans(1)),
    Instrument("longpoll.reloads", "counter", "{reload}", "Reloads of the configuration.", ("result",),
               lambda seen: [(("ok",), seen.reloads), (("failed",), seen.reloads_failed)], merge="max"),
    Instrument("longpoll.last_reload_success", "gauge", "", "Whether the last reload went well.", (),
               lambda seen: [((), int(seen.last_reload_ok))], merge="min"),
    Instrument("longpoll.last_reload_timestamp", "gauge", "s", "When the last reload was.", (),
               lambda seen: [((), seen.last_reload_at)], merge="max"),
    Instrument("longpoll.draining", "gauge", "", "Whether the process is going to end.", (),
               lambda seen: [((), int(seen.draining))], merge="max"),
)  # fmt: skip
