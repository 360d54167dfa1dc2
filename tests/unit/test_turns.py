"""Several processes write lines to one pipe. Each line arrives whole or not at all, whatever becomes of who writes."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.telemetry.turns import PIECE, STUCK, Turns, pieces
from tests.kit.waiting import until_sync

WRITES = """
import sys
from pathlib import Path
from gateway.telemetry.turns import Turns
turns, (name, size, batches, each) = Turns(Path(sys.argv[1])), (sys.argv[2], *map(int, sys.argv[3:]))
for number in range(batches):
    lines = (f"{name}.{number}.{at}." + name * (size if at % 3 == 0 else 20) for at in range(each))
    assert turns.write(1, "".join(line + "\\n" for line in lines).encode()) == (0, "")
"""
Start = Callable[..., "subprocess.Popen[bytes]"]


class Pipe:
    def __init__(self) -> None:
        self.out, self.into = os.pipe()
        self.seen = b""

    def full(self) -> bool:
        return not select.select([], [self.into], [], 0)[1]

    def read(self) -> bytes:
        """What is there now."""
        while select.select([self.out], [], [], 0)[0] and (data := os.read(self.out, 1 << 16)):
            self.seen += data
        return self.seen

    def read_all(self) -> list[str]:
        """Until nobody writes any more."""
        os.close(self.into)
        while data := os.read(self.out, 1 << 16):
            self.seen += data
        return self.seen.decode().splitlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    os.close(made.out)


@pytest.fixture
def start(tmp_path: Path, pipe: Pipe) -> Iterator[Start]:
    """A process that writes lines of a letter, every third of which is long."""
    started: list[subprocess.Popen[bytes]] = []

    def started_one(name: str, size: int, batches: int = 1, each: int = 1) -> subprocess.Popen[bytes]:
        asked = [str(tmp_path / "lines"), name, str(size), str(batches), str(each)]
        started.append(subprocess.Popen([sys.executable, "-c", WRITES, *asked], stdout=pipe.into))
        return started[-1]

    yield started_one
    for process in started:
        process.kill()
        process.wait()


def test_lines_far_longer_than_a_pipe_takes_at_once_are_never_mixed(pipe: Pipe, start: Start) -> None:
    writers = [start(name, 10 * PIECE, batches=10, each=12) for name in "abc"]
    found = Counter(pipe.read_all())
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert found == Counter(
        f"{name}.{number}.{at}." + name * (10 * PIECE if at % 3 == 0 else 20)
        for name in "abc" for number in range(10) for at in range(12)
    )  # fmt: skip


def test_who_reads_slowly_gets_whole_lines_too(pipe: Pipe, start: Start, tmp_path: Path) -> None:
    """The pipe is full again and again in the middle of a line, for longer than anybody has patience."""
    start("a", 50 * PIECE)
    until_sync(pipe.full, "the pipe is full")
    turns, done = Turns(tmp_path / "lines", patience=0.05), list[tuple[int, str]]()
    writer = threading.Thread(target=lambda: done.append(turns.write(pipe.into, b"b\n")))
    writer.start()
    writer.join(0.5)
    assert not done, "nobody is thought to stand still while the pipe is full"
    until_sync(lambda: pipe.read() and done, "both have written")
    assert pipe.read_all() == ["a.0.0." + "a" * 50 * PIECE, "b"] and done == [(0, "")]


def in_the_middle(pipe: Pipe, process: subprocess.Popen[bytes]) -> None:
    """The process has filled the pipe with a part of its line."""
    until_sync(pipe.full, "the pipe is full")
    os.kill(process.pid, signal.SIGSTOP)


def test_the_line_of_a_killed_process_is_ended_before_the_next(pipe: Pipe, start: Start, tmp_path: Path) -> None:
    killed = start("a", 50 * PIECE)
    in_the_middle(pipe, killed)
    killed.kill()
    killed.wait()
    pipe.read()
    assert Turns(tmp_path / "lines").write(pipe.into, b"b\nc\n") == (0, "")
    torn, *rest = pipe.read_all()
    assert torn.startswith("a.0.0.aaa") and rest == ["b", "c"]


def test_a_process_that_stands_still_blocks_nobody_for_ever(pipe: Pipe, start: Start, tmp_path: Path) -> None:
    """Its line is ended for it. What fits into one write goes on, a longer line is lost and counted, and when the
    process goes on it writes nothing of the line that was ended."""
    stopped = start("a", 50 * PIECE)
    in_the_middle(pipe, stopped)
    pipe.read()
    turns = Turns(tmp_path / "lines", patience=0.05)
    assert turns.write(pipe.into, b"b\n") == (0, "")
    assert turns.write(pipe.into, b"c\n" + b"d" * PIECE + b"\n") == (1, STUCK)
    os.kill(stopped.pid, signal.SIGCONT)
    until_sync(lambda: stopped.poll() == 1, "it lost its line, and says so")
    assert turns.write(pipe.into, b"e" * PIECE + b"\n") == (0, ""), "the turn is free again"
    torn, *rest = pipe.read_all()
    assert torn.startswith("a.0.0.aaa") and len(torn) < 50 * PIECE and rest == ["b", "c", "e" * PIECE]


def test_lines_of_a_batch_go_out_as_many_at_once_as_fit() -> None:
    short, long = b"s" * 999 + b"\n", b"l" * (2 * PIECE) + b"\n"
    found = list(pieces(short * 5 + long + short))
    assert found == [short * 4, short, long, short]
    assert list(pieces(b"")) == [] and list(pieces(b"x" * PIECE + b"\n")) == [b"x" * PIECE + b"\n"]


def test_a_reader_that_is_gone_is_told_and_what_it_missed_is_counted(tmp_path: Path) -> None:
    out, into = os.pipe()
    os.close(out)
    assert Turns(tmp_path / "lines").write(into, b"a\nb\n" + b"c" * PIECE + b"\n") == (3, "Broken pipe")
    os.close(into)
