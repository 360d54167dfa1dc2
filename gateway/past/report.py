"""What a report is made of: the trends of one period by everything there is, beside the period before, and the advice.
How it looks is said elsewhere: `text` for a terminal, `page` for a browser.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from gateway.past.advice import Advice, advice_for
from gateway.past.numbers import Numbers
from gateway.past.signs import signs
from gateway.past.source import Past, narrowed
from gateway.past.trends import NAMES, Row, Trends, by_name, by_time, document, stamp
from gateway.past.when import Window


@dataclass(frozen=True, slots=True)
class Report:
    """One period. `named` has the rows of each route, consumer, tenant with the most calls."""

    log: Path
    made: datetime
    window: Window
    by: str
    total: Row
    timed: tuple[Row, ...]
    named: dict[str, tuple[Row, ...]]
    advice: tuple[Advice, ...]
    notes: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.total.now.calls


def make_report(past: Past, log: Path, made: datetime, window: Window, by: str, top: int) -> Report:
    """The report of a window; what is connected must reach back over the window before."""
    total, rows = by_time(past, window, by)
    timed = _beside(total, rows)
    named = {name: _beside(total, by_name(past, window, name, top)) for name in NAMES}
    advice = advice_for(signs(narrowed(past, window)))
    return Report(log, made, window, by, total, timed, named, tuple(advice), past.notes)


def _beside(total: Row, rows: list[Row]) -> tuple[Row, ...]:
    """Rows that had no calls before had none: if there is a time before at all, they are new."""
    return tuple(replace(row, before=row.before or Numbers()) for row in rows) if total.before else tuple(rows)


def report_document(report: Report) -> dict[str, object]:
    """The report as plain values: the trends of the worker, by everything."""
    timed = document(Trends(report.window, report.by, report.total, report.timed))
    return {
        **{name: timed[name] for name in ("since", "until", "total", "before")},
        "log": str(report.log),
        "made": stamp(report.made),
        report.by: timed["rows"],
        **{name: [asdict(row) for row in rows] for name, rows in report.named.items()},
        "advice": [asdict(each) for each in report.advice],
        "notes": report.notes,
    }
