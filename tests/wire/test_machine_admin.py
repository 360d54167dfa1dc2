"""The admin listener of two workers that are processes: it answers for both as one gateway would, and nobody who asks
sees which of them has a poll.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tests.kit.gateways import hold, route
from tests.kit.machines import Machine, machine, machine_config
from tests.kit.polls import end, listed, polling
from tests.kit.raw import client, get, post
from tests.kit.upstreams import HoldingUpstream
from tests.kit.waiting import until

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

POLL = {"more": hold(max='"60s"', absent='"60s"'), "routes": route("updates", policies=["poll"])}
MANY = 40


async def told(gw: Machine, path: str) -> Any:
    """A page of the machine, JSON."""
    status, body = await gw.admin(path)
    assert status == 200, body
    return json.loads(body)


async def samples(gw: Machine) -> dict[str, float]:
    """All samples, by their name and the values of their labels."""
    status, body = await gw.admin("/metrics")
    assert status == 200
    found = [one for family in text_string_to_metric_families(body.decode()) for one in family.samples]
    return {" ".join([one.name, *one.labels.values()]): one.value for one in found}


async def test_all_pages_tell_of_all_workers_as_of_one_gateway(tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        with machine(machine_config(up.port, **POLL), tmp_path) as gw:
            async with polling(gw, *[get()] * MANY) as clients:
                await until(lambda: up.held == MANY)
                own = {number: len(calls) for number, calls in (await gw.held_by()).items()}
                assert all(own.values()) and sum(own.values()) == MANY
                assert await told(gw, "/readyz") == {"ready": True, "detail": "serving; 2 of 2 workers ready"}
                found = await listed(gw, limit=1000)
                assert (found["held"], found["matching"], found["next"]) == (MANY, MANY, None)
                assert len({call["id"] for call in found["calls"]}) == MANY and "missing" not in found
                overview = await told(gw, "/api/overview")
                assert overview["held"]["routes"] == [{"route": "updates", "parked": MANY, "waiting": 0}]
                assert overview["held"]["endpoints"][0]["held"] == overview["connections"]["open"] == MANY
                (upstream,) = (await told(gw, "/api/upstreams"))["upstreams"]
                assert (upstream["held"], len(upstream["endpoints"]), len(upstream["members"])) == (MANY, 1, 1)
                assert [one["name"] for one in (await told(gw, "/api/routes"))["routes"]] == ["updates"]
                workers = (await told(gw, "/api/workers"))["workers"]
                assert {one["worker"]: one["held"] for one in workers} == own
                assert {one["pid"] for one in workers} == {one.pid for one in gw.workers.values()}
                assert all(one["state"] == "ready" and one["cpu"] > 0 and one["memory"] > 1 << 20 for one in workers)
                numbers = await samples(gw)
                assert numbers["longpoll_held updates parked"] == numbers["longpoll_connections"] == MANY
                assert {n: numbers[f"gateway_worker_held {n}"] for n in own} == own
                assert numbers["gateway_workers ready"] == 2
                up.publish()
                for raw in clients:
                    await raw.read_answer()
                counted = await samples(gw)
                assert counted["longpoll_calls_total updates true news"] == MANY
                assert counted["longpoll_hold_duration_seconds_count updates news"] == MANY
                totals = (await told(gw, "/api/overview"))["totals"]["updates"]["polls"]
                assert totals == {"news": MANY}


async def test_both_formats_of_metrics_can_be_read(tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        with machine(machine_config(up.port, **POLL), tmp_path) as gw:
            async with client(gw.admin_port) as raw, polling(gw, get()) as polls:
                await until(up.publish)
                await polls[0].read_answer()
                plain = await samples(gw)
                found = await raw.ask(get("/metrics", "Accept: application/openmetrics-text; version=1.0.0"))
                assert found.one("Content-Type").startswith("application/openmetrics-text")
                families = list(openmetrics.text_string_to_metric_families(bytes(found.body).decode()))
                names = {sample.name for family in families for sample in family.samples}
                assert {name.split(" ")[0] for name in plain} == names
                assert "gateway_worker_memory_bytes" in names and "gateway_worker_cpu_seconds_total" in names


async def test_top_shows_one_gateway_and_its_workers(tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        with machine(machine_config(up.port, **POLL), tmp_path) as gw:
            async with polling(gw, *[get()] * MANY):
                await until(lambda: up.held == MANY)
                command = [sys.executable, "-m", "gateway", "top", "--once", "-c", str(tmp_path / "gateway.toml")]
                found = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
                assert f"2 of 2 workers ready, {MANY} held" in found.stdout
                assert [line.split()[:2] for line in found.stdout.splitlines()[3:6]] == [
                    ["worker", "state"], ["0", "ready"], ["1", "ready"],
                ]  # fmt: skip
                assert found.stdout.count("updates") == MANY


async def test_a_walk_through_all_pages_sees_everybody_once_wherever_they_are(tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        with machine(machine_config(up.port, **POLL), tmp_path) as gw:
            async with polling(gw, *[get(f"/{number}") for number in range(MANY)]):
                await until(lambda: up.held == MANY)
                for sort in ("-since", "path", "-id", "ends_in"):
                    whole = [call["id"] for call in (await listed(gw, sort=sort, limit=1000))["calls"]]
                    pages, found = list[str](), await listed(gw, sort=sort, limit=7)
                    pages += [call["id"] for call in found["calls"]]
                    while found["next"] is not None:
                        found = await listed(gw, sort=sort, limit=7, cursor=found["next"])
                        pages += [call["id"] for call in found["calls"]]
                    assert pages == whole and len(set(pages)) == MANY
                assert (await listed(gw, q="/39"))["matching"] == 1


async def test_a_limit_of_polls_to_end_is_one_for_the_machine_and_the_longest_held_go_first(tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        with machine(machine_config(up.port, **POLL), tmp_path) as gw:
            async with polling(gw, *[get()] * MANY):
                await until(lambda: up.held == MANY)
                everybody = [call["id"] for call in (await listed(gw, limit=1000))["calls"]]
                would = await end(gw, all=True, limit=10, dry_run=True)
                assert would == {"dry_run": True, "would_end": 10, "not_endable": 0}
                assert await end(gw, all=True, limit=10) == {"ended": 10, "not_endable": 0}
                assert [call["id"] for call in (await listed(gw, limit=1000))["calls"]] == everybody[10:]
                assert await end(gw, id=everybody[-1]) == {"ended": 1, "not_endable": 0}
                assert await end(gw, q="x" * 65_000) == {"ended": 0, "not_endable": 0}, "as long as it may be"
                assert await end(gw, route="updates", within="200ms") == {"ended": MANY - 11, "not_endable": 0}
                assert (await listed(gw))["held"] == 0


async def test_an_operator_who_leaves_ends_no_more(tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        with machine(machine_config(up.port, **POLL), tmp_path) as gw:
            async with polling(gw, *[get()] * MANY):
                await until(lambda: up.held == MANY)
                async with client(gw.admin_port) as admin:
                    await admin.send(post(b'{"all": true, "within": "60s"}', "/api/held/end", "Gateway-Admin: 1"))
                    await until(lambda: up.held < MANY)
                while True:  # until both workers know
                    before = up.held
                    await asyncio.sleep(1)
                    if up.held == before:
                        break
                assert up.held > MANY / 2


async def test_what_cannot_be_meant_is_refused_in_the_words_of_one_process(tmp_path: Path) -> None:
    with machine(machine_config(1, **POLL), tmp_path) as gw:
        async with client(gw.admin_port) as raw:
            found = await raw.ask(get("/api/held?rute=x"))
            said = {
                "error": "the query cannot be used",
                "problems": ["query: rute: unknown key; did you mean 'route'?"],
            }
            assert (found.status, json.loads(bytes(found.body))) == (400, said)
            for page, words in (("/api/held/end", b"{}"), ("/api/upstreams/up/endpoints", b'{"url": "x"}')):
                assert (await raw.ask(post(words, page, "Gateway-Admin: 1"))).status == 400
            assert (await raw.ask(get("/api/limits?limit=x"))).status == 400
            assert (await raw.ask(post(b"{}", "/api/upstreams/no/endpoints", "Gateway-Admin: 1"))).status in (400, 404)
            assert (await raw.ask(get("/inner/held"))).status == 404, "what workers tell their supervisor"


async def test_who_may_ask_is_decided_as_by_one_process(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret of the operator", "utf-8")
    text = machine_config(1, **POLL).replace("[log]", 'token = "file:token"\n[log]')
    with machine(text, tmp_path) as gw:
        async with client(gw.admin_port) as raw:
            assert (await raw.ask(get("/api/workers"))).status == 401
            assert (await raw.ask(get("/api/workers", "Authorization: Bearer secret of the operator"))).status == 200
            assert (await raw.ask(get("/readyz"))).status == 200
            assert (await raw.ask(get("/held"))).status == 200
    with machine(machine_config(1, **POLL), tmp_path) as gw:
        async with client(gw.admin_port) as raw:
            assert (await raw.ask(post(b"", "/api/drain"))).status == 403, "a page of elsewhere could have sent it"
            await raw.send(b"GET /api/workers HTTP/1.1\r\nHost: evil.example\r\n\r\n")
            assert (await raw.read_answer()).status == 421


async def test_one_reload_and_one_drain_are_of_all_workers(tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        text = machine_config(up.port, server='drain = "300ms"', **POLL)
        with machine(text, tmp_path) as gw:
            file = tmp_path / "gateway.toml"
            good = file.read_text("utf-8")
            async with client(gw.admin_port) as admin:
                file.write_text(good.replace('name = "updates"', 'name = "changed"'), "utf-8")
                assert json.loads(bytes((await admin.ask(post(b"", "/api/reload", "Gateway-Admin: 1"))).body)) == {
                    "reloaded": True
                }
                assert {n: (await gw.of_worker(n, "/api/routes"))["routes"][0]["name"] for n in (0, 1)} == {
                    0: "changed", 1: "changed",
                }  # fmt: skip
                assert (await samples(gw))["longpoll_reloads_total ok"] == 1
                found = await admin.ask(post(b"", "/api/drain", "Gateway-Admin: 1"))
                assert (found.status, json.loads(bytes(found.body))["draining"]) == (202, True)
            assert await gw.exit_code() == 0
