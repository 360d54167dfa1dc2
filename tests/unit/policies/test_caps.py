"""The kinds `hold_cap` and `concurrency_cap`: whom each counts, and what it asks of the store."""

from __future__ import annotations

import pytest

from gateway.call import Call
from gateway.policies.caps import compile_cap
from gateway.state.store import Place
from tests.kit.holds import hold_plan

from .test_keys import caller


def polling(call: Call) -> Call:
    call.hold = hold_plan()
    return call


@pytest.mark.parametrize(
    ("polls", "poll", "counted"), [(True, True, 1), (True, False, 0), (False, True, 0), (False, False, 1)]
)
def test_polls_and_ordinary_calls_are_never_counted_together(polls: bool, poll: bool, counted: int) -> None:
    cap = compile_cap("c", polls, 3, "consumer", {})
    call = polling(caller()) if poll else caller()
    assert (cap.demand(call) is not None) == bool(counted)


def test_a_cap_asks_for_a_place_in_the_name_of_the_poller() -> None:
    cap = compile_cap("c", True, 3, "tenant", {}, True, 30.0)
    assert cap.demand(polling(caller("alice", tenant="acme"))) == Place("c", "acme", 3, "alice", True, 30.0)


def test_a_strangers_place_is_in_the_name_of_its_address() -> None:
    cap = compile_cap("c", True, 3, "route", {}, True, 30.0)
    assert cap.demand(polling(caller(None))) == Place("c", "updates", 3, "192.0.2.7", True, 30.0)


def test_a_cap_for_others_asks_for_nothing() -> None:
    cap = compile_cap("c", False, 3, "consumer", {"tier": ("gold",)})
    assert cap.demand(caller()) is None
    assert cap.demand(caller(tier="gold")) is not None


def test_a_cap_by_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="names nobody to count"):
        compile_cap("c", True, 3, "header:", {})
