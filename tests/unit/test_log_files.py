"""The file of the call log, rotated: by size, at the end of an hour, never into a name that is taken; opened anew when
somebody else moved it; and never without a line that it was given.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from gateway.telemetry.files import RETRY, LogFile
from gateway.telemetry.naming import Journal, Names, readable
from tests.kit.call_logs import HOUR, NOON, calls, line


class Clock:
    def __init__(self) -> None:
        self.now = NOON + 10.25

    def __call__(self) -> float:
        return self.now


class Log:
    """A `LogFile` with a clock that is set by hand."""

    def __init__(self, path: Path, size: int = 1 << 40) -> None:
        self.path = path
        self.clock = Clock()
        self.closed = 0
        self.file = LogFile(path, size, self.count, self.clock)

    def count(self) -> None:
        self.closed += 1

    def write(self, *names: str) -> None:
        assert self.file.write(b"".join(map(line, names))) == (0, "")

    def names(self) -> list[str]:
        return sorted(path.name for path in self.path.parent.iterdir() if path != self.path)


def written_once(path: Path, name: str) -> None:
    """By a process that has ended."""
    log = Log(path)
    log.write(name)
    log.file.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log" / "calls.jsonl"


def test_a_file_that_is_full_is_closed_before_the_next_lines(path: Path) -> None:
    log = Log(path, size=len(line("a")) + 1)
    log.write("a")
    log.write("b")
    assert log.names() == [] and log.closed == 0, "give or take a batch"
    log.write("c")
    assert log.names() == ["calls-20260101T120010Z-250000.jsonl"] and log.closed == 1
    assert (path.read_bytes(), calls(path)) == (line("c"), {"a": 1, "b": 1, "c": 1})


def test_a_file_is_closed_when_its_hour_ends_also_if_nothing_is_written(path: Path) -> None:
    log = Log(path)
    log.write("a")
    assert log.file.tend() == HOUR - 10.25
    log.clock.now = NOON + HOUR - 0.01
    assert log.file.tend() and log.names() == []
    log.clock.now = NOON + HOUR
    log.file.tend()
    assert log.names() == ["calls-20260101T130000Z-000000.jsonl"] and path.stat().st_size == 0
    log.clock.now += 5 * HOUR
    log.file.tend()
    assert len(log.names()) == 1, "an empty file is not rotated"
    log.write("b")
    assert len(log.names()) == 1 and calls(path) == {"a": 1, "b": 1}, "nor has it an hour before its first line"


def test_a_file_of_an_hour_before_is_closed_at_the_next_start(path: Path) -> None:
    written_once(path, "a")
    os.utime(path, (NOON - HOUR, NOON - HOUR))
    log = Log(path)
    log.write("b")
    assert len(log.names()) == 1 and path.read_bytes() == line("b")


def test_lines_are_added_to_a_file_of_this_hour(path: Path) -> None:
    written_once(path, "a")
    os.utime(path, (NOON, NOON))
    written_once(path, "b")
    assert path.read_bytes() == line("a") + line("b")


def test_a_line_that_a_crash_has_cut_spoils_none_after_it(path: Path) -> None:
    written_once(path, "a")
    with path.open("ab") as file:
        file.write(line("torn")[:20])
    written_once(path, "b")
    assert path.read_bytes() == line("a") + line("torn")[:20] + b"\n" + line("b")


def test_names_are_never_taken_twice(path: Path) -> None:
    log = Log(path, size=1)
    for number in range(5):
        log.write(str(number))  # in one and the same microsecond
    assert log.names() == [f"calls-20260101T120010Z-25000{number}.jsonl" for number in range(4)]
    assert calls(path) == {str(number): 1 for number in range(5)}


def test_a_name_that_a_killed_compaction_still_removes_is_not_taken(path: Path) -> None:
    """Its file is gone, but the journal names it: whoever comes next removes what is called so, and nobody reads it."""
    log = Log(path, size=1)
    names = Names(path)
    first = names.closed("20260101T120010Z", 250000)
    names.journal.write_bytes(Journal((first.name,), ()).text())
    log.write("a")
    log.write("b")
    assert not first.exists()
    assert calls(path) == {"a": 1, "b": 1}


@pytest.mark.parametrize("gone", [False, True], ids=["moved", "removed"])
def test_a_file_that_somebody_took_away_is_opened_anew_with_the_next_lines(path: Path, gone: bool) -> None:
    log = Log(path)
    log.write("a")
    path.unlink() if gone else path.rename(path.with_name("calls.jsonl.1"))
    log.write("b")
    assert path.read_bytes() == line("b") and log.closed == 0
    assert log.names() == ([] if gone else ["calls.jsonl.1"])


def test_a_directory_that_somebody_removed_is_made_again(path: Path) -> None:
    log = Log(path)
    log.write("a")
    path.unlink()
    path.parent.rmdir()
    log.write("b")
    assert path.read_bytes() == line("b")


def test_a_file_that_was_put_in_its_place_gets_the_lines(path: Path) -> None:
    log = Log(path)
    log.write("a")
    path.rename(path.with_name("calls.jsonl.1"))
    path.write_bytes(b"cut")
    log.write("b")
    assert path.read_bytes() == b"cut\n" + line("b")


def test_a_file_that_was_cut_goes_on_from_its_beginning(path: Path) -> None:
    log = Log(path, size=3 * len(line("a")))
    log.write("a", "b")
    os.truncate(path, 0)
    log.write("c")
    log.write("d")
    assert path.read_bytes() == line("c") + line("d") and log.names() == [], "its size counts anew"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
def test_where_nothing_can_be_renamed_lines_go_on_into_the_same_file(path: Path) -> None:
    log = Log(path, size=1)
    log.write("a")
    path.parent.chmod(0o500)
    assert log.file.write(line("b"))[0] == 0
    path.parent.chmod(0o700)
    assert path.read_bytes() == line("a") + line("b")
    log.clock.now += RETRY
    log.write("c")
    assert path.read_bytes() == line("c")


def test_without_a_descriptor_to_spare_nothing_is_lost(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(path, size=1)
    log.write("a")

    def refused(*_: object) -> int:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refused)
        said = f"{path} cannot be closed and goes on (Too many open files); look at its directory"
        assert log.file.write(line("b")) == (0, said)
    assert path.read_bytes() == line("a") + line("b")
    log.write("c")
    assert path.read_bytes() == line("a") + line("b") + line("c"), "it is not tried with every batch"
    assert log.file.tend() == RETRY, "nor in a loop"
    log.clock.now += RETRY
    log.write("d")
    assert path.read_bytes() == line("d") and calls(path) == dict.fromkeys("abcd", 1)


def test_lines_of_a_file_that_is_gone_and_cannot_be_had_again_are_counted(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(path)
    log.write("a")
    path.unlink()

    def refused(*_: object) -> int:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refused)
        assert log.file.write(line("b") + line("c")) == (2, f"{path}: Too many open files")
    log.write("d")
    assert path.read_bytes() == line("d")


def test_a_link_is_followed_and_the_files_lie_where_it_leads(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    link = tmp_path / "link.jsonl"
    link.symlink_to(path)
    log = Log(path=link, size=1)
    log.write("a")
    log.write("b")
    assert link.is_symlink() and len(list(path.parent.iterdir())) == 2
    assert calls(link) == {"a": 1, "b": 1} == calls(path)


def test_a_pipe_and_a_device_are_never_rotated(path: Path) -> None:
    path.parent.mkdir()
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log = Log(path, size=1)
    for name in "abc":
        log.write(name)
    log.clock.now += 2 * HOUR
    assert log.file.tend() is None and log.names() == [] and os.read(reader, 1 << 16) == b"".join(map(line, "abc"))
    os.close(reader)


def test_closed_files_and_the_live_one_are_not_for_everybodys_eyes(path: Path) -> None:
    log = Log(path, size=1)
    log.write("a")
    log.write("b")
    assert all(found.stat().st_mode & 0o007 == 0 for found in path.parent.iterdir())


def test_what_is_readable_follows_the_journal_and_nothing_else(path: Path) -> None:
    """Inputs do not count and outputs do, whatever their names are by now."""
    path.parent.mkdir()
    there = [
        "calls-20260101T120000Z-000001.jsonl", "calls-20260101T130000Z-000001.jsonl", "calls-20260101T11Z-1.parquet",
        "calls-20260101T12Z-1.parquet", "calls-20260101T12Z-2.parquet.tmp", "calls-20260101T12Z-3.parquet.tmp",
        "calls-20260101T120000Z-000001.broken.tmp", "calls.jsonl", "calls-eu.jsonl", "calls.jsonl.1", "calls.lock",
    ]  # fmt: skip
    for name in there:
        path.with_name(name).touch()
    journal = {
        "inputs": ["calls-20260101T120000Z-000001.jsonl", "calls-20260101T10Z-1.parquet"],
        "outputs": [
            "calls-20260101T12Z-1.parquet",
            "calls-20260101T12Z-2.parquet",
            "calls-20260101T120000Z-000001.broken",
        ],
    }
    Names(path).journal.write_text(json.dumps(journal))
    found = readable(path)
    assert [each.name for each in found.parquet] == [
        "calls-20260101T11Z-1.parquet", "calls-20260101T12Z-1.parquet", "calls-20260101T12Z-2.parquet.tmp",
    ]  # fmt: skip
    assert [each.name for each in found.lines] == ["calls-20260101T130000Z-000001.jsonl", "calls.jsonl"]
