"""`gateway run --replace`: one gateway takes the place of another at the same addresses. Nobody who connects is
refused, whoever is held by the old one ends as in a drain, and if nothing comes of it nothing has happened.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from tests.kit.machines import Machine, machine
from tests.kit.ports import free_port
from tests.kit.raw import client, get
from tests.kit.successions import Probes, ends, marked, newcomer, polls, probes, two_routes
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import until

HELD = 40
WORKERS = {
    "one by one": (1, 1),
    "one by a machine": (1, 2),
    "a machine by one": (2, 1),
    "a machine by a machine": (2, 2),
}


async def ended(gw: Machine, code: int = 0) -> None:
    assert await gw.exit_code() == code, gw.said()
    assert "Traceback" not in gw.said(), gw.said()


@pytest.mark.parametrize(("before", "after"), WORKERS.values(), ids=WORKERS)
async def test_nobody_is_refused_and_who_is_held_ends_as_in_a_drain(tmp_path: Path, before: int, after: int) -> None:
    async with HoldingUpstream() as up, ScriptedUpstream() as quick:
        text = two_routes(up, quick, workers=before)
        with machine(text, tmp_path) as old:
            clients = await polls(old.port, up, HELD)
            async with probes(old.port) as seen:
                await seen.until_seen("old")
                state = "shared://" if after > 1 else "memory://"
                changed = re.sub(r"(memory|shared)://", state, marked(text, "new"))
                async with newcomer(changed.replace(f"workers = {before}", f"workers = {after}"), tmp_path) as new:
                    await seen.until_seen("new", 50)
                    asked = Probes(old.port)
                    assert {await asked.one() for _ in range(40)} == {(200, "new")}
                    more = await polls(new.port, up, HELD)
                    assert await ends(clients) == {(200, ""): HELD}, "templates of the drain"
                    await ended(old)
                    await seen.until_seen("new", 100)
                    up.publish()
                    assert await ends(more) == {(200, "new"): HELD}
                    await seen.stop()
            assert not seen.lost, "of those who connected all the while"


async def test_twice_in_a_row_while_the_first_still_drains(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, ScriptedUpstream() as quick:
        text = two_routes(up, quick)
        with machine(text, tmp_path) as first:
            clients = await polls(first.port, up, HELD)
            async with (
                probes(first.port) as seen,
                newcomer(marked(text, "second"), tmp_path, "second") as second,
            ):
                clients += await polls(second.port, up, HELD)
                async with newcomer(marked(text, "third"), tmp_path, "third"):
                    await seen.until_seen("third")
                    assert (await ends(clients))[200, ""] == 2 * HELD
                    await ended(first)
                    await ended(second)
                    await seen.until_seen("third", 100)
                    await seen.stop()
            assert not seen.lost


FAILS = {
    "a wrong configuration": (lambda text: text.replace('"/quick"', "7"), 1, "route"),
    "an address of somebody else": (
        lambda text: text.replace("listen = [", 'listen = ["127.0.0.1:TAKEN", '),
        2,
        "in use",
    ),
}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("breaks", "code", "words"), FAILS.values(), ids=FAILS)
async def test_one_that_cannot_start_changes_nothing(
    tmp_path: Path, workers: int, breaks: object, code: int, words: str
) -> None:
    async with HoldingUpstream() as up, ScriptedUpstream() as quick:
        text = two_routes(up, quick, workers=workers)
        with machine(text, tmp_path) as old, socket.socket() as taken:
            clients = await polls(old.port, up, HELD)
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            async with probes(old.port) as seen:
                broken = breaks(marked(text, "new")).replace("TAKEN", str(taken.getsockname()[1]))  # type: ignore[operator]
                async with newcomer(broken, tmp_path, serves=False) as new:
                    assert await new.exit_code() == code
                    assert words in new.said() and "Traceback" not in new.said()
                await seen.until_seen("old", 50)
            assert not seen.lost and set(seen.found) == {(200, "old")}
            up.publish()
            assert await ends(clients) == {(200, "old"): HELD}
            async with newcomer(marked(text, "new"), tmp_path):  # and it may be tried again
                await Probes(old.port).until_only("new")


@pytest.mark.parametrize("workers", [1, 2])
async def test_one_that_is_killed_before_it_serves_changes_nothing(tmp_path: Path, workers: int) -> None:
    async with HoldingUpstream() as up, ScriptedUpstream() as quick:
        text = two_routes(up, quick, workers=workers)
        with machine(text, tmp_path) as old:
            clients = await polls(old.port, up, HELD)
            async with probes(old.port) as seen:
                async with newcomer(marked(text, "new"), tmp_path, serves=False) as new:
                    await until(lambda: "is about to take over" in old.said())
                    new.process.kill()
                    await until(lambda: "is gone before it served" in old.said())
                await seen.until_seen("old", len(seen.found) + 50)
            assert not seen.lost
            up.publish()
            assert await ends(clients) == {(200, "old"): HELD}
            async with newcomer(marked(text, "new"), tmp_path):
                await Probes(old.port).until_only("new")


async def test_where_none_runs_it_just_starts(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        ScriptedUpstream() as quick,
        newcomer(two_routes(up, quick), tmp_path, serves=False) as new,
    ):
        await until(lambda: new.systemd.heard("READY"))
        assert await Probes(new.port).one() == (200, "old")
        assert "takes nobody's place" in new.said()


async def test_addresses_come_and_go(tmp_path: Path) -> None:
    """A unix socket that is kept is the newcomer's, with its file; one that is given up goes."""
    async with HoldingUpstream() as up, ScriptedUpstream() as quick:
        kept, dropped, added = tmp_path / "k.sock", tmp_path / "d.sock", tmp_path / "a.sock"
        port, gone = free_port(), free_port()
        first = [f"127.0.0.1:{port}", f"127.0.0.1:{gone}", f"unix:{kept}", f"unix:{dropped}"]
        text = two_routes(up, quick, listen=first)
        with machine(text, tmp_path) as old:
            changed = text.replace(f'"127.0.0.1:{gone}", ', "").replace(str(dropped), str(added))
            async with newcomer(marked(changed, "new"), tmp_path) as new:
                await ended(old)
                await Probes(port).until_only("new")
                assert (await Probes(gone).one())[0] == 0
                assert kept.exists() and added.exists() and not dropped.exists()
                for path in (kept, added):
                    async with client(str(path)) as raw:
                        assert (await raw.ask(get("/quick"))).one("X-Mark") == "new"
                new.terminate()
                await ended(new)
                assert not kept.exists() and not added.exists() and not (tmp_path / "c.sock").exists()


async def test_the_admin_listener_goes_with_it(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, ScriptedUpstream() as quick:
        text = two_routes(up, quick)
        with machine(text, tmp_path) as old:
            await polls(old.port, up, 10)
            async with newcomer(text, tmp_path) as new:
                assert old.process.poll() is None, "it still drains"
                assert (await new.admin("/readyz"))[0] == 200
                assert await new.held() == [], "what the old one holds is the old one's"
                await ended(old)


async def test_systemd_is_told_who_the_main_process_is(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, ScriptedUpstream() as quick:
        text = two_routes(up, quick)
        with machine(text, tmp_path) as old:
            async with newcomer(text, tmp_path) as new:
                await ended(old)
                told = [each["MAINPID"] for each in old.systemd.said if "MAINPID" in each]
                assert told == [str(new.process.pid)]
                assert not old.systemd.heard("STOPPING"), "the service does not stop"


async def test_limits_go_on_and_stay_exact_over_the_change(tmp_path: Path) -> None:
    """Of a cap of ten the old machine holds six: the new one has four to lend, and all when the old one has ended."""
    async with HoldingUpstream() as up, ScriptedUpstream() as quick:
        cap = '[policy.few.hold_cap]\nmax = 10\nper = "route"\n'
        text = two_routes(up, quick, more=cap, policies='"poll", "mark", "few"')
        with machine(text, tmp_path) as old:
            clients = await polls(old.port, up, 6)
            async with newcomer(text.replace('drain = "2s"', 'drain = "3s"'), tmp_path) as new:
                more = await polls(new.port, up, 4)
                async with client(new.port) as raw:
                    assert (await raw.ask(get("/poll"))).status == 429
                assert await ends(clients) == {(200, ""): 6}
                await ended(old)
                more += await polls(new.port, up, 6)
                async with client(new.port) as raw:
                    assert (await raw.ask(get("/poll"))).status == 429
                up.publish()
                assert (await ends(more))[200, "old"] == 10
