"""Metrics on their way to a collector: the same as on the page, again and again and once at the end; and a collector
that is away, fails or hangs costs no number and no call.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from gateway.config.schema import Telemetry
from gateway.telemetry.instruments import INSTRUMENTS, Gauges
from gateway.telemetry.otlp_metrics import Pusher
from gateway.telemetry.series import Reading, Series
from tests.kit.gateways import config, gateway, gateway_process, hold, process_config, route
from tests.kit.otlp import Collector, attributes, collector
from tests.kit.raw import RawClient, client, get
from tests.kit.upstreams import ScriptedUpstream, answer
from tests.kit.waiting import soon, until

ROUTES = route("web", "/web/{id}") + route("updates", "/updates", ["poll"])


def telemetry(url: str, more: str = "") -> str:
    return f'{hold()}\n[telemetry]\notlp = "{url}"\nservice_name = "edge-7"\n{more}\n'


def calls(found: Collector) -> dict[tuple[str, str], int]:
    """`longpoll.calls` as the collector heard of it last, by route and outcome."""
    metrics = [metric for metric in found.metrics if metric.name == "longpoll.calls"]
    points: list[Any] = list(metrics[-1].sum.data_points) if metrics else []
    named = [(attributes(point), point.as_int) for point in points]
    return {(labels.get("route", ""), labels["outcome"]): value for labels, value in named}


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "50")


async def test_a_collector_hears_of_every_call(tmp_path: Path) -> None:
    with collector() as found:
        headers = 'headers = { x-team = "edge" }'
        async with (
            ScriptedUpstream() as up,
            gateway(config(up.port, more=telemetry(found.url, headers), routes=ROUTES), tmp_path) as gw,
            client(gw.port) as raw,
        ):
            await raw.ask(get("/web/1"))
            await raw.ask(get("/updates"))
            await until(lambda: calls(found) == {("web", "answered"): 1, ("updates", "news"): 1})
            _, fields, message = [one for one in found.requests if one[0] == "/v1/metrics"][-1]
            assert {name.lower(): value for name, value in fields.items()}["x-team"] == "edge"
            resource = attributes(message.resource_metrics[0].resource)
            assert resource["service.name"] == "edge-7" and resource["service.instance.id"]
            names = {metric.name for metric in found.metrics}
            assert {"http.server.request.duration", "longpoll.hold.duration", "longpoll.loop.lag"} <= names


async def test_what_happened_last_is_sent_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "3600000")
    with collector() as found:
        async with (
            ScriptedUpstream() as up,
            gateway(config(up.port, more=telemetry(found.url), routes=ROUTES), tmp_path) as gw,
            client(gw.port) as raw,
        ):
            await raw.ask(get("/web/1"))
            assert found.asked == 0
        assert calls(found) == {("web", "answered"): 1}


async def test_the_loop_turns_between_two_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "1")
    loop, turns, read_in = asyncio.get_running_loop(), [0], list[int]()

    def turn() -> None:
        turns[0] += 1
        loop.call_soon(turn)

    def read() -> Iterator[Reading]:
        for reading in Series().read(Gauges(held={}, connections=1, log_lines_dropped=0, draining=False)):
            read_in.append(turns[0])
            yield reading

    turn()
    with collector() as found:
        pusher = Pusher(loop, Telemetry(otlp=found.url), Resource({}), read)
        await until(lambda: "longpoll.draining" in {metric.name for metric in found.metrics})
        seen = read_in[: len(INSTRUMENTS)]
        assert len(set(seen)) == len(seen)
        pusher.finish()
        await asyncio.to_thread(pusher.close, 1.0)


async def test_readings_do_not_pile_up_before_a_collector_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "1")
    began = [0]

    def read() -> Iterator[Reading]:
        began[0] += 1
        return Series().read(Gauges(held={}, connections=1, log_lines_dropped=0, draining=False))

    with collector() as found:
        found.gate.clear()
        pusher = Pusher(asyncio.get_running_loop(), Telemetry(otlp=found.url), Resource({}), read)
        await until(lambda: found.asked == 1 and pusher._due.qsize() == 1)
        before = began[0]
        for _ in range(5):
            pusher._push()
        assert began[0] == before and pusher._due.qsize() == 1
        found.gate.set()
        pusher.finish()
        await asyncio.to_thread(pusher.close, 1.0)


async def test_a_collector_that_was_away_has_lost_nothing(tmp_path: Path) -> None:
    with collector() as found:
        found.status = 400
        async with (
            ScriptedUpstream() as up,
            gateway(config(up.port, more=telemetry(found.url), routes=ROUTES), tmp_path) as gw,
            client(gw.port) as raw,
        ):
            await raw.ask(get("/web/1"))
            await until(lambda: found.asked >= 2)
            await raw.ask(get("/web/2"))
            found.status = 200
            await until(lambda: calls(found) == {("web", "answered"): 2})


async def test_nobody_waits_for_a_collector_that_hangs(tmp_path: Path) -> None:
    with collector() as found:
        found.gate.clear()
        async with (
            ScriptedUpstream() as up,
            gateway(config(up.port, more=telemetry(found.url), routes=ROUTES), tmp_path) as gw,
            client(gw.port) as raw,
        ):
            await until(lambda: found.asked == 1)
            for _ in range(20):
                assert (await soon(raw.ask(get("/web/1")))).status == 200
            await soon(gw.app.stop())
        assert found.messages("/v1/metrics") == []


async def test_a_process_ends_though_its_collector_hangs(tmp_path: Path) -> None:
    with collector() as found:
        found.gate.clear()
        async with ScriptedUpstream(then=(answer(),)) as up:
            text = process_config(up.port, more=telemetry(found.url), routes=ROUTES)
            with gateway_process(text, tmp_path) as gw:
                async with client(gw.port) as raw:
                    await raw.ask(get("/web/1"))
                await until(lambda: found.asked >= 1)
                gw.terminate()
                assert await gw.exit_code() == 0


async def examples(admin: RawClient) -> list[Any]:
    page = await admin.ask(get("/metrics", "Accept: application/openmetrics-text"))
    families = text_string_to_metric_families(bytes(page.body).decode())
    return [sample.exemplar for family in families for sample in family.samples if sample.exemplar]


@pytest.mark.parametrize("share", [1.0, 0.0])
async def test_a_bucket_names_a_trace_that_was_kept(tmp_path: Path, share: float) -> None:
    with collector() as found:
        sample = f"sample = {{ news = {share}, empty = 0.0, error = 0.0 }}"
        async with (
            ScriptedUpstream() as up,
            gateway(config(up.port, more=telemetry(found.url, sample), routes=ROUTES), tmp_path) as gw,
            client(gw.port) as raw,
            client(gw.admin_port) as admin,
        ):
            await raw.ask(get("/updates"))
            record = await gw.record()
            found_there = await examples(admin)
            assert [each.labels["trace_id"] for each in found_there] == [record["trace"]] * (3 if share else 0)
            kept = f"longpoll_spans_kept_total {2 if share else 0}\n"
            assert kept.encode() in bytes((await admin.ask(get("/metrics"))).body)


async def test_an_example_leads_to_the_span_of_its_call_in_an_adopted_trace(tmp_path: Path) -> None:
    caller = "0af7651916cd43dd8448eb211c80319c"
    with collector() as found:
        async with (
            ScriptedUpstream() as up,
            gateway(config(up.port, more=telemetry(found.url, "trust_incoming = true"), routes=ROUTES), tmp_path) as gw,
            client(gw.port) as raw,
            client(gw.admin_port) as admin,
        ):
            await raw.ask(get("/updates", f"traceparent: 00-{caller}-b7ad6b7169203331-01"))
            await until(lambda: len(found.spans) == 2)
            led_to = {(each.labels["trace_id"], each.labels["span_id"]) for each in await examples(admin)}
            (server,) = [span for span in found.spans if span.kind == span.SPAN_KIND_SERVER]
            assert led_to == {(caller, server.span_id.hex())}


async def test_nobody_there_is_told_and_nothing_else(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, more=telemetry("http://127.0.0.1:9"), routes=ROUTES), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        assert (await raw.ask(get("/web/1"))).status == 200
        await asyncio.sleep(0)


def test_without_a_collector_nothing_of_opentelemetry_is_even_imported() -> None:
    code = (
        "import gateway.app, gateway.admin.api, sys; print([m for m in sys.modules if m.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
    assert done.stdout == b"[]\n"
