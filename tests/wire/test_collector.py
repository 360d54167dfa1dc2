"""A collector that is down, slow or silent: calls do not notice, what is lost is counted, and the end does not wait."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.telemetry import keeping, otlp_traces
from gateway.telemetry.otlp_traces import BATCH, MAX_QUEUED, Traces
from tests.kit.certificates import make_certificate
from tests.kit.gateways import (
    SIGNED_IN,
    InProcess,
    bearer,
    config,
    free_port,
    gateway,
    gateway_process,
    process_config,
    token,
)
from tests.kit.otlp import Collector, collector
from tests.kit.raw import client, get
from tests.kit.stage import stage
from tests.kit.upstreams import ScriptedUpstream
from tests.kit.waiting import until

ALL = "sample = { news = 1, empty = 1, error = 1 }\n"
OWN_LOOP = pytest.mark.asyncio(loop_factories=["asyncio"])  # the gateway runs elsewhere


@pytest.fixture
def otlp() -> Iterator[Collector]:
    with collector() as found:
        yield found


def traced(where: int | str, more: str = ALL) -> str:
    url = where if isinstance(where, str) else f"http://127.0.0.1:{where}"
    return f'[telemetry]\notlp = "{url}"\n{more}'


def traces(gw: InProcess) -> Traces:
    gw.app._telemetry.catch_up()
    found = gw.app._telemetry.traces
    assert found is not None
    return found


async def test_a_collector_that_is_down_harms_no_call_and_what_is_lost_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp_traces, "TIMEOUT", 0.5)  # seconds: no time to try again
    port = free_port()
    async with ScriptedUpstream() as up, stage(up, tmp_path, more=traced(port)) as (gw, raw):
        for _ in range(3):
            assert (await raw.ask(get())).status == 200
            traces(gw).flush()
        await until(lambda: traces(gw).dropped == traces(gw).kept == 6, "all of them lost")
        with collector(port) as back:
            assert (await raw.ask(get())).status == 200
            traces(gw).flush()
            await until(lambda: len(back.spans) == 2, "the collector is back")
        assert (traces(gw).kept, traces(gw).dropped) == (8, 6)
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("traces: ")]
    assert len(said) <= 2 and f"http://127.0.0.1:{port}/v1/traces takes nothing" in said[0]


async def test_a_collector_that_says_no_is_named_with_its_reason(
    otlp: Collector, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    otlp.status = 401
    async with ScriptedUpstream() as up, stage(up, tmp_path, more=traced(otlp.port)) as (gw, raw):
        await raw.ask(get())
        traces(gw).flush()
        await until(lambda: traces(gw).dropped == 2)
        await until(lambda: "401" in caplog.text)


async def test_a_collector_may_speak_tls_under_a_certificate_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path / "tls", "127.0.0.1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(make_certificate(tmp_path / "other", "127.0.0.1").cert))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(certificate.cert))
    with collector(tls=certificate.server()) as otlp:
        async with ScriptedUpstream() as up, stage(up, tmp_path, more=traced(otlp.url)) as (_, raw):
            await raw.ask(get())
            await until(lambda: len(otlp.spans) == 2)


async def test_a_collector_whose_certificate_nobody_knows_gets_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp_traces, "TIMEOUT", 0.5)  # seconds: no time to try again
    with collector(tls=make_certificate(tmp_path / "tls", "127.0.0.1").server()) as otlp:
        async with ScriptedUpstream() as up, stage(up, tmp_path, more=traced(otlp.url)) as (gw, raw):
            await raw.ask(get())
            traces(gw).flush()
            await until(lambda: traces(gw).dropped == 2)
            await until(lambda: "takes nothing" in caplog.text)
        assert not otlp.asked


async def test_a_collector_may_have_an_address_of_ipv6(tmp_path: Path) -> None:
    with collector(host="::1") as otlp:
        async with ScriptedUpstream() as up, stage(up, tmp_path, more=traced(otlp.url)) as (_, raw):
            await raw.ask(get())
            await until(lambda: len(otlp.spans) == 2)


async def test_a_collector_that_is_elsewhere_has_taken_nothing(
    otlp: Collector, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    otlp.status = 301
    async with ScriptedUpstream() as up, stage(up, tmp_path, more=traced(otlp.port)) as (gw, raw):
        await raw.ask(get())
        traces(gw).flush()
        await until(lambda: traces(gw).dropped == 2)
        await until(lambda: "it is elsewhere" in caplog.text)


@pytest.mark.parametrize("piece", [b"." * 16384, b"."])
async def test_an_answer_without_an_end_is_not_read_to_it(
    otlp: Collector, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, piece: bytes
) -> None:
    monkeypatch.setattr(otlp_traces, "TIMEOUT", 0.2 if piece == b"." else 3600.0)  # seconds
    monkeypatch.setattr(keeping, "CLOSE_WITHIN", 0.01)
    otlp.endless = piece
    async with ScriptedUpstream() as up, stage(up, tmp_path, more=traced(otlp.port)) as (gw, raw):
        await raw.ask(get())
        traces(gw).flush()
        await until(lambda: traces(gw).dropped == 2)
        await until(lambda: "does not end" in caplog.text)


async def test_a_silent_collector_harms_no_call_and_takes_no_more_memory_than_it_may(
    otlp: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp_traces, "FLUSH_EVERY", 3600.0)  # every batch is a full one
    otlp.gate.clear()
    calls = MAX_QUEUED // 2 + BATCH * 3  # two spans each
    async with ScriptedUpstream() as up, stage(up, tmp_path, more=traced(otlp.port)) as (gw, raw):
        for _ in range(calls):
            assert (await raw.ask(get())).status == 200
        assert otlp.asked == 1 and not otlp.spans
        assert traces(gw)._queued <= MAX_QUEUED and traces(gw).dropped >= calls * 2 - MAX_QUEUED - BATCH
    assert (await gw.records(calls))[-1]["outcome"] == "answered"


async def test_what_was_sent_makes_room_in_the_queue(
    otlp: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp_traces, "MAX_QUEUED", 3)
    async with ScriptedUpstream() as up, stage(up, tmp_path, more=traced(otlp.port)) as (gw, raw):
        for calls in range(1, 6):
            await raw.ask(get())
            traces(gw).flush()
            await until(lambda: traces(gw)._queued == 0 and len(otlp.spans) == 2 * calls, f"{calls} calls")  # noqa: B023
        assert traces(gw).dropped == 0


async def test_a_collector_that_comes_and_goes_is_not_told_each_time(
    otlp: Collector, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp_traces, "QUIET", 3600.0)
    async with ScriptedUpstream() as up, stage(up, tmp_path, more=traced(otlp.port)) as (gw, raw):
        for status in (401, 200, 401, 200):
            otlp.status = status
            await raw.ask(get())
            traces(gw).flush()
            await until(lambda: traces(gw)._queued == 0)
        assert traces(gw).dropped == 4 and len(otlp.spans) == 4
    assert sum(record.getMessage().startswith("traces: ") for record in caplog.records) == 1


async def test_a_collector_that_is_known_to_be_gone_is_not_waited_for(otlp: Collector, tmp_path: Path) -> None:
    otlp.status = 401
    async with ScriptedUpstream() as up, stage(up, tmp_path, more=traced(otlp.port)) as (gw, raw):
        await raw.ask(get())
        traces(gw).flush()
        await until(lambda: traces(gw).dropped == 2)
        otlp.gate.clear()
        await raw.ask(get())
        traces(gw).finish()
        await until(lambda: otlp.asked == 2)
        await asyncio.to_thread(traces(gw).close, 3600.0)
        assert traces(gw)._background.is_alive()
        otlp.gate.set()


@OWN_LOOP
@pytest.mark.parametrize("silent", [True, False])
async def test_the_end_of_the_process_does_not_wait_for_a_collector(
    otlp: Collector, tmp_path: Path, silent: bool
) -> None:
    if silent:
        otlp.gate.clear()
    port = otlp.port if silent else free_port()
    async with ScriptedUpstream() as up:
        with gateway_process(process_config(up.port, more=traced(port)), tmp_path) as gw:
            async with client(gw.port) as raw:
                assert (await raw.ask(get())).status == 200
            gw.terminate()
            assert await gw.exit_code() == 0  # within the time a test may wait, and the collector has said nothing
            assert not otlp.spans
        said = gw.output.read_text()
        assert said.count("spans batch") <= said.count(" traces: ") <= 1


async def test_the_end_leaves_a_sender_behind_that_is_still_waiting(
    otlp: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "CLOSE_WITHIN", 0.01)
    otlp.gate.clear()
    async with ScriptedUpstream() as up:
        async with stage(up, tmp_path, more=traced(otlp.port)) as (gw, raw):
            await raw.ask(get())
            traces(gw).flush()
            await until(lambda: otlp.asked == 1)
        assert traces(gw)._background.is_alive()
        otlp.gate.set()
        await until(lambda: not traces(gw)._background.is_alive(), "it ends when it is answered")


@OWN_LOOP
async def test_what_is_left_is_sent_before_the_end(otlp: Collector, tmp_path: Path) -> None:
    async with ScriptedUpstream() as up:
        with gateway_process(process_config(up.port, more=traced(otlp.port)), tmp_path) as gw:
            async with client(gw.port) as raw:
                for _ in range(5):
                    await raw.ask(get())
            gw.terminate()
            assert await gw.exit_code() == 0
    assert len(otlp.spans) == 10
    assert "opentelemetry" not in gw.output.read_text()


async def test_a_token_is_nowhere_in_what_a_collector_gets(otlp: Collector, tmp_path: Path) -> None:
    secret = token()
    routes = (
        '[[route]]\nname = "all"\nmatch = { path = "/bots/{token}/x" }\nupstream = "up"\npolicies = ["signed-in"]\n'
        '[[route]]\nname = "open"\nmatch = { path = "/open/{x}" }\nupstream = "up"\n'
    )
    provider = SIGNED_IN.replace("[jwt.main]", '[jwt.main]\nfrom = ["header:Authorization", "query:t", "path:token"]')
    more = provider + traced(otlp.port)
    async with ScriptedUpstream() as up, gateway(config(up.port, more=more, routes=routes), tmp_path) as gw:
        async with client(gw.port) as raw:
            for target, *fields in [
                ("/bots/a/x", f"Authorization: Bearer {secret}"), (f"/bots/a/x?t={secret}&u=1",),
                (f"/bots/{secret}/x",), (f"/bots/{secret}/wrong",), (f"/bots/{secret}x/x",),
                (f"/bots/a/x?t={secret}x",), (f"/open/1?t={secret}&since={secret}", f"Cookie: token={secret}"),
            ]:  # fmt: skip
                await raw.ask(get(target, *fields))
            await gw.records(7)
        traces(gw).flush()
        await until(lambda: sum(span.kind == 2 for span in otlp.spans) == 7)
    assert b"alice" in otlp.raw and b"/bots/***/x" in otlp.raw
    assert secret.encode() not in otlp.raw and secret.rpartition(".")[2].encode() not in otlp.raw


async def test_what_a_collector_wants_to_see_may_stand_elsewhere(otlp: Collector, tmp_path: Path) -> None:
    os.environ["GATEWAY_TEST_OTLP"] = "Bearer for-the-collector"
    more = traced(otlp.port, 'headers = { Authorization = "env:GATEWAY_TEST_OTLP" }\n' + ALL)
    async with ScriptedUpstream() as up, stage(up, tmp_path, more=more) as (gw, raw):
        await raw.ask(get("/", bearer()))
        traces(gw).flush()
        await until(lambda: len(otlp.spans) == 2)
    assert {name.lower(): value for name, value in otlp.requests[0][1].items()}["authorization"].endswith("collector")
