"""Asking a process about past calls: one at a time, bounded in time, output, memory and what it is told, and gone when
nobody listens any more. The processes here are real; what they do is scripted.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from multidict import MultiDict

from gateway.admin import worker
from gateway.admin.past import asked
from gateway.admin.worker import MOST_WAITING, NoAnswerError, Worker
from tests.kit.waiting import soon, until

ECHO = "import os, sys; sys.stdout.write('{\"asked\": ' + sys.stdin.read() + '}')"
HANGS = "import sys, time; open(sys.argv[1], 'w').write(str(__import__('os').getpid())); time.sleep(600)"


def scripted(script: str, *arguments: object, timeout: float = 10.0) -> Worker:
    return Worker((sys.executable, "-c", script, *map(str, arguments)), timeout)


def always() -> bool:
    return True


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def refused(asking: Worker, **more: Any) -> tuple[int, str]:
    with pytest.raises(NoAnswerError) as caught:
        await soon(asking.ask({"ask": "calls", **more}, always))
    return caught.value.status, str(caught.value)


async def test_a_question_reaches_the_process_and_its_answer_comes_back() -> None:
    assert await soon(scripted(ECHO).ask({"ask": "calls", "x": "é"}, always)) == {"asked": {"ask": "calls", "x": "é"}}


async def test_what_the_process_finds_wrong_is_told_to_who_asked() -> None:
    said = 'print(\'{"error": "where: ends too early; write a value"}\')'
    assert await refused(scripted(said)) == (400, "where: ends too early; write a value")


@pytest.mark.parametrize(
    "script",
    ["raise SystemExit('a secret thing')", "print('no JSON')", "print('[1]')", "pass", "import os; os.abort()"],
)
async def test_a_process_that_fails_is_our_error_and_tells_nobody_why(
    script: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert await refused(scripted(script)) == (500, "an error of the gateway's own; its log says more")
    assert "past calls" in caplog.text


async def test_a_process_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    said = await refused(scripted(HANGS, tmp_path / "pid", timeout=0.5))
    assert said == (504, "there was no answer within 0.5 s; ask for a shorter time")
    pid = (tmp_path / "pid").read_text()
    assert not pid or not alive(int(pid))


async def test_a_process_is_ended_when_nobody_listens_any_more(tmp_path: Path) -> None:
    listening = True
    asking = asyncio.ensure_future(scripted(HANGS, tmp_path / "pid").ask({}, lambda: listening))
    pid = int(await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    assert alive(pid)
    listening = False
    with pytest.raises(NoAnswerError, match="nobody listens"):
        await soon(asking)
    assert not alive(pid)


async def test_a_process_is_ended_with_the_gateway(tmp_path: Path) -> None:
    asking = asyncio.ensure_future(scripted(HANGS, tmp_path / "pid").ask({}, always))
    pid = int(await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(asking)
    assert not alive(pid)


async def test_an_answer_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MOST_BYTES", 100_000)
    said = await refused(scripted("import sys\nwhile True: sys.stdout.write('x' * 65536)"))
    assert said == (400, "the answer has more than 100000 bytes; ask for less by limit")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits another process")
async def test_a_process_that_wants_all_the_memory_does_not_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MEMORY", 512 * 1024**2)
    wants = "import sys; sys.stdin.read(); x = bytearray(1 << 30); print('{}')"
    assert (await refused(scripted(wants)))[0] == 500


async def test_a_process_learns_no_secret_of_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_ADMIN_TOKEN", "a secret")
    told = await soon(scripted("import json, os; print(json.dumps(dict(os.environ)))").ask({}, always))
    assert "PATH" in told
    assert "a secret" not in json.dumps(told)


async def test_one_question_is_answered_at_a_time_and_few_wait(tmp_path: Path) -> None:
    script = (
        "import os, sys, pathlib, json, time\n"
        "here = pathlib.Path(sys.argv[1]); mine = here / str(os.getpid()); mine.touch()\n"
        "there = len(list(here.iterdir())); time.sleep(0.05); mine.unlink(); print(json.dumps({'there': there}))"
    )
    one = scripted(script, tmp_path)
    asking = [asyncio.ensure_future(one.ask({}, always)) for _ in range(MOST_WAITING + 3)]
    told = await soon(asyncio.gather(*asking, return_exceptions=True))
    assert [each for each in told if isinstance(each, dict)] == [{"there": 1}] * (MOST_WAITING + 1)
    assert [each.status for each in told if isinstance(each, NoAnswerError)] == [429, 429]
    assert await soon(one.ask({}, always)) == {"there": 1}, "and then there is room again"


async def test_who_left_while_waiting_is_not_asked_for(tmp_path: Path) -> None:
    listening = {"a": True, "b": True}
    one = scripted(HANGS, tmp_path / "pid")
    first = asyncio.ensure_future(one.ask({}, lambda: listening["a"]))
    pid = int(await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    second = asyncio.ensure_future(one.ask({}, lambda: listening["b"]))
    listening["b"] = False
    os.kill(pid, signal.SIGKILL)
    told = await soon(asyncio.gather(first, second, return_exceptions=True))
    assert [str(each) for each in told] == [
        "an error of the gateway's own; its log says more",
        "nobody listens any more",
    ]
    assert int((tmp_path / "pid").read_text()) == pid, "no second process was begun"


def test_parameters_become_a_question() -> None:
    query = MultiDict([("route", "a"), ("outcome", "news"), ("outcome", "empty"), ("limit", "7"), ("status", "504")])
    assert asked(query) == {"route": "a", "outcome": ["news", "empty"], "limit": 7, "status": "504"}


@pytest.mark.parametrize("name", ["ask", "log", "memory", "threads"])
def test_what_the_gateway_decides_cannot_be_asked_for(name: str) -> None:
    with pytest.raises(NoAnswerError, match=f"{name}: is not asked for here; leave it out"):
        asked(MultiDict([(name, "x")]))
