"""The overview of several workers: what one process that had all their calls would show, and totals that stay when a
worker dies.
"""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.census import MOST_CONSUMERS, Json, gather
from gateway.admin.history import GROUPS, KEPT, Rate
from gateway.admin.overview import shaped
from gateway.call import State
from gateway.machine.admin import plotted
from gateway.machine.admin.ledger import Ledger
from gateway.machine.admin.whole import NOTHING, after, remains, whole
from gateway.outcome import Outcome
from gateway.telemetry.histogram import HOLD, Histogram
from gateway.telemetry.tallies import RouteTally
from tests.kit.serving import Scene
from tests.unit.admin.test_listing import run
from tests.unit.admin.test_overview import parked, sources

OWN = {"ready": True, "detail": "serving"}
HOLDS = st.lists(st.tuples(st.sampled_from(["alice", "bob", "carol"]), st.sampled_from([State.PARKED, State.WAITING])))
ENDINGS = st.lists(
    st.tuples(st.sampled_from([Outcome.NEWS, Outcome.EMPTY, Outcome.BLANK]), st.sampled_from([0.25, 8.0]))
)
WORKER = st.tuples(HOLDS, ENDINGS)
Worker = tuple[list[tuple[str, State]], list[tuple[Outcome, float]]]


def part(worker: Worker, **values: Any) -> Json:
    """What a worker gathers that holds these and in which those have ended, as it comes from its socket."""
    scene = Scene("template")
    held, endings = worker
    seen = sources(scene, [parked(scene, consumer, state) for consumer, state in held], **values)
    tally = seen.tallies.routes["updates"] = RouteTally()
    for outcome, took in endings:
        tally.outcomes[outcome] = tally.outcomes.get(outcome, 0) + 1
        tally.holds.setdefault(outcome, Histogram(HOLD)).record(took)
        seen.tallies.consumers.count("alice", took)
    rates = [Rate("updates", outcome, True, 0.5) for outcome in dict.fromkeys(outcome for outcome, _ in endings)]
    found: Json = orjson.loads(orjson.dumps(run(gather(seen, rates))))
    return found


def show(*parts: Json) -> Json:
    return shaped({**whole([NOTHING, *parts]), **OWN})


@given(st.lists(WORKER, min_size=1, max_size=3))
def test_parts_come_to_the_whole(workers: list[Worker]) -> None:
    every = part(([hold for held, _ in workers for hold in held], [end for _, ends in workers for end in ends]))
    found, one = show(*map(part, workers)), shaped(every)
    for key in ("held", "totals", "hold", "news", "empty_share", "reload", "dropped", "draining"):
        if key != "held":
            assert found[key] == one[key], key
    assert {**found["held"], "endpoints": []} == {**one["held"], "endpoints": []}
    assert {each["consumer"]: each for each in found["consumers"]} == {
        each["consumer"]: each for each in one["consumers"]
    }
    assert [each["held"] for each in found["consumers"]] == sorted(
        (each["held"] for each in one["consumers"]), reverse=True
    )
    assert found["connections"] == {"open": 3 * len(workers), "limit": 100 * len(workers), "shed": {"hold": 0}}


def test_rates_add_up_and_of_delays_the_longest_counts() -> None:
    one, two = part(([], [(Outcome.NEWS, 1.0)])), part(([], [(Outcome.NEWS, 1.0), (Outcome.EMPTY, 1.0)]))
    one["lag"], two["lag"] = {"recent": 0.5, "most": 0.5, "gc": 0.0}, {"recent": 0.0, "most": 2.0, "gc": 0.1}
    found = show(one, two)
    assert [(each["outcome"], each["per_second"]) for each in found["rates"]] == [("news", 1.0), ("empty", 0.5)]
    assert found["lag"] == {"recent": 0.5, "most": 2.0, "gc": 0.1}


def test_a_reload_of_all_is_one_and_one_that_failed_anywhere_failed() -> None:
    fine = part(([], []), reload={"ok": 2, "failed": 0, "failure": None, "at": 10.0})
    bad = part(([], []), reload={"ok": 1, "failed": 1, "failure": "it failed", "at": 9.0})
    assert show(fine, bad)["reload"] == {"ok": 2, "failed": 1, "failure": "it failed", "at": 10.0}
    assert after(remains(fine), fine)["reload"]["ok"] == 4, "of one worker, before and after it died"


def test_what_a_dead_worker_counted_stays_and_what_it_held_does_not() -> None:
    ledger: Ledger[Json] = Ledger(remains, after)
    ledger.tell(0, "x", 10, part(([("bob", State.PARKED)], [(Outcome.NEWS, 8.0)])))
    ledger.tell(1, "y", 11, part(([("bob", State.PARKED)], [])))
    left = show(*ledger.parts({11}))
    assert left["held"]["total"] == 1 and left["totals"]["updates"]["polls"] == {"news": 1}
    assert left["connections"]["open"] == 3 and left["rates"] == []
    ledger.tell(0, "z", 12, part(([], [(Outcome.EMPTY, 8.0)])))
    again = show(*ledger.parts({11, 12}))
    assert again["totals"]["updates"]["polls"] == {"news": 1, "empty": 1} and again["hold"]["updates"]["count"] == 2
    assert [each["calls"] for each in again["consumers"] if each["consumer"] == "alice"] == [2]
    assert [(one["held"], one["calls"]) for one in again["held"]["endpoints"]] == [(0, 0)]


def test_routes_that_only_the_dead_had_are_shown_no_more() -> None:
    gone = part(([], [(Outcome.NEWS, 8.0)]))
    gone["held"], gone["tallies"] = {"old": (1, 0)}, {"old": gone["tallies"]["updates"]}
    assert [one["route"] for one in show(remains(gone), part(([], [])))["held"]["routes"]] == ["updates"]


def test_consumers_are_bounded_however_many_processes_there_were() -> None:
    found = NOTHING
    for life in range(5):
        names = {f"c{life}-{number}": [0, number, 1.0] for number in range(MOST_CONSUMERS)}
        found = after(found, {**NOTHING, "consumers": {**names, "heavy": [1, 1000, 1.0]}})
    assert len(found["consumers"]) <= 2 * MOST_CONSUMERS
    assert found["consumers"]["heavy"] == (5, 5000, 5.0)


def test_nobody_makes_an_empty_overview() -> None:
    assert show()["held"]["total"] == 0


def test_plots_add_up_where_there_is_something_to_add() -> None:
    def of(value: float | None, held: int) -> Json:
        series = [(name, [None] * (KEPT - 1) + [value]) for name in GROUPS]
        return {**plotted.NOTHING, "series": series, "held": [held, *plotted.NOTHING["held"][1:]]}

    found = plotted.whole([plotted.NOTHING, of(1.5, 2), of(0.5, 3), of(None, 0)])
    assert found["series"][0] == (GROUPS[0], [None] * (KEPT - 1) + [2.0])
    assert found["held"][0] == 5
    past = plotted.remains(of(9.0, 7))
    assert plotted.after(past, of(1.0, 1))["series"][0][1][-1] == 1.0
    assert plotted.after(past, of(1.0, 1))["held"][0] == 8
