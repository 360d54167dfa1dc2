"""Sessions that several workers serve: what one learnt of a session every other knows, and where they see endpoints
differently they agree on one place, that of the last move.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.memory import Memory
from gateway.state.notes import Notes
from gateway.upstream.balance import Upstream
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.pins import share
from gateway.upstream.standing import HEALTH
from gateway.upstream.sticky import MOVED, Sticky
from tests.kit.balancing import KEEP, call, take, upstream
from tests.kit.calls import call_of, head_of
from tests.kit.heads import response
from tests.unit.test_memory import LAST, PLAN

WORKERS = 3
KEEPS = """
import fcntl, sys
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX)
print(flush=True)
input()
"""


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Notes]:
    made = Notes(tmp_path)
    yield made
    made.close()


@pytest.fixture
def workers(notes: Notes) -> list[Upstream]:
    """The same upstream, as each worker has it."""
    found = [upstream([1, 1, 1], "sticky:query.sid") for _ in range(WORKERS)]
    share(found, notes)
    return found


def sticky(worker: Upstream) -> Sticky:
    assert worker.sessions is not None
    return worker.sessions


def begin(worker: Upstream, name: str, now: float = 0.0) -> Endpoint:
    """A session begins at a worker; where."""
    first = call("/")
    first.endpoint = take(worker, first, now)
    sticky(worker).learn(first, response(200, {}), b'0{"sid": "%s"}' % name.encode(), now)
    return first.endpoint


def ask(worker: Upstream, name: str, now: float, status: int = 200) -> tuple[str, str | None]:
    """A call of a session through a worker, answered at once: who answered, and what its record notes."""
    made = call(f"/?sid={name}")
    made.endpoint = take(worker, made, now)
    made.sent_at = now
    sticky(worker).answered(made, response(status, {}), now)
    return made.endpoint.full_name, made.note


def endpoint(worker: Upstream, name: str) -> Endpoint:
    return next(one for one in worker.endpoints if one.full_name == name)


def test_a_session_is_at_home_where_it_began_whichever_worker_gets_the_next_request(workers: list[Upstream]) -> None:
    for number in range(30):
        home = begin(workers[0], f"s{number}").full_name
        assert {ask(worker, f"s{number}", 1.0) for worker in workers} == {(home, None)}


def test_a_worker_that_is_started_again_knows_it_too(workers: list[Upstream], notes: Notes) -> None:
    homes = [begin(workers[0], f"s{number}").full_name for number in range(30)]
    fresh = upstream([1, 1, 1], "sticky:query.sid")
    share([fresh], notes)
    assert [ask(fresh, f"s{number}", 1.0) for number in range(30)] == [(home, None) for home in homes]


def test_a_session_that_is_used_at_any_worker_is_known_at_all_for_longer(workers: list[Upstream]) -> None:
    home = begin(workers[0], "s").full_name
    for step in range(1, 20):
        assert ask(workers[step % 2], "s", step * KEEP / 2) == (home, None)
    assert ask(workers[2], "s", 10 * KEEP) == (home, None), "which never had a call of it"


def test_workers_that_see_an_endpoint_differently_agree_on_one_place(workers: list[Upstream]) -> None:
    """One has ejected the session's endpoint, the others have not."""
    home = begin(workers[0], "s").full_name
    workers[0].take_out(endpoint(workers[0], home), HEALTH)
    there, note = ask(workers[0], "s", 1.0)
    assert there != home and note == MOVED
    for now in range(2, 20):
        assert {ask(worker, "s", float(now)) for worker in workers} == {(there, None)}, "and nobody moves it back"
    assert [worker.moved for worker in workers] == [1, 0, 0]


def test_a_poll_that_another_worker_had_under_way_does_not_call_a_session_back(workers: list[Upstream]) -> None:
    """It was sent before the session moved, and answered after it, by an endpoint that this worker thinks well of."""
    home = begin(workers[0], "s").full_name
    poll = call("/?sid=s")
    poll.endpoint, poll.sent_at = take(workers[1], poll, 1.0), 1.0
    assert poll.endpoint.full_name == home
    workers[0].take_out(endpoint(workers[0], home), HEALTH)
    there, _ = ask(workers[0], "s", 2.0)
    sticky(workers[1]).answered(poll, response(200, {}), 3.0)
    sticky(workers[1]).lasted(poll, 3.5)
    assert {ask(worker, "s", 4.0) for worker in workers} == {(there, None)}


def test_a_session_that_moves_again_because_the_next_place_fails_has_moved_once(workers: list[Upstream]) -> None:
    home = begin(workers[0], "s").full_name
    workers[0].take_out(endpoint(workers[0], home), HEALTH)
    poll = call("/?sid=s")
    first = workers[0].pick((), poll, 1.0)
    assert first is not None
    second = workers[0].pick((first,), poll, 1.0)
    assert second not in (None, first) and workers[0].moved == 1
    assert second is not None and ask(workers[1], "s", 2.0) == (second.full_name, None)


def test_a_drained_endpoint_keeps_its_sessions_at_every_worker(workers: list[Upstream]) -> None:
    home = begin(workers[0], "s").full_name
    for worker in workers:
        left = [one for one in worker.endpoints if one.full_name != home]
        endpoint(worker, home).lease.take()
        worker.drained = frozenset({home})
        worker.become(left)
    assert {ask(worker, "s", 1.0) for worker in workers[:2]} == {(home, None)}


def test_an_endpoint_that_a_worker_does_not_know_is_no_home_there(workers: list[Upstream]) -> None:
    home = begin(workers[0], "s").full_name
    workers[1].become([one for one in workers[1].endpoints if one.full_name != home])
    there, note = ask(workers[1], "s", 1.0, status=400)
    assert there != home and note is None
    assert ask(workers[0], "s", 2.0) == (home, None), "and it does not take the session away where it is served"


def test_where_nothing_can_be_looked_up_each_worker_goes_by_what_it_knows(
    workers: list[Upstream], notes: Notes, tmp_path: Path
) -> None:
    """Another process keeps the lock."""
    home = begin(workers[0], "s").full_name
    with subprocess.Popen([sys.executable, "-c", KEEPS, str(tmp_path / "lock")], stdin=-1, stdout=-1) as holder:
        assert holder.stdout is not None and holder.stdout.readline()
        assert ask(workers[0], "s", 1.0) == (home, None) and notes.failed
        assert ask(workers[1], "s", 1.0)[1] is None, "it is not known there, and goes where every gateway would send it"
        holder.kill()


def test_what_a_handshake_said_of_holds_every_worker_knows(notes: Notes) -> None:
    memories = [Memory() for _ in range(2)]
    for memory in memories:
        memory.share(notes)
    memories[0].learn(PLAN, response(200, {}), b"s1 20", 0.0)
    found = [memory.of_session(PLAN, head_of("/?sid=s1"), 1.0) for memory in memories]
    assert [one.hold if one is not None else None for one in found] == [20.0, 20.0]


def test_what_the_last_answer_said_counts_whichever_worker_gave_it(notes: Notes) -> None:
    memories = [Memory() for _ in range(2)]
    for memory in memories:
        memory.share(notes)
    poll = call_of(head_of())
    for number in range(4):
        memories[number % 2].notice(LAST, poll, response(200, {"ETag": f"v{number}"}), float(number))
        assert [dict(memory.of_poller(LAST, poll, 5.0)) for memory in memories] == [{"etag": f"v{number}"}] * 2
