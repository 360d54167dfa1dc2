"""What deploy/ has for Prometheus and Grafana, held against a real Prometheus that scrapes a real gateway: rules are
accepted and fire when they should, and every query of every dashboard gets an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from tests.kit import traffic
from tests.kit.boards import BOARDS, DEPLOY, RULES, filled, label_values, load, panels, queries, rules, variables
from tests.kit.gateways import Process, read_records
from tests.kit.machines import machine
from tests.kit.otlp import collector
from tests.kit.prometheus import Prometheus, needs_prometheus, prometheus, promtool
from tests.kit.raw import client
from tests.kit.upstreams import ScriptedUpstream
from tests.kit.waiting import until_sync

JOB = "longpoll-gateway"
# What is chosen at the top of a dashboard, as Grafana writes it into the queries: values, or everything.
ONE = {"job": JOB, "route": "updates", "http_route": "/updates", "consumer": "alice|bob|greedy", "upstream": "up"}
ALL = dict.fromkeys([*ONE, "endpoint"], ".*")
NET = 60.0  # seconds

pytestmark = [needs_prometheus, pytest.mark.timeout(300)]


def test_promtool_accepts_the_rules_and_the_example() -> None:
    assert "SUCCESS" in promtool("check", "rules", RULES)
    assert "SUCCESS" in promtool("check", "config", DEPLOY / "prometheus" / "prometheus.yml")


def test_alerts_fire_when_they_should_and_never_in_a_night_of_quiet_polls() -> None:
    assert "SUCCESS" in promtool("test", "rules", DEPLOY / "prometheus" / "rules_test.yml")


@contextlib.asynccontextmanager
async def watched(folder: Path, otlp: str | None = None) -> AsyncIterator[tuple[ScriptedUpstream, Process, Prometheus]]:
    """A service, the gateway before it, and Prometheus with the rules. `otlp` is where traces go."""
    async with traffic.upstream() as up:
        with (
            machine(traffic.configuration(up, otlp), folder) as gw,
            prometheus(folder, RULES, JOB, f"127.0.0.1:{gw.admin_port}") as prom,
        ):
            yield up, gw, prom


def wanted() -> dict[str, str]:
    """Everything that must have an answer, under the name by which a person finds it."""
    found: dict[str, str] = {}
    for path in BOARDS:
        board = load(path)
        for number, (title, query) in enumerate(queries(board)):
            for chosen, values in (("one", ALL | ONE), ("all", ALL)):
                found[f"{path.stem}: {title} [{number}, {chosen}]"] = filled(query, values, "10s")
        for name, query in variables(board).items():
            metric, label = label_values(filled(query, ALL, "10s"))
            found[f"{path.stem}: variable {name}"] = f'count by ({label}) ({metric} and {{{label}!=""}})'
    found["an alert at work"] = 'ALERTS{alertname="LongpollUpstreamOutage", alertstate="pending", upstream="gone"}'
    return found | {f"rule {rule['record']}": rule["record"] for rule in rules("record")}


def unanswered(prom: Prometheus, expressions: Mapping[str, str]) -> dict[str, str]:
    """What has no answer although there was time for one."""
    left = dict(expressions)

    def all_answered() -> bool:
        for name in [name for name, query in left.items() if prom.ask(query)]:
            del left[name]
        return not left

    with contextlib.suppress(AssertionError):
        until_sync(all_answered, limit=NET)
    return left


async def becomes(fact: Callable[[], object], what: str) -> None:
    await asyncio.to_thread(until_sync, fact, what, NET)


async def test_every_query_of_every_board_and_every_rule_gets_an_answer(tmp_path: Path) -> None:
    with collector() as traces:
        async with watched(tmp_path, traces.url) as (up, gw, prom):
            async with traffic.traffic(gw, up):
                assert await asyncio.to_thread(unanswered, prom, wanted()) == {}
                assert await asyncio.to_thread(ailing, prom) == []
            await becomes(lambda: counted(prom) == logged(gw), "the same calls in metrics and call log")
            assert set(logged(gw)) >= {"news", "empty", "overrun", "evicted", "capped", "rate_limited", "client_gone"}
            await becomes(
                lambda: linked(prom) <= {span.trace_id.hex() for span in traces.spans}, "spans of all exemplars"
            )


def ailing(prom: Prometheus) -> list[str]:
    """Rules, alerts among them, that Prometheus cannot evaluate over what a gateway really tells."""
    groups = prom.get("rules")["groups"]
    return [f"{rule['name']}: {rule.get('lastError')}" for group in groups for rule in group["rules"]
            if rule["health"] == "err"]  # fmt: skip


def linked(prom: Prometheus) -> set[str]:
    """The traces that the points on the latency panels lead to: each such panel has some."""
    ids: set[str] = set()
    for board in map(load, BOARDS):
        for panel in panels(board):
            for query in [filled(target["expr"], ALL, "10s") for target in panel["targets"] if target.get("exemplar")]:
                found = prom.get("query_exemplars", query=query, start="0", end=str(time.time() + 60))
                own = {one["labels"]["trace_id"] for series in found for one in series["exemplars"]}
                assert own, f"{board['title']}: {panel['title']}"
                ids |= own
    return ids


def counted(prom: Prometheus) -> dict[str, int]:
    found = prom.ask("sum by (outcome) (longpoll_calls_total)")
    return {labels["outcome"]: int(value) for labels, value in found if value}


def logged(gw: Process) -> dict[str, int]:
    return dict(Counter(record["outcome"] for record in read_records(gw.log) if "kind" not in record))


async def test_a_gateway_with_nothing_but_quiet_polls_sets_off_nothing(tmp_path: Path) -> None:
    """Neither those that the service ends nor one that is held all the time. How fast this machine is decides about
    the loop's lag and whether it can be scraped in time, so these two are not asked for."""
    others = 'ALERTS{alertname!~"LongpollLoopLag|LongpollGateway.+"}'
    async with watched(tmp_path) as (_, gw, prom), client(gw.port) as held, client(gw.port) as quiet:
        await held.send(traffic.poll("silent", "patient", timeout=20))
        for _ in range(3):
            for _ in range(20):
                assert (await quiet.ask(traffic.poll("empty", "alice"))).body == b"[]"
            seen = await prom.asked("max(timestamp(longpoll_held))")
            await becomes(lambda seen=seen: prom.ask("max(timestamp(longpoll_held))") > seen, "another scrape")
        await becomes(
            lambda: prom.ask('max(route:longpoll_empty:ratio_rate5m{route="updates"}) == 1'), "only empty polls"
        )
        assert await prom.asked(f"count_over_time({others}[1h])") == []
