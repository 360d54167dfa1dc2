"""What a connection keeps of a request is only ever a short cut: every request that repeats the fields of the one
before is forwarded, and let in, as if it had been the first of its connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from gateway import admission
from gateway.call import Call
from gateway.head import Fields, RequestHead
from gateway.holds.rewrite import Rewrite
from gateway.identity.claims import Identity
from gateway.identity.verify import Provider
from gateway.pipeline import Step
from gateway.policies.jwt import compile_jwt
from gateway.routing import Router, Rule
from gateway.shapes import RequestShape
from gateway.telemetry.trace import arrivals
from gateway.upstream.balance import Upstream
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.headers import HOP_BY_HOP, OURS, compile_drops, request_bytes
from tests.kit.calls import call_of, head_of
from tests.kit.plans import plan_of
from tests.unit.identity.forge import NOW, provider, token

UPSTREAM = Upstream("up")
ENDPOINT = Endpoint(UPSTREAM, "up.example", 5000)
IDENTITY = ((b"Gateway-Consumer", "consumer"), (b"Gateway-Scope", "claims.scope"))
SHAPES = [
    RequestShape(drops=compile_drops(HOP_BY_HOP | OURS), identity=IDENTITY),
    RequestShape(drops=compile_drops(HOP_BY_HOP | OURS | {b"x-one"}), identity=IDENTITY, add=b"X-Inside: yes\r\n"),
    RequestShape(drops=compile_drops(HOP_BY_HOP | OURS)),
]
CALLERS = [
    None,
    Identity("p", "alice", claims={"scope": "a"}),
    Identity("p", "alice", claims={"scope": "a b"}),  # the same consumer with another token
    Identity("p", "bob"),
]


def request(text: str, fields: Fields | None) -> RequestHead:
    head = head_of("/a", ("X-One", "1"), ("Authorization", f"Bearer {text}"))
    head.repeats = fields
    return head


def fields_of(text: str) -> Fields:
    head = request(text, None)
    return Fields(b"", head.host, head.headers, head.raw_headers)


@given(st.lists(st.tuples(st.sampled_from(SHAPES), st.sampled_from(CALLERS)), min_size=2, max_size=8))
def test_every_request_of_a_connection_is_forwarded_in_its_own_shape_for_its_own_caller(
    calls: list[tuple[RequestShape, Identity | None]],
) -> None:
    kept = fields_of("x")
    for shape, caller in calls:
        plan, sent = plan_of(UPSTREAM, request=shape), list[bytes]()
        for fields in (None, kept):
            head = request("x", fields)
            call = call_of(head)
            call.identity = caller
            sent.append(request_bytes(call, plan, head, ENDPOINT, Rewrite(""), None))
        assert sent[0] == sent[1]


def route(who: Provider, claims: Mapping[str, list[str]], clock: list[float]) -> Step:
    return compile_jwt([who], [("header:Authorization",)], (), claims, lambda: clock[0]).identify


GOLD, ANY = {"tier": ["gold"]}, {"tier": ["gold", "silver"]}
EVENTS = st.sampled_from(["gold only", "either", "reload", "forget", "later"])


@given(st.sampled_from(["gold", "silver", "iron"]), st.lists(EVENTS, min_size=2, max_size=12))
def test_a_token_that_was_let_in_is_still_asked_what_each_route_asks_and_for_its_end(
    tier: str, events: list[str]
) -> None:
    clock, text = [NOW], token(tier=tier)
    keeping, other = (provider(keep_claims=frozenset({"tier"})) for _ in range(2))
    routes = {"gold only": route(keeping, GOLD, clock), "either": route(keeping, ANY, clock)}
    fresh = {"gold only": route(other, GOLD, clock), "either": route(other, ANY, clock)}
    kept = fields_of(text)
    for event in events:
        if event == "reload":  # the routes change their places, and with that their rules
            routes = {"gold only": route(keeping, ANY, clock), "either": route(keeping, GOLD, clock)}
            fresh = {"gold only": route(other, ANY, clock), "either": route(other, GOLD, clock)}
        elif event == "forget":
            keeping.forget()
        elif event == "later":
            clock[0] += 1000.0
        else:
            calls = [call_of(request(text, kept)), call_of(request(text, None))]
            told = [step(call) for step, call in zip((routes[event], fresh[event]), calls, strict=True)]
            assert told[0] == told[1]
            assert who_of(calls[0]) == who_of(calls[1])


def who_of(call: Call) -> str | None:
    return call.identity.consumer if call.identity is not None else None


def routers() -> list[Any]:
    """Of two configurations: in the second the routes have changed their places."""
    paths = ["/a/{x}", "/{y}/b", "/c", "/**"]
    plans = [SimpleNamespace(route=str(number), cors=None, max_body=10) for number in range(4)]
    return [Router((Rule(None, path, ()), cast(Any, plan)) for path, plan in zip(paths, order, strict=True))
            for order in (plans, plans[::-1])]  # fmt: skip


PATHS = st.sampled_from(["/a/1", "/a/2", "/a/b", "/1/b", "/c", "/d", "*"])
METHODS = st.sampled_from(["GET", "POST", "OPTIONS", "TRACE"])


@given(st.lists(st.tuples(METHODS, PATHS, st.integers(0, 1)), min_size=2, max_size=12))
def test_every_request_is_routed_by_its_own_path_and_method_and_the_routes_of_now(
    requests: list[tuple[str, str, int]],
) -> None:
    both, kept = routers(), fields_of("x")
    for method, path, which in requests:
        found = []
        for fields in (None, kept):
            head = head_of(path, method=method)
            head.repeats = fields
            call = call_of(head)
            verdict = admission.route(call, head, cast(Any, SimpleNamespace(router=both[which])))
            found.append((verdict, call.plan, call.params, head.params))
        assert found[0] == found[1]


@given(st.lists(st.tuples(st.sampled_from(["http", "https"]), st.booleans()), min_size=2, max_size=8))
def test_every_request_shows_the_scheme_it_came_by(requests: list[tuple[str, bool]]) -> None:
    readers, kept = [arrivals(True, False), arrivals(True, True)], fields_of("x")
    for scheme, adopts in requests:
        read, seen = readers[adopts], []
        assert read is not None
        for fields in (None, kept):
            head = request("x", fields)
            head.scheme = scheme
            seen.append(read(head))
        assert seen[0] == seen[1]
