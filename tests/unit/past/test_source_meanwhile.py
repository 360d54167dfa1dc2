"""Each call once although the files of its log are rotated, compacted and removed while somebody asks."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.past.source import Past, asked
from gateway.past.when import Window
from gateway.telemetry.naming import Journal, Names
from tests.kit import history
from tests.kit.sick_days import write

from .test_source import compacted, count, ids, some


def test_while_lines_are_replaced_by_parquet_each_call_counts_once(tmp_path: Path) -> None:
    """At every step of a compaction, also the one at which it crashed."""
    live = tmp_path / "calls.jsonl"
    names = Names(live)
    closed, hour = names.closed("20250115T130000Z", 1), names.hour("20250115T12Z", 1)
    unfinished = hour.with_name(hour.name + ".tmp")
    write(closed, iter(some(5)))
    compacted(unfinished, closed)
    assert asked(live, Window(), count) == 5
    names.journal.write_bytes(Journal((closed.name,), (hour.name,)).text())
    assert asked(live, Window(), count) == 5
    unfinished.rename(hour)
    assert asked(live, Window(), count) == 5
    closed.unlink()
    assert asked(live, Window(), count) == 5
    names.journal.unlink()
    assert asked(live, Window(), count) == 5


def once_before(target: object, name: str, change: Callable[[], None], patched: pytest.MonkeyPatch) -> None:
    """Something changes the directory just before the first use of this function of the system's."""
    real, first = getattr(target, name), [change]

    def meanwhile(*args: Any, **more: Any) -> Any:
        if first:
            first.pop()()
        return real(*args, **more)

    patched.setattr(target, name, meanwhile)


def test_lines_replaced_between_two_looks_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal was not there yet when it was read; the directory is listed when both files are."""
    live = tmp_path / "calls.jsonl"
    names = Names(live)
    closed, hour = names.closed("20250115T130000Z", 1), names.hour("20250115T12Z", 1)
    write(closed, iter(some(5)))

    def replaced() -> None:
        compacted(hour, closed)
        names.journal.write_bytes(Journal((closed.name,), (hour.name,)).text())

    once_before(os, "listdir", replaced, monkeypatch)
    assert asked(live, Window(), count) == 5


def test_lines_closed_between_listing_and_opening_are_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = tmp_path / "calls.jsonl"
    write(live, iter(some(5)))

    def rotated() -> None:
        live.rename(Names(live).closed("20250115T130000Z", 1))
        write(live, iter(some(2)))

    once_before(os, "open", rotated, monkeypatch)
    assert asked(live, Window(), count) == 7


def test_a_file_that_is_removed_meanwhile_is_asked_for_no_more(tmp_path: Path) -> None:
    history.write_parquet(tmp_path, history.Day(2400))
    oldest = min(tmp_path.glob("*.parquet"))
    asks = []

    def question(past: Past) -> int:
        asks.append(past.files)
        oldest.unlink(missing_ok=True)
        return count(past)

    assert 0 < asked(tmp_path / "calls.jsonl", Window(), question) < 2400
    assert asks == [24, 23]


def test_calls_are_counted_once_while_the_log_is_written_rotated_and_compacted(tmp_path: Path) -> None:
    live = tmp_path / "calls.jsonl"
    names = Names(live)
    written, over = [0], threading.Event()
    write(live, iter(some(1)))

    def gateway() -> None:
        for number in range(40):
            write(live, iter(some(25)))
            written[0] += 25
            closed, hour = names.closed("20250115T130000Z", number), names.hour("20250115T12Z", number)
            live.rename(closed)
            write(live, iter(()))
            compacted(hour.with_name(hour.name + ".tmp"), closed)
            tmp_path.joinpath("journal").write_bytes(Journal((closed.name,), (hour.name,)).text())
            tmp_path.joinpath("journal").rename(names.journal)
            hour.with_name(hour.name + ".tmp").rename(hour)
            closed.unlink()
            names.journal.unlink()
        over.set()

    thread = threading.Thread(target=gateway)
    thread.start()
    looks = 0
    while not over.is_set():
        least = written[0]
        found = asked(live, Window(), ids)
        assert len(found) == len(set(found))
        assert least <= len(found) <= written[0] + 26
        looks += 1
    thread.join()
    assert looks > 1
    assert asked(live, Window(), count) == 1001
