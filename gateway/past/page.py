"""A report as one page of HTML that needs nothing else: plots as SVG, no script, nothing from a network. Every text
that came with a call is escaped by the template.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jinja2
from markupsafe import Markup

from gateway import __version__
from gateway.past import charts
from gateway.past.amounts import AMOUNTS, change, count, latency, said, share
from gateway.past.numbers import Numbers
from gateway.past.report import Report
from gateway.past.trends import TIMES
from gateway.past.when import shown

_TEMPLATE = "report.html.j2"


def report_page(report: Report) -> str:
    """The whole page."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(_TEMPLATE).render(
        report=report,
        css=Markup(charts.css()),
        charts=plots(report) if not report.empty else (),
        amounts=AMOUNTS,
        said=said,
        change=change,
        shown=shown,
        label=_label,
        most=max((row.now.calls for row in report.timed), default=0),
        version=__version__,
    )


def plots(report: Report) -> list[Markup]:
    """The plots over time."""
    labels = [_label(row.key, report.by) for row in report.timed]
    seconds = TIMES[report.by].total_seconds()

    def of(what: Callable[[Numbers], float | None]) -> list[float | None]:
        return [what(row.now) for row in report.timed]

    def before(what: Callable[[Numbers], float | None]) -> list[float | None]:
        return [what(row.before) if row.before is not None else None for row in report.timed]

    return [
        charts.bars(f"Calls per {report.by}", labels, [
            ("news", of(lambda one: one.news)), ("no news", of(lambda one: one.empty)),
            ("errors", of(lambda one: one.errors)), ("refused", of(lambda one: one.refusals)), ("other", of(_others)),
        ], count),
        charts.lines("Polls held at once, on average", labels, [
            ("now", of(lambda one: one.held_seconds / seconds)),
            ("before", before(lambda one: one.held_seconds / seconds)),
        ], count),
        charts.lines("Share of polls that ended in no news", labels, [
            ("now", of(lambda one: one.empty_share)), ("before", before(lambda one: one.empty_share)),
        ], share),
        charts.lines("News latency: from the service's first byte to ours", labels, [
            ("p50", of(lambda one: one.news_p50)), ("p50 before", before(lambda one: one.news_p50)),
            ("p95", of(lambda one: one.news_p95)), ("p99", of(lambda one: one.news_p99)),
        ], latency),
        charts.lines("Evictions, refusals, errors", labels, [
            ("evicted", of(lambda one: one.evictions)), ("refused", of(lambda one: one.refusals)),
            ("errors", of(lambda one: one.errors)),
        ], count),
    ]  # fmt: skip


def _others(one: Numbers) -> float:
    return max(one.calls - one.news - one.empty - one.errors - one.refusals, 0)


def _label(key: str | None, by: str) -> str:
    """A row's name: an hour or a day in short, else the name itself."""
    if key is None:
        return "(none)"
    if by not in TIMES:
        return key
    return key[5:10] if by == "day" else key[11:16]
