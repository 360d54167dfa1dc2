"""Records at a collector: every field an attribute, the right severity, trace and time; and a collector that is down,
slow or silent costs lines, which are counted, and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from gateway.config.schema import Telemetry
from gateway.telemetry import log, otlp_logs, writer
from gateway.telemetry.log import FLUSH_EVERY, CallLog
from gateway.telemetry.otlp import resource
from gateway.telemetry.otlp_logs import Collector
from tests.kit.otlp import Collector as Receiver
from tests.kit.otlp import attributes, collector
from tests.kit.serving import HandLoop
from tests.kit.waiting import until_sync

GOLDEN = [json.loads(line) for line in (Path(__file__).parents[1] / "golden" / "records.jsonl").open()]
NEWS = next(record for record in GOLDEN if record["outcome"] == "news")


def sink(url: str, **settings: Any) -> Collector:
    table = Telemetry.model_validate({"otlp": url, **settings})
    return Collector(table, resource(table))


def lines(*records: dict[str, Any]) -> bytes:
    return b"".join(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for record in records)


def sent(record: dict[str, Any]) -> Any:
    """The only log record that came of it."""
    with collector() as found:
        assert sink(found.url).write(lines(record)) == (0, "")
        (made,) = found.logs
        return made


@pytest.mark.parametrize("record", GOLDEN, ids=lambda record: record["outcome"])
def test_every_ending_arrives_with_its_fields(record: dict[str, Any]) -> None:
    made = sent(record)
    assert attributes(made) == {name: value for name, value in record.items() if value is not None}
    assert (made.severity_text, made.severity_number) == (
        record["level"], {"info": 9, "notice": 10, "warning": 13, "error": 17}[record["level"]],
    )  # fmt: skip
    assert (
        made.event_name == "longpoll.call"
        and made.trace_id.hex() == record["trace"]
        and made.span_id.hex() == record["id"][:14] + "00"
    )


def test_it_is_told_in_a_sentence_at_the_time_of_its_end() -> None:
    made = sent(NEWS)
    assert made.body.string_value == "GET /updates: news, 200, after 26.250s"
    assert made.time_unix_nano == int(1_700_000_100.0 + 26.25) * 10**9 + 250_000_000


def test_a_hold_that_begins_is_another_event() -> None:
    start = {
        "v": 1, "kind": "start", "time": "2023-11-14T22:15:00.000Z", "id": "x", "trace": "no trace", "path": "/updates",
        "ends_at": "2023-11-14T22:15:25.000Z", "route": None,
    }  # fmt: skip
    made = sent(start)
    assert (made.event_name, made.body.string_value) == (
        "longpoll.hold.start", "/updates: held until 2023-11-14T22:15:25.000Z",
    )  # fmt: skip
    assert made.severity_text == "info" and not made.trace_id and "route" not in attributes(made)


def test_what_happens_to_an_endpoint_is_another_event() -> None:
    eject = {
        "v": 1, "kind": "eject", "time": "2023-11-14T22:15:00.000Z", "level": "warning", "upstream": "up",
        "endpoint": "10.0.0.1", "why": "upstream_reset", "taking": 1, "members": 2, "lasts": 30.0,
    }  # fmt: skip
    made = sent(eject)
    assert (made.event_name, made.severity_text, made.trace_id) == ("longpoll.endpoint.eject", "warning", b"")
    assert made.body.string_value == "up: 10.0.0.1: eject (upstream_reset), 1 of 2 take calls"
    assert attributes(made) == eject


def test_the_resource_and_the_headers_are_those_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    with collector() as found:
        wanted = {"service_name": "edge-1", "headers": {"Authorization": "env:TOKEN"}}
        assert sink(found.url, **wanted).write(lines(NEWS)) == (0, "")
        ((path, headers, message),) = found.requests
    assert (
        path == "/v1/logs"
        and {k.lower(): v for k, v in headers.items()}["authorization"] == "s3cret"
        and b"s3cret" not in found.raw
    )
    assert attributes(message.resource_logs[0].resource)["service.name"] == "edge-1"


def test_many_records_are_several_requests() -> None:
    with collector() as found:
        assert sink(found.url).write(lines(*[NEWS] * 1300)) == (0, "")
        assert len(found.logs) == 1300 and len(found.requests) == 3


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gives up soon."""
    monkeypatch.setattr(otlp_logs, "TIMEOUT", 0.3)


@pytest.mark.usefixtures("hasty")
def test_a_collector_that_is_down_costs_the_lines_with_a_reason() -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    lost, reason = sink(url).write(lines(*[NEWS] * 3))
    assert lost == 3 and reason.startswith(f"{url}/v1/logs: Failed to export")


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("status", [400, 401, 503])
def test_a_collector_that_refuses_costs_the_lines_and_the_next_are_another_try(status: int) -> None:
    with collector() as found:
        place = sink(found.url)
        found.status = status
        lost, _ = place.write(lines(NEWS, NEWS))
        found.status = 200
        assert lost == 2 and place.write(lines(NEWS)) == (0, "") and len(found.logs) == 1


def silent(found: Receiver) -> CallLog:
    """A log whose collector takes requests and says nothing."""
    found.gate.clear()
    return CallLog(cast(asyncio.AbstractEventLoop, HandLoop()), [sink(found.url)])


def test_a_collector_that_says_nothing_costs_lines_and_never_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MAX_QUEUED", 200_000)
    with collector() as found:
        made = silent(found)
        for _ in range(2000):
            made.write(NEWS)  # returns at once, or this test hangs
        made.flush()
        assert made.dropped > 1000 and made._writers[0]._queued <= 200_000
        found.gate.set()
        until_sync(lambda: len(found.logs) + made.dropped == 2000, "what was kept arrives")
        made.close()


def test_the_end_of_the_process_does_not_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "CLOSE_WITHIN", 0.01)
    with collector() as found:
        made = silent(found)
        made.write(NEWS)
        began = time.monotonic()
        made.close()
        assert time.monotonic() - began < 2.0, "not for the ten seconds of the exporter"


def test_what_is_left_at_the_end_is_sent() -> None:
    with collector() as found:
        made = CallLog(cast(asyncio.AbstractEventLoop, HandLoop()), [sink(found.url)])
        made.write(NEWS)
        made.close()
        assert len(found.logs) == 1


def test_two_places_get_the_same_and_one_that_fails_harms_no_other(capfd: pytest.CaptureFixture[str]) -> None:
    from gateway.telemetry.files import Stream

    loop = HandLoop()
    with collector() as found:
        made = CallLog(cast(asyncio.AbstractEventLoop, loop), [Stream(), sink(found.url)])
        found.status = 400
        made.write(NEWS)
        loop.advance(FLUSH_EVERY)
        until_sync(lambda: made.dropped == 1, "the collector has refused")
        found.status = 200
        made.write(NEWS)
        made.close()
        assert len(found.logs) == 1
    out, err = capfd.readouterr()
    assert out.count("\n") == 2 and "1 lines dropped, 1 since the start" in err
