"""docs/metrics.md, held against the table of instruments: every metric, its kind, names, labels and buckets."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.telemetry import series, tallies
from gateway.telemetry.consumers import MOST
from gateway.telemetry.instruments import INSTRUMENTS
from gateway.telemetry.tallies import KEPT_GONE, METHODS, REFUSALS
from gateway.telemetry.workers import STATES, WORKERS
from tests.unit.test_docs import table_of

EVERY = (*INSTRUMENTS, *WORKERS)
PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"


def names(cell: str) -> list[str]:
    return re.findall("`(.+?)`", cell)


def test_every_metric_is_explained_as_it_is() -> None:
    said = [(*names(row[0]), row[1], *names(row[2]), tuple(names(row[3]))) for row in table_of(PAGE, "metric")]
    suffix = {"counter": "_total"}
    are = [(each.name, each.kind, each.family + suffix.get(each.kind, ""), each.labels) for each in EVERY]
    assert sorted(said) == sorted(are)


def test_every_bucket_is_where_the_page_says() -> None:
    said = {names(row[0])[0]: tuple(float(end) for end in row[1].split()) for row in table_of(PAGE, "histogram")}
    assert said == {each.name: each.bounds for each in INSTRUMENTS if each.kind == "histogram"}


def test_what_does_not_add_up_over_workers_is_told() -> None:
    said = {row[0]: set(names(row[1])) for row in table_of(PAGE, "of several workers")}
    ours = {how: {each.name for each in INSTRUMENTS if each.merge == how} for how in ("max", "min")}
    assert said == {"the largest": ours["max"], "the smallest": ours["min"]}


def test_the_bounds_and_words_of_labels_are_those_of_the_code() -> None:
    text = " ".join(PAGE.read_text("utf-8").split())
    assert f"at most {series.MOST} label sets" in text and series.MOST == tallies.MAX_REQUESTS
    assert f"the first {MOST} that call" in text
    assert f"the last {KEPT_GONE} such routes" in text
    assert ", ".join(f"`{method}`" for method in sorted(METHODS)) in text
    assert ", ".join(f"`{each.value}`" for each in REFUSALS) in text
    assert ", ".join(f"`{each}`" for each in STATES) in text
