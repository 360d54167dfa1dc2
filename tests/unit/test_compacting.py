"""Closed files of a call log become Parquet: every line once, in its hour, with its values, whatever was in the file
and wherever it was killed.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from gateway.telemetry import compacting
from gateway.telemetry.columns import COLUMNS, MORE
from gateway.telemetry.compact import tidy
from gateway.telemetry.naming import Names, readable
from tests.kit.call_logs import HOUR, NOON, calls, compacted, line
from tests.kit.killing import killed

CLOSED = "calls-20260101T130000Z-000001.jsonl"
TORN = b'{"v":1,"time":"2026-01-01T12:00:00.0'


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return tmp_path / "calls.jsonl"


def order(live: Path, now: float = NOON + HOUR, said: list[str] | None = None) -> bool:
    """Compacts as the process does, some time after noon."""
    return tidy(Names(live), None, None, True, lambda: now, (said if said is not None else []).append)


def close(live: Path, *lines: bytes, name: str = CLOSED) -> None:
    live.with_name(name).write_bytes(b"".join(lines))


def names(live: Path) -> set[str]:
    return {path.name for path in live.parent.iterdir()}


def test_lines_are_sorted_into_the_hours_in_which_their_calls_began(live: Path) -> None:
    close(live, line("c", NOON + 70), line("a", NOON - 5), line("b", NOON + 60))
    assert order(live)
    assert names(live) == {"calls-20260101T11Z-1.parquet", "calls-20260101T12Z-1.parquet"}
    early, late = readable(live).parquet
    assert [call["id"] for call in compacted(early)] == ["a"]
    assert [call["id"] for call in compacted(late)] == ["b", "c"], "by their time"


def test_every_field_keeps_its_value_and_has_the_type_of_its_column(live: Path) -> None:
    fields = {
        "status": 200, "took": 26.25, "bytes_out": 2**40, "query": ["a", "b"], "query_values": {"a": "1"}, "note": None,
    }  # fmt: skip
    close(live, line("x", **fields))
    assert order(live)
    (found,) = compacted(readable(live).parquet[0])
    assert list(found) == [*COLUMNS, MORE]
    assert {name: found[name] for name in fields} == fields
    assert found["time"].isoformat() == "2026-01-01T12:00:00" and found["held"] is None and found[MORE] is None


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("new", {"deep": [1, None]}, '{"new":{"deep":[1,null]}}'),
        ("more", 1, '{"more":1}'),
        ("status", "teapot", '{"status":"teapot"}'),
        ("status", 32_768, '{"status":32768}'),
        ("attempts", True, '{"attempts":true}'),
        ("took", "1s", '{"took":"1s"}'),
        ("query", ["a", 1], '{"query":["a",1]}'),
        ("query_values", {"a": 1}, '{"query_values":{"a":1}}'),
        ("route", 5, '{"route":5}'),
    ],
)
def test_what_does_not_fit_a_column_is_kept_beside_them(live: Path, field: str, value: object, shown: str) -> None:
    close(live, line("x", **{field: value}))
    assert order(live)
    (found,) = compacted(readable(live).parquet[0])
    assert found[MORE] == shown and found["id"] == "x"


BROKEN = [
    TORN, b"[]", b"7", b'{"v":1,"id":"x"}', b"\xff\xfe", b'{"time":"2026-13-01T00:00:00Z"}', b'{"time":5}', b"\0" * 40,
    b'{"time":"2026-01-01T12:00:00Z","note":"\\ud800"}', b'{"time":"2026-01-01T12:00:00Z","took":NaN}',
    b'{"id":"x","time":"2026-01-01T12:00:00Z"}', b'{"v":1,"time":"2026-01-01T12:00:00Z"}',
    b'{"v":1,"id":"x","time":"2026-01-01T12:00:00Z","new":' + b"[" * 900 + b"]" * 900 + b"}",
]  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN, ids=lambda text: repr(text[:60]))
def test_a_broken_line_is_set_aside_and_harms_no_other(live: Path, broken: bytes) -> None:
    said: list[str] = []
    close(live, line("a"), broken + b"\n", line("b"), TORN)
    assert order(live, said=said)
    assert calls(live) == {"a": 1, "b": 1}
    aside = live.with_name(CLOSED).with_suffix(".broken")
    assert aside.read_bytes() == broken + b"\n" + TORN + b"\n"
    assert said == [f"{CLOSED}: 2 lines are no records; look into {aside.name}"]


def test_of_broken_lines_only_so_much_is_kept(live: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compacting, "MAX_BROKEN", 100)
    said: list[str] = []
    close(live, *[b"x" * 70 + b"\n"] * 50, line("a"))
    assert order(live, said=said)
    assert live.with_name(CLOSED).with_suffix(".broken").stat().st_size <= 102
    assert said[0].startswith(f"{CLOSED}: 50 lines") and calls(live) == {"a": 1}


def test_a_line_without_an_end_is_broken_and_not_the_memorys(live: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compacting, "MAX_LINE", 1000)
    close(live, b"x" * 50_000 + b"\n", line("a"))
    assert order(live) and calls(live) == {"a": 1}


def test_lines_of_holds_that_begin_are_no_calls(live: Path) -> None:
    close(live, line("a", kind="start"), line("a"), line("b", kind="start"), line("c", kind="of a later version"))
    assert order(live) and calls(live) == {"a": 1}


@pytest.mark.parametrize("data", [b"", b"\n\n", line("a", kind="start")])
def test_a_file_without_calls_just_goes(live: Path, data: bytes) -> None:
    close(live, data)
    assert order(live) and not names(live)


def test_a_large_file_of_many_hours_is_compacted_in_pieces(live: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compacting, "PIECE", 2000)
    monkeypatch.setattr(compacting, "MAX_HOURS", 4)
    close(live, *(line(str(number), NOON - number % 9 * HOUR) for number in range(90)))
    assert order(live) and calls(live) == {str(number): 1 for number in range(90)}


def test_the_file_that_is_written_and_files_of_others_are_left_alone(live: Path) -> None:
    others = [
        "calls-eu.jsonl",
        "calls-eu-20260101T130000Z-000001.jsonl",
        "calls-old.jsonl",
        "calls-eu-20260101T12Z-1.parquet.tmp",
    ]
    for name in others:
        close(live, line("other"), name=name)
    live.write_bytes(line("now"))
    assert order(live) and names(live) == {*others, "calls.jsonl"} and calls(live) == {"now": 1}


def test_a_file_that_still_grows_waits_for_the_next_time(live: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close(live, line("a"))
    really = compacting.Parquet.of_lines

    def slow(parquet: compacting.Parquet, lines: Path, out: Path) -> None:
        with live.with_name(CLOSED).open("ab") as file:
            file.write(line("late"))
        really(parquet, lines, out)

    with monkeypatch.context() as patched:
        patched.setattr(compacting.Parquet, "of_lines", slow)
        assert order(live) and names(live) == {CLOSED}
    assert order(live) and calls(live) == {"a": 1, "late": 1}


def test_many_small_files_of_an_hour_that_is_over_become_one(live: Path) -> None:
    for number in range(9):
        close(live, line(str(number), NOON + 60 - number), name=f"calls-20260101T12{number:02}00Z-000001.jsonl")
    assert order(live, now=NOON + 1800) and len(readable(live).parquet) == 9, "its hour is not over"
    assert order(live, now=NOON + HOUR)
    (one,) = readable(live).parquet
    assert [call["id"] for call in compacted(one)] == [str(8 - number) for number in range(9)]


def test_columns_that_only_some_files_have_survive_when_they_become_one(
    live: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of a later version, after going back to this one."""
    for number in range(8):
        if number == 4:
            monkeypatch.setattr("gateway.telemetry.parquet._TYPES", {**COLUMNS, "extra": "VARCHAR", MORE: "JSON"})
        close(live, line(str(number)), name=f"calls-20260101T12{number:02}00Z-000001.jsonl")
        assert order(live, now=NOON + 1800)
    assert order(live)
    (one,) = readable(live).parquet
    assert {call["id"] for call in compacted(one)} == set("01234567") and "extra" in compacted(one)[0]


def test_a_file_that_cannot_be_compacted_stays_and_the_others_are_not_kept_from_it(live: Path) -> None:
    said: list[str] = []
    bad = live.with_name("calls-20260101T120000Z-000001.jsonl")
    bad.mkdir()
    close(live, line("a"))
    assert not order(live, said=said)
    assert names(live) == {bad.name, "calls-20260101T12Z-1.parquet"}
    assert len(said) == 1 and said[0].startswith(
        f"{bad.name} could not be compacted and stays as it is: IsADirectoryError"
    )


def test_parquet_files_are_not_for_everybodys_eyes(live: Path) -> None:
    close(live, line("a"), TORN)
    assert order(live)
    assert {stat.S_IMODE(path.stat().st_mode) for path in live.parent.iterdir()} == {0o640}


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A closed file of two hours with a torn line, and an hour of two files, which are enough to become one."""
    monkeypatch.setattr(compacting, "MANY", 2)
    live = tmp_path / "setting" / "calls.jsonl"
    live.parent.mkdir()
    for number in range(2):
        close(live, line(f"old{number}", NOON - HOUR), name=f"calls-20260101T11{number:02}00Z-000001.jsonl")
    assert order(live, now=NOON - HOUR) and len(readable(live).parquet) == 2
    close(live, line("a"), line("b", NOON + HOUR), TORN)
    return live


@pytest.mark.timeout(300)  # it works all the time
def test_killed_at_any_step_nothing_is_lost_and_nothing_doubled(tmp_path: Path, setting: Path) -> None:
    """Also for who reads before anybody has finished it."""
    step, later, wanted = 0, NOON + 2 * HOUR, calls(setting)
    while True:
        step += 1
        live = tmp_path / str(step) / "calls.jsonl"
        shutil.copytree(setting.parent, live.parent)
        if not killed(partial(order, live, later), live.parent, step):
            break
        assert calls(live) == wanted, f"killed at step {step}"
        assert order(live, now=later)
        assert calls(live) == wanted, f"killed at step {step} and done again"
        left = names(live) - {path.name for path in readable(live).parquet}
        assert left == {Names(live).broken(live.with_name(CLOSED)).name}
    assert step > 40


def test_killed_again_and_again_it_still_ends_with_every_line_once(setting: Path) -> None:
    wanted, step = calls(setting), 1
    while killed(partial(order, setting, NOON + 2 * HOUR), setting.parent, step):
        assert calls(setting) == wanted
        step += 1
    assert calls(setting) == wanted and not readable(setting).lines


def run(live: Path, *options: str, before: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gateway.telemetry.compact", str(live), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_by_hand_it_says_nothing_when_there_is_nothing_to_say(live: Path) -> None:
    close(live, line("a"))
    for _ in range(2):
        done = run(live)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert calls(live) == {"a": 1}


def test_two_at_once_are_one(live: Path) -> None:
    import fcntl

    close(live, line("a"))
    with Names(live).lock.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = run(live)
    assert (done.returncode, done.stderr) == (0, "call log: calls.jsonl is being compacted by another process\n")
    assert calls(live) == {"a": 1} and readable(live).lines


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--keep", "30d"], '"30d" is not a duration'),
        (["--disk", "5"], '"5" is not a size'),
    ],
)
def test_a_wrong_option_is_told(live: Path, options: list[str], said: str) -> None:
    done = run(live, *options)
    assert done.returncode == 2 and said in done.stderr


def test_a_directory_that_is_not_there_is_one_sentence(live: Path) -> None:
    done = run(live.parent / "gone" / "calls.jsonl")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "no such file or directory" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_on_a_full_disk_the_lines_stay(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512K", "small", str(tmp_path)], check=True)
    try:
        live = tmp_path / "calls.jsonl"
        count = 2000
        close(live, *(line(f"{number:0100}") for number in range(count)))
        done = run(live)
        assert done.returncode == 1 and "could not be compacted and stays as it is" in done.stderr
        assert len(calls(live)) == count and names(live) == {CLOSED, "calls.lock"}
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)
