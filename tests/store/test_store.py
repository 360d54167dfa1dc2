"""What every store must do: all or nothing, exact counts, refunds, evictions, and bounded tables. A further store is a
further parameter of `store`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.call import Call, Lease, State
from gateway.outcome import Outcome
from gateway.pipeline import Reply
from gateway.state.bucket import Level, Rate
from gateway.state.store import Demand, Denied, Place, Store, Tokens
from tests.kit.authorities import AUTHORITIES, Authority, Worker
from tests.kit.calls import call_of, head_of
from tests.kit.stores import take

RATE = Rate(10.0, 2)  # two at once, then one in ten seconds
ALICE = Tokens("free", "alice", RATE)
BOB = Tokens("free", "bob", RATE)
BLANK = Reply(Outcome.BLANK, 200)


@pytest.fixture(params=sorted(AUTHORITIES))
def authority(request: pytest.FixtureRequest) -> Iterator[Authority]:
    made = AUTHORITIES[request.param]()
    yield made
    made.close()


@pytest.fixture
def store(authority: Authority) -> Store:
    return authority.store()


@pytest.fixture
def worker(store: Store) -> Worker:
    return Worker(store)


def poll(state: State = State.PARKED, blank: Reply | None = BLANK) -> Call:
    """A call that may be ended to make room, unless its state or its dialect forbid it."""
    call = call_of(head_of())
    call.state, call.blank = state, blank
    return call


def cap(most: int, key: str = "alice", limit: str = "cap", evict: bool = False, who: str = "alice") -> Place:
    return Place(limit, key, most, who, evict, 30.0)


def took(store: Store, *demands: Demand, holder: Call | None = None, now: float = 100.0) -> tuple[Lease, ...]:
    """The leases."""
    taken = take(store, demands, holder or poll(), now)
    assert not isinstance(taken, Denied)
    return taken[1]


def denied(store: Store, *demands: Demand, now: float = 100.0) -> Denied:
    taken = take(store, demands, poll(), now)
    assert isinstance(taken, Denied)
    return taken


def lets_in(worker: Worker, *demands: Demand, holder: Call | None = None, now: float = 100.0) -> bool:
    return not isinstance(worker.take(*demands, holder=holder or poll(), now=now), Denied)


def ended(worker: Worker) -> list[Call]:
    return [call for call, _ in worker.ended]


def test_who_demands_nothing_is_never_denied(store: Store) -> None:
    assert took(store) == ()


def test_tokens_run_out_and_come_back(store: Store) -> None:
    took(store, ALICE)
    took(store, ALICE)
    assert denied(store, ALICE) == Denied(ALICE, pytest.approx(10.0))
    assert denied(store, ALICE, now=104).retry_after == pytest.approx(6.0)
    took(store, ALICE, now=110)
    assert denied(store, ALICE, now=110).demand == ALICE


def test_keys_and_limits_do_not_share(store: Store) -> None:
    other = Tokens("gold", "alice", RATE)
    for demand in (ALICE, ALICE, BOB, BOB, other, other):
        took(store, demand)
    assert [denied(store, demand).demand for demand in (ALICE, BOB, other)] == [ALICE, BOB, other]


def test_the_level_is_exact_and_asking_costs_nothing(store: Store) -> None:
    assert store.level(ALICE, 100) == Level(2, 0)
    took(store, ALICE)
    assert [store.level(ALICE, 103) for _ in range(3)] == [Level(1, pytest.approx(7))] * 3


def test_a_refund_is_never_more_than_full(store: Store) -> None:
    store.give_back(ALICE, 100)
    took(store, ALICE)
    for _ in range(5):
        store.give_back(ALICE, 100)
    took(store, ALICE)
    took(store, ALICE)
    assert denied(store, ALICE).demand == ALICE


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("lacking", [ALICE, cap(1)])
def test_a_refused_take_changes_nothing(store: Store, lacking: Demand, order: tuple[int, ...]) -> None:
    took(store, ALICE, cap(1))
    took(store, ALICE) if lacking == ALICE else None
    room = [lacking, BOB, cap(5, "route", "other")]
    for _ in range(3):
        assert denied(store, *(room[at] for at in order)).demand == lacking
    assert store.level(BOB, 100) == Level(2, 0)
    assert (store.held("cap", "alice"), store.held("other", "route")) == (1, 0)


def test_a_place_is_free_again_once_its_lease_is_back(store: Store) -> None:
    leases = [took(store, cap(3))[0] for _ in range(3)]
    assert denied(store, cap(3)) == Denied(cap(3), 1.0)
    assert store.held("cap", "alice") == 3
    leases[1].release()
    took(store, cap(3))
    assert denied(store, cap(3)).demand == cap(3)
    took(store, cap(3, "bob"))


def test_a_lease_gives_back_its_own_place_and_only_once(store: Store) -> None:
    first, second = took(store, cap(2))[0], took(store, cap(2))[0]
    first.release()
    first.release()
    assert store.held("cap", "alice") == 1
    second.release()
    assert store.held("cap", "alice") == 0


def test_one_call_holds_a_place_under_every_cap_that_is_meant_for_it(store: Store) -> None:
    taken = took(store, cap(1), cap(9, "route", "other"), ALICE)
    assert (store.held("cap", "alice"), store.held("other", "route")) == (1, 1)
    for lease in taken:
        lease.release()
    assert (store.held("cap", "alice"), store.held("other", "route")) == (0, 0)


def test_the_oldest_is_the_one_to_end_and_nothing_is_taken_of_who_is_refused(worker: Worker) -> None:
    first, second, third = poll(), poll(), poll()
    for holder in (first, second):
        took(worker.store, cap(2), holder=holder)
    want = cap(2, evict=True, who="carol")
    assert lets_in(worker, want, ALICE, holder=third)
    assert ended(worker) == [first] and worker.store.level(ALICE, 100).left == 1
    assert lets_in(worker, want) and ended(worker) == [first, second]
    assert worker.store.held("cap", "alice") == 2


@pytest.mark.parametrize(("state", "blank"), [(State.RELAYING, BLANK), (State.PARKED, None), (State.SETTLED, BLANK)])
def test_who_is_being_answered_or_may_not_be_cut_is_passed_over(
    worker: Worker, state: State, blank: Reply | None
) -> None:
    first, second = poll(state, blank), poll()
    took(worker.store, cap(2), holder=first)
    took(worker.store, cap(2), holder=second)
    assert lets_in(worker, cap(2, evict=True)) and ended(worker) == [second]


def test_where_nobody_can_be_ended_the_newcomer_is_refused(worker: Worker) -> None:
    took(worker.store, cap(1), holder=poll(State.RELAYING))
    assert worker.take(cap(1, evict=True), holder=poll()) == Denied(cap(1, evict=True), 1.0, None)
    assert not worker.ended


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("lacking", [ALICE, cap(1, "route", "other")])
def test_nobody_is_ended_for_a_call_that_something_else_refuses(worker: Worker, lacking: Demand, order: int) -> None:
    took(worker.store, cap(1), lacking)
    took(worker.store, ALICE) if lacking == ALICE else None
    found = worker.take(*[cap(1, evict=True), lacking][::order], holder=poll())
    assert isinstance(found, Denied) and (found.demand, found.victim) == (lacking, None)
    assert not worker.ended and worker.store.held("cap", "alice") == 1


def test_an_evicted_poller_evicts_nobody_until_its_grace_is_over(worker: Worker) -> None:
    store, want = worker.store, cap(1, evict=True, who="bob")
    took(store, replace(want, who="alice"))
    store.evicted(want, "bob", 100)
    refused = denied(store, want, now=110)
    assert (refused.victim, refused.retry_after) == (None, pytest.approx(20))
    assert denied(store, replace(want, limit="other", max=0), now=110).retry_after == 1.0
    assert lets_in(worker, replace(want, who="carol"), now=110)
    assert not lets_in(worker, want, now=129) and lets_in(worker, want, now=130)


def test_who_lost_its_place_does_not_take_it_back_in_the_same_way(worker: Worker) -> None:
    """However it lost it: the store bars it in the same moment."""
    took(worker.store, cap(1, evict=True, who="192.0.2.7"), holder=poll())
    assert lets_in(worker, cap(1, evict=True, who="carol"))
    assert not lets_in(worker, cap(1, evict=True, who=worker.ended[0][0].poller), now=129.9)
    assert lets_in(worker, cap(1, evict=True, who=worker.ended[0][0].poller), now=130)


def test_an_evicted_poller_may_have_a_free_place(store: Store) -> None:
    store.evicted(cap(1, evict=True), "alice", 100)
    took(store, cap(1, evict=True))


def test_without_grace_an_evicted_poller_may_evict_at_once(worker: Worker) -> None:
    want = replace(cap(1, evict=True), grace=0.0)
    took(worker.store, want)
    worker.store.evicted(want, "alice", 100)
    assert lets_in(worker, want) and len(worker.ended) == 1


def test_many_places_under_one_key_are_given_back_in_any_order(store: Store) -> None:
    leases = [took(store, cap(1000))[0] for _ in range(1000)]
    assert denied(store, cap(1000)).demand == cap(1000)
    for lease in (*leases[::2], *leases[1::2]):
        lease.release()
    assert store.held("cap", "alice") == 0
