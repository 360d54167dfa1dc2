"""What every store must do that several processes share: counts are exact whoever asks, what one gives back another may
have, who waits comes in his order, and a poll ends wherever it is parked. A further store is a further parameter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.call import Call, State
from gateway.outcome import Outcome
from gateway.pipeline import Reply
from gateway.state.bucket import Rate
from gateway.state.store import Denied, Place, Tokens
from tests.kit.authorities import AUTHORITIES, Authority, Worker

from .test_store import cap, poll

ACROSS = sorted(AUTHORITIES.keys() - {"memory"})
RATE = Rate(10.0, 3)
ALICE = Tokens("free", "alice", RATE)


@pytest.fixture(params=ACROSS)
def authority(request: pytest.FixtureRequest) -> Iterator[Authority]:
    made = AUTHORITIES[request.param]()
    yield made
    made.close()


@pytest.fixture
def workers(authority: Authority) -> list[Worker]:
    return [Worker(authority.store()) for _ in range(3)]


def lets_in(worker: Worker, *demands: Place | Tokens, holder: Call | None = None, now: float = 100.0) -> bool:
    return not isinstance(worker.take(*demands, holder=holder or poll(), now=now), Denied)


def in_line(worker: Worker, place: Place, holder: Call | None = None) -> Call | None:
    """Who waits there now; None where there is no room in the line."""
    holder = holder or poll()
    taken = worker.take(place, holder=holder)
    assert isinstance(taken, Denied)
    return holder if taken.queued else None


def release(call: Call) -> None:
    for lease in call.leases:
        lease.release()


def line(most: int, waiting: int = 5, key: str = "alice") -> Place:
    return replace(cap(most, key), line=waiting)


def test_tokens_are_counted_once_whoever_takes_them(workers: list[Worker]) -> None:
    assert [lets_in(workers[at % 3], ALICE) for at in range(5)] == [True, True, True, False, False]
    assert {worker.store.level(ALICE, 100).left for worker in workers} == {0}
    workers[0].store.give_back(ALICE, 100)
    assert lets_in(workers[2], ALICE) and not lets_in(workers[1], ALICE)
    assert lets_in(workers[1], ALICE, now=110)


def test_a_cap_is_exact_whoever_asks_and_a_place_that_comes_back_is_anybodys(workers: list[Worker]) -> None:
    holders = [poll() for _ in range(4)]
    assert all(lets_in(workers[at % 3], cap(4), holder=holder) for at, holder in enumerate(holders))
    assert not any(lets_in(worker, cap(4)) for worker in workers)
    assert {worker.store.held("cap", "alice") for worker in workers} == {4}
    release(holders[1])
    assert lets_in(workers[0], cap(4)) and not lets_in(workers[2], cap(4))


def test_a_lease_is_given_back_once_and_by_its_owner_alone(workers: list[Worker]) -> None:
    first, second = poll(), poll()
    assert lets_in(workers[0], cap(2), holder=first) and lets_in(workers[1], cap(2), holder=second)
    for _ in range(3):
        release(first)
    assert workers[2].store.held("cap", "alice") == 1
    release(second)
    assert workers[2].store.held("cap", "alice") == 0


def test_what_is_refused_by_what_another_worker_holds_costs_nothing(workers: list[Worker]) -> None:
    assert lets_in(workers[0], cap(1))
    assert not lets_in(workers[1], ALICE, cap(5, "route", "other"), cap(1))
    assert workers[2].store.level(ALICE, 100).left == 3 and workers[2].store.held("other", "route") == 0


def test_who_waits_comes_in_his_order_whatever_worker_he_waits_at(authority: Authority, workers: list[Worker]) -> None:
    holder = poll()
    assert lets_in(workers[0], line(1), holder=holder)
    waiting = [(workers[at], in_line(workers[at], line(1))) for at in (1, 2, 1, 0)]
    for at, (worker, call) in enumerate(waiting):
        assert call is not None
        for other, later in waiting[at + 1 :]:
            assert isinstance(other.take(line(1), holder=later or poll()), Denied)
        for each in workers:
            each.freed.clear()
        release(holder)
        authority.turns()
        assert ("cap", "alice") in worker.freed, "whose turn it is was told so"
        assert not lets_in(workers[0], line(1)), "nobody passes who waits"
        assert lets_in(worker, line(1), holder=call)
        holder = call
    assert {worker.store.held("cap", "alice") for worker in workers} == {1}


def test_when_several_places_come_free_everybody_is_told_in_turn(authority: Authority, workers: list[Worker]) -> None:
    holders = [poll() for _ in range(2)]
    assert all(lets_in(workers[0], line(2), holder=holder) for holder in holders)
    first, second = in_line(workers[1], line(2)), in_line(workers[2], line(2))
    for holder in holders:
        release(holder)
    authority.turns()
    assert not lets_in(workers[2], line(2), holder=second), "he is not the first"
    workers[2].freed.clear()
    assert lets_in(workers[1], line(2), holder=first)
    authority.turns()
    assert workers[2].freed == [("cap", "alice")] and lets_in(workers[2], line(2), holder=second)


def test_a_line_is_as_long_as_it_may_be_and_no_longer_for_all_together(workers: list[Worker]) -> None:
    assert lets_in(workers[0], line(1, 3))
    found = [in_line(workers[at % 3], line(1, 3)) for at in range(5)]
    assert [call is not None for call in found] == [True, True, True, False, False]
    workers[1].store.leaves(found[1])  # type: ignore[arg-type]  # it is in line
    assert in_line(workers[2], line(1, 3)) is not None and in_line(workers[0], line(1, 3)) is None


def test_who_asks_again_keeps_his_place_in_the_line(authority: Authority, workers: list[Worker]) -> None:
    holder = poll()
    assert lets_in(workers[0], line(1), holder=holder)
    first, second = in_line(workers[1], line(1)), in_line(workers[2], line(1))
    assert [in_line(workers[1], line(1), first) for _ in range(3)] == [first] * 3
    release(holder)
    assert not lets_in(workers[2], line(1), holder=second) and lets_in(workers[1], line(1), holder=first)


def test_the_first_who_leaves_lets_the_next_one_know(authority: Authority, workers: list[Worker]) -> None:
    holder = poll()
    assert lets_in(workers[0], line(1), holder=holder)
    first, second = in_line(workers[1], line(1)), in_line(workers[2], line(1))
    release(holder)
    authority.turns()
    assert first is not None and second is not None
    workers[1].store.leaves(first)
    authority.turns()
    assert workers[2].freed == [("cap", "alice")] and lets_in(workers[2], line(1), holder=second)
    workers[1].store.leaves(first)  # who waits no more may leave again
    assert lets_in(workers[0], line(2))


def test_a_call_stands_in_one_line_at_most(authority: Authority, workers: list[Worker]) -> None:
    assert lets_in(workers[0], line(1, 1)) and lets_in(workers[0], line(1, 1, "bob"))
    call = in_line(workers[1], line(1, 1))
    assert in_line(workers[2], line(1, 1)) is None
    assert in_line(workers[1], line(1, 1, "bob"), call) is call
    assert in_line(workers[2], line(1, 1)) is not None and in_line(workers[2], line(1, 1, "bob")) is None


def test_a_poll_that_is_parked_at_another_worker_ends_before_its_place_is_used(
    authority: Authority, workers: list[Worker]
) -> None:
    first, second = poll(), poll()
    assert lets_in(workers[0], cap(1, evict=True, who=first.poller), holder=first)
    asked = workers[1].asks(cap(1, evict=True, who="bob"), holder=second)
    assert isinstance(asked, asyncio.Future) and not asked.done() and not workers[0].ended
    authority.turns()
    assert workers[0].ended == [(first, second.id)] and asked.done() and asked.result() is None
    release(first)  # it lost what it had
    assert {worker.store.held("cap", "alice") for worker in workers} == {1}
    assert not lets_in(workers[2], cap(1, evict=True, who=first.poller), now=129.0)
    assert lets_in(workers[2], cap(1, evict=True, who=first.poller), now=131.0)


@pytest.mark.parametrize("state", [State.RELAYING, State.ADMITTING])
def test_a_poll_that_cannot_be_ended_keeps_its_place_and_another_gives_way(
    authority: Authority, workers: list[Worker], state: State
) -> None:
    first, second = poll(), poll()
    assert lets_in(workers[0], cap(2, evict=True), holder=first) and lets_in(workers[0], cap(2), holder=second)
    first.state = state
    assert lets_in(workers[1], cap(2, evict=True, who="bob"))
    assert [call for call, _ in workers[0].ended] == [second], "the next oldest is ended"
    assert workers[2].store.held("cap", "alice") == 2, "nobody has more than there is"
    release(first)
    assert workers[2].store.held("cap", "alice") == 1


def test_a_poll_that_could_not_be_ended_yet_is_ended_by_a_later_one(
    authority: Authority, workers: list[Worker]
) -> None:
    first = poll()
    assert lets_in(workers[0], cap(1, evict=True, who="ann"), holder=first)
    first.state = State.ADMITTING
    assert not lets_in(workers[1], cap(1, evict=True, who="bob"))
    first.state = State.PARKED
    assert lets_in(workers[2], cap(1, evict=True, who="carol"))
    assert [call for call, _ in workers[0].ended] == [first]
    assert workers[2].store.held("cap", "alice") == 1


def test_where_nobody_can_be_ended_the_call_is_refused_and_has_cost_nothing(
    authority: Authority, workers: list[Worker]
) -> None:
    first, second = poll(), poll()
    assert lets_in(workers[0], cap(1), cap(5, limit="other"), holder=first)
    first.state = State.RELAYING
    assert not lets_in(workers[1], ALICE, cap(1, evict=True, who="bob"), holder=second)
    authority.turns()
    assert not workers[0].ended and (second.leases, second.charges) == ((), ())
    assert [workers[2].store.held(limit, "alice") for limit in ("cap", "other")] == [1, 1]
    assert workers[1].store.level(ALICE, 100).left == 3
    release(first)
    authority.turns()
    assert [workers[2].store.held(limit, "alice") for limit in ("cap", "other")] == [0, 0]


def test_who_waits_for_another_to_end_and_is_ended_himself_does_not_go_on(
    authority: Authority, workers: list[Worker]
) -> None:
    first, second, third = poll(), poll(State.WAITING), poll(State.WAITING)
    assert lets_in(workers[0], cap(1), holder=first)
    one = workers[1].asks(cap(1, evict=True, who="bob"), holder=second)
    two = workers[2].asks(cap(1, evict=True, who="carol"), holder=third)
    both = [asked for asked in (one, two) if isinstance(asked, asyncio.Future)]
    assert len(both) == 2
    both[0].get_loop().run_until_complete(asyncio.wait(both))
    authority.turns()
    going = [call for call in (first, second, third) if call.leases and call.state is not State.SETTLED]
    assert len(going) == 1, "one place"
    release(going[0])
    authority.turns()
    assert workers[0].store.held("cap", "alice") == 0


def test_what_a_call_gets_is_written_on_it_when_it_goes_on(authority: Authority, workers: list[Worker]) -> None:
    """Until then it is over without a trace: who asked goes by what was on it before."""
    second = poll()
    assert lets_in(workers[0], cap(1))
    asked = workers[1].asks(ALICE, cap(1, evict=True, who="bob"), holder=second)
    assert isinstance(asked, asyncio.Future) and (second.charges, second.leases, second.charged) == ((), (), False)
    assert asked.get_loop().run_until_complete(asked) is None
    assert second.charges == ("alice",) and len(second.leases) == 1 and second.charged


@pytest.mark.parametrize("blank", [None, Reply(Outcome.BLANK, 200)])
def test_the_oldest_that_may_end_is_ended_wherever_it_is(
    authority: Authority, workers: list[Worker], blank: Reply | None
) -> None:
    first, second = poll(blank=blank), poll()
    assert lets_in(workers[0], cap(2), holder=first) and lets_in(workers[1], cap(2), holder=second)
    assert lets_in(workers[2], cap(2, evict=True))
    ended = [call for worker in workers for call, _ in worker.ended]
    assert ended == [second if blank is None else first]


def test_who_loses_one_place_loses_all_of_them(authority: Authority, workers: list[Worker]) -> None:
    assert lets_in(workers[0], cap(1), cap(3, "route", "other"), holder=poll())
    assert lets_in(workers[1], cap(1, evict=True))
    assert (workers[2].store.held("cap", "alice"), workers[2].store.held("other", "route")) == (1, 0)


def test_the_place_of_an_older_poll_of_the_same_poller_is_handed_on(workers: list[Worker]) -> None:
    older, newer = poll(), poll()
    assert lets_in(workers[0], cap(1), holder=older)
    assert isinstance(workers[1].take(cap(1), holder=newer), Denied)
    assert not isinstance(workers[0].take(cap(1), holder=newer, yields=older), Denied)
    release(older)
    assert workers[1].store.held("cap", "alice") == 1 and not workers[0].ended


def test_nobody_waits_for_a_worker_that_does_not_answer(authority: Authority, workers: list[Worker]) -> None:
    """He is told that his poll shall end, and has a moment for that; then its place is used."""
    if not hasattr(authority, "bus"):
        pytest.skip("this authority has no bus to cut")
    assert lets_in(workers[0], cap(1, evict=True))
    authority.bus.leave(workers[0].store.owner)  # type: ignore[attr-defined]
    asked = workers[1].asks(cap(1, evict=True, who="bob"), holder=poll())
    assert isinstance(asked, asyncio.Future)
    before = authority.loop.now  # type: ignore[attr-defined]
    assert asked.get_loop().run_until_complete(asked) is None
    assert 0.2 < authority.loop.now - before < 0.3  # type: ignore[attr-defined]
