"""The spans of a call, from what really happened to one: times, events, what counts as an error, and no secret."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from gateway.holds.idle import compile_idle
from gateway.identity.claims import Identity
from gateway.outcome import Outcome
from gateway.routing import Rule
from gateway.shapes import RequestShape
from gateway.telemetry.otlp_spans import request
from gateway.telemetry.spans import Spans
from gateway.telemetry.trace import ADOPTED, LINKED, Arrival, arrivals
from gateway.upstream import failure
from tests.kit.calls import head_of
from tests.kit.records import record_of
from tests.kit.serving import NO_PAUSE, POLLS, WALL, Scene

from .test_serve_events import drain, end, failed, head, passes

Move = Callable[[Scene], None]
IDLE, LIMIT, _ = compile_idle(["status == 204", "status == 409"])
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
BASE = int(WALL * 1e9)
SENDER = Resource(
    {"service.name": "gateway", "gateway.worker": 1, "on": True, "of": 1.0, "all": ("a", "b")}, "https://x/1"
)


def spans(scene: Scene) -> list[ReadableSpan]:
    """Those of a settled call; they are told as the SDK tells them."""
    now = scene.loop.now
    record = record_of(scene.call, WALL + now, now, scene.serve.snapshot)
    found = Spans(SENDER).of(scene.call, record, BASE)
    assert request(found, SENDER) == encode_spans(found)
    return found


def play(kind: str, *moves: Move, **changes: object) -> Scene:
    hold = replace(POLLS[kind], idle=IDLE, idle_body_limit=LIMIT) if kind in POLLS else None
    scene = Scene(kind, **{"hold": hold, **changes})  # type: ignore[arg-type]
    scene.serve.arrives = arrivals(traced=True, adopt=False)
    scene.open()
    for move in moves:
        move(scene)
    assert scene.call.outcome is not None
    return scene


def leaves(scene: Scene) -> None:
    scene.serve.on_gone(scene.call)


def evict(scene: Scene) -> None:
    scene.serve.on_evict(scene.call)


@pytest.mark.parametrize(
    ("kind", "moves", "outcome", "server", "client"),
    [
        ("ordinary", [head(200, b"x", True)], "answered", "", ""),
        ("ordinary", [head(404, b"x", True)], "answered", "", "404"),
        ("ordinary", [head(500, b"x", True)], "upstream_error", "upstream_error", "500"),
        ("ordinary", [head(200, b"", False), failed(failure.RESET)], "truncated", "truncated", "truncated"),
        ("ordinary", [passes(31)], "upstream_timeout", "upstream_timeout", "upstream_timeout"),
        ("ordinary", [failed(failure.BAD)], "upstream_bad", "upstream_bad", "upstream_bad"),
        ("ordinary", [leaves], "client_gone", "", ""),
        ("ordinary", [head(503, b"", False), leaves], "client_gone", "", "503"),
        ("ordinary", [drain(25), passes(25.1)], "drained", "", ""),
        ("template", [head(200, b"[1]", True)], "news", "", ""),
        ("template", [head(204, b"", True)], "empty", "", ""),
        ("template", [head(409, b"[]", True)], "empty", "", ""),
        ("template", [head(503, b"", True)], "upstream_error", "upstream_error", "503"),
        ("template", [passes(30.1)], "overrun", "", "overrun"),
        ("template", [evict], "evicted", "", ""),
        ("template", [leaves], "client_gone", "", ""),
        ("template", [drain(25), passes(25)], "drained", "", ""),
        ("origin", [passes(30.1)], "upstream_timeout", "upstream_timeout", "upstream_timeout"),
        ("origin", [drain(25), passes(25.1)], "drained", "", ""),
        ("never", [drain(25), passes(25.1)], "drained", "", ""),
    ],
)  # fmt: skip
def test_an_error_is_what_the_upstream_or_the_gateway_did_wrong(
    kind: str, moves: list[Move], outcome: str, server: str, client: str
) -> None:
    scene = play(kind, *moves)
    first, second = spans(scene)
    assert first.attributes["longpoll.outcome"] == outcome
    assert [span.attributes.get("error.type", "") for span in (first, second)] == [server, client]
    codes = [StatusCode.ERROR if error else StatusCode.UNSET for error in (server, client)]
    assert [span.status.status_code for span in (first, second)] == codes


def test_a_call_that_was_refused_has_one_span_and_no_attempt() -> None:
    scene = play("ordinary", head=head_of("/nowhere", method="BREW"))
    (span,) = spans(scene)
    assert (span.name, span.kind, span.status.status_code) == ("HTTP", SpanKind.SERVER, StatusCode.UNSET)
    shown = span.attributes
    assert (shown["http.request.method"], shown["http.request.method_original"]) == ("_OTHER", "BREW")
    assert (shown["http.response.status_code"], shown["longpoll.outcome"]) == (404, "no_route")
    assert "http.route" not in shown and "longpoll.route" not in shown


def events(scene: Scene) -> list[tuple[str, float]]:
    return [(each.name, (each.timestamp - BASE) / 1e9) for each in spans(scene)[0].events]


@pytest.mark.parametrize(
    ("kind", "moves", "seen"),
    [
        ("template", [passes(2), head(200, b"[1]", True)], [("parked", 0), ("woken", 2)]),
        ("template", [passes(2), head(200, b"[", False), passes(1), end], [("parked", 0), ("woken", 2)]),
        ("template", [passes(2), leaves], [("parked", 0)]),
        ("template", [passes(2), evict], [("parked", 0)]),
        ("template", [passes(2), drain(0.2), passes(0.5)], [("parked", 0), ("drained", 2.1)]),
        ("template", [passes(2), failed(failure.RESET), passes(3), head(200, b"[1]", True)],
         [("parked", 0), ("woken", 5)]),
        ("ordinary", [passes(2), head(200, b"x", True)], []),
        ("ordinary", [drain(25), passes(25.1)], [("drained", 25.1)]),
    ],
)  # fmt: skip
def test_what_happened_to_a_hold_is_told_in_order(kind: str, moves: list[Move], seen: list[tuple[str, float]]) -> None:
    found = events(play(kind, *moves, idle=2))
    assert [name for name, _ in found] == [name for name, _ in seen]
    assert [at for _, at in found] == pytest.approx([at for _, at in seen], abs=0.2)


def test_attempts_follow_each_other_and_end_with_the_call() -> None:
    scene = play(
        "template", passes(2), failed(failure.RESET), passes(3), head(200, b"[1]", True), idle=2, retry=NO_PAUSE
    )
    server, first, second = spans(scene)
    times = [((span.start_time - BASE) / 1e9, (span.end_time - BASE) / 1e9) for span in (server, first, second)]
    assert times == [(0.0, 5.0), (0.0, 2.0), (2.0, 5.0)]
    assert [span.parent for span in (first, second)] == [server.context] * 2
    assert len({span.context.span_id for span in (server, first, second)}) == 3


def test_a_replay_with_no_time_left_is_no_attempt() -> None:
    scene = play("template", passes(28), failed(failure.RESET), idle=2, retry=NO_PAUSE)
    assert scene.call.outcome in (Outcome.BLANK, Outcome.OVERRUN)
    assert [span.attributes.get("error.type") for span in spans(scene)] == [None, "upstream_reset"]


def test_a_call_that_left_while_its_connection_was_being_made_has_an_attempt_that_was_not_sent() -> None:
    server, attempt = spans(play("template", passes(1), leaves, idle=0))
    assert not server.events and attempt.status.status_code is StatusCode.UNSET
    assert "http.response.status_code" not in attempt.attributes


def test_the_trace_of_a_caller_is_linked_or_adopted() -> None:
    scene = play("ordinary", head(200, b"x", True))
    scene.call.arrival = Arrival("http", 1, "x", "", LINKED, CALLER)
    linked, _ = spans(scene)
    assert linked.context.trace_id == int(scene.call.id, 16) and linked.parent is None
    (link,) = linked.links
    assert (link.context.trace_id, link.context.span_id) == (int(CALLER[3:35], 16), int(CALLER[36:52], 16))
    scene.call.arrival = Arrival("http", 1, "x", "", ADOPTED, CALLER, "a=1,1b@c=2")
    adopted, attempt = spans(scene)
    assert adopted.parent.span_id == link.context.span_id and adopted.parent.is_remote and not adopted.links
    assert adopted.context.trace_id == attempt.context.trace_id == int(CALLER[3:35], 16)
    assert adopted.context.trace_state.get("a") == "1"
    assert attempt.parent == adopted.context


@pytest.mark.parametrize("before", ["/bots/", "/bot"])
def test_what_a_route_keeps_secret_is_in_no_span(before: str) -> None:
    call_head = head_of(f"{before}tok3n/updates?offset=tok3n&tok3n=", ("User-Agent", "x"))
    request = RequestShape(Scene().plan.request.drops, rewrite="/v2/{token}/x")
    for shape, asked in ((Scene().plan.request, f"{before}***/updates"), (request, "/v2/{token}/x")):
        scene = play(
            "ordinary", head(200, b"x", True), head=call_head, rule=Rule(None, f"{before}{{token}}/updates", ()),
            secret_params=("token",), request=shape, path=f"{before}{{token}}/updates",
        )  # fmt: skip
        text = "".join(span.to_json() for span in spans(scene))
        assert spans(scene)[1].attributes["url.full"].endswith(f"{asked}?offset=REDACTED&***=REDACTED")
        assert "tok3n" not in text and f"{before}***/updates" in text


@pytest.mark.parametrize("agent", ["\x1b[2J\u2028\u202e", "x" * 5000, "\udcff\udc80"])
def test_what_a_client_says_of_itself_can_be_shown_anywhere(agent: str) -> None:
    scene = play("ordinary", head(200, b"x", True))
    arrives = arrivals(traced=True, adopt=False)
    assert arrives is not None
    asked = head_of("/updates")
    asked.headers = CIMultiDictProxy(CIMultiDict({"User-Agent": agent}))
    scene.call.arrival = arrives(asked)
    shown = spans(scene)[0].attributes["user_agent.original"]
    assert shown.isprintable() and len(shown) <= 2048


def test_who_called_is_shown_as_in_the_record() -> None:
    scene = play("ordinary", head(200, b"x", True))
    scene.call.identity = Identity("main", "alice", "acme")
    shown = spans(scene)[0].attributes
    assert (shown["enduser.id"], shown["longpoll.tenant"]) == ("alice", "acme")


@pytest.mark.parametrize(
    ("scheme", "host", "address", "port"),
    [
        ("http", "a.test", "a.test", 80),
        ("https", "a.test", "a.test", 443),
        ("https", "a.test:81", "a.test", 81),
        ("https", "[::1]", "::1", 443),
        ("http", "[::1]:81", "::1", 81),
    ],
)
def test_the_server_is_who_the_client_asked_for(scheme: str, host: str, address: str, port: int) -> None:
    asked = head_of("/updates")
    asked.host, asked.scheme = host, scheme
    shown = spans(play("ordinary", head(200, b"x", True), head=asked))[0].attributes
    assert (shown["url.scheme"], shown["server.address"], shown["server.port"]) == (scheme, address, port)
