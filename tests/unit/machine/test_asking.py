"""Asking workers that are not there, or are no workers: each is missing with a reason, and none is waited for long."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web

from gateway.machine.admin.asking import Asking, Missing, Told, sort
from gateway.machine.admin.fleet import Fleet, Standing
from gateway.machine.admin.usage import usage
from tests.kit.waiting import soon


class Few:
    """Workers of a test."""

    def __init__(self, *workers: Standing) -> None:
        self.workers = workers

    def standing(self) -> tuple[Standing, ...]:
        return self.workers


def standing(number: int, socket: Path, state: str = "serving") -> Standing:
    return Standing(number, 100 + number, state, 0.0, 0, socket)


async def missing(*workers: Standing, within: float = 0.2) -> list[Missing]:
    asking = Asking(cast(Fleet, Few(*workers)))
    try:
        found = await soon(asking.all("/api/workers", within=within))
        assert not found.told
        return found.missing
    finally:
        await asking.close()


async def test_who_has_no_process_is_not_asked(tmp_path: Path) -> None:
    none = tmp_path / "none"
    assert await missing(standing(0, none, "starting"), standing(1, none, "ended")) == [
        Missing(0, "is being started"), Missing(1, "has ended"),
    ]  # fmt: skip


async def test_who_does_not_listen_or_never_answers_is_missing(tmp_path: Path) -> None:
    silent = await asyncio.start_unix_server(lambda *_: asyncio.sleep(60), tmp_path / "silent")
    async with silent:
        found = await missing(standing(0, tmp_path / "none"), standing(1, tmp_path / "silent"))
    assert found == [Missing(0, "cannot be asked"), Missing(1, "does not answer (nothing within 0.2 s)")]


@pytest.mark.parametrize("said", [b"", b"220 mail.test ESMTP\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
async def test_who_says_something_else_is_missing(tmp_path: Path, said: bytes) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(talk, tmp_path / "strange"):
        assert await missing(standing(0, tmp_path / "strange")) == [Missing(0, "cannot be asked")]


async def test_who_was_silent_is_not_waited_for_as_long_again_until_he_answers(tmp_path: Path) -> None:
    slow = asyncio.Event()

    async def page(_: web.Request) -> web.Response:
        await slow.wait()
        return web.json_response({})

    application = web.Application()
    application.router.add_get("/page", page)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "slow")).start()
    asking = Asking(cast(Fleet, Few(standing(0, tmp_path / "slow"))))
    assert (await asking.all("/page", within=0.5)).missing[0].why.endswith("0.5 s)")
    assert (await asking.all("/page", within=0.5)).missing[0].why.endswith("0.25 s)")
    slow.set()
    assert (await asking.all("/page")).told[0].json == {}
    slow.clear()
    assert (await asking.all("/page", within=0.5)).missing[0].why.endswith("0.5 s)")
    slow.set()
    await asking.close()
    await runner.cleanup()


def told(status: int) -> Told:
    return Told(3, 7, status, b"{}")


@pytest.mark.parametrize(("status", "refusals", "good"), [
    (200, False, True), (404, False, False), (409, True, True), (500, True, False), (503, False, False),
])  # fmt: skip
def test_an_error_is_no_answer(status: int, refusals: bool, good: bool) -> None:
    found = sort([told(status)], refusals)
    assert bool(found.told) is good
    assert found.missing == ([] if good else [Missing(3, f"answered {status}")])


def test_what_a_process_takes_is_told_also_when_it_is_stopped() -> None:
    own = usage(os.getpid())
    assert own.cpu is not None and own.cpu > 0 and own.memory is not None and own.memory > 1 << 20
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    nobody: Any = usage(int(ended.stdout))
    assert nobody == usage(None) == (None, None)
