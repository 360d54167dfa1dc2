"""Upstreams, limits and readiness of several workers as one gateway has them: a table of what each says and what is
told.
"""

from __future__ import annotations

from typing import Any

import pytest

from gateway.admin.edges import Edge
from gateway.machine.admin.asking import Missing
from gateway.machine.admin.by_hand import Order, undone
from gateway.machine.admin.counted import one_each, one_list
from gateway.machine.admin.parts import of_upstreams
from gateway.machine.admin.readiness import readiness

CLOSED = {"state": "closed", "since": None, "opened": 1, "refused": 2}
ENDPOINT = {
    "name": "a:80", "places": ["10.0.0.1"], "weight": 1, "held": 3, "idle": 1, "connections": 4, "overruns": 0,
    "state": "in", "why": [], "since": None, "back_in": None, "strikes": 0, "ejections": 0, "probe": None,
    "calls": {"news": 5},
}  # fmt: skip
MEMBER = {"name": "a:80", "url": "http://a:80", "weight": 1, "from": "file", "drained": []}


def upstream(**values: Any) -> dict[str, Any]:
    told = {
        "name": "up", "held": 3, "max_held": 10, "taking": 1, "circuit": CLOSED, "retries": {"sent": 1, "denied": 0},
        "endpoints": [ENDPOINT], "members": [MEMBER], "leaving": [],
    }  # fmt: skip
    return {**told, **values}


def out(since: float, **values: Any) -> dict[str, Any]:
    return {**ENDPOINT, "state": "out", "why": ["ejection"], "since": since, "back_in": 5.0, "ejections": 1, **values}


def test_what_is_carried_adds_up() -> None:
    (found,) = of_upstreams([(0, [upstream()]), (1, [upstream()])])
    assert (found["held"], found["max_held"], found["taking"], found["retries"]["sent"]) == (6, 20, 1, 2)
    assert found["circuit"] == {**CLOSED, "opened": 2, "refused": 4}
    (endpoint,) = found["endpoints"]
    assert (endpoint["held"], endpoint["connections"], endpoint["calls"]) == (6, 8, {"news": 10})
    assert "out_at" not in endpoint


def test_an_endpoint_that_one_worker_gives_no_calls_is_out_and_it_is_said_where() -> None:
    (found,) = of_upstreams([(0, [upstream()]), (3, [upstream(endpoints=[out(4.0)])])])
    (endpoint,) = found["endpoints"]
    assert (endpoint["state"], endpoint["why"], endpoint["since"], endpoint["back_in"]) == (
        "out",
        ["ejection"],
        4.0,
        5.0,
    )
    assert endpoint["out_at"] == [3] and found["taking"] == 0


def test_where_all_agree_nobody_is_named() -> None:
    both = [
        (at, [upstream(endpoints=[out(since, why=[why])])])
        for at, since, why in ((0, 4.0, "health"), (1, 9.0, "ejection"))
    ]
    (found,) = of_upstreams(both)
    (endpoint,) = found["endpoints"]
    assert (endpoint["why"], endpoint["since"], endpoint["ejections"]) == (["ejection", "health"], 9.0, 2)
    assert "out_at" not in endpoint


def test_the_worst_circuit_and_the_last_probe_count() -> None:
    probes = [{"good": ago > 1, "said": "x", "ago": ago, "took": 0.1} for ago in (3.0, 1.0)]
    rows = [upstream(endpoints=[{**ENDPOINT, "probe": probe}]) for probe in probes]
    rows[0]["circuit"] = {"state": "open", "since": 2.0, "opened": 1, "refused": 9}
    (found,) = of_upstreams([(0, [rows[0]]), (1, [rows[1]])])
    assert found["circuit"] == {"state": "open", "since": 2.0, "opened": 2, "refused": 11}
    assert found["endpoints"][0]["probe"]["ago"] == 1.0


def test_members_and_who_leaves_are_listed_once() -> None:
    leaving = {"name": "b:80", "address": "10.0.0.2", "held": 2, "connections": 2}
    dns = [
        {"addresses": [str(at)], "looked_up": at, "failure": None, "failed": None, "refresh": 30.0} for at in (5.0, 3.0)
    ]
    rows = [upstream(members=[{**MEMBER, "dns": one}], leaving=[leaving]) for one in dns]
    rows[1]["members"][0]["drained"] = ["a:80"]
    (found,) = of_upstreams([(0, [rows[0]]), (1, [rows[1]])])
    assert found["members"] == [{**MEMBER, "drained": ["a:80"], "dns": dns[1]}]
    assert found["leaving"] == [{**leaving, "held": 4, "connections": 4}]


def test_limits_are_told_once_with_what_all_hold() -> None:
    rate = {"limit": "r", "key": "a", "kind": "rate", "left": 4, "burst": 9, "reset": 2, "waiting": 1}
    cap = {"limit": "c", "key": "a", "kind": "hold_cap", "held": 2, "max": 4, "waiting": 0}
    unknown = {"limit": "x", "key": "a", "kind": None}
    found = one_list(
        [[rate, cap, unknown], [{**rate, "left": 3, "reset": 5}, {**cap, "held": 1, "waiting": 2}, unknown]]
    )
    assert found == [{**rate, "left": 3, "reset": 5, "waiting": 2}, {**cap, "held": 3, "waiting": 2}, unknown]
    assert one_list([]) == []


def test_edges_of_a_process_add_up_with_what_there_may_be_and_those_of_all_do_not() -> None:
    own, cap = (
        Edge("server.max_connections", "connections", "", 6, 10, 0.6, 0),
        Edge("c", "hold_cap", "a", 1, 4, 0.25, 1),
    )
    rate = Edge("r", "rate", "a", 5, 10, 0.5, 0)
    found = one_each([own, cap, rate, own._replace(used=2), cap._replace(used=2), rate._replace(used=7)])
    assert found == [own._replace(used=8, max=20, share=0.4), cap._replace(used=3, share=0.75, waiting=2),
                     rate._replace(used=7, share=0.7)]  # fmt: skip


SERVING = {"ready": True, "detail": "serving"}
FAILED = {"ready": True, "detail": "serving; the reload failed"}
DRAINING = {"ready": False, "detail": "draining"}


@pytest.mark.parametrize(
    ("states", "missing", "ready", "detail"),
    [
        ({0: SERVING, 1: SERVING}, [], True, "serving; 2 of 2 workers ready"),
        ({0: FAILED, 1: FAILED}, [], True, "serving; the reload failed; 2 of 2 workers ready"),
        ({0: SERVING, 1: FAILED}, [], True, "serving; 2 of 2 workers ready; worker 1: serving; the reload failed"),
        ({1: SERVING}, [Missing(0, "has ended")], True, "serving; 1 of 2 workers ready; worker 0: has ended"),
        ({0: SERVING, 1: DRAINING}, [], True, "serving; 1 of 2 workers ready; worker 1: draining"),
        ({0: DRAINING}, [Missing(1, "has ended")], False,
         "no worker takes calls; 0 of 2 workers ready; worker 0: draining; worker 1: has ended"),
    ],
)  # fmt: skip
def test_a_machine_is_ready_when_one_worker_is(
    states: dict[int, Any], missing: list[Missing], ready: bool, detail: str
) -> None:
    assert readiness(2, states, missing, draining=False) == (ready, detail)
    assert readiness(2, states, missing, draining=True) == (False, "draining")


PAGE = "/api/upstreams/up/endpoints"
TWO = {"members": [MEMBER, {**MEMBER, "name": "b:81", "url": "http://b:81", "weight": 2}]}
ONE = {"members": [MEMBER]}
DRAINED = {"members": [{**MEMBER, "drained": ["a:80"]}, TWO["members"][1]]}


@pytest.mark.parametrize(
    ("order", "before", "after", "back"),
    [
        (Order("POST", PAGE, {"url": "http://b:81"}), ONE, TWO, Order("DELETE", f"{PAGE}/b%3A81")),
        (Order("DELETE", f"{PAGE}/b:81"), TWO, ONE, Order("POST", PAGE, {"url": "http://b:81", "weight": 2})),
        (Order("POST", f"{PAGE}/a:80/drain"), TWO, DRAINED, Order("DELETE", f"{PAGE}/a:80/drain")),
        (Order("DELETE", f"{PAGE}/a:80/drain"), DRAINED, TWO, Order("POST", f"{PAGE}/a:80/drain")),
        (Order("DELETE", f"{PAGE}/a:80/drain"), TWO, TWO, None),
        (Order("POST", PAGE, {"url": "http://b:81"}), TWO, TWO, None),
    ],
)
def test_what_was_done_is_taken_back(order: Order, before: Any, after: Any, back: Order | None) -> None:
    assert undone(order, before, after) == back
