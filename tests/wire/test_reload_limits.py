"""Limits and reloads: what was counted stays counted, and the new numbers count at once, for who comes, who was refused
and who stands in line.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kit.gateways import InProcess, config, gateway, hold, route
from tests.kit.raw import RawClient, client, connect, get
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import soon, until

from .test_reload import parked, reload

LIMITS = '[policy.limits]\n[[policy.limits.rate_limit]]\nrate = "{rate}/hour"\nper = "address"\n'


async def test_limits_are_not_reset_and_new_ones_count_at_once(tmp_path: Path) -> None:
    routes = route(policies=["limits"])

    async def statuses(raw: RawClient, times: int) -> list[int]:
        return [(await raw.ask(get())).status for _ in range(times)]

    async with ScriptedUpstream() as up:
        text = config(up.port, more=LIMITS.format(rate=3), routes=routes)
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            assert await statuses(raw, 4) == [200, 200, 200, 429]
            assert await reload(gw, text) == []
            assert await statuses(raw, 1) == [429], "what was spent is spent"
            more = '[[policy.limits.rate_limit]]\nrate = "9/hour"\nper = "route"\n' + LIMITS.format(rate=3)[16:]
            assert await reload(gw, config(up.port, more=f"[policy.limits]\n{more}", routes=routes)) == []
            assert await statuses(raw, 1) == [429], "also when another limit is written before it"
            assert await reload(gw, config(up.port, more=LIMITS.format(rate=5), routes=routes)) == []
            assert (await raw.ask(get())).one("RateLimit-Policy") == '"limits";q=5;w=3600'
            assert await reload(gw, config(up.port)) == []
            assert await statuses(raw, 9) == [200] * 9


async def test_a_rate_that_is_raised_lets_in_who_had_used_up_the_old_one(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up:
        text = config(up.port, more=LIMITS.format(rate=1), routes=route(policies=["limits"]))
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            assert [(await raw.ask(get())).status for _ in range(2)] == [200, 429]
            assert await reload(gw, text.replace("1/hour", "1000/s")) == []
            await soon(until_served(raw))


async def until_served(raw: RawClient) -> None:
    while (await raw.ask(get())).status != 200:
        await asyncio.sleep(0.001)


async def test_a_cap_counts_who_was_parked_before_the_reload(tmp_path: Path) -> None:
    more = hold() + '[[policy.caps.hold_cap]]\nmax = 2\nper = "route"\n'
    text = config(1, more=more, routes=route(policies=["poll", "caps"]))
    async with HoldingUpstream() as up, gateway(text.replace(':1"', f':{up.port}"'), tmp_path) as gw:
        held = [await parked(gw, up) for _ in range(2)]
        assert await reload(gw, gw.app.path.read_text()) == []
        async with client(gw.port) as raw:
            assert (await raw.ask(get())).status == 429
            await held[0].close()
            await gw.records(2)
            await raw.send(get())
            await until(lambda: up.held == 2)
        await held[1].close()


@pytest.mark.parametrize("limit", ["hold_cap", "rate_limit"])
async def test_who_stands_in_line_follows_the_new_limit(tmp_path: Path, limit: str) -> None:
    few, many = {
        "hold_cap": ('max = 1\non_excess = "wait"\nmax_waiting = 10', 'max = 9\non_excess = "reject"'),
        "rate_limit": ('rate = "1/min"\nburst = 1\nmode = "delay"', 'rate = "500/s"\nburst = 9'),
    }[limit]

    def text(rule: str) -> str:
        table = f'[[policy.few.{limit}]]\nper = "route"\n{rule}\n'
        more = hold(absent='"5m"', max='"5m"') + table
        return config(up.port, more=more, routes=route(policies=["poll", "few"]))

    async with HoldingUpstream() as up, gateway(text(few), tmp_path) as gw:
        held = [await parked(gw, up)]
        for waiting in (1, 2):
            held.append(raw := await connect(gw.port))
            await raw.send(get())
            await until_waiting(gw, waiting)
        assert await reload(gw, text(many)) == []
        await until(lambda: up.held == 3, "the new limit lets them in, though no place and no token came back")
        held.append(await parked(gw, up))
        assert up.publish(b"[7]") == 4
        for raw in held:
            assert (await raw.read_answer()).status == 200
            await raw.close()


async def until_waiting(gw: InProcess, number: int) -> None:
    while sum(call["state"] == "waiting" for call in await gw.held()) < number:
        await asyncio.sleep(0.01)
