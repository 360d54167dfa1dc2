"""`python -m tests.bench.past`: makes a day of ten million calls, asks what people ask, prints how long each took.
Everything is removed at the end. Exit 0 whatever the figures; the bar is for two cores that do nothing else.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from gateway.past.advice import advise
from gateway.past.calls import make_query, records
from gateway.past.report import make_report
from gateway.past.source import Means, asked
from gateway.past.trends import BY, aligned, trend_document, with_before
from gateway.past.when import Window
from tests.kit import history

BAR = 3.0  # seconds
NOON = history.START + timedelta(hours=12)
DAY = Window(history.START, history.START + timedelta(days=1))
AFTERNOON = Window(NOON, DAY.until)  # beside the morning


def questions(log: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is asked, in words, and the asking."""
    for said, where, sort in (
        ("calls: the newest", None, "-time"),
        ("calls: a rare ending and held > 20", "outcome = upstream_timeout and held > 20", "-time"),
        ("calls: an id", "id = 00000000000000000000000000000000", "-time"),
        ("calls: a pattern that matches nothing", 'path ~ "^/x.*y$"', "-time"),
        ("calls: the longest held", None, "-held"),
        ("calls: all of a consumer, the oldest first", "consumer = consumer-77", "time"),
    ):
        query = make_query({}, where, sort)
        yield said, lambda query=query: asked(log, Window(), lambda past: list(records(past, query)))  # type: ignore[misc]
    for by in BY:
        yield f"trends by {by}", lambda by=by: trend_document(log, aligned(DAY, by), by, 50, Means())  # type: ignore[misc]
    yield "advice", lambda: asked(log, DAY, advise)
    yield (
        "report: half a day beside the half before, with advice",
        lambda: asked(
            log, with_before(AFTERNOON), lambda past: make_report(past, log, datetime.now(UTC), AFTERNOON, "hour", 15)
        ),
    )


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@click.command()
@click.option("--calls", type=click.IntRange(1), default=10_000_000, show_default=True, help="How many calls to make.")
def main(calls: int) -> None:
    """Measure how fast a large past is asked."""
    with tempfile.TemporaryDirectory(prefix="gateway-bench-past-") as folder:
        began = time.monotonic()
        files = history.write_parquet(Path(folder), history.Day(calls))
        size = sum(each.stat().st_size for each in files) / (1 << 20)
        made = time.monotonic() - began
        click.echo(f"{calls:,} calls in {len(files)} files, {size:.0f} MiB, made in {made:.0f} s")
        click.echo(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}\n")
        click.echo(f"{'':58}  seconds    CPU  bar")
        for said, ask in questions(Path(folder) / "calls.jsonl"):
            began, cpu = time.monotonic(), _cpu()
            ask()
            took = time.monotonic() - began
            click.echo(f"{said:58}  {took:7.2f}  {_cpu() - cpu:5.2f}  {'ok' if took < BAR else 'MISS'}")


if __name__ == "__main__":
    main()
