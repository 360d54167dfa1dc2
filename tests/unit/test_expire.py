"""What of a call log goes, and what never does: by age, then by the room it takes, the oldest first."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.telemetry.compact import tidy
from gateway.telemetry.expire import Kept, expired, found
from gateway.telemetry.naming import Names
from tests.kit.call_logs import HOUR, NOON, calls, line

A, B, C = (Kept(Path(name), until, 100) for name, until in (("a", 100.0), ("b", 200.0), ("c", 300.0)))


@pytest.mark.parametrize(
    ("now", "keep", "disk", "gone"),
    [
        (300.0, None, None, ""),
        (300.0, 200.0, None, ""),
        (301.0, 200.0, None, "a"),
        (1000.0, 200.0, None, "abc"),
        (300.0, None, 350, ""),
        (300.0, None, 349, "a"),
        (300.0, None, 249, "ab"),
        (300.0, None, 1, "abc"),
        (301.0, 200.0, 250, "a"),
        (301.0, 200.0, 200, "ab"),
    ],
)
def test_the_oldest_go_first(now: float, keep: float | None, disk: int | None, gone: str) -> None:
    """The file that is written takes 50 bytes of the disk."""
    old, found = expired([C, A, B], 50, now, keep, disk)
    assert "".join(each.path.name for each in found) == gone
    assert old == sum(keep is not None and each.until < now - keep for each in (A, B, C))


def test_files_are_as_old_as_their_names_say_and_those_of_others_are_not_seen(tmp_path: Path) -> None:
    live = tmp_path / "calls.jsonl"
    own = {
        "calls-20260101T12Z-3.parquet": NOON + HOUR,
        "calls-20260101T120001Z-000005.jsonl": NOON + 1,
        "calls-20260101T120001Z-000005.broken": NOON + 1,
        "calls-20269901T12Z-1.parquet": float("inf"),
        "calls-99991231T23Z-1.parquet": float("inf"),  # of a clock that was far off
    }
    for name in [*own, "calls.jsonl", "calls-eu-20260101T12Z-3.parquet", "calls-20260101T12Z-3.parquet.tmp", "x"]:
        (tmp_path / name).write_bytes(b"x" * 7)
    assert {each.path.name: (each.until, each.size) for each in found(Names(live))} == {
        name: (until, 7) for name, until in own.items()
    }


def test_a_full_disk_is_told_and_age_is_not(tmp_path: Path) -> None:
    live, said = tmp_path / "calls.jsonl", list[str]()
    for hour in (9, 10, 11):
        (tmp_path / f"calls-20260101T{hour:02}0000Z-000001.jsonl").write_bytes(line(str(hour)))
    live.write_bytes(line("live") * 5)
    assert tidy(Names(live), 2 * HOUR, None, False, lambda: NOON, said.append) and not said
    assert calls(live) == {"10": 1, "11": 1, "live": 5}
    assert tidy(Names(live), None, 1, False, lambda: NOON, said.append)
    assert calls(live) == {"live": 5}, "never the file that is written"
    assert said == [
        "2 files went before their time, the last is calls-20260101T110000Z-000001.jsonl; raise log.rotate.disk"
    ]


def test_what_fits_as_parquet_does_not_go_as_lines(tmp_path: Path) -> None:
    """As the large file of a gateway that did not rotate."""
    live, closed = tmp_path / "calls.jsonl", tmp_path / "calls-20260101T110000Z-000001.jsonl"
    closed.write_bytes(b"".join(line(f"{number:0200}", NOON - HOUR) for number in range(2000)))
    assert tidy(Names(live), None, closed.stat().st_size // 3, True, lambda: NOON, print)
    assert len(calls(live)) == 2000


def test_without_parquet_closed_files_stay_lines(tmp_path: Path) -> None:
    live = tmp_path / "calls.jsonl"
    (tmp_path / "calls-20260101T110000Z-000001.jsonl").write_bytes(line("a"))
    assert tidy(Names(live), 99 * HOUR, 1 << 30, False, lambda: NOON, print)
    assert [path.name for path in tmp_path.iterdir()] == ["calls-20260101T110000Z-000001.jsonl"]
