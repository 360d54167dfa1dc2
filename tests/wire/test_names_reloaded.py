"""Names of endpoints under a reload: a new one is known before anybody is sent there, one that stays keeps all it has,
one that goes is not looked up any more, and a resolver that hangs delays nothing but its own.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.kit.gateways import InProcess, config, gateway, hold, route
from tests.kit.names import AnsweringAt, HoldingAt, Script
from tests.kit.polls import polling
from tests.kit.raw import client, get
from tests.kit.waiting import until

POLL: dict[str, Any] = {"more": hold(), "routes": route(policies=["poll"])}


async def reload(gw: InProcess, text: str) -> list[str]:
    gw.app.path.write_text(text.replace("file:calls.jsonl", f"file:{gw.log}"), "utf-8")
    return await gw.app.reload()


async def test_the_first_call_after_a_reload_finds_the_new_name(tmp_path: Path) -> None:
    names = Script(new_test=["127.0.0.2"])
    async with (
        AnsweringAt("127.0.0.1") as old,
        AnsweringAt("127.0.0.2", old.port) as new,
        gateway(config(old.port), tmp_path, resolve=names) as gw,
        client(gw.port) as raw,
    ):
        assert await reload(gw, config(f"http://new.test:{old.port}")) == []
        assert (await raw.ask(get())).status == 200
    assert (len(old.requests), len(new.requests)) == (0, 1)


async def test_a_name_that_stays_keeps_its_polls_its_connections_and_what_is_known_of_it(tmp_path: Path) -> None:
    names = Script(api_test=["127.0.0.1", "127.0.0.2"])
    async with HoldingAt("127.0.0.1") as one, HoldingAt("127.0.0.2", one.port) as two:
        url = f"http://api.test:{one.port}"
        async with gateway(config(url, **POLL), tmp_path, resolve=names) as gw, polling(gw, *[get()] * 20):
            await until(lambda: (one.held, two.held) == (10, 10))
            before = gw.app.members.names["api.test"]
            assert await reload(gw, config(url, upstream="max_held = 100", **POLL)) == []
            assert gw.app.members.names["api.test"] is before
            assert names.asked["api.test"] == 1, "it is known, and need not be looked up for this"
            async with polling(gw, *[get()] * 4):
                await until(lambda: (one.held, two.held) == (12, 12))
                one.publish()
                two.publish()
                assert {record["attempts"] for record in await gw.records(24)} == {1}


async def test_a_reload_changes_how_often_a_name_is_looked_up_and_ends_it(tmp_path: Path) -> None:
    names = Script(api_test=["127.0.0.1"])
    async with AnsweringAt("127.0.0.1") as up:
        url = f"http://api.test:{up.port}"
        async with gateway(config(url), tmp_path, resolve=names) as gw:
            assert await reload(gw, config(url, upstream='dns_refresh = "20ms"')) == []
            await until(lambda: names.asked["api.test"] > 5)
            assert await reload(gw, config(up.port)) == []
            await until(lambda: not gw.app.members.names)
            assert names.most["api.test"] == 1


async def test_a_new_name_that_hangs_delays_no_call_and_the_reload_for_a_moment_only(tmp_path: Path) -> None:
    names = Script(api_test=["127.0.0.1"], slow_test=["127.0.0.1"])
    async with HoldingAt("127.0.0.1") as up:
        url = f"http://api.test:{up.port}"
        async with gateway(config(url, **POLL), tmp_path, resolve=names) as gw, polling(gw, get()):
            await until(lambda: up.held == 1)
            names.stalled.add("slow.test")
            routes = POLL["routes"] + route("slow", "/slow").replace('"up"', '"slow"')
            more = POLL["more"] + f'[upstream.slow]\nendpoints = ["http://slow.test:{up.port}"]'
            reloading = asyncio.ensure_future(reload(gw, config(url, more=more, routes=routes)))
            await until(lambda: names.now["slow.test"] == 1)
            async with polling(gw, get()):
                await until(lambda: up.held == 2)
                assert await reloading == []
                async with client(gw.port) as raw:
                    assert (await raw.ask(get("/slow"))).status == 503
                    names.go()
                    await until(lambda: gw.app.members.names["slow.test"].places)
                    await raw.send(get("/slow"))
                    await until(lambda: up.held == 3)


async def test_a_reload_that_fails_leaves_names_as_they_were(tmp_path: Path) -> None:
    names = Script(api_test=["127.0.0.1"])
    async with AnsweringAt("127.0.0.1") as up:
        url = f"http://api.test:{up.port}"
        async with gateway(config(url), tmp_path, resolve=names) as gw, client(gw.port) as raw:
            assert await reload(gw, config("http://other.test", routes="nonsense"))
            assert set(gw.app.members.names) == {"api.test"}
            assert (await raw.ask(get())).status == 200


HANGS = """
import asyncio, pathlib, sys, threading
from gateway.app import App

async def main():
    app = App(pathlib.Path(sys.argv[1]), resolve=lambda host: threading.Event().wait())
    await app.start()
    await app.drain()

asyncio.run(main())
print("ended", [each.name for each in threading.enumerate() if each.daemon])
"""


def test_a_process_ends_while_its_resolver_hangs(tmp_path: Path) -> None:
    text = config("http://api.test:9", server='drain = "100ms"')
    (tmp_path / "gateway.toml").write_text(text.replace("file:calls.jsonl", f"file:{tmp_path}/calls.jsonl"), "utf-8")
    command = [sys.executable, "-c", HANGS, str(tmp_path / "gateway.toml")]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (found.returncode, found.stdout.strip()) == (0, "ended ['look up api.test']"), found.stderr
