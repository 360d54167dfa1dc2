"""The JSON Schema of a record: it is the file in docs/, every golden record fits it, and it can say no."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main
from gateway.telemetry.columns import COLUMNS
from gateway.telemetry.schema import record_schema
from tests.kit.schema import FILE, wrongs

GOLDEN = [json.loads(line) for line in (Path(__file__).parents[1] / "golden" / "records.jsonl").open()]
NEWS = next(record for record in GOLDEN if record["outcome"] == "news")
START = {
    "v": 1, "kind": "start", "time": "2023-11-14T22:15:00.000Z", "id": "x", "trace": "x", "route": "updates",
    "consumer": None, "tenant": None, "peer": "192.0.2.7", "path": "/", "hold_asked": None, "hold_granted": 25.0,
    "clamped_by": None, "endpoint": "10.0.0.1", "ends_at": "2023-11-14T22:15:25.000Z",
}  # fmt: skip

PROBE = {
    "v": 1, "kind": "probe", "time": "2023-11-14T22:15:00.000Z", "level": "warning", "upstream": "up",
    "endpoint": "10.0.0.1", "why": "status 500", "taking": 1, "members": 2,
}  # fmt: skip
EJECT = {**PROBE, "kind": "eject", "until": "2023-11-14T22:15:30.000Z", "lasts": 30.0, "strikes": 5, "times": 1}


def test_the_file_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["schema", "--record"])
    assert capsys.readouterr().out == FILE.read_text("utf-8")
    assert record_schema() == json.loads(FILE.read_text("utf-8"))


@pytest.mark.parametrize("record", GOLDEN, ids=lambda record: record["outcome"])
def test_every_golden_record_fits(record: dict[str, Any]) -> None:
    assert wrongs(record) == []
    assert record.keys() <= COLUMNS.keys(), "every field has its column"
    assert [name for name in COLUMNS if name in record], "in the order of the columns"


def test_the_line_of_a_hold_that_begins_fits() -> None:
    assert wrongs(START) == []


@pytest.mark.parametrize("line", [EJECT, PROBE, {**PROBE, "kind": "restore", "level": "notice"}])
def test_the_lines_of_endpoints_fit(line: dict[str, Any]) -> None:
    assert wrongs(line) == []
    assert all(wrongs({key: value for key, value in line.items() if key != name}) for name in line if name != "kind")


@pytest.mark.parametrize("line", [{**PROBE, "kind": "eject"}, {**EJECT, "kind": "nap"}, {**EJECT, "taking": -1}])
def test_what_is_no_line_of_an_endpoint_does_not_fit(line: dict[str, Any]) -> None:
    assert wrongs(line)


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2}, {"time": "yesterday"}, {"time": "2023-11-14T22:15:00Z"}, {"outcome": "nice"}, {"status": "200"},
        {"status": 0}, {"took": -0.1}, {"bytes_in": 1.5}, {"bytes_in": None}, {"query": "since"}, {"query": [1]},
        {"query_values": {"a": 1}}, {"clamped_by": "me"}, {"path": None}, {"attempts": True}, {"kind": "start"},
        {"path": "/" * 6000}, {"level": "loud"}, {"news_latency": -1},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_record_does_not_fit(change: dict[str, Any]) -> None:
    assert wrongs({**NEWS, **change})


@pytest.mark.parametrize("name", ["v", "time", "id", "route", "status", "took", "held", "hold_asked", "tenant"])
def test_a_field_that_must_be_there_is_missed(name: str) -> None:
    assert wrongs({key: value for key, value in NEWS.items() if key != name})


def test_a_field_of_a_later_version_is_no_harm() -> None:
    assert wrongs({**NEWS, "later": {"any": 1}}) == []
