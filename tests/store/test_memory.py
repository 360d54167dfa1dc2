"""`memory://` alone: its tables are bounded by time and by number, and cost what is in use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.state.bucket import Rate
from gateway.state.memory import MemoryStore
from gateway.state.store import Denied, Place, Tokens
from tests.kit.stores import take

from .test_store import poll

SLOW = Rate(3600.0, 5)
QUICK = Rate(1.0, 5)


def test_a_flood_of_made_up_keys_pushes_out_keys_and_not_the_process() -> None:
    store, holder = MemoryStore(max_keys=100), poll()
    most = 0
    for number in range(20_000):
        take(store, (Tokens("free", f"forged-{number}", SLOW),), holder, 100.0)
        most = max(most, store.size)
    assert most == 100


def test_what_is_made_ready_again_goes_on_counting_and_what_is_gone_is_nothing() -> None:
    store, alice = MemoryStore(), Tokens("free", "alice", SLOW)
    for left in (4, 3, 2):  # each time made ready anew, as by a reload
        take(store, (alice,), poll(), 100.0)
        assert store.level(alice, 100.0).left == left
    store.retain(("free",))
    take(store, (alice,), poll(), 100.0)
    assert store.level(alice, 100.0).left == 1
    store.retain(())
    store.give_back(alice, 100.0)
    assert store.level(alice, 100.0).left == 5 and store.size == 0


def test_evictions_of_made_up_pollers_are_bounded_too() -> None:
    store = MemoryStore(max_keys=100)
    for number in range(5_000):
        store.evicted(Place("cap", "route", 1, "", True, 30.0), f"forged-{number}", 100.0)
    assert store.size == 100


def test_a_bucket_that_is_full_again_is_forgotten() -> None:
    store, holder = MemoryStore(), poll()
    for number in range(1000):
        take(store, (Tokens("free", f"early-{number}", QUICK),), holder, 100.0)
    assert store.size == 1000
    for number in range(600):
        take(store, (Tokens("free", f"late-{number}", SLOW),), holder, 200.0)
    assert store.size == 600


def test_who_is_known_makes_nobody_forgotten() -> None:
    store, holder = MemoryStore(max_keys=3), poll()
    demands = [Tokens("free", key, SLOW) for key in "abc"]
    for _ in range(5):
        assert not any(isinstance(take(store, (demand,), holder, 100.0), Denied) for demand in demands)
    assert all(isinstance(take(store, (demand,), holder, 100.0), Denied) for demand in demands)


def test_a_key_with_nobody_under_a_cap_is_nothing() -> None:
    store = MemoryStore()
    for number in range(100):
        taken = take(store, (Place("cap", str(number % 7), 50),), poll(), 100.0)
        assert not isinstance(taken, Denied)
        taken[1][0].release()
    assert store.size == 0


@given(keys=st.lists(st.integers(0, 30), max_size=200), most=st.integers(2, 10), gap=st.sampled_from([0.0, 0.5, 5.0]))
def test_a_table_never_outgrows_its_bound(keys: list[int], most: int, gap: float) -> None:
    store, holder, now = MemoryStore(max_keys=most), poll(), 100.0
    for key in keys:
        now += gap
        demand = Tokens("free", str(key), QUICK)
        before = store.level(demand, now).left
        taken = take(store, (demand,), holder, now)
        assert isinstance(taken, Denied) is (before == 0)
        assert store.size <= most
        if before:
            assert store.level(demand, now).left == before - 1, "the key in use is never the one to go"


@pytest.mark.parametrize("most", [1, 2, 3])
def test_the_smallest_tables_work(most: int) -> None:
    store = MemoryStore(max_keys=most)
    for number in range(20):
        take(store, (Tokens("free", str(number), SLOW),), poll(), 100.0)
    assert store.size == most


def test_limits_that_are_no_more_are_forgotten_and_the_others_are_not() -> None:
    store, holder = MemoryStore(), poll()
    for limit in ("stays", "goes"):
        take(store, (Tokens(limit, "alice", SLOW), Place(f"{limit}-cap", "alice", 2)), holder, 100.0)
    store.retain({"stays", "stays-cap"})
    assert [store.level(Tokens(limit, "alice", SLOW), 100.0).left for limit in ("stays", "goes")] == [4, 5]
    assert store.held("stays-cap", "alice") == 1


def test_who_holds_a_place_under_a_cap_that_is_no_more_still_counts_if_it_comes_back() -> None:
    store = MemoryStore()
    taken = take(store, (Place("cap", "alice", 1),), poll(), 100.0)
    assert not isinstance(taken, Denied)
    store.retain(set())
    assert isinstance(take(store, (Place("cap", "alice", 1),), poll(), 100.0), Denied)
    taken[1][0].release()
    assert not isinstance(take(store, (Place("cap", "alice", 1),), poll(), 100.0), Denied)


def test_reloads_that_name_ever_new_limits_leave_nothing_behind() -> None:
    store = MemoryStore()
    for number in range(50):
        taken = take(store, (Tokens(f"r{number}", "a", SLOW), Place(f"c{number}", "a", 1)), poll(), 100.0)
        assert not isinstance(taken, Denied)
        taken[1][0].release()
        store.retain({f"r{number + 1}", f"c{number + 1}"})
    assert (store.size, len(store._meters), len(store._holders)) == (0, 0, 0)


def test_the_newest_keys_of_a_limit_are_told_and_no_more_than_asked_for() -> None:
    store = MemoryStore()
    assert list(store.newest("free", 10)) == []
    for number in range(50):
        take(store, (Tokens("free", f"k{number}", SLOW),), poll(), 100.0)
    take(store, (Place("cap", "alice", 3, "alice", False, 0.0),), poll(), 100.0)
    assert list(store.newest("free", 3)) == ["k49", "k48", "k47"]
    assert list(store.newest("cap", 3)) == ["alice"] and len(store.newest("free", 100)) == 50
