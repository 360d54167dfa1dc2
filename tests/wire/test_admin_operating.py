"""What operates the gateway over HTTP, and what it tells to a monitor: reload and drain as their pages show them, over
something that is operated; the metrics of a real gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from gateway.admin.api import make_admin
from gateway.admin.ending import Ended, Selection
from gateway.admin.guard import Access
from gateway.admin.metrics import Gauges
from gateway.telemetry.lag import Lag
from gateway.telemetry.tallies import Tallies
from tests.kit.gateways import InProcess, config, gateway, hold, route
from tests.kit.raw import RawClient, client, get, post
from tests.kit.upstreams import HoldingUpstream
from tests.kit.waiting import until

WRITE = "Gateway-Admin: 1"


class Machine:
    """Something that can be operated: its next reload finds `problems`."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.reloads = {"ok": 0, "failed": 0}
        self.drains = 0

    def ready(self) -> tuple[bool, str]:
        return not self.drains, "draining" if self.drains else "serving"

    def log_lines_dropped(self) -> int:
        return 0

    def sources(self) -> SimpleNamespace:
        return SimpleNamespace(tallies=Tallies(Lag(asyncio.get_running_loop())))

    def call_log(self) -> None:
        return None

    async def end_held(self, chosen: Selection, wanted: Callable[[], bool]) -> Ended:
        return Ended(0, 0)

    async def reload(self) -> list[str]:
        self.reloads["failed" if self.problems else "ok"] += 1
        return self.problems

    def begin_drain(self) -> dict[str, object]:
        self.drains += 1
        return {"draining": True, "window": 25.0}

    def gauges(self) -> Gauges:
        return Gauges(
            held={("quoted \"x\"", "parked"): 7}, connections=9, max_connections=100, log_lines_dropped=3,
            shed={"connections": 4, "held": 5}, reloads=self.reloads["ok"], reloads_failed=self.reloads["failed"],
            last_reload_ok=not self.problems, last_reload_at=1_700_000_000.5, draining=self.drains > 0,
        )  # fmt: skip


@contextlib.asynccontextmanager
async def operated(machine: Machine) -> AsyncIterator[RawClient]:
    """Somebody connected to the admin listener of a machine."""
    access = Access(frozenset({"localhost"}), loopback=True, token=None)
    runner = web.AppRunner(make_admin(machine, access))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        async with client(runner.addresses[0][1]) as raw:
            yield raw
    finally:
        await runner.cleanup()


async def test_a_reload_says_whether_the_new_configuration_is_live() -> None:
    machine = Machine()
    async with operated(machine) as raw:
        found = await raw.ask(post(b"", "/api/reload", WRITE))
        assert (found.status, json.loads(bytes(found.body))) == (200, {"reloaded": True})
        machine.problems = ["gateway.toml: route[0].match: is missing; write a table"]
        found = await raw.ask(post(b"", "/api/reload", WRITE))
        assert (found.status, json.loads(bytes(found.body))) == (422, {"reloaded": False, "problems": machine.problems})
        assert machine.reloads == {"ok": 1, "failed": 1}


async def test_a_drain_begins_and_says_how_long_it_takes() -> None:
    machine = Machine()
    async with operated(machine) as raw:
        for _ in range(2):
            found = await raw.ask(post(b"", "/api/drain", WRITE))
            assert (found.status, json.loads(bytes(found.body))) == (202, {"draining": True, "window": 25.0})
        assert (await raw.ask(get("/readyz"))).status == 503


async def test_what_is_refused_operates_nothing() -> None:
    machine = Machine()
    async with operated(machine) as raw:
        for path in ("/api/reload", "/api/drain"):
            assert (await raw.ask(post(b"", path))).status == 403
            assert (await raw.ask(post(b"", path, WRITE, "Origin: https://evil.example"))).status == 403
            assert (await raw.ask(get(path, WRITE))).status == 405
        assert (machine.reloads, machine.drains) == ({"ok": 0, "failed": 0}, 0)


# -- metrics ----------------------------------------------------------------------------------------------------------


def read(text: bytes) -> dict[str, float]:
    """Every sample of a page of metrics, by its name and labels."""
    families = text_string_to_metric_families(text.decode())
    return {
        sample.name + "".join(f",{key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


async def test_metrics_are_what_is_counted() -> None:
    machine = Machine()
    async with operated(machine) as raw:
        found = await raw.ask(get("/metrics"))
        assert (found.one("Content-Type") or "").startswith("text/plain; version=0.0.4")
        assert read(bytes(found.body)) == {
            'longpoll_held,route=quoted "x",state=parked': 7,
            "longpoll_connections": 9,
            "longpoll_max_connections": 100,
            "longpoll_log_lines_dropped_total": 3,
            "longpoll_shed_total,reason=connections": 4,
            "longpoll_shed_total,reason=held": 5,
            "longpoll_reloads_total,result=ok": 0,
            "longpoll_reloads_total,result=failed": 0,
            "longpoll_last_reload_success": 1,
            "longpoll_last_reload_timestamp_seconds": 1_700_000_000.5,
            "longpoll_draining": 0,
        }
        machine.problems = ["no"]
        await raw.ask(post(b"", "/api/reload", WRITE))
        await raw.ask(post(b"", "/api/drain", WRITE))
        now = read(bytes((await raw.ask(get("/metrics"))).body))
        assert now["longpoll_reloads_total,result=failed"] == 1
        assert (now["longpoll_last_reload_success"], now["longpoll_draining"]) == (0, 1)


@pytest.mark.parametrize(
    "accept", ["application/openmetrics-text; version=1.0.0,text/plain;q=0.5", "application/openmetrics-text"]
)
async def test_a_scraper_gets_the_format_it_prefers(accept: str) -> None:
    async with operated(Machine()) as raw:
        found = await raw.ask(get("/metrics", f"Accept: {accept}"))
        assert (found.one("Content-Type") or "").startswith("application/openmetrics-text")
        assert bytes(found.body).endswith(b"# EOF\n")


async def metrics(gw: InProcess) -> dict[str, float]:
    status, body = await gw.admin("/metrics")
    assert status == 200
    return read(body)


async def test_held_polls_are_counted_by_route_and_state(tmp_path: Path) -> None:
    routes = route("a", "/a", ["poll"]) + route("b", "/b", ["poll"])
    async with (
        HoldingUpstream() as up,
        gateway(config(up.port, more=hold(), routes=routes), tmp_path) as gw,
        client(gw.port) as first,
        client(gw.port) as second,
    ):
        await first.send(get("/a"))
        await second.send(get("/a"))
        await until(lambda: up.held == 2)
        now = await metrics(gw)
        counts = {key: value for key, value in now.items() if key.startswith("longpoll_held")}
        assert counts == {
            "longpoll_held,route=a,state=parked": 2, "longpoll_held,route=a,state=waiting": 0,
            "longpoll_held,route=b,state=parked": 0, "longpoll_held,route=b,state=waiting": 0,
        }  # fmt: skip
        assert (now["longpoll_connections"], now["longpoll_log_lines_dropped_total"]) == (2, 0)
        up.publish()
        await first.read_answer()
        await second.read_answer()
        assert (await metrics(gw))["longpoll_held,route=a,state=parked"] == 0
