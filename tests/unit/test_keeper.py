"""The process that keeps the files in order, as the gateway starts it: one at a time, and whatever becomes of it is
told, and nothing else.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest

from gateway.telemetry import keeper
from gateway.telemetry.keeper import Keeper
from gateway.telemetry.naming import readable
from tests.kit.call_logs import HOUR, calls, line
from tests.kit.waiting import until_sync

MONTH = 720 * HOUR
STAMP = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return tmp_path / "calls.jsonl"


def closed(live: Path, number: int = 1) -> Path:
    path = live.with_name(f"calls-{STAMP}-{number:06}.jsonl")
    path.write_bytes(line(str(number), time.time()))
    return path


def idle(kept: Keeper) -> bool:
    return not kept._running


def test_a_closed_file_becomes_parquet(live: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Wherever the gateway was started, and whatever lies there."""
    (tmp_path / "orjson.py").write_text("raise SystemExit('not the one that was meant')")
    monkeypatch.chdir(tmp_path)
    kept = Keeper(live, MONTH, 1 << 30, True)
    closed(live)
    kept.wake()
    until_sync(lambda: readable(live).parquet, "it is compacted")
    until_sync(lambda: idle(kept), "it is done")
    assert calls(live) == {"1": 1} and not readable(live).lines


def test_what_comes_meanwhile_is_done_afterwards(live: Path) -> None:
    kept = Keeper(live, MONTH, 1 << 30, True)
    for number in range(5):
        closed(live, number)
        kept.wake()
    until_sync(lambda: idle(kept), "it is done")
    assert not readable(live).lines and calls(live) == {str(number): 1 for number in range(5)}


def test_one_process_at_a_time(live: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    said = f"open({str(ran)!r}, 'a').write"
    script = f"import time; {said}('in '); time.sleep(0.05); {said}('out ')"
    kept = Keeper(live, MONTH, 1 << 30, True)
    kept._command[1:] = ["-c", script]
    for _ in range(20):
        kept.wake()
    until_sync(lambda: idle(kept) and ran.exists(), "it is done")
    assert ran.read_text() in ("in out ", "in out in out "), "twenty asked while it was at work: once more is enough"


def test_without_parquet_only_what_is_too_old_goes(live: Path) -> None:
    kept = Keeper(live, MONTH, 1 << 30, False)
    path = closed(live)
    kept.wake()
    until_sync(lambda: idle(kept), "it is done")
    assert path.exists()
    path.rename(live.with_name("calls-20250101T000000Z-000001.jsonl"))
    kept.wake()
    until_sync(lambda: idle(kept) and not readable(live).lines, "it is gone")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["-c", "import sys; sys.exit('no room')"], ["no room"]),
        (
            ["-c", "import os; os._exit(3)"],
            ["call log: compacting ended with 3; it is tried again when a file is closed"],
        ),
        (
            ["-c", "import os; os.kill(os.getpid(), 9)"],
            ["call log: compacting ended with -9; it is tried again when a file is closed"],
        ),
        (["-c", "import sys; sys.stderr.write('x\\n' * 50)"], ["x"] * keeper.MAX_SAID),
    ],
)
def test_a_failure_is_told_and_the_next_time_is_another_try(
    live: Path, caplog: pytest.LogCaptureFixture, command: list[str], said: list[str]
) -> None:
    kept = Keeper(live, MONTH, 1 << 30, True)
    kept._command[1:], whole = command, kept._command[1:]
    with caplog.at_level(logging.WARNING, "gateway"):
        kept.wake()
        until_sync(lambda: idle(kept), "it has failed")
        assert caplog.messages == said
        kept._command[1:] = whole
        closed(live)
        kept.wake()
        until_sync(lambda: idle(kept), "it is done")
    assert caplog.messages == said and readable(live).parquet


def test_no_program_to_start_is_no_more_than_a_message(live: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = Keeper(live, MONTH, 1 << 30, True)
    kept._command[0] = os.path.join(os.sep, "nowhere", "python")
    kept.wake()
    until_sync(lambda: idle(kept), "it has failed")
    assert len(caplog.messages) == 1 and "No such file" in caplog.messages[0]
