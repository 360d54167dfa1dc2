"""For how long an endpoint is out, how many are out at once, what becomes of what it holds and of the calls that find
nobody else, and what a reload, the metrics and the overview make of it.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.kit.endpoints import endpoint, endpoints, events, fail, fleet, happened, statuses
from tests.kit.gateways import gateway, hold, route
from tests.kit.raw import client, get
from tests.kit.upstreams import End, ScriptedUpstream, answer
from tests.kit.waiting import until

RULES = 'ejection = { strikes = 3, within = "1m", for = "10m" }'
BRIEF = 'ejection = { strikes = 3, within = "1m", for = "200ms" }'


async def test_one_endpoint_alone_is_as_it_always_was(tmp_path: Path) -> None:
    lines = RULES.replace(" }", ", max_share = 1.0 }")
    async with ScriptedUpstream(then=(End.RESET,)) as up, gateway(fleet(up.url, lines=lines), tmp_path) as gw:
        assert await statuses(gw, 8) == [502] * 8
        assert len(up.requests) == 8 and happened(gw) == []
        assert [(each["state"], each["strikes"]) for each in await endpoints(gw)] == [("in", 0)]


async def test_no_more_than_the_share_is_out_at_once(tmp_path: Path) -> None:
    ups = [ScriptedUpstream(then=(End.RESET,)) for _ in range(4)]
    async with ups[0], ups[1], ups[2], ups[3], gateway(fleet(*(up.url for up in ups), lines=RULES), tmp_path) as gw:
        assert await statuses(gw, 30) == [502] * 30
        assert [each["taking"] for each in await events(gw, 2)] == [3, 2]
        assert Counter(each["state"] for each in await endpoints(gw)) == {"in": 2, "out": 2}


async def test_without_ejection_nobody_is_taken_out(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream(then=(End.RESET,)) as ill,
        ScriptedUpstream() as well,
        gateway(fleet(ill.url, well.url, lines="ejection = false"), tmp_path) as gw,
    ):
        assert Counter(await statuses(gw, 20)) == {200: 10, 502: 10}
        assert happened(gw) == []


async def test_when_the_time_is_over_it_takes_calls_again_and_the_next_time_lasts_longer(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream(then=(End.RESET,)) as ill,
        ScriptedUpstream() as well,
        gateway(fleet(ill.url, well.url, lines=BRIEF), tmp_path) as gw,
    ):
        await fail(gw.port, 6)
        assert [each["kind"] for each in await events(gw, 2)] == ["eject", "restore"]
        assert (await endpoint(gw, ill))["state"] == "in"
        await fail(gw.port, 6)
        first, back, second = (await events(gw, 3))[:3]
        assert (back["why"], back["taking"], back["level"]) == ("ejection", 2, "notice")
        assert (first["lasts"], first["times"]) == (0.2, 1)
        assert second["lasts"] in (0.2, 0.4) and second["times"] == second["lasts"] / 0.2
        ill.then = (answer(),)
        await events(gw, 4)
        asked = len(ill.requests)
        assert await statuses(gw, 4) == [200] * 4
        assert len(ill.requests) == asked + 2


async def test_one_that_is_out_is_still_better_than_a_refusal(tmp_path: Path) -> None:
    """The others cannot be reached: then the call goes to the one that was ejected."""
    async with (
        ScriptedUpstream(then=(End.RESET,)) as ill,
        ScriptedUpstream() as well,
        gateway(fleet(ill.url, well.url, lines=RULES), tmp_path) as gw,
    ):
        await fail(gw.port, 6)
        await events(gw, 1)
        ill.then = (answer(),)
        await well.close()
        assert await statuses(gw, 2) == [200] * 2


async def test_what_an_endpoint_that_goes_out_holds_is_not_touched(tmp_path: Path) -> None:
    tables: dict[str, Any] = {"more": hold(), "routes": route("polls", "/polls", ["poll"]) + route("rest")}
    go = asyncio.Event()

    def script(request: Any) -> Any:
        return (go, answer(b"[1]")) if request.target.startswith("/polls") else (End.RESET,)

    async with (
        ScriptedUpstream(then=script) as ill,
        ScriptedUpstream() as well,
        gateway(fleet(ill.url, well.url, lines=RULES, **tables), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        await raw.send(get("/polls"))
        await until(lambda: ill.held == 1 or len(well.requests) == 1)
        if not ill.held:
            await raw.read_answer()
            await raw.send(get("/polls"))
            await until(lambda: ill.held == 1)
        await fail(gw.port, 6)
        await events(gw, 1)
        assert ill.held == 1
        go.set()
        assert bytes((await raw.read_answer()).body) == b"[1]"
        assert (await endpoint(gw, ill))["state"] == "out"


# -- a reload ----------------------------------------------------------------------------------------------------------


async def test_a_reload_carries_it_over(tmp_path: Path) -> None:
    async with ScriptedUpstream(then=(End.RESET,)) as ill, ScriptedUpstream() as well, ScriptedUpstream() as new:
        text = fleet(ill.url, well.url, lines=RULES)
        async with gateway(text, tmp_path) as gw:
            await fail(gw.port, 6)
            await events(gw, 1)
            before = await endpoint(gw, ill)
            more = fleet(ill.url, well.url, new.url, lines=RULES).replace("file:calls.jsonl", f"file:{gw.log}")
            gw.app.path.write_text(more, "utf-8")
            assert await gw.app.reload() == []
            after = await endpoint(gw, ill)
            assert (after["state"], after["ejections"]) == ("out", 1) and after["back_in"] <= before["back_in"]
            assert await statuses(gw, 6) == [200] * 6 and len(ill.requests) == 3
            gw.app.path.write_text(more.replace(RULES, "ejection = false"), "utf-8")
            assert await gw.app.reload() == []
            assert (await endpoint(gw, ill))["state"] == "in"
            assert [each["kind"] for each in await events(gw, 2)] == ["eject", "restore"]


async def test_metrics_and_the_overview_say_who_is_out(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream(then=(End.RESET,)) as ill,
        ScriptedUpstream() as well,
        gateway(fleet(ill.url, well.url, lines=RULES), tmp_path) as gw,
    ):
        await fail(gw.port, 6)
        await events(gw, 1)
        page = (await gw.admin("/metrics"))[1].decode()
        at = f'upstream="up",endpoint="127.0.0.1:{ill.port}"'
        assert f"longpoll_endpoint_taking{{{at}}} 0\n" in page
        assert f'longpoll_endpoint_events_total{{{at},kind="eject"}} 1\n' in page
        assert f'longpoll_endpoint_taking{{upstream="up",endpoint="127.0.0.1:{well.port}"}} 1\n' in page
        seen = json.loads((await gw.admin("/api/overview"))[1])["held"]["endpoints"]
        assert [each["state"] for each in seen] == ["out", "in"]
