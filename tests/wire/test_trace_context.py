"""What an upstream is told of a trace, and what a caller's own trace is to the gateway: linked from the internet,
adopted where callers are trusted, passed by where nobody traces here. Baggage never gets through.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.gateways import config, gateway, hold, route
from tests.kit.otlp import Collector, collector
from tests.kit.raw import client, get
from tests.kit.stage import stage
from tests.kit.upstreams import End, ScriptedUpstream, answer
from tests.kit.waiting import until

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
TOLD = [f"Traceparent: {PARENT}", "tracestate: a=1, b=2", "TRACESTATE: c=3", "baggage: user=alice"]
NONE = "sample = { news = 0, empty = 0, error = 0 }\n"


@pytest.fixture
def otlp() -> Iterator[Collector]:
    with collector() as found:
        yield found


def told(up: ScriptedUpstream, number: int = 0) -> tuple[list[str], str | None, str | None]:
    """The parts of the traceparent, the tracestate and the baggage that an upstream got."""
    request = up.requests[number]
    return (request.one("traceparent") or "").split("-"), request.one("tracestate"), request.one("baggage")


@pytest.mark.parametrize(("news", "flags"), [(0, "02"), (1, "03")])
async def test_a_call_has_a_trace_of_its_own_and_the_flag_follows_the_share(
    tmp_path: Path, news: int, flags: str
) -> None:
    more = f"[telemetry.sample]\nnews = {news}\nempty = 1\n"  # of a route without a hold nothing is ever empty
    async with ScriptedUpstream() as up, stage(up, tmp_path, more=more) as (gw, raw):
        await raw.ask(get("/", *TOLD))
        record = await gw.record()
    (version, trace_id, span_id, told_flags), state, baggage = told(up)
    assert (version, trace_id, told_flags) == ("00", record["id"], flags) and record["trace"] == record["id"]
    assert span_id != SPAN and state is baggage is None


async def test_a_share_that_is_changed_counts_with_the_next_call(tmp_path: Path) -> None:
    text = "[telemetry.sample]\nnews = {}\n"
    async with ScriptedUpstream() as up, stage(up, tmp_path, more=text.format(0)) as (gw, raw):
        await raw.ask(get())
        file = tmp_path / "gateway.toml"
        file.write_text(file.read_text().replace("news = 0", "news = 1"))
        assert await gw.app.reload() == []
        await raw.ask(get())
    assert [told(up, number)[0][3] for number in range(2)] == ["02", "03"]


async def test_a_strangers_trace_is_linked_and_its_state_ends_here(otlp: Collector, tmp_path: Path) -> None:
    more = f'[telemetry]\notlp = "{otlp.url}"\nsample = {{ news = 1 }}\n'
    async with ScriptedUpstream() as up, stage(up, tmp_path, more=more) as (gw, raw):
        await raw.ask(get("/", *TOLD))
        record = await gw.record()
        await until(lambda: len(otlp.spans) == 2)
    assert told(up)[0][1] == record["trace"] == record["id"] != TRACE and told(up)[1:] == (None, None)
    server = otlp.spans[0]
    assert server.trace_id.hex() == record["id"] and not server.parent_span_id
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in server.links] == [(TRACE, SPAN)]


@pytest.mark.parametrize(("flags", "kept"), [("01", 2), ("00", 0)])
async def test_a_trusted_callers_trace_is_adopted_and_he_decides(
    otlp: Collector, tmp_path: Path, flags: str, kept: int
) -> None:
    more = f'[telemetry]\notlp = "{otlp.url}"\ntrust_incoming = true\nsample = {{ news = {1 - kept / 2} }}\n'
    async with ScriptedUpstream() as up, gateway(config(up.port, more=more), tmp_path) as gw:
        async with client(gw.port) as raw:
            await raw.ask(get("/", f"traceparent: 00-{TRACE}-{SPAN}-{flags}", *TOLD[1:]))
            await gw.record()
        assert gw.app._telemetry.traces is not None
        assert gw.app._telemetry.traces.kept == kept
    record = await gw.record()
    (_, trace_id, span_id, told_flags), state, baggage = told(up)
    assert (trace_id, told_flags, state, baggage) == (TRACE, flags, "a=1,b=2,c=3", None)
    assert record["trace"] == TRACE != record["id"] == up.requests[0].one("X-Request-Id")
    if kept:
        server, forwarded = otlp.spans
        assert (server.trace_id.hex(), server.parent_span_id.hex()) == (TRACE, SPAN) and not server.links
        assert (forwarded.span_id.hex(), forwarded.parent_span_id) == (span_id, server.span_id) and span_id != SPAN
        assert server.trace_state == "a=1,b=2,c=3"


@pytest.mark.parametrize("traced", [True, False])
async def test_a_poll_that_is_sent_again_says_the_same_of_its_trace(
    otlp: Collector, tmp_path: Path, traced: bool
) -> None:
    told_to = f'otlp = "{otlp.url}"\n' if traced else ""
    more = f"{hold()}[telemetry]\ntrust_incoming = true\n{told_to}"
    async with (
        ScriptedUpstream((End.RESET,), (answer(b"[1]"),)) as up,
        stage(up, tmp_path, more=more, routes=route(policies=["poll"])) as (_, raw),
    ):
        assert (await raw.ask(get("/", *TOLD))).status == 200
    (first, *rest), (second, *again) = told(up, 0), told(up, 1)
    assert rest == again == ["a=1,b=2,c=3", None] and (first[1], first[3]) == (second[1], second[3]) == (TRACE, "01")
    assert (first[2] == second[2] == SPAN) is not traced and (first[2] == second[2]) is not traced


async def test_a_trusted_callers_trace_passes_by_where_nobody_traces(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream() as up,
        stage(up, tmp_path, more="[telemetry]\ntrust_incoming = true\n") as (gw, raw),
    ):
        await raw.ask(get("/", *TOLD))
        await raw.ask(get("/"))
        records = await gw.records(2)
    assert told(up) == (PARENT.split("-"), "a=1,b=2,c=3", None)
    assert [record["trace"] for record in records] == [TRACE, records[1]["id"]]


@pytest.mark.parametrize(
    "lines",
    [
        [f"traceparent: ff{PARENT[2:]}"], [f"traceparent: {PARENT}-x"], [f"traceparent: {PARENT.upper()}"],
        [f"traceparent: 00-{'0' * 32}-{SPAN}-01"], [f"traceparent: {PARENT}"] * 2, [f"trace_parent: {PARENT}"],
        ["traceparent: "], [],
    ],
)  # fmt: skip
@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_a_malformed_trace_is_none_even_of_a_trusted_caller(tmp_path: Path, lines: list[str]) -> None:
    more = "[telemetry]\ntrust_incoming = true\n" + NONE
    async with ScriptedUpstream() as up, stage(up, tmp_path, more=more) as (gw, raw):
        assert (await raw.ask(get("/", *lines, "tracestate: a=1"))).status == 200
        record = await gw.record()
    assert told(up)[0][1] == record["trace"] == record["id"] and told(up)[1] is None


@pytest.mark.parametrize("share", ["error", "news"])
async def test_errors_are_kept_whatever_becomes_of_the_rest(otlp: Collector, tmp_path: Path, share: str) -> None:
    """Nobody knew that it would be one when the upstream was told: its spans may be missing."""
    shares = ", ".join(f"{name} = {int(name == share)}" for name in ("news", "empty", "error"))
    more = f'[telemetry]\notlp = "{otlp.url}"\nsample = {{ {shares} }}\n'
    broken = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    async with ScriptedUpstream((broken,)) as up, stage(up, tmp_path, more=more) as (gw, raw):
        assert (await raw.ask(get("/broken"))).status == 503
        assert (await raw.ask(get("/fine"))).status == 200
        records = await gw.records(2)
        await until(lambda: len(otlp.spans) == 2)
    kept = {"error": records[0], "news": records[1]}[share]
    assert {span.trace_id.hex() for span in otlp.spans} == {kept["trace"]}
    assert [told(up, number)[0][3] for number in range(2)] == ["03" if share == "news" else "02"] * 2
