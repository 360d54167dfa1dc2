"""What workers remember for each other: bounded by time and by number, forgotten rather than in anybody's way, whatever
happens to who writes.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.state.notes import LONGEST, Notes
from tests.kit.waiting import until_sync

OTHER = """
import sys, time
from pathlib import Path
from gateway.state.notes import Notes
notes = Notes(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    notes.put(("of another", number), b"%d" % number, 1e9)
print(notes.get(("ours",), 0.0), flush=True)
if len(sys.argv) > 3:
    notes._lock.take()
    txn = notes._env.begin(write=True)
    txn.put(b"x" * 16, b"never whole", db=notes._tables[0])
    print("within", flush=True)
    time.sleep(1000)
"""


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Notes]:
    made = Notes(tmp_path / "notes", size=1 << 20, most=100)
    yield made
    made.close()


def test_a_note_is_found_until_its_time_is_over(notes: Notes) -> None:
    notes.put(("a", "b"), b"note", 10.0)
    assert notes.get(("a", "b"), 9.9) == (b"note", 10.0) and notes.get(("a", "b"), 10.0) is None
    assert notes.get(("ab",), 0.0) is None and notes.get(("a", b"b"), 0.0) is None, "nor is it anybody else's"
    notes.put(("a", "b"), b"later", 20.0)
    assert notes.get(("a", "b"), 10.0) == (b"later", 20.0) and notes.failed == 0


def test_of_too_many_the_older_half_goes_and_the_newest_stay(notes: Notes) -> None:
    for number in range(1000):
        notes.put((number,), b"%d" % number, 10.0)
        assert notes.get((number,), 0.0), "the one that was just written is there"
    there = [number for number in range(1000) if notes.get((number,), 0.0)]
    assert there == list(range(1000 - len(there), 1000)) and 50 <= len(there) <= 100


def test_large_notes_are_bounded_by_the_file(tmp_path: Path) -> None:
    size = 1 << 20
    notes = Notes(tmp_path / "notes", size=size)
    for number in range(2000):
        notes.put((number,), b"x" * 3000, 10.0)
    assert notes.get((1999,), 0.0) and notes.failed == 0
    assert (tmp_path / "notes" / "data").stat().st_size == size
    notes.close()


def test_its_memory_is_taken_at_once(tmp_path: Path) -> None:
    Notes(tmp_path / "notes", size=1 << 20).close()
    assert (tmp_path / "notes" / "data").stat().st_blocks * 512 >= 1 << 20


def test_a_note_that_is_too_long_is_none(notes: Notes) -> None:
    notes.put(("a",), b"x" * (LONGEST + 1), 10.0)
    assert notes.get(("a",), 0.0) is None and notes.failed == 1


def test_where_there_is_no_memory_for_it_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", refused)
        with pytest.raises(OSError, match="No space left"):
            Notes(tmp_path / "notes")
    Notes(tmp_path / "notes").close()


def other(folder: Path, count: int, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", OTHER, str(folder), str(count), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_processes_know_what_others_wrote(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    notes.put(("ours",), b"note", 10.0)
    with other(tmp_path, 500) as first, other(tmp_path, 500) as second:
        assert [process.communicate()[0] for process in (first, second)] == ["(b'note', 10.0)\n"] * 2
    assert all(notes.get(("of another", number), 0.0) == (b"%d" % number, 1e9) for number in range(500))
    notes.close()


def test_a_process_that_is_killed_within_it_leaves_what_was_there(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    notes.put(("ours",), b"note", 10.0)
    with other(tmp_path, 1, "stay") as killed:
        assert killed.stdout is not None
        until_sync(lambda: killed.stdout.readline() == "within\n", "it is within")  # type: ignore[union-attr]
        killed.kill()
    assert notes.get(("ours",), 0.0) == (b"note", 10.0) and notes.failed == 0
    notes.put(("ours",), b"other", 10.0)
    assert notes.get(("ours",), 0.0) == (b"other", 10.0)
    notes.close()


def test_a_process_that_is_stopped_within_it_costs_one_moment_and_then_nothing(tmp_path: Path) -> None:
    """What cannot be looked up is not known, and counted; when the process goes on, or is killed, all is as before."""
    notes = Notes(tmp_path)
    notes.put(("ours",), b"note", 10.0)
    with other(tmp_path, 1, "stay") as stopped:
        assert stopped.stdout is not None
        until_sync(lambda: stopped.stdout.readline() == "within\n", "it is within")  # type: ignore[union-attr]
        os.kill(stopped.pid, signal.SIGSTOP)
        assert notes.get(("ours",), 0.0) is None and notes._lock.stuck
        for _ in range(1000):  # of which none waits: or this would take minutes
            notes.put(("more",), b"", 10.0)
        assert notes.failed == 1001
        stopped.kill()
    assert notes.get(("ours",), 0.0) == (b"note", 10.0) and notes.failed == 1001
    notes.close()
