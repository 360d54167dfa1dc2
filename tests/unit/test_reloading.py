"""Reloads as such: one at a time and in order, built beside the loop, and whatever comes of one is told, also where
files do not answer and where a bug is in the way.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.config.problems import ConfigError, Problem
from gateway.loading import Built, build
from gateway.policies.rate_limit import Screen
from gateway.reloading import Reloads
from gateway.state.memory import MemoryStore
from tests.kit.waiting import soon, until

from .config.kit import UPSTREAM

TEXT = (
    '[server]\nlisten = ["127.0.0.1:0"]\n'
    + UPSTREAM
    + '[[route]]\nname = "r"\nmatch = { path = "/" }\nupstream = "u"\n'
)


class Machine:
    """Something that is reloaded: each `load` waits until it is let go on, and may then `fail`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "gateway.toml"
        self.path.write_text(TEXT)
        self.goes_on = threading.Semaphore(0)
        self.fail: Exception | None = None
        self.loads = 0
        self.swaps: list[Built] = []
        self.reloads = Reloads(self.load, self.swaps.append, lambda: 86400.0)

    def load(self) -> Built:
        self.loads += 1
        assert self.goes_on.acquire(timeout=10)
        if self.fail is not None:
            raise self.fail
        return build(self.path, time.time, Screen(MemoryStore(), time.monotonic))

    def begin(self, wanted: Callable[[], bool] = lambda: True) -> asyncio.Task[list[str]]:
        return asyncio.create_task(self.reloads.run(wanted))

    async def run(self, fail: Exception | None = None) -> list[str]:
        self.fail = fail
        self.goes_on.release()
        return await soon(self.reloads.run(lambda: True))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


async def test_one_at_a_time_each_with_what_is_in_the_file_at_its_turn(machine: Machine) -> None:
    first, second = machine.begin(), machine.begin()
    await until(lambda: machine.loads == 1, "the loop goes on while it is built")
    machine.goes_on.release()
    assert await soon(first) == []
    await until(lambda: machine.loads == 2)
    assert len(machine.swaps) == 1 and not second.done()
    machine.path.write_text(TEXT.replace('"r"', '"other"'))
    machine.goes_on.release()
    assert await soon(second) == []
    assert [built.config.routes[0].name for built in machine.swaps] == ["r", "other"]
    assert machine.reloads.counts == {"ok": 2, "failed": 0}


async def test_what_is_not_wanted_any_more_is_not_swapped_in(machine: Machine) -> None:
    wanted = True
    reload = machine.begin(lambda: wanted)
    await until(lambda: machine.loads == 1)
    wanted = False
    machine.goes_on.release()
    assert await soon(reload) == []
    assert (machine.swaps, machine.reloads.counts, machine.reloads.last) == ([], {"ok": 0, "failed": 0}, 0.0)


WORDS = {
    "value": (
        ValueError("keys.json: is no key set; write one\nand another"),
        ["keys.json: is no key set; write one", "and another"],
    ),
    "file": (
        FileNotFoundError(2, "No such file or directory", "gateway.toml"),
        ["gateway.toml: No such file or directory; check the file"],
    ),
    "system": (OSError("only 100 files may be open"), ["only 100 files may be open"]),
    "configuration": (
        ConfigError([Problem("gateway.toml", "server", "is one"), Problem("gateway.toml", "", "is another")]),
        ["gateway.toml: server: is one", "gateway.toml: is another"],
    ),
}


@pytest.mark.parametrize(("error", "problems"), WORDS.values(), ids=WORDS)
async def test_a_failure_is_told_and_the_next_one_may_succeed(
    machine: Machine, error: Exception, problems: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert await machine.run(error) == problems
    said = "the reload at 1970-01-02T00:00:00Z failed and the configuration before it counts: " + problems[0]
    assert machine.reloads.failure == said
    assert (machine.reloads.counts, machine.reloads.last, machine.swaps) == ({"ok": 0, "failed": 1}, 86400.0, [])
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        *(f"reload: {problem}" for problem in problems),
        "reload: nothing was changed; the configuration before it counts",
    ]
    assert await machine.run() == []
    assert (machine.reloads.failure, machine.reloads.counts) == (None, {"ok": 1, "failed": 1})


async def test_a_success_has_its_time(machine: Machine) -> None:
    assert await machine.run() == []
    assert machine.reloads.last == 86400.0


def unwanted(_: object) -> None:
    raise AssertionError("nothing may be swapped in")


def reloads(load: Any, patience: float = 30.0) -> Reloads:
    return Reloads(load, unwanted, lambda: 0.0, patience)


async def test_a_file_that_does_not_answer_fails_and_the_next_reload_does_not_wait_for_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    stuck = reloads(pipe.read_text, 0.01)
    for number in (1, 2):
        (said,) = await soon(stuck.run(lambda: True))
        assert "not read in time (0.01s" in said
        assert stuck.failure is not None and stuck.counts == {"ok": 0, "failed": number}
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "reload")
    with pipe.open("w"):  # the threads end
        pass


async def test_a_bug_is_a_reload_that_failed(caplog: pytest.LogCaptureFixture) -> None:
    def load() -> None:
        raise KeyError("a bug")

    broken = reloads(load)
    (said,) = await soon(broken.run(lambda: True))
    assert "KeyError" in said and broken.failure is not None and broken.counts["failed"] == 1
    assert any(record.exc_info for record in caplog.records), "the log says where"


@pytest.mark.parametrize(
    "error", [FileNotFoundError(2, "No such file", "x.toml"), IsADirectoryError(21, "Is one", "x.toml")]
)
async def test_what_the_system_says_comes_with_the_file_and_a_remedy(error: OSError) -> None:
    def load() -> None:
        raise error

    (said,) = await soon(reloads(load).run(lambda: True))
    assert said == f"x.toml: {error.strerror}; check the file"


async def test_no_room_for_the_copy_that_workers_read_is_told_with_its_place() -> None:
    def load() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/dev/shm/x")

    (said,) = await soon(reloads(load).run(lambda: True))
    assert said == "/dev/shm/x: No space left on device; make room there"
