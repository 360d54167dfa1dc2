"""Reloads that change nothing, or not everything: a file with problems, what only a restart can change, a gateway that
is about to end. Everybody who looks is told.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.kit.gateways import config, gateway
from tests.kit.raw import client, get
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import soon

from .test_reload import POLLS, parked, reload

BAD = [
    ("not TOML", "[server", 1),
    ("two problems", "drian = 1\n[server]\nlisten = 7", 2),
    ("a missing file", None, 1),
    ("an include that leads nowhere", 'include = ["circle.toml"]', 1),
    ("a file that is being written anew", "", 1),
]


@pytest.mark.parametrize(("text", "count"), [one[1:] for one in BAD], ids=[one[0] for one in BAD])
async def test_a_bad_file_changes_nothing_and_says_so(
    tmp_path: Path, text: str | None, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with ScriptedUpstream() as up, gateway(config(up.port), tmp_path) as gw:
        good = gw.app.path.read_text()
        (tmp_path / "circle.toml").symlink_to(tmp_path / "circle.toml")
        async with client(gw.port) as raw:
            if text is None:
                gw.app.path.unlink()
                problems = await soon(gw.app.reload())
            else:
                problems = await reload(gw, text)
            assert len(problems) == count and all("gateway.toml" in problem for problem in problems)
            assert (await raw.ask(get())).status == 200
            status, body = await gw.admin("/readyz")
            detail = json.loads(body)["detail"]
            assert status == 200 and "failed" in detail and problems[0] in detail
            assert [record.message for record in caplog.records if record.levelname == "ERROR"][:count] == [
                f"reload: {problem}" for problem in problems
            ]
            assert await reload(gw, good) == []
            assert json.loads((await gw.admin("/readyz"))[1])["detail"] == "serving"


async def test_what_only_a_restart_can_change_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with ScriptedUpstream() as up, gateway(config(up.port), tmp_path) as gw:
        assert await reload(gw, config(up.port, listen=["127.0.0.1:0", f"unix:{tmp_path}/x"], calls="other")) == []
        said = [record.message for record in caplog.records if "next start" in record.message]
        assert [line.partition(":")[0] for line in said] == ["server.listen", "log.calls"]


@pytest.mark.usefixtures("halfway")
async def test_a_draining_gateway_reloads_nothing(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, gateway(config(up.port, **POLLS), tmp_path) as gw:
        raw = await parked(gw, up)
        draining = asyncio.create_task(gw.app.drain())
        await asyncio.sleep(0)
        assert await reload(gw, config(up.port)) == ["the gateway is draining; start it again instead"]
        up.publish()
        await soon(draining)
        await raw.close()
