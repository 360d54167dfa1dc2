"""Every call of a log once, whatever state its files are in: live, torn, closed, compacted, half replaced, gone; and a
connection that can do nothing but read them.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import orjson
import pytest

from gateway.past.files import NoLogError
from gateway.past.source import Past, asked, connect, narrowed
from gateway.past.when import Window
from gateway.telemetry.naming import Names
from tests.kit import history
from tests.kit.sick_days import NOON, Record, call, write

from .conftest import CALLS

HOUR = timedelta(hours=1)


def ids(past: Past) -> list[str]:
    return [row[0] for row in past.connection.execute("SELECT id FROM calls ORDER BY time, id").fetchall()]


def count(past: Past) -> int:
    (found,) = past.connection.execute("SELECT count(*) FROM calls").fetchone() or (0,)
    return int(found)


def some(number: int, at: datetime = NOON) -> list[Record]:
    return [call(at + timedelta(seconds=each), "updates", "answered") for each in range(number)]


def compacted(path: Path, lines: Path) -> None:
    """The lines of one file as Parquet at `path`."""
    with connect(lines) as past:
        past.connection.execute("SELECT 1")
    with duckdb.connect() as writer:
        kinds = ", ".join(f"'{name}': '{kind}'" for name, kind in history.COLUMNS.items())
        source = f"read_json('{lines}', format = 'newline_delimited', columns = {{{kinds}}})"
        writer.execute(f"COPY (SELECT * FROM {source} ORDER BY time) TO '{path}' (FORMAT parquet)")


def test_a_compacted_day_is_all_there(day: Path) -> None:
    assert asked(day, Window(), count) == CALLS


def test_lines_alone_say_the_same_as_parquet(day: Path, tmp_path: Path) -> None:
    history.write_lines(tmp_path / "calls.jsonl", history.Day(CALLS))
    both = [asked(path, Window(), lambda past: past.connection.execute(
        "SELECT * EXCLUDE (time), epoch_ms(time) FROM calls ORDER BY id").fetchall())
        for path in (day, tmp_path / "calls.jsonl")]  # fmt: skip
    assert both[0] == both[1]


def test_live_closed_and_compacted_calls_are_one_past(tmp_path: Path) -> None:
    live = tmp_path / "calls.jsonl"
    history.write_parquet(tmp_path, history.Day(300, hours=3))
    write(tmp_path / "calls-20250115T130000Z-1.jsonl", iter(some(5)))
    write(live, iter(some(7)))
    assert asked(live, Window(), count) == 312


def test_files_of_other_logs_and_unfinished_ones_are_not_read(tmp_path: Path) -> None:
    live = tmp_path / "calls.jsonl"
    write(live, iter(some(2)))
    for name in ("calls2.jsonl", "calls-old.jsonl", "other.jsonl", "calls-20250115T12Z-1.parquet.tmp",
                 "calls.jsonl.tmp", "calls-20250115T130000Z-1.broken", "calls.lock"):  # fmt: skip
        write(tmp_path / name, iter(some(1)))
    assert asked(live, Window(), count) == 2


def test_a_window_has_its_beginning_and_not_its_end(day: Path) -> None:
    start = history.START + 9 * HOUR
    whole = asked(day, Window(start, start + HOUR), count)
    halves = [asked(day, Window(start + part * HOUR / 2, start + (part + 1) * HOUR / 2), count) for part in (0, 1)]
    assert sum(halves) == whole > 0


def test_hours_outside_the_window_are_not_even_opened(tmp_path: Path) -> None:
    history.write_parquet(tmp_path, history.Day(2000))
    for name in tmp_path.glob("calls-20250115T0[0-7]Z-*.parquet"):
        name.write_bytes(b"no Parquet at all")
    window = Window(history.START + 9 * HOUR, history.START + 10 * HOUR)
    assert asked(tmp_path / "calls.jsonl", window, lambda past: (past.files, past.notes)) == (1, ())


def test_a_file_that_was_closed_within_the_first_second_of_a_window_is_read(tmp_path: Path) -> None:
    """Its name tells the second; a window such as the last hour begins between two of them."""
    closed = Names.of(tmp_path / "calls.jsonl").closed(f"{NOON:%Y%m%dT%H%M%SZ}", 900_000)
    write(closed, [call(NOON + timedelta(seconds=0.6), "updates", "answered")])
    assert asked(tmp_path / "calls.jsonl", Window(NOON + timedelta(seconds=0.5), NOON + HOUR), count) == 1


def test_a_torn_last_line_is_no_call_yet_and_no_fault(tmp_path: Path) -> None:
    live = tmp_path / "calls.jsonl"
    write(live, iter(some(3)))
    with live.open("ab") as file:
        file.write(orjson.dumps(some(1)[0])[:40])
    assert asked(live, Window(), lambda past: (count(past), past.notes)) == (3, ())


def test_lines_that_are_no_records_are_counted_and_left_out(tmp_path: Path) -> None:
    live = tmp_path / "calls.jsonl"
    write(live, iter(some(2)))
    with live.open("ab") as file:
        file.write(b'{"v":1,"id":"cut by a full di\n[]\n5\n\x00\x00\x00\n\xff\xfe\n{"v":1,"id":"without a time"}\n')
        file.write(b'{"v":1,"id":"strange","time":"2025-01-15T12:00:00.000Z","status":"OK","held":[]}\n')
    write(live, iter(some(1)))
    found, notes = asked(live, Window(), lambda past: (count(past), past.notes))
    assert found == 4  # a value of a wrong kind is absent, its call is not
    assert notes == ("6 lines could not be read and are left out",)


def test_records_of_another_schema_are_left_out_and_said(tmp_path: Path) -> None:
    live = tmp_path / "calls.jsonl"
    write(live, iter([*some(2), *(each | {"v": 2} for each in some(3))]))
    found, notes = asked(live, Window(), lambda past: (count(past), past.notes))
    assert found == 2
    (note,) = notes
    assert note.startswith(
        "3 records of another schema version than 1 are left out; ask with the version of the gateway"
    )


def test_a_field_that_is_not_known_yet_hides_no_call(tmp_path: Path) -> None:
    live = tmp_path / "calls.jsonl"
    write(live, iter([each | {"coalesced": 3, "more_to_come": {"a": [1]}} for each in some(2)]))
    assert asked(live, Window(), lambda past: (count(past), past.notes)) == (2, ())


def test_older_parquet_without_a_column_is_read_beside_newer(tmp_path: Path) -> None:
    history.write_parquet(tmp_path, history.Day(100, hours=2))
    older, newer = sorted(tmp_path.glob("*.parquet"))
    with duckdb.connect() as writer:
        writer.execute(f"COPY (SELECT * EXCLUDE (news_latency, waited) FROM '{older}') TO '{older}.x' (FORMAT parquet)")
    os.replace(f"{older}.x", older)
    live = tmp_path / "calls.jsonl"
    assert asked(live, Window(), count) == 100
    newer.unlink()
    assert asked(live, Window(), lambda past: past.connection.execute("SELECT max(waited) FROM calls").fetchall()) == [
        (None,)
    ]


def test_the_start_of_a_hold_is_no_call(tmp_path: Path) -> None:
    live = tmp_path / "calls.jsonl"
    write(live, iter([*some(1), some(1)[0] | {"kind": "start"}]))
    assert asked(live, Window(), lambda past: (count(past), past.notes)) == (1, ())


def test_lines_of_endpoints_are_no_calls_and_no_damage(tmp_path: Path) -> None:
    live = tmp_path / "calls.jsonl"
    event = {"v": 1, "kind": "eject", "time": "2025-01-15T12:00:01.000Z", "level": "warning", "upstream": "up",
             "endpoint": "a", "why": "upstream_reset", "taking": 1, "members": 2, "lasts": 30.0}  # fmt: skip
    write(live, iter([*some(2), event]))
    with connect(live) as past:
        assert (count(past), past.notes) == (2, ())


def test_an_empty_log_has_no_calls(tmp_path: Path) -> None:
    live = tmp_path / "calls.jsonl"
    live.touch()
    assert asked(live, Window(), count) == 0


@pytest.mark.parametrize("name", ["calls.jsonl", "nowhere/calls.jsonl", "gone.parquet"])
def test_no_log_at_all_is_said_with_what_to_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        NoLogError, match=r'there is no call log at .*; let the gateway write one with log.calls = "file'
    ):
        asked(tmp_path / name, Window(), count)


@pytest.mark.timeout(10)
def test_a_directory_that_may_not_be_looked_into_is_not_taken_for_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "calls.jsonl", iter(some(5)))

    def refused(path: Path) -> list[str]:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "listdir", refused)
    with pytest.raises(PermissionError, match=str(tmp_path)):
        asked(tmp_path / "calls.jsonl", Window(), count)


def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "calls.jsonl")
    for path in (tmp_path / "calls.jsonl", tmp_path, Path("/dev/null")):
        with pytest.raises(NoLogError, match=r"is no file whose lines stay; let log.calls name one"):
            asked(path, Window(), count)


def test_a_path_that_would_match_others_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stands for many; ask by another, such as a symbolic link"):
        asked(tmp_path / "calls[1].jsonl", Window(), count)


def test_a_path_with_a_quote_is_only_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "it's; DROP TABLE calls"
    history.write_parquet(tmp_path, history.Day(10, hours=1))
    tmp_path.joinpath("calls-20250115T00Z-1.parquet").rename(folder.with_suffix(".parquet"))
    assert asked(folder.with_suffix(".parquet"), Window(), count) == 10


def test_parquet_that_a_broken_disk_cut_hides_no_other(tmp_path: Path) -> None:
    history.write_parquet(tmp_path, history.Day(200, hours=2))
    first, second = sorted(tmp_path.glob("*.parquet"))
    first.write_bytes(first.read_bytes()[:-10])
    found, notes = asked(tmp_path / "calls.jsonl", Window(), lambda past: (count(past), past.notes))
    assert 0 < found < 200
    assert notes == (f"{first.name} is damaged, or no part of a log, and is left out",)
    assert second.exists()


def test_parquet_whose_description_is_damaged_hides_no_other(tmp_path: Path) -> None:
    history.write_parquet(tmp_path, history.Day(200, hours=2))
    first, _ = sorted(tmp_path.glob("*.parquet"))
    data = first.read_bytes()
    first.write_bytes(data[:-200] + b"\xff" * 192 + data[-8:])
    found, notes = asked(tmp_path / "calls.jsonl", Window(), lambda past: (count(past), past.notes))
    assert 0 < found < 200
    assert notes == (f"{first.name} is damaged, or no part of a log, and is left out",)


def test_a_part_of_the_window_can_be_looked_at_alone(day: Path) -> None:
    start = history.START + 9 * HOUR
    with connect(day, Window(history.START, datetime(2025, 1, 16, tzinfo=UTC))) as past:
        later = count(narrowed(past, Window(start, datetime(2025, 1, 16, tzinfo=UTC))))
    assert later == asked(day, Window(start), count)
