"""The page on traces, held against the code: every class with its endings, every attribute, every number."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.config.schema import Sample
from gateway.outcome import ENDINGS, Outcome
from gateway.telemetry import keeping, otlp, otlp_traces, spans, trace

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "traces.md").read_text("utf-8")


def test_every_ending_is_listed_under_its_class() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| (.*) \|$", PAGE, re.MULTILINE)
    assert {name: float(share) for name, share, _ in rows} == Sample().model_dump()
    listed = {ending: name for name, _, endings in rows for ending in re.findall(r"`(\w+)`", endings)}
    assert listed == {outcome.value: ENDINGS[outcome].share for outcome in Outcome}


def test_every_attribute_is_explained() -> None:
    source = Path(spans.__file__).read_text("utf-8")
    names = set(re.findall(r'"((?:http|url|server|client|network|user_agent|enduser|error|longpoll)\.[\w.]+)"', source))
    assert len(names) > 25 and names == set(re.findall(r"`((?:[a-z_]+\.)+[a-z_]+)`", rows("attribute"))) - {"docs.md"}


def rows(first: str) -> str:
    """The tables whose first column is headed so."""
    return "\n".join(re.findall(rf"^(\| {first}[^\n]*\n(?:\|[^\n]*\n)+)", PAGE, re.MULTILINE))


def test_every_event_is_explained() -> None:
    told = set(re.findall(r'Event\("(\w+)"', Path(spans.__file__).read_text("utf-8")))
    assert told == set(re.findall(r"^\| `(\w+)`", rows("event"), re.MULTILINE))


@pytest.mark.parametrize(
    "said",
    [
        f"queue of {otlp_traces.MAX_QUEUED} ", f", {otlp_traces.BATCH} at a time", f"may take {otlp.TIMEOUT:g} s",
        f"at most {keeping.CLOSE_WITHIN:g} s", f"up to {trace.MAX_AGENT} characters",
        f"up to {trace.MAX_STATE} characters and {trace.MAX_MEMBERS} entries",
    ],
)  # fmt: skip
def test_every_number_is_that_of_the_code(said: str) -> None:
    assert said in PAGE
