"""The overview and the limits near their edge, of real calls in a real store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import orjson

from gateway.admin.edges import MOST, SLICE, edges
from gateway.admin.overview import MOST_CONSUMERS, MOST_ROUTES, Sources, overview
from gateway.call import Call, State
from gateway.identity.claims import Identity
from gateway.outcome import Outcome
from gateway.policies.caps import compile_cap
from gateway.policies.rate_limit import compile_rate_limit
from gateway.state.bucket import Rate
from gateway.state.store import Tokens
from gateway.telemetry.lag import Lag
from gateway.telemetry.record import clean
from gateway.telemetry.tallies import RouteTally, Tallies
from tests.kit.calls import call_of, head_of
from tests.kit.serving import Scene

CAP = compile_cap("polls-at-once", True, 4, "consumer", {})
RATE = compile_rate_limit("polls", "polls-a-minute", (60, 60), 10, "consumer", {}, False)


class Room(Lag):
    """Nothing is ever late here."""

    def __init__(self) -> None:
        self.most = self.gc_pause = 0.0

    recent = 0.0  # type: ignore[assignment]


def sources(scene: Scene, calls: list[Call], **more: Any) -> Sources:
    def each() -> Iterator[Call | None]:
        return iter([None, *calls])

    found = Sources(
        calls=each, now=scene.timers.now, snapshot=scene.snapshot, tallies=Tallies(Room()), store=scene.store,
        limits=scene.limits, ready=(True, "serving"), draining=False, connections=(3, 100), shed={"hold": 0},
        reload={"ok": 0, "failed": 0, "failure": None, "at": 0.0}, dropped={"log_lines": 0, "spans": 0},
    )  # fmt: skip
    return replace(found, **more)


def parked(scene: Scene, consumer: str, state: State = State.PARKED) -> Call:
    call = call_of(head_of("/updates"))
    call.plan, call.state, call.identity = scene.plan, state, Identity("main", consumer, "acme")
    return call


async def test_who_holds_what_is_counted_and_what_is_over_is_not() -> None:
    scene = Scene("template")
    calls = [parked(scene, f"c{n % 40}") for n in range(990)]
    calls += [parked(scene, "late", State.WAITING), parked(scene, "gone", State.SETTLED)]
    seen = cast("dict[str, Any]", await overview(sources(scene, calls), []))
    assert (seen["held"]["total"], seen["held"]["waiting"]) == (991, 1)
    assert seen["held"]["routes"] == [{"route": "updates", "parked": 990, "waiting": 1}]
    assert len(seen["consumers"]) == MOST_CONSUMERS and seen["consumers"][0]["held"] == 25
    assert orjson.loads(orjson.dumps(seen)) == seen


async def test_the_busiest_routes_are_shown_in_the_order_they_are_written_in() -> None:
    scene = Scene()
    plans = tuple(replace(scene.plan, route=f"r{n}") for n in range(2 * MOST_ROUTES))
    seen = sources(scene, [], snapshot=replace(scene.snapshot, plans=plans))
    for number in range(MOST_ROUTES):
        seen.tallies.routes[f"r{2 * number}"] = tally = RouteTally()
        tally.outcomes = {Outcome.NEWS: 1, Outcome.EMPTY: 2, Outcome.OVERRUN: 1}
    found = cast("dict[str, Any]", await overview(seen, []))
    assert [one["route"] for one in found["held"]["routes"]] == [f"r{2 * n}" for n in range(MOST_ROUTES)]
    assert found["held"]["more_routes"] == MOST_ROUTES
    assert found["empty_share"]["r4"] == 0.75 and found["totals"]["r4"]["polls"] == {
        "news": 1,
        "empty": 2,
        "overrun": 1,
    }


async def test_calls_without_a_route_are_shown_once_there_are_any() -> None:
    scene = Scene()
    seen = sources(scene, [])
    found = cast("dict[str, Any]", await overview(seen, []))
    assert [one["route"] for one in found["held"]["routes"]] == ["updates"]
    seen.tallies.routes[""].calls[Outcome.NO_ROUTE] = 1
    found = cast("dict[str, Any]", await overview(seen, []))
    assert [one["route"] for one in found["held"]["routes"]] == ["updates", ""]


async def test_those_who_have_half_of_a_limit_are_near_its_edge_the_fullest_first() -> None:
    scene = Scene("template", rates=(RATE,), caps=(CAP,))
    for consumer, places in (("alice", 4), ("bob", 2), ("carol", 1)):
        for _ in range(places):
            scene.store.lend([CAP.place(consumer, consumer)], parked(scene, consumer))
    meters = scene.store._meters[RATE.limit]
    for consumer, used in (("dave", 9), ("erin", 4)):
        meters.add(consumer, scene.timers.now() + used * RATE.rate.interval, scene.timers.now(), 100)
    assert scene.store.level(Tokens(RATE.limit, "dave", Rate(1.0, 10)), scene.timers.now()).left == 1
    found = [(one.kind, one.key, one.used, one.max) for one in await edges(sources(scene, []))]
    assert found == [("hold_cap", "alice", 4, 4), ("rate", "dave", 9, 10), ("hold_cap", "bob", 2, 4)]


async def test_the_fullest_is_found_among_more_than_are_looked_at_in_one_turn() -> None:
    scene = Scene("template", caps=(CAP,))
    for number in range(3 * SLICE):
        for _ in range(4 if number == SLICE + 7 else 2):
            scene.store.lend([CAP.place(f"c{number}", f"c{number}")], parked(scene, f"c{number}"))
    for _ in range(3):
        scene.store.lend([CAP.place("a\nb\x1b[31m", "a")], parked(scene, "a"))
    found = await edges(sources(scene, []))
    assert [(one.key, one.share) for one in found[:2]] == [(f"c{SLICE + 7}", 1.0), (clean("a\nb\x1b[31m"), 0.75)]
    assert len(found) == MOST and "\x1b" not in found[1].key


async def test_who_holds_and_called_is_listed_once() -> None:
    scene = Scene("template")
    seen = sources(scene, [parked(scene, "alice")])
    for consumer in ("alice", "alice", "bob"):
        seen.tallies.consumers.count(consumer, 1.0)
    found = cast("dict[str, Any]", await overview(seen, []))
    assert [(one["consumer"], one["held"], one["calls"]) for one in found["consumers"]] == [
        ("alice", 1, 2),
        ("bob", 0, 1),
    ]


async def test_connections_and_upstreams_have_edges_too() -> None:
    scene = Scene()
    scene.upstream.max_held = 10
    scene.upstream.held = 9
    found = [(one.limit, one.kind, one.share) for one in await edges(sources(scene, [], connections=(100, 100)))]
    assert found == [("server.max_connections", "connections", 1.0), ("upstream.up.max_held", "held", 0.9)]
    assert await edges(sources(scene, [], connections=(0, 0))) != []
