"""A report for a terminal: tables with a bar where a number is better seen than read. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from gateway.past.amounts import AMOUNTS, change, said
from gateway.past.report import Report
from gateway.past.shown import table
from gateway.past.trends import Row
from gateway.past.when import shown
from gateway.telemetry.record import clean

BAR = 10  # characters
WIDTH = 100
_PARTS = " ▏▎▍▌▋▊▉█"
_NAMELESS = "(none)"
_WIDEST = 28
_COLUMNS = tuple(each for each in AMOUNTS if each.title != "polls")  # what there is room for


def report_lines(report: Report) -> Iterator[str]:
    """The report, line by line."""
    yield f"Calls from {shown(report.window.since)} to {shown(report.window.until)}, beside as long a time before"
    yield from (f"note: {sentence}" for sentence in report.notes)
    if report.empty:
        yield "\nNo calls."
        return
    yield ""
    yield from _total(report.total)
    yield from _rows(f"By {report.by}", [(_instant(row, report.by), row) for row in report.timed])
    for name, rows in report.named.items():
        yield from _rows(f"By {name}", [(_name(row), row) for row in rows])
    yield from _advice(report)


def _total(total: Row) -> Iterator[str]:
    rows = [[each.title, said(each, total.now), said(each, total.before), change(each, total.now, total.before)]
            for each in AMOUNTS]  # fmt: skip
    yield from table(("", "NOW", "BEFORE", "CHANGE"), rows, (False, True, True, True))


def _rows(title: str, rows: Sequence[tuple[str, Row]]) -> Iterator[str]:
    most = max((row.now.calls for _, row in rows), default=0)
    head = (title.upper(), "", *(each.title.removeprefix("news ").upper() for each in _COLUMNS), "CHANGE")
    cells = [[name, bar(row.now.calls, most), *(said(each, row.now) for each in _COLUMNS),
              change(_COLUMNS[0], row.now, row.before)] for name, row in rows]  # fmt: skip
    yield ""
    yield from table(head, cells, (False, False, *(True for _ in range(len(_COLUMNS) + 1))))


def _advice(report: Report) -> Iterator[str]:
    yield "\nAdvice"
    if not report.advice:
        yield "none: nothing here keeps clients from being served"
    for each in report.advice:
        yield from textwrap.wrap(clean(each.text), WIDTH, initial_indent="- ", subsequent_indent="  ")
        yield from textwrap.wrap(clean(each.do), WIDTH, initial_indent="  -> ", subsequent_indent="     ")


def bar(value: float, most: float) -> str:
    """A bar of BAR characters at most, in eighths of one."""
    eighths = round(value / most * BAR * 8) if most else 0
    return "█" * (eighths // 8) + _PARTS[eighths % 8].strip()


def _instant(row: Row, by: str) -> str:
    text = row.key or ""
    return text[:10] if by == "day" else text[:16].replace("T", " ")


def _name(row: Row) -> str:
    text = clean(row.key) if row.key is not None else _NAMELESS
    return text if len(text) <= _WIDEST else text[: _WIDEST - 2] + ".."
