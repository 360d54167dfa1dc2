"""`shared://` and what befalls processes: killed or stopped in the middle of a transaction, out of memory, dead with
all they held. Real processes, and the real signals.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import lmdb
import pytest

from gateway.call import Call
from gateway.state.bucket import Rate
from gateway.state.bus import Room
from gateway.state.keeper import Keeper
from gateway.state.lmdb_lock import StateError
from gateway.state.lmdb_map import Map
from gateway.state.shared import SharedStore
from gateway.state.shared_outage import OnFailure
from gateway.state.store import Demand, Denied, Tokens
from tests.kit.authorities import SIZE, Worker
from tests.kit.holding import is_whole
from tests.kit.waiting import until
from tests.store.test_store import cap, poll

KILLS = 50
RATE = Rate(10.0, 1000)


@pytest.fixture
def directory() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="longpoll-gateway-test-", dir="/dev/shm"))
    yield made / "state"
    shutil.rmtree(made)


@contextmanager
def holder(directory: Path, *how: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.kit.holding", str(directory), str(SIZE), *how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@contextmanager
def worker(shared: Map, on_failure: OnFailure = "local", parts: int = 2) -> Iterator[Worker]:
    loop = asyncio.get_running_loop()
    store = SharedStore(shared, loop, Room(loop), parts=parts, on_failure=on_failure)
    store.open()
    yield Worker(store)
    store.shut()


def asks(worker: Worker, *demands: Demand, holder: Call | None = None) -> Denied | None:
    answer = worker.asks(*demands, holder=holder or poll())
    assert not isinstance(answer, asyncio.Future)
    return answer


def test_a_worker_killed_anywhere_in_its_work_leaves_nothing_half_done(directory: Path) -> None:
    with holder(directory, str(KILLS)) as process:
        assert said(process) == "whole"
    shared = Map(directory, SIZE)
    shared.open()
    assert is_whole(shared) and shared.used < SIZE / 4, "and it took no page with it"
    shared.close()


async def test_a_worker_killed_in_a_transaction_has_done_nothing_and_holds_up_nobody(directory: Path) -> None:
    with worker(Map(directory, SIZE)) as mine, holder(directory) as process:
        assert said(process) == "in"
        process.kill()
        process.wait()
        assert asks(mine, cap(1)) is None and mine.store.condition.answers  # type: ignore[attr-defined]
        with mine.store.map.transaction() as txn:  # type: ignore[attr-defined]
            assert txn.stat(mine.store.map.meters.db)["entries"] == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("on_failure", ["local", "closed", "open"])
async def test_while_a_stopped_worker_has_the_lock_calls_are_decided_as_the_operator_wants(
    directory: Path, on_failure: OnFailure
) -> None:
    """And when it is dead what was lent meanwhile is counted again."""
    shared = Map(directory, SIZE)
    with worker(shared, on_failure) as mine, holder(directory) as process:
        store = mine.store
        assert isinstance(store, SharedStore)
        before = poll()
        assert asks(mine, cap(4), holder=before) is None
        assert said(process) == "in"
        process.send_signal(signal.SIGSTOP)
        found = [asks(mine, cap(4)) for _ in range(6)]
        let_in = {"local": 1, "closed": 0, "open": 6}[on_failure]  # a half of four, and one was there
        assert found.count(None) == let_in
        assert all(one.failed is (on_failure == "closed") for one in found if one is not None)
        condition = store.condition
        assert not condition.answers and condition.errors["stuck"] and condition.slow
        for lease in before.leases:
            lease.release()
        process.kill()
        await until(lambda: condition.answers)
        assert store.held("cap", "alice") == let_in and condition.reasserted == let_in
        assert (asks(mine, cap(4)) is None) is (let_in < 4)


async def test_a_worker_that_keeps_the_lock_is_killed_and_one_that_works_is_not(directory: Path) -> None:
    keeper = Keeper(directory, SIZE)
    keeper.open()
    assert await keeper.tick() is None
    with holder(directory) as process:
        assert said(process) == "in"
        process.send_signal(signal.SIGSTOP)
        assert await keeper.tick() == process.pid
        assert process.wait() == -signal.SIGKILL and keeper.killed == 1
    with holder(directory, "1000") as process:
        for _ in range(30):
            assert await keeper.tick() is None
            await asyncio.sleep(0.01)
    assert keeper.killed == 1
    keeper.close()


async def test_what_a_dead_worker_had_is_given_back_and_who_waits_is_told(directory: Path) -> None:
    keeper = Keeper(directory, SIZE)
    keeper.open()
    shared = keeper.map
    with worker(shared) as dead, worker(shared) as living:
        dead_store, store = dead.store, living.store
        assert isinstance(dead_store, SharedStore) and isinstance(store, SharedStore)
        kept = [(f"k{number}", poll()) for number in range(700)]  # more than one transaction gives back
        assert not any(asks(dead, cap(1, key), holder=call) for key, call in kept)
        assert asks(living, cap(2, "k0")) is None
        want = cap(1, "k7")
        want.line = 3
        first, second = poll(), poll()
        assert (asks(dead, want, holder=first) or want).queued and (asks(living, want, holder=second) or want).queued  # type: ignore[union-attr]
        words = await keeper.bury(dead_store.owner)
        assert [owner for owner, _ in words] == [store.owner]
        store.heard(words[0][1])
        assert living.freed == [("cap", "k7")] and asks(living, want, holder=second) is None
        assert [store.held("cap", key) for key, _ in kept].count(1) == 2
        assert await keeper.bury(dead_store.owner) == []
    keeper.close()


async def test_where_there_is_too_little_memory_nothing_starts_and_it_is_said_why(directory: Path) -> None:
    with pytest.raises(StateError, match=r"16777216 MiB .*/state.*; make /dev/shm larger, or lower \[state\] size"):
        Map(directory, 1 << 44).open()
    assert not (directory / "data").exists()
    shared = Map(directory, SIZE)
    shared.open()
    assert os.stat(directory / "data").st_blocks * 512 >= SIZE, "all of it is reserved"
    shared.close()


async def test_a_file_that_is_none_of_ours_is_told_with_what_to_do(directory: Path) -> None:
    directory.mkdir()
    (directory / "data").write_bytes(b"\1" * SIZE)
    with pytest.raises(StateError, match="remove the directory"):
        Map(directory, SIZE).open()


async def test_a_full_map_is_an_outage_for_who_comes_and_what_comes_back_ends_it(directory: Path) -> None:
    with worker(Map(directory, 512 * 1024), "closed") as mine:
        store = mine.store
        assert isinstance(store, SharedStore)
        held: list[Call] = []
        while store.condition.answers:
            held.append(poll())
            answer = asks(mine, cap(1, f"key-{len(held)}"), holder=held[-1])
            assert len(held) < 5000
        condition = store.condition
        assert answer is not None and answer.failed and condition.errors == {"mapfull": 1}
        assert "raise [state] size" in condition.why
        for number, call in enumerate(held[:-1]):
            for lease in call.leases:
                lease.release()
            assert store.held("cap", f"key-{number + 1}") == 0, "what is given back is free at once"
        assert asks(mine, cap(1, "another")) is None
        await until(lambda: condition.answers)
        assert condition.errors == {"mapfull": 1}


def fill(shared: Map, size: int) -> None:
    """To the last page, with values of that size."""
    for number in count():
        try:
            with shared.transaction() as txn:
                txn.put(number.to_bytes(16, "big"), bytes(size), db=shared.meters.db)
        except lmdb.MapFullError:
            return


async def test_a_file_that_is_full_to_the_last_page_fails_calls_and_not_the_process(directory: Path) -> None:
    shared = Map(directory, 512 * 1024)
    with worker(shared, "closed") as mine:
        store = mine.store
        assert isinstance(store, SharedStore)
        call = poll()
        assert asks(mine, cap(1), holder=call) is None
        fill(shared, 1000)
        fill(shared, 8)
        found = [asks(mine, cap(1, f"key-{number}")) for number in range(100)]
        failed = [one for one in found if one is not None]
        assert failed and all(one.failed for one in failed) and not store.condition.answers
        assert store.held("cap", "alice") == 1
        for lease in call.leases:
            lease.release()


async def test_made_up_keys_push_each_other_out_and_who_is_in_use_stays_exact(directory: Path) -> None:
    shared = Map(directory, SIZE, max_keys=100)
    with worker(shared) as mine:
        for number in range(3000):
            assert asks(mine, Tokens("free", f"forged-{number}", RATE)) is None
            mine.store.evicted(cap(1, f"forged-{number}"), "somebody", 100.0)
        with shared.transaction() as txn:
            assert txn.stat(shared.meters.db)["entries"] <= 100
            assert txn.stat(shared.barred.db)["entries"] <= 100
