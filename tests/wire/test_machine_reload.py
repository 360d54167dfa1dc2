"""A reload of several workers: all follow the new configuration or none does, whatever becomes of the file and of
workers meanwhile, and nobody who is held notices.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

from tests.kit.machines import Machine, machine
from tests.kit.raw import client, post
from tests.kit.successions import Probes, ends, marked, polls, probes, two_routes
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import until

HELD = 40


def write(folder: Path, text: str) -> None:
    (folder / "gateway.toml").write_text(text.replace("file:calls.jsonl", f"file:{folder}/calls.jsonl"))


async def reload(gw: Machine) -> list[str]:
    async with client(gw.admin_port) as raw:
        found = await raw.ask(post(b"", "/api/reload", "Gateway-Admin: 1"))
    problems: list[str] = json.loads(bytes(found.body)).get("problems", [])
    assert found.status == (422 if problems else 200)
    return problems


async def killed_and_back(gw: Machine) -> None:
    killed = gw.kill(0)
    await until(lambda: [each for each in gw.workers.values() if each.number == 0 and each.pid != killed])
    await gw.until_serving(2)


async def marks(gw: Machine, many: int = 60) -> set[tuple[int, str]]:
    """What new connections get, in whichever worker."""
    asked = Probes(gw.port)
    return {await asked.one() for _ in range(many)}


async def test_all_workers_follow_at_once_and_who_is_held_goes_on(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, ScriptedUpstream() as quick:
        text = two_routes(up, quick)
        with machine(text, tmp_path) as gw:
            clients = await polls(gw.port, up, HELD)
            assert all((await gw.held_by()).values()), "both hold some"
            async with probes(gw.port) as seen:
                await seen.until_seen("old")
                write(tmp_path, marked(text, "new"))
                assert await reload(gw) == []
                assert await marks(gw) == {(200, "new")}
                await seen.until_seen("new")
            assert not seen.lost
            up.publish()
            assert await ends(clients) == {(200, "old"): HELD}


async def test_a_sighup_reloads_all_of_them(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, ScriptedUpstream() as quick:
        text = two_routes(up, quick)
        with machine(text, tmp_path) as gw:
            write(tmp_path, marked(text, "new"))
            gw.process.send_signal(signal.SIGHUP)
            await until(lambda: gw.said().count("reloaded;") == 3)
            assert await marks(gw) == {(200, "new")}


BROKEN = {
    "half written": (lambda text: text[: len(text) // 2], "gateway.toml"),
    "wrong": (lambda text: text.replace('"/quick"', "7"), "route"),
    "empty": (lambda text: text[: text.index("[[route]]")], "nothing would be served"),
}


async def test_a_file_with_a_problem_changes_no_worker(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, ScriptedUpstream() as quick:
        text = two_routes(up, quick)
        with machine(text, tmp_path) as gw:
            clients = await polls(gw.port, up, HELD)
            for broken, words in BROKEN.values():
                write(tmp_path, broken(marked(text, "new")))
                problems = await reload(gw)
                assert problems and words in problems[0]
                assert len(set(problems)) == len(problems), "each is told once, not once a worker"
            assert await marks(gw) == {(200, "old")}
            status, body = await gw.admin("/readyz")
            assert status == 200 and "failed" in json.loads(body)["detail"]
            write(tmp_path, marked(text, "new"))
            assert await reload(gw) == []
            assert await marks(gw) == {(200, "new")}
            assert "failed" not in json.loads((await gw.admin("/readyz"))[1])["detail"]
            up.publish()
            assert await ends(clients) == {(200, "old"): HELD}


async def test_a_worker_that_is_started_again_follows_what_counts_and_not_what_lies_on_the_disk(tmp_path: Path) -> None:
    """Also where the file is broken by then: the machine has all its workers back."""
    async with HoldingUpstream() as up, ScriptedUpstream() as quick:
        text = two_routes(up, quick)
        with machine(text, tmp_path) as gw:
            write(tmp_path, marked(text, "new"))
            assert await reload(gw) == []
            for unread in (marked(text, "unread"), "half written [["):
                write(tmp_path, unread)
                await killed_and_back(gw)
                assert await marks(gw) == {(200, "new")}


async def test_a_worker_that_dies_in_the_middle_leaves_nobody_behind(tmp_path: Path) -> None:
    """One is stopped, so that it cannot answer; while the other waits for it, it is killed."""
    async with HoldingUpstream() as up, ScriptedUpstream() as quick:
        text = two_routes(up, quick)
        with machine(text, tmp_path) as gw:
            clients = await polls(gw.port, up, HELD)
            held = await gw.held_by()
            pid = gw.kill(1, signal.SIGSTOP)
            write(tmp_path, marked(text, "new"))
            pending = asyncio.create_task(reload(gw))
            directory = gw.workers[0].directory
            await until(lambda: (directory / "files-1").is_dir() and len(os.listdir(directory / "files-1")) == 1)
            asked = Probes(gw.port)
            assert await asked.one() == (200, "old"), "not before all are ready"
            os.kill(pid, signal.SIGKILL)
            assert await pending == []
            await gw.until_serving(2)
            assert await marks(gw) == {(200, "new")}
            up.publish()
            assert (await ends(clients))[200, "old"] == len(held[0]), "those of the one that lives"


async def test_what_needs_a_restart_is_said_once(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, ScriptedUpstream() as quick:
        text = two_routes(up, quick)
        with machine(text, tmp_path) as gw:
            write(tmp_path, text.replace("workers = 2", "workers = 3"))
            assert await reload(gw) == []
            assert gw.said().count("server.workers: has changed, which counts from the next start on") == 1
            assert len(gw.workers) == 2
