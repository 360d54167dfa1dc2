"""One log that several workers write: each its own live file, one past, one compaction, one bound for the disk. And
what is left by workers that are no more is lost by nobody.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.past.source import Past, asked
from gateway.past.when import Window
from gateway.telemetry.compact import tidy
from gateway.telemetry.files import HOMEWARD, LogFile
from gateway.telemetry.keeper import Keeper
from gateway.telemetry.naming import Names, readable
from gateway.telemetry.slots import open_locked
from tests.kit.call_logs import HOUR, NOON, calls, compacted, line
from tests.kit.waiting import until_sync

SIZE = 1 << 20
Open = Callable[..., LogFile]


class Clock:
    def __init__(self) -> None:
        self.now = NOON + 10.25

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return tmp_path / "calls.jsonl"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(live: Path, clock: Clock) -> Iterator[Open]:
    """The file of a worker, by its number among so many."""
    files: list[LogFile] = []

    def one(number: int, workers: int = 2, size: int | None = SIZE) -> LogFile:
        files.append(LogFile(live, size, wall=clock, number=number, workers=workers))
        return files[-1]

    yield one
    for file in files:
        end(file)


def end(file: LogFile) -> None:
    """As a process ends, also one that is killed."""
    if not hasattr(file, "ended"):
        file.close()
        file.ended = True  # type: ignore[attr-defined]


def names(live: Path) -> list[str]:
    return sorted(path.name for path in live.parent.iterdir())


def tidied(live: Path, clock: Clock, disk: int | None = None) -> list[str]:
    said: list[str] = []
    assert tidy(Names(live), None, disk, True, clock, said.append)
    return said


def test_each_worker_writes_a_file_of_its_own_and_all_are_one_log(live: Path, opened: Open) -> None:
    for number in range(3):
        assert opened(number, 3).write(line(str(number))) == (0, "")
    assert names(live) == ["calls.jsonl", "calls.w1.jsonl", "calls.w2.jsonl"]
    assert calls(live) == {"0": 1, "1": 1, "2": 1}


def test_files_closed_in_the_same_instant_do_not_overwrite_each_other(live: Path, opened: Open, clock: Clock) -> None:
    files = [opened(number, 4) for number in range(4)]
    for number, file in enumerate(files):
        file.write(line(str(number)))
    clock.now = NOON + HOUR
    for file in files:
        file.tend()
    closed = ["calls-20260101T130000Z-000000.jsonl"]
    closed += [f"calls.w{number}-20260101T130000Z-000000.jsonl" for number in range(1, 4)]
    assert [name for name in names(live) if "-" in name] == closed
    tidied(live, clock)
    assert {path.name for path in readable(live).parquet} == {f"calls-20260101T12Z-{n}.parquet" for n in range(1, 5)}
    assert calls(live) == {str(number): 1 for number in range(4)}


def test_a_killed_worker_is_followed_by_one_that_goes_on_in_its_file(live: Path, opened: Open) -> None:
    killed = opened(1)
    killed.write(line("a"))
    end(killed)
    opened(1).write(line("b"))
    assert names(live) == ["calls.w1.jsonl"] and live.with_name("calls.w1.jsonl").read_bytes() == line("a") + line("b")


def test_what_workers_left_that_are_no_more_is_compacted(live: Path, opened: Open, clock: Clock) -> None:
    """Four workers, then one. Those that still write keep their files."""
    for number in range(4):
        file = opened(number, 4)
        file.write(line(str(number)))
        end(file)
    now = opened(0, 1), opened(1, 2)
    tidied(live, clock)
    assert [path.name for path in readable(live).lines] == ["calls.jsonl", "calls.w1.jsonl"]
    assert {call["id"] for path in readable(live).parquet for call in compacted(path)} == {"2", "3"}
    for file in now:
        file.write(line(f"more-{id(file)}"))
    assert sorted(calls(live).values()) == [1] * 6


def test_an_empty_file_of_a_worker_that_is_no_more_goes(live: Path, opened: Open, clock: Clock) -> None:
    end(opened(3, 4))
    tidied(live, clock)
    assert not [name for name in names(live) if name.endswith(".jsonl")]


def test_a_gateway_that_is_replaced_keeps_its_files_and_the_new_one_gets_them_back(
    live: Path, opened: Open, clock: Clock
) -> None:
    old = [opened(number) for number in range(2)]
    new = [opened(number) for number in range(2)]
    for number, file in enumerate((*old, *new)):
        file.write(line(str(number)))
    assert names(live) == ["calls.jsonl", "calls.w1.jsonl", "calls.w2.jsonl", "calls.w3.jsonl"]
    for file in old:
        end(file)
    assert 0 < (new[0].tend() or 0) <= HOMEWARD, "it looks again soon, also when nothing is written"
    clock.now += HOMEWARD
    for number, file in enumerate(new, 4):
        file.write(line(str(number)))
    assert [path.name for path in readable(live).lines if "-" not in path.name] == ["calls.jsonl", "calls.w1.jsonl"]
    assert live.read_bytes() == line("0") + line("4"), "it is the one that is written again"
    tidied(live, clock)
    assert calls(live) == {str(number): 1 for number in range(6)}


def test_where_somebody_else_rotates_the_file_that_was_had_instead_stays(
    live: Path, opened: Open, clock: Clock
) -> None:
    old, new = opened(0, 1, None), opened(0, 1, None)
    new.write(line("a"))
    end(old)
    clock.now += HOMEWARD
    new.write(line("b"))
    assert names(live) == ["calls.jsonl", "calls.w1.jsonl"] and calls(live) == {"a": 1, "b": 1}


def test_a_file_that_somebody_moved_away_is_opened_anew_beside_those_of_others(live: Path, opened: Open) -> None:
    one, other = opened(0), opened(1)
    one.write(line("a"))
    other.write(line("b"))
    live.rename(live.with_name("calls.jsonl.1"))
    one.write(line("c"))
    other.write(line("d"))
    assert live.read_bytes() == line("c") and calls(live) == {"b": 1, "c": 1, "d": 1}


def test_the_disk_is_bounded_for_all_workers_together(live: Path, opened: Open, clock: Clock) -> None:
    size = len(line("0"))
    for number in range(2):
        opened(number).write(b"".join(line(f"{number}") for _ in range(10)))
    early, late = (live.with_name(f"calls.w1-2026010{day}T110000Z-000000.jsonl") for day in (1, 2))
    for path in (early, late):
        path.write_bytes(line("closed") * 10)
    said = tidied_lines(live, clock, 35 * size)
    assert not early.exists() and late.exists()
    assert said == [f"1 files went before their time, the last is {early.name}; raise log.rotate.disk"]


def tidied_lines(live: Path, clock: Clock, disk: int) -> list[str]:
    said: list[str] = []
    assert tidy(Names(live), None, disk, False, clock, said.append)
    return said


def test_workers_that_close_files_at_once_are_all_served_by_one_process_after_the_other(
    live: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    clock.now = time.time()
    keepers = [Keeper(live, 720 * HOUR, 1 << 30, True) for _ in range(4)]
    with caplog.at_level(logging.WARNING, "gateway"):
        for number, keeper in enumerate(keepers):
            file = LogFile(live, 1, keeper.wake, clock, number, 4)
            file.write(line(str(number), clock.now))
            file.tend()
            file.close()
        until_sync(lambda: not any(keeper._running for keeper in keepers), "all are done")
    assert not any(path.stat().st_size for path in readable(live).lines) and caplog.messages == []
    assert calls(live) == {str(number): 1 for number in range(4)}


def test_the_past_is_asked_of_all_files_and_a_line_that_is_being_written_is_no_fault(live: Path, opened: Open) -> None:
    for number in range(3):
        opened(number, 3).write(line(str(number)) + line("torn")[:25])

    def ask(past: Past) -> tuple[list[str], tuple[str, ...]]:
        found = past.connection.execute("SELECT id FROM calls ORDER BY id").fetchall()
        return [row[0] for row in found], past.notes

    assert asked(live, Window(), ask) == (["0", "1", "2"], ())


def test_the_worker_is_a_column_of_what_was_compacted(live: Path, opened: Open, clock: Clock) -> None:
    file = opened(1)
    file.write(line("a", worker=1) + line("b"))
    end(file)
    tidied(live, clock)
    (path,) = readable(live).parquet
    assert {call["id"]: call["worker"] for call in compacted(path)} == {"a": 1, "b": None}


def test_a_file_that_was_moved_while_it_was_locked_is_not_taken_for_the_one_there_now(live: Path, opened: Open) -> None:
    opened(0).write(line("a"))
    assert open_locked(live) is None
    live.rename(live.with_name("elsewhere"))
    fd = open_locked(live)
    assert fd is not None and live.exists() and live.stat().st_size == 0
