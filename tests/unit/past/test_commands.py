"""`gateway calls` and `gateway report` as a person types them: what is printed where, and the exit codes."""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from gateway.cli import main
from tests.kit.sick_days import NOON, SICK, call, poll, write
from tests.unit.config.kit import BASE, ROUTE, SECRET

from .conftest import CALLS


def ran(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one command."""
    with pytest.raises(SystemExit) as ended:
        main([str(each) for each in arguments])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "calls.jsonl"
    write(path, iter([
        poll(NOON, "updates", "news", 3.0, id="first", consumer="alice"),
        poll(NOON + timedelta(seconds=9), "updates", "upstream_timeout", 30.0, id="second", status=504),
        call(NOON + timedelta(seconds=20), "page", "answered", id="third", consumer="=1+1", note="a\x1b[31m"),
    ]))  # fmt: skip
    return path


def test_a_table_shows_the_newest_first(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ran(capsys, "calls", "--log", log)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "TIME                      ROUTE    OUTCOME           STATUS  CONSUMER    HELD    TOOK  ENDPOINT       ID",
        "2025-01-15T12:00:20.000Z  page     answered             200  =1+1           -   0.010  10.9.0.1:5000  third",
        "2025-01-15T12:00:09.000Z  updates  upstream_timeout     504  -         30.000  30.001  10.9.0.1:5000  second",
        "2025-01-15T12:00:00.000Z  updates  news                 200  alice      3.000   3.001  10.9.0.1:5000  first",
    ]


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        (("--outcome", "upstream_timeout"), ["second"]),
        (("--route", "updates", "--route", "page", "--consumer", "alice"), ["first"]),
        (("--where", "held > 20s or consumer contains '+'"), ["third", "second"]),
        (("--since", "2025-01-15T12:00:05", "--until", "2025-01-15T12:00:10Z"), ["second"]),
        (("--sort", "id", "--limit", "2"), ["first", "second"]),
        (("--id", "nobody"), []),
    ],
)
def test_options_choose_calls(
    log: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], ids: list[str]
) -> None:
    code, out, _ = ran(capsys, "calls", "--log", log, "--format", "json", *arguments)
    assert code == 0
    assert [each["id"] for each in json.loads(out)] == ids


def test_lines_of_json_and_csv_are_for_programs(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = ran(capsys, "calls", "--log", log, "--format", "jsonl", "--sort", "time", "--limit", "0")
    assert [json.loads(line) for line in out.splitlines()] == [
        {name: value for name, value in json.loads(line).items() if value is not None} for line in log.open()
    ]
    _, out, _ = ran(capsys, "calls", "--log", log, "--format", "csv", "--fields", "id, held,consumer,query")
    assert list(csv.reader(io.StringIO(out))) == [
        ["id", "held", "consumer", "query"], ["third", "", "=1+1", ""], ["second", "30.0", "", ""], ["first", "3.0", "alice", ""],
    ]  # fmt: skip


def test_a_terminal_obeys_nothing_of_a_record(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = ran(capsys, "calls", "--log", log, "--fields", "note,id")
    assert "\x1b" not in out
    assert "a\\x1b[31m  third" in out


def test_what_is_more_than_the_limit_is_said_beside_the_answer(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ran(capsys, "calls", "--log", log, "--limit", "2")
    assert (code, len(out.splitlines()), err) == (0, 3, "note: there are more than 2; --limit 0 shows all\n")
    assert ran(capsys, "calls", "--log", log, "--limit", "3")[2] == ""


def test_no_calls_is_an_answer(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(capsys, "calls", "--log", log, "--since", "1h") == (0, "", "note: no calls\n")


def test_lines_that_could_not_be_read_are_said_beside_the_answer(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with log.open("a") as file:
        file.write("garbage\n")
    assert ran(capsys, "calls", "--log", log)[2] == "note: 1 line could not be read and is left out\n"


def test_a_filter_that_is_none_is_pointed_at(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ran(capsys, "calls", "--log", log, "--where", "held > 20; DROP TABLE calls")
    assert (code, out) == (2, "")
    assert err.splitlines()[-3:] == [
        "Error: where: '20;' is not a number of seconds; write such as 20 or 500ms",
        "  held > 20; DROP TABLE calls",
        "         ^",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--since", "soon"),
            'Error: "soon" is neither a duration nor a time; write such as "1h", "2d" or "2025-01-15T09:30:00Z"',
        ),
        (("--outcome", "nwes"), "Error: outcome: is never 'nwes'; did you mean 'news'?"),
        (("--sort", "hold"), "Error: sort: cannot sort by 'hold'; did you mean 'held'?"),
        (
            ("--memory", "1MiB"),
            "Error: Invalid value for '--memory': is less than 64MiB, with which nothing can be asked",
        ),
        (("-c", "gateway.toml"), "Error: -c and --log both say where the log is; write one of them"),
    ],
)
def test_wrong_usage_is_told_in_plain_words(
    log: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = ran(capsys, "calls", "--log", log, *arguments)
    assert (code, out, err.splitlines()[-1]) == (2, "", message)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SECRET", SECRET)
    path = tmp_path / "gateway.toml"
    path.write_text(BASE + ROUTE)
    return path


@pytest.mark.parametrize("command", ["calls", "report"])
def test_a_configuration_that_keeps_no_calls_is_told_what_to_write(
    config: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    code, out, err = ran(capsys, command, "-c", config)
    assert (code, out) == (1, "")
    assert err == (f'Error: {config}: log.calls names no file, so no call is kept here; write log.calls = "file:var/calls.jsonl" and '
                   "restart the gateway, or save what it prints in a file and name that by --log\n")  # fmt: skip


def test_the_configuration_says_where_the_log_is(
    config: Path, log: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(f'{BASE}{ROUTE}[log]\ncalls = "file:calls.jsonl"\n')
    monkeypatch.chdir(config.parent)
    for arguments in ((), ("-c", "gateway.toml"), ("--log", "."), ("--log", "calls.jsonl")):
        code, out, _ = ran(capsys, "calls", *arguments, "--format", "jsonl")
        assert (code, len(out.splitlines())) == (0, 3)


def test_without_a_configuration_the_two_ways_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = ran(capsys, "calls")
    assert (code, err.splitlines()[-1]) == (
        2,
        "Error: there is no gateway.toml here; name a configuration by -c, or the log itself by --log",
    )


def test_no_log_is_one_sentence_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ran(capsys, "calls", "--log", tmp_path / "calls.jsonl")
    assert (code, out) == (2, "")
    assert err.startswith(f"Error: there is no call log at {tmp_path}/calls.jsonl, nor a closed or compacted part")


@pytest.mark.parametrize("name", ["calls.jsonl", "calls.parquet"])
def test_a_file_that_is_no_log_is_one_sentence_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    with duckdb.connect() as writer:
        writer.execute(
            f"COPY (SELECT range AS x, range AS v FROM range(10)) TO '{tmp_path}/calls.parquet' (FORMAT parquet)"
        )
    (tmp_path / "calls.jsonl").write_bytes(b"x" * (33 << 20))
    code, out, err = ran(capsys, "calls", "--log", tmp_path / name)
    if name == "calls.parquet":
        assert (code, out, err) == (
            0,
            "",
            "note: no calls\nnote: calls.parquet is damaged, or no part of a log, and is left out\n",
        )
    else:
        assert (code, out) == (2, "")
        assert err.startswith("Error: the files of the log cannot be read: ")


REPORT = ("--since", "2025-01-15T12:00Z", "--until", "2025-01-16")


def test_a_report_is_text_unless_something_else_is_wanted(
    day: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, err = ran(capsys, "report", "--log", day, *REPORT)
    assert (code, err) == (0, "")
    assert (
        out.splitlines()[0] == "Calls from 2025-01-15 12:00:00Z to 2025-01-16 00:00:00Z, beside as long a time before"
    )
    assert "BY CONSUMER" in out and "none: nothing here keeps clients from being served" in out
    code, out, err = ran(capsys, "report", "--log", day, *REPORT, "-o", tmp_path / "report.html")
    assert (code, out, err) == (0, "", f"note: {tmp_path}/report.html is written\n")
    assert (tmp_path / "report.html").read_text("utf-8").startswith("<!doctype html>\n")
    code, out, _ = ran(capsys, "report", "--log", day, *REPORT, "--format", "json", "--by", "day", "--top", "3")
    assert (len(json.loads(out)["consumer"]), [row["key"] for row in json.loads(out)["day"]]) == (
        3,
        ["2025-01-15T00:00:00Z"],
    )


def test_the_last_day_is_reported_by_the_hour_and_a_week_by_the_day(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "calls.jsonl").touch()
    now = datetime.now(UTC)
    write(tmp_path / "calls.jsonl", iter([call(now - timedelta(hours=2), "page", "answered")]))
    assert "BY HOUR" in ran(capsys, "report", "--log", tmp_path)[1]
    assert "BY DAY" in ran(capsys, "report", "--log", tmp_path, "--since", "7d")[1]


def test_advice_is_in_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "calls.jsonl", SICK["tight_loop"]())
    _, out, _ = ran(capsys, "report", "--log", tmp_path, *REPORT)
    assert "- 3 clients of route feed re-poll up to 10.0 times a second in vain" in out


def test_a_report_that_cannot_be_written_is_exit_code_2(
    day: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = ran(capsys, "report", "--log", day, *REPORT, "-o", tmp_path / "no" / "report.html")
    assert (code, err) == (2, f"gateway: {tmp_path}/no/report.html: no such file or directory; check the path\n")
    code, _, err = ran(capsys, "report", "--log", day, *REPORT, "-o", "/dev/full")
    assert (code, err) == (2, "gateway: /dev/full: no space left on device; make room there\n")


def test_both_run_as_programs_and_leave_nothing_behind(day: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = (sys.executable, "-m", "gateway", "calls", "--log", str(day), "--format", "jsonl", "--limit", "0")
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    assert (len(done.stdout.splitlines()), done.stderr) == (CALLS, "")
    assert list(tmp_path.iterdir()) == []


def test_more_calls_than_fit_into_memory_at_once_come_as_they_are_read(
    day: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = ran(capsys, "calls", "--log", day, "--format", "json", "--limit", "0")
    assert len(json.loads(out)) == CALLS
    _, out, _ = ran(capsys, "calls", "--log", day, "--limit", "0")
    assert len(out.splitlines()) == CALLS + 1


def test_whoever_reads_only_the_first_lines_ends_it_quietly(day: Path) -> None:
    command = f"{sys.executable} -m gateway calls --log {day} --format jsonl --limit 0 | head -1"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)
    assert (len(done.stdout.splitlines()), done.stderr) == (1, "")


def test_progress_is_for_terminals_and_is_wiped_away(day: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.past import progress
    from gateway.past.source import connect

    main_end, terminal = pty.openpty()
    with open(terminal, "w", encoding="utf-8") as screen, connect(day) as past:
        monkeypatch.setattr(sys, "stderr", screen)
        monkeypatch.setattr(progress, "AFTER", 0.0)
        with progress.shown_while(past):
            said = os.read(main_end, 1000)
        screen.flush()
        rest = os.read(main_end, 1000)
    os.close(main_end)
    assert said.startswith(b"\r\x1b[Kasking 24 files, 1MiB .. 0 s")
    assert rest.endswith(b"\r\x1b[K")
