"""The call log on real files and pipes: every line is there, whole, or counted as dropped, and nobody waits for it."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.telemetry import files, log, writer
from gateway.telemetry.files import LogFile, Stream
from gateway.telemetry.log import FLUSH_EVERY, FLUSH_LINES, CallLog
from tests.kit.serving import HandLoop
from tests.kit.waiting import until_sync


@pytest.fixture
def loop() -> HandLoop:
    return HandLoop()


def open_log(loop: HandLoop, path: Path | None) -> CallLog:
    sink = Stream() if path is None else LogFile(path, 1 << 40)
    return CallLog(cast(asyncio.AbstractEventLoop, loop), [sink])


def queued(log: CallLog) -> int:
    return log._writers[0]._queued


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line.strip(b"\0 ")]


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A named pipe and the end from which nobody reads yet."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path, reader
    os.close(reader)


def drain(reader: int, log: CallLog) -> bytes:
    """Everything that is written until the log has closed."""
    data = b""

    def closed() -> bool:
        nonlocal data
        try:
            while piece := os.read(reader, 1 << 20):
                data += piece
        except BlockingIOError:
            return False
        return not log._writers[0]._background.is_alive()

    until_sync(closed, "the writer ends")
    return data


def test_lines_are_in_the_file_after_one_flush(loop: HandLoop, tmp_path: Path) -> None:
    path = tmp_path / "new" / "calls.jsonl"
    written = open_log(loop, path)
    for number in range(3):
        written.write({"n": number, "text": "a\r\n\u00e9"})
    loop.advance(FLUSH_EVERY)
    found = until_sync(lambda: lines(path), "the lines")
    assert [line["n"] for line in found] == [0, 1, 2] and path.read_bytes().count(b"\n") == 3
    assert FLUSH_EVERY <= 0.5, "in the file within a second"
    written.close()
    assert path.stat().st_mode & 0o007 == 0, "not for everybody's eyes"


def test_nothing_stands_in_the_loop_while_nothing_is_written(loop: HandLoop, tmp_path: Path) -> None:
    written = open_log(loop, tmp_path / "log")
    assert not loop.handles
    written.write({})
    written.write({})
    assert len(loop.handles) == 1
    loop.advance(1.0)
    assert not loop.handles
    written.close()


def test_a_full_batch_does_not_wait_for_the_clock(loop: HandLoop, tmp_path: Path) -> None:
    path = tmp_path / "log"
    written = open_log(loop, path)
    record: dict[str, object] = {"text": "x" * (1024 - 12)}  # a line of 1 KiB
    for _ in range(FLUSH_LINES - 1):
        written.write(record)
    assert path.stat().st_size == 0
    written.write(record)
    until_sync(lambda: path.stat().st_size == FLUSH_LINES * 1024, "all of it is written, though no time has passed")
    assert not [handle for handle in loop.handles if not handle.cancelled]
    written.close()


def test_a_record_that_is_no_line_loses_no_other_and_is_counted(loop: HandLoop, tmp_path: Path) -> None:
    path = tmp_path / "log"
    written = open_log(loop, path)
    for number, text in enumerate(("a", "\udc80", "b")):  # half a character is none
        written.write({"n": number, "text": text})
    written.close()
    assert [json.loads(line)["n"] for line in path.read_bytes().splitlines()] == [0, 2]
    assert written.dropped == 1


def test_lines_are_added_to_what_is_there(loop: HandLoop, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b'{"n": 0}\n')
    written = open_log(loop, path)
    written.write({"n": 1})
    written.close()
    assert [line["n"] for line in lines(path)] == [0, 1] and written.dropped == 0


def test_without_a_path_lines_go_to_standard_output(loop: HandLoop, capfd: pytest.CaptureFixture[str]) -> None:
    written = open_log(loop, None)
    written.write({"n": 1})
    written.close()
    assert capfd.readouterr().out == '{"n":1}\n'


def test_a_pipe_that_nobody_reads_costs_lines_and_never_the_loop(
    loop: HandLoop, pipe: tuple[Path, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MAX_QUEUED", 300_000)
    path, reader = pipe
    written = open_log(loop, path)
    for number in range(3000):
        written.write({"n": number, "text": "x" * 500})  # returns at once, or this test hangs
    written.flush()
    assert written.dropped > 1000
    assert queued(written) <= 300_000
    monkeypatch.setattr(log, "CLOSE_WITHIN", 0.01)
    written.close()  # returns although the writer hangs
    data = drain(reader, written)
    found = [json.loads(line) for line in data.splitlines()]
    assert len(found) + written.dropped == 3000 and data.endswith(b"\n")
    assert [line["n"] for line in found] == sorted(line["n"] for line in found)


def test_a_log_that_was_behind_takes_lines_again(
    loop: HandLoop, pipe: tuple[Path, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MAX_QUEUED", 200_000)
    path, reader = pipe
    written = open_log(loop, path)
    for _ in range(1000):
        written.write({"text": "x" * 500})
    written.flush()
    dropped = written.dropped
    assert dropped
    data = b""

    def empty() -> bool:
        nonlocal data
        try:
            data += os.read(reader, 1 << 20)
        except BlockingIOError:
            pass
        return queued(written) == 0

    until_sync(empty, "the pipe is empty")
    written.write({"last": True})
    written.close()
    assert (data + drain(reader, written)).endswith(b'{"last":true}\n') and written.dropped == dropped


def test_a_writer_that_is_behind_writes_what_waits_at_once(
    loop: HandLoop, pipe: tuple[Path, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch by batch it never caught up with a busy loop, and lines were lost that the disk had room for."""
    writes: list[int] = []
    really = files._write

    def watched(fd: int, data: bytes) -> tuple[int, OSError | None]:
        writes.append(len(data))
        return really(fd, data)

    monkeypatch.setattr(files, "_write", watched)
    path, reader = pipe
    written = open_log(loop, path)
    for number in range(12_000):  # 6 MB in 125 batches, and nobody reads yet
        written.write({"n": number, "text": "x" * 500})
    until_sync(lambda: writes, "the writer has begun")
    monkeypatch.setattr(log, "CLOSE_WITHIN", 0.01)
    written.close()
    found = [json.loads(line)["n"] for line in drain(reader, written).splitlines()]
    assert found == list(range(12_000)) and written.dropped == 0
    assert len(writes) <= 9 and max(writes) <= writer.WRITE_BYTES + FLUSH_LINES * 600


FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")


@needs_full
def test_a_full_disk_counts_and_complains_at_most_once_a_second(
    loop: HandLoop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(writer, "time", SimpleNamespace(monotonic=lambda: clock.now))
    written = open_log(loop, FULL)
    for number in range(30):
        clock.now = 100.0 + number / 10  # three seconds
        for _ in range(2):
            written.write({"n": number})
        written.flush()
        until_sync(lambda wanted=2 * number + 2: written.dropped == wanted and queued(written) == 0)  # type: ignore[misc]
    written.close()
    complaints = capsys.readouterr().err.splitlines()
    assert len(complaints) == 3
    assert all("lines dropped" in line and "No space left" in line for line in complaints)
    assert complaints[-1].startswith("call log: 2 lines dropped, 42 since the start: "), "also of what was not told"


class Gone:
    """A standard error whose reader has died, as behind `2>&1 | tee`."""

    def write(self, text: str) -> None:
        raise BrokenPipeError

    flush = write


@needs_full
def test_a_standard_error_that_is_gone_does_not_end_the_log(loop: HandLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Gone())
    monkeypatch.setattr(writer, "once_a_second", lambda say: say)
    written = open_log(loop, FULL)
    for _ in range(3):
        written.write({})
        written.flush()
    written.close()
    assert written.dropped == 3, "the next lines are counted too"


SIZE = 8 * 1024 * 1024


@pytest.mark.parametrize("room", [0, 10, 50, 60, 110, 150])
def test_a_disk_that_fills_up_in_the_middle_of_a_line_spoils_no_other(
    loop: HandLoop, tmp_path: Path, room: int
) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.truncate(SIZE - room - 1)
        file.seek(0, os.SEEK_END)
        file.write(b"\n")
    written = open_log(loop, path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE, hard))
    try:
        for number in range(3):
            written.write({"n": number, "text": "x" * 30})
        written.flush()
        until_sync(lambda: queued(written) == 0, "the batch is done with")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    written.write({"n": 3})
    written.close()
    whole = []
    for line in path.read_bytes().lstrip(b"\0").split(b"\n"):
        try:
            whole.append(json.loads(line)["n"])
        except ValueError:
            pass  # what is left of a torn line
    assert whole[-1:] == [3], "the next line is whole"
    assert len(whole) + written.dropped == 4, "every line is there or counted"


@pytest.mark.parametrize("record", [{"cursor": "\ud800"}, {"a\udcff": 1}, {"n": 2**70}, {"x": {"\ud800": "\udfff"}}])
def test_a_record_that_is_no_json_is_a_line_or_counted_and_no_exception(
    loop: HandLoop, tmp_path: Path, record: dict[str, object]
) -> None:
    path = tmp_path / "log"
    written = open_log(loop, path)
    written.write(record)
    written.write({"n": 1})
    written.close()
    assert len(lines(path)) + written.dropped == 2 and lines(path)[-1] == {"n": 1}
