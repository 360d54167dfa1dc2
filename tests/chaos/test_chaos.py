"""That the frame and the cases still work: a real case scaled down, and what a sheet and the command say. Counts only;
time limits belong to `make chaos`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from . import __main__ as command
from .caps import cap_of_three, full
from .cases import CASES
from .lost import killed, one_of_many
from .outages import silent
from .returns import memory_returns
from .sheet import Sheet
from .wakes import wake_storm


async def test_a_case_holds_scaled_down(tmp_path: Path) -> None:
    lines: list[str] = []
    sheet = Sheet(lines.append, timed=False)
    await cap_of_three(sheet, tmp_path, polls=20, rounds=2)
    assert sheet.checks >= 8
    assert not sheet.failed, lines


async def test_a_service_that_is_full_scaled_down(tmp_path: Path) -> None:
    lines: list[str] = []
    sheet = Sheet(lines.append, timed=False)
    await full(sheet, tmp_path, room=20, more=3)
    assert sheet.checks == 2 and not sheet.failed, lines


async def test_a_crowd_that_is_woken_scaled_down(tmp_path: Path) -> None:
    lines: list[str] = []
    sheet = Sheet(lines.append, timed=False)
    await wake_storm(sheet, tmp_path, polls=200, storms=1)
    assert sheet.checks == 4 and not sheet.failed, lines


async def test_memory_that_is_given_back_scaled_down(tmp_path: Path) -> None:
    lines: list[str] = []
    sheet = Sheet(lines.append, timed=False)
    await memory_returns(sheet, tmp_path, polls=50, turns=1)
    assert sheet.checks == 3 and not sheet.failed, lines


@pytest.mark.parametrize(
    ("case", "size"),
    [
        (killed, {"cursor": 20, "take": 20}),
        (one_of_many, {"endpoints": 5, "held": 50}),
        (silent, {"each": 5}),
    ],
)
async def test_a_service_that_is_lost_scaled_down(tmp_path: Path, case: Any, size: dict[str, Any]) -> None:
    lines: list[str] = []
    sheet = Sheet(lines.append, timed=False)
    await case(sheet, tmp_path, **size)
    assert sheet.checks >= 6 and not sheet.failed, lines


def test_a_sheet_says_what_was_wanted_and_what_was_seen() -> None:
    lines: list[str] = []
    sheet = Sheet(lines.append)
    sheet.check("answers", {"200": 7, "lost": 3}, False, "10 x 200")
    sheet.within("the end", 1.5, 2)
    sheet.within("the other end", None, 2)
    assert (sheet.checks, len(sheet.failed)) == (3, 2)
    assert lines == [
        "  FAIL  answers: {'200': 7, 'lost': 3} (wanted 10 x 200)",
        "  ok    the end: 1.50 s (wanted at most 2 s)",
        "  FAIL  the other end: never (wanted at most 2 s)",
    ]


def test_without_time_limits_only_what_never_came_about_fails() -> None:
    sheet = Sheet(lambda _: None, timed=False)
    sheet.within("slow", 99.0, 2)
    assert not sheet.failed
    sheet.within("never", None, 2)
    assert len(sheet.failed) == 1


async def _good(sheet: Sheet, folder: Path) -> None:
    sheet.check("one", 1, True, "1")


async def _bad(sheet: Sheet, folder: Path) -> None:
    (folder / "gateway.out").write_text("what the gateway said\n")
    sheet.check("two", 1, False, "2")


async def _broken(sheet: Sheet, folder: Path) -> None:
    raise RuntimeError("no such thing")


def test_the_exit_code_tells_a_failed_check_from_a_broken_case(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(command, "raise_descriptors", lambda: None)  # this process goes on
    for name in list(CASES):
        monkeypatch.delitem(CASES, name)
    found = []
    for name, case in (("good", _good), ("bad", _bad), ("broken", _broken)):
        monkeypatch.setitem(CASES, name, (case, "a title"))
        found.append(CliRunner().invoke(command.main, ["--only", name]))
    assert [one.exit_code for one in found] == [0, 1, 2]
    assert "gateway.out: what the gateway said" in found[1].output
    assert "RuntimeError: no such thing" in found[2].output


def test_a_name_may_be_cut_short_and_a_wrong_one_is_told() -> None:
    assert [
        line.split()[0] for line in CliRunner().invoke(command.main, ["--only", "ca", "--list"]).output.splitlines()
    ]
    assert CliRunner().invoke(command.main, ["--only", "nothing-such"]).exit_code == 2
