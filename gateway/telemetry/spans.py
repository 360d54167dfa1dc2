"""The spans of a settled call: one of the server, one of the client for each attempt, with the names and attributes of
OpenTelemetry's conventions for HTTP and our own under `longpoll.` (docs/traces.md). Built once, when it is known that
they are kept, from the call and its record: a secret that is in no record is in no span.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace.status import Status, StatusCode

from gateway import __version__
from gateway.outcome import ENDINGS, Blame, Outcome
from gateway.telemetry.record import MAX_TEXT, clean
from gateway.telemetry.trace import ADOPTED, LINKED, Arrival, span_id, trace_id

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from gateway.call import Call
    from gateway.upstream.endpoint import Endpoint

Record = dict[str, object]
Attributes = dict[str, str | int | float]

SCOPE: Final = InstrumentationScope("longpoll-gateway", __version__, "https://opentelemetry.io/schemas/1.37.0")
METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
SHOWN: Final = {  # a field of the record -> the attribute of the server's span
    "path": "url.path",
    "status": "http.response.status_code",
    "peer": "client.address",
    "consumer": "enduser.id",
    "id": "longpoll.call_id",
    "route": "longpoll.route",
    "tenant": "longpoll.tenant",
    "outcome": "longpoll.outcome",
    "dialect": "longpoll.dialect",
    "hold_asked": "longpoll.asked",
    "hold_granted": "longpoll.granted",
    "clamped_by": "longpoll.clamped_by",
    "held": "longpoll.held",
    "waited": "longpoll.waited",
    "cursor": "longpoll.cursor",
    "endpoint": "longpoll.endpoint",
    "attempts": "longpoll.attempts",
    "note": "longpoll.note",
}
KEPT: Final = TraceFlags(TraceFlags.SAMPLED)
ERROR, UNSET = Status(StatusCode.ERROR), Status(StatusCode.UNSET)
NOBODY: Final = Arrival()


class Attempt(NamedTuple):
    """One attempt as its span shows it; instants in loop seconds. `error` is "" where nothing went wrong."""

    endpoint: "Endpoint"
    began: float
    ended: float
    status: int
    error: str


class Spans:
    """Builds the spans of calls, all of one resource."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource

    def of(self, call: Call, record: Record, base: int) -> list[ReadableSpan]:
        """The server's span, then the client's. `base` is Unix nanoseconds at loop second 0."""
        number = int(trace_id(call), 16)
        arrival = call.arrival or NOBODY
        state = _state(arrival.state)
        own = SpanContext(number, int(span_id(call, 0), 16), False, KEPT, state)
        parent = SpanContext(number, int(arrival.span_id, 16), True) if arrival.role is ADOPTED else None
        found = [self._server(call, record, arrival, own, parent, base)]
        path = _forwarded_path(call, record)
        for at, attempt in enumerate(attempts(call), 1):
            context = SpanContext(number, int(span_id(call, at), 16), False, KEPT, state)
            attributes = _client_attributes(call, attempt, at, path)
            status = ERROR if attempt.error else UNSET
            found.append(
                ReadableSpan(
                    _method(call.method)[0], context, own, self._resource, attributes, (), (), SpanKind.CLIENT, None,
                    status, _ns(base, attempt.began), _ns(base, attempt.ended), SCOPE,
                )
            )  # fmt: skip
        return found

    def _server(
        self, call: Call, record: Record, arrival: Arrival, own: SpanContext, parent: SpanContext | None, base: int
    ) -> ReadableSpan:
        name, attributes = _method(call.method)[0], _server_attributes(call, record, arrival)
        if call.plan is not None:
            name = f"{name} {call.plan.path}"
        links = [Link(_remote(arrival))] if arrival.role is LINKED else []
        status = ERROR if "error.type" in attributes else UNSET
        begins, ends = _ns(base, call.started), _ns(base, _ended(call))
        return ReadableSpan(
            name, own, parent, self._resource, attributes, list(_events(call, base)), links, SpanKind.SERVER, None,
            status, begins, ends, SCOPE,
        )  # fmt: skip


def attempts(call: Call) -> Iterator[Attempt]:
    """What was tried, in order: what failed before, and the last one as the call's ending says."""
    for each in call.tries:
        fault = str(each.status) if each.status else each.outcome.value
        yield Attempt(each.endpoint, each.began, each.ended, each.status, fault)
    if call.endpoint is None or call.attempts <= len(call.tries):
        return
    before = call.tries[-1].ended if call.tries else call.started + call.waited
    sent = call.sent_at if call.sent_at is not None and call.sent_at >= before else None
    answered = sent is not None and call.first_byte_at is not None
    status = call.status if answered else 0
    yield Attempt(call.endpoint, before if sent is None else sent, _ended(call), status, _fault(call, status))


def _fault(call: Call, status: int) -> str:
    """What is wrong with the last attempt: nothing, where it was given up or its answer means "no news"."""
    outcome = call.outcome or Outcome.INTERNAL_ERROR
    if outcome is Outcome.TRUNCATED or (not status and ENDINGS[outcome].blame is Blame.UPSTREAM):
        return outcome.value
    return str(status) if status >= 400 and outcome is not Outcome.EMPTY else ""


def error_type(call: Call) -> str | None:
    """Why the server's span is an error: an answer that is a 5xx, or broke off, for a fault of the upstream or the
    gateway. An end by a drain is none."""
    outcome = call.outcome or Outcome.INTERNAL_ERROR
    if outcome is Outcome.DRAINED or ENDINGS[outcome].blame not in (Blame.GATEWAY, Blame.UPSTREAM):
        return None
    return outcome.value if call.status >= 500 or outcome is Outcome.TRUNCATED else None


def _server_attributes(call: Call, record: Record, arrival: Arrival) -> Attributes:
    found: Attributes = {}
    for field, name in SHOWN.items():
        value = record.get(field)
        if isinstance(value, str) and value:
            found[name] = clean(value[:MAX_TEXT])
        elif isinstance(value, int | float):
            found[name] = value
    _name_method(found, call)
    if call.plan is not None:
        found["http.route"] = call.plan.path
    if arrival.scheme:
        found["url.scheme"] = arrival.scheme
        found["network.protocol.version"] = f"1.{arrival.version}"
    if arrival.host:
        found["server.address"], found["server.port"] = _authority(arrival.host, arrival.scheme)
    if arrival.agent:
        found["user_agent.original"] = clean(arrival.agent)
    if (error := error_type(call)) is not None:
        found["error.type"] = error
    return found


def _client_attributes(call: Call, attempt: Attempt, number: int, path: str) -> Attributes:
    endpoint = attempt.endpoint
    scheme = "http" if endpoint.tls is None else "https"
    found: Attributes = {
        "server.address": endpoint.host,
        "server.port": endpoint.port,
        "url.full": f"{scheme}://{endpoint.authority}{endpoint.prefix}{path}",
        "longpoll.endpoint": endpoint.name,
        "longpoll.upstream": endpoint.upstream.name,
    }
    _name_method(found, call)
    if number > 1:
        found["http.request.resend_count"] = number - 1
    if attempt.status:
        found["http.response.status_code"] = attempt.status
        found["network.protocol.version"] = "1.1"
    if attempt.error:
        found["error.type"] = attempt.error
    return found


def _forwarded_path(call: Call, record: Record) -> str:
    """What was asked upstream: the path as it may be shown, names of the query without values."""
    path, plan = str(record["path"]), call.plan
    if plan is not None and plan.request.rewrite is not None:
        path = plan.request.rewrite
    names = record.get("query")
    return f"{path}?{'&'.join(f'{name}=REDACTED' for name in names)}" if isinstance(names, list) else path


def _events(call: Call, base: int) -> Iterator[Event]:
    """What happened to a hold, in order: only polls are parked, and only an answer wakes one."""
    if call.hold is not None and (parked := call.parked_at) is not None:
        yield Event("parked", timestamp=_ns(base, parked))
        if call.first_byte_at is not None and not call.began_early:
            yield Event("woken", timestamp=_ns(base, call.first_byte_at))
        elif call.began_early and call.outcome in (Outcome.NEWS, Outcome.EMPTY):
            yield Event("woken", timestamp=_ns(base, _ended(call)))
    if call.outcome is Outcome.DRAINED:
        yield Event("drained", timestamp=_ns(base, _ended(call)))


def _name_method(found: Attributes, call: Call) -> None:
    _, method, original = _method(call.method)
    found["http.request.method"] = method
    if original:
        found["http.request.method_original"] = original


def _method(method: str) -> tuple[str, str, str]:
    """How a span is called after a method, the method as an attribute, and as it was sent where that is another."""
    return (method, method, "") if method in METHODS else ("HTTP", "_OTHER", clean(method[:MAX_TEXT]))


def _remote(arrival: Arrival) -> SpanContext:
    return SpanContext(int(arrival.trace_id, 16), int(arrival.span_id, 16), True, TraceFlags(arrival.flags))


@lru_cache(maxsize=256)
def _state(text: str) -> TraceState | None:
    return TraceState.from_header([text]) if text else None


@lru_cache(maxsize=1024)
def _authority(host: str, scheme: str) -> tuple[str, int]:
    """The name and the port that a Host means."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host, "443" if scheme == "https" else "80"
    return name.strip("[]"), int(port)


def _ended(call: Call) -> float:
    return call.ended if call.ended is not None else call.started


def _ns(base: int, instant: float) -> int:
    return base + int(instant * 1e9)
