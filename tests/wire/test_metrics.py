"""Metrics of a real gateway: what its calls add up to on `/metrics`, where quiet holds drown nobody's request times and
a client can make nothing grow.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.admin import metrics
from gateway.admin.metrics import write
from tests.kit.gateways import Running, bearer, config, gateway, hold, route
from tests.kit.limits import alice, cap, limited
from tests.kit.raw import client, get, post
from tests.kit.upstreams import End, HoldingUpstream, ScriptedUpstream, answer
from tests.kit.waiting import soon, until

WEB = route("web", "/web/{id}")
UPDATES = route("updates", "/updates", ["poll"])


async def samples(gw: Running, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    """The samples of that name, by their labels."""
    status, body = await gw.admin("/metrics")
    assert status == 200
    families = text_string_to_metric_families(body.decode())
    found = [sample for family in families for sample in family.samples if sample.name == name]
    return {tuple(sorted(sample.labels.items())): sample.value for sample in found}


async def requests(gw: Running) -> dict[tuple[tuple[str, str], ...], float]:
    return await samples(gw, "http_server_request_duration_seconds_count")


async def test_a_quiet_hold_is_no_request_that_took_long(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        gateway(config(up.port, more=hold(), routes=WEB + UPDATES), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        await raw.send(get("/updates"))
        await until(lambda: up.publish(b"[]"))
        assert (await raw.read_answer()).body == b"[]"
        assert await requests(gw) == {}
        held = await samples(gw, "longpoll_hold_duration_seconds_count")
        assert held == {(("outcome", "empty"), ("route", "updates")): 1}
        assert await samples(gw, "longpoll_work_duration_seconds_count") == {(("route", "updates"),): 1}
        assert await samples(gw, "longpoll_news_latency_seconds_count") == {}


async def test_news_is_counted_with_what_it_took_from_one_side_to_the_other(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        gateway(config(up.port, more=hold(), routes=UPDATES), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        for _ in range(3):
            await raw.send(get("/updates"))
            await until(up.publish)
            await raw.read_answer()
        assert await samples(gw, "longpoll_news_latency_seconds_count") == {(("route", "updates"),): 3}
        key = (("outcome", "news"), ("poll", "true"), ("route", "updates"))
        assert await samples(gw, "longpoll_calls_total") == {key: 3}
        endpoint = (("endpoint", f"127.0.0.1:{up.port}"), ("outcome", "news"), ("upstream", "up"))
        assert await samples(gw, "longpoll_endpoint_calls_total") == {endpoint: 3}


@pytest.mark.parametrize(("body", "news"), [(b"[]", 0), (b'["news"]', 1)])
async def test_what_proves_empty_in_the_end_was_no_news(tmp_path: Path, body: bytes, news: int) -> None:
    pause = asyncio.Event()
    head = answer(body, "200 OK", "Content-Type: application/json").removesuffix(body)
    async with (
        ScriptedUpstream((head, pause, body)) as up,
        gateway(config(up.port, more=hold(), routes=UPDATES), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        await raw.send(get("/updates"))
        await until(lambda: up.begun == 1)
        pause.set()
        assert (await raw.read_answer()).body == body
        assert sum((await samples(gw, "longpoll_news_latency_seconds_count")).values()) == news


async def test_ordinary_calls_have_the_attributes_of_the_convention(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream((answer(),), (answer(b"", "503 Busy"),), (End.RESET,)) as up,
        gateway(config(up.port, routes=WEB), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        for request in (get("/web/1"), get("/web/2"), post(b"x", "/web/3")):
            await raw.ask(request)
        common = {"http_route": "/web/{id}", "url_scheme": "http"}
        expected = [
            {**common, "http_request_method": "GET", "http_response_status_code": "200"},
            {**common, "http_request_method": "GET", "http_response_status_code": "503", "error_type": "503"},
            {**common, "http_request_method": "POST", "http_response_status_code": "502",
             "error_type": "upstream_reset"},
        ]  # fmt: skip
        assert await requests(gw) == {tuple(sorted(labels.items())): 1 for labels in expected}


async def test_a_client_cannot_make_series(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, gateway(config(up.port, routes=WEB), tmp_path) as gw:
        async with client(gw.port) as raw:
            for number in range(20):
                assert (await raw.ask(get(f"/made/up/{number}"))).status == 404
                assert (await raw.ask(get(f"/web/{number}"))).status == 200
                assert (await raw.ask(get("/web/1", method="PROPFIND"))).status in (200, 405)
        async with client(gw.port) as raw:
            await raw.send("THIS IS NOT HTTP\r\n\r\n")
            await raw.read_all()
        found = await requests(gw)
        assert {dict(labels)["http_request_method"] for labels in found} == {"GET", "_OTHER"}
        assert {dict(labels).get("http_route") for labels in found} == {"/web/{id}", None}
        assert len(found) == 4
        assert sum(found.values()) == 61


async def test_each_ending_is_counted_once_and_as_it_is_recorded(tmp_path: Path) -> None:
    empty = answer(b"[]", "200 OK", "Content-Type: application/json")
    async with (
        ScriptedUpstream((answer(),), (empty,), (answer(b"", "500 Oh"),), (End.RESET,), (asyncio.Event(),)) as up,
        gateway(config(up.port, more=hold(replay='"never"'), routes=WEB + UPDATES), tmp_path) as gw,
    ):
        async with client(gw.port) as raw:
            for target in ("/updates", "/updates", "/updates"):
                await raw.ask(get(target))
            await raw.ask(get("/web/1", method="DELETE"))  # what only asks would be asked once more
            await raw.ask(get("/nowhere"))
            await raw.send(get("/updates"))
            await until(lambda: up.held == 1)
        records = await gw.records(6)
        recorded = Counter((each["route"] or "", str("held" in each).lower(), each["outcome"]) for each in records)
        counted = {
            (dict(labels).get("route", ""), dict(labels)["poll"], dict(labels)["outcome"]): value
            for labels, value in (await samples(gw, "longpoll_calls_total")).items()
        }
        assert counted == recorded
        assert {outcome for _, _, outcome in counted} == {
            "news", "empty", "upstream_error", "upstream_reset", "no_route", "client_gone"
        }  # fmt: skip


async def test_a_place_that_was_taken_is_an_eviction_and_a_call_too_many_a_refusal(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, cap(on_excess='"evict-oldest"'), poll=hold()) as (gw, raw),
    ):
        await raw.send(alice())
        await until(lambda: up.held == 1)
        async with client(gw.port) as second:
            await second.send(alice())
            await raw.read_answer()
            assert sum((await samples(gw, "longpoll_evictions_total")).values()) == 1
            assert (await raw.ask(alice())).status == 429
        refused = await samples(gw, "longpoll_refusals_total")
        assert {dict(labels)["reason"]: value for labels, value in refused.items()} == {
            "rate_limited": 0, "capped": 1, "overloaded": 0
        }  # fmt: skip


async def test_an_endpoint_shows_what_it_has_now(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        gateway(config(up.port, more=hold(), routes=UPDATES), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        key = (("endpoint", f"127.0.0.1:{up.port}"), ("upstream", "up"))
        assert await samples(gw, "longpoll_endpoint_held") == {key: 0}
        await raw.send(get("/updates"))
        await until(lambda: up.held == 1)
        assert await samples(gw, "longpoll_endpoint_held") == {key: 1}


async def test_a_reload_takes_nothing_away(tmp_path: Path) -> None:
    def text(*routes: str) -> str:
        return config(up.port, more=hold(), routes="".join(routes)).replace(
            "file:calls.jsonl", f"file:{tmp_path}/calls.jsonl"
        )

    async with ScriptedUpstream() as up, gateway(text(WEB, UPDATES), tmp_path) as gw, client(gw.port) as raw:
        await raw.ask(get("/web/1"))
        await raw.ask(get("/updates"))
        before = await samples(gw, "longpoll_calls_total")
        assert len(before) == 2
        (tmp_path / "gateway.toml").write_text(text(WEB, route("later", "/later")), "utf-8")
        assert await gw.app.reload() == []
        await raw.ask(get("/later"))
        after = await samples(gw, "longpoll_calls_total")
        assert after == {**before, (("outcome", "answered"), ("poll", "false"), ("route", "later")): 1}


async def test_consumers_are_told_apart_only_where_the_operator_asks(tmp_path: Path) -> None:
    for wanted in (False, True):
        asked = f"\n[telemetry]\nconsumer_label = {str(wanted).lower()}"
        async with (
            HoldingUpstream() as up,
            limited(up, tmp_path, cap(most=9), poll=hold(), upstream=asked) as (gw, raw),
        ):
            await raw.send(alice())
            await until(up.publish)
            await raw.read_answer()
            found = await samples(gw, "longpoll_consumer_calls_total")
            assert [dict(labels)["outcome"] for labels in found] == (["news"] if wanted else [])
            page = (await gw.admin("/metrics"))[1]
            assert (b"alice" in page) == wanted


async def test_nothing_of_a_request_is_on_the_page(tmp_path: Path) -> None:
    asked = "\n[telemetry]\nconsumer_label = true"
    credential = bearer("alice")
    async with HoldingUpstream() as up, limited(up, tmp_path, cap(), poll=hold(), upstream=asked) as (gw, raw):
        await raw.send(get("/hidden-path?hidden-query=1", credential, "User-Agent: hidden-agent"))
        await until(up.publish)
        await raw.read_answer()
        page = (await gw.admin("/metrics"))[1]
        assert b'consumer="alice"' in page
        assert b"hidden" not in page and credential.rpartition(".")[2].encode() not in page


async def test_the_page_tells_of_the_loop(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, gateway(config(up.port), tmp_path) as gw:
        most = await samples(gw, "longpoll_loop_lag_max_seconds")
        recent = await samples(gw, "longpoll_loop_lag_seconds")
        assert most[()] >= recent[()] >= 0
        assert (await samples(gw, "longpoll_gc_pause_max_seconds"))[()] >= 0
        assert json.loads((await soon(gw.admin("/healthz")))[1])["status"] == "ok"


async def test_pages_that_are_asked_for_at_once_are_written_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way: list[object] = []
    most: list[int] = []

    def watched(*asked: Any) -> Iterator[str]:
        under_way.append(asked)
        most.append(len(under_way))
        yield from write(*asked)
        under_way.pop()

    monkeypatch.setattr(metrics, "write", watched)
    async with ScriptedUpstream() as up, gateway(config(up.port), tmp_path) as gw:
        pages = await asyncio.gather(*(gw.admin("/metrics") for _ in range(8)))
    assert [status for status, _ in pages] == [200] * 8 and most == [1] * 8
