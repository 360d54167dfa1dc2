"""The process that draws: begun when it is needed, one question at a time, replaced when it fails, ended with us."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from gateway.admin.aside import Aside
from gateway.admin.draw import answer
from gateway.admin.drawing import MOST_WAITING, Drawing
from gateway.admin.worker import NoAnswerError

ECHO = """
import json, os, sys, time
for line in sys.stdin:
    asked = json.loads(line)
    if asked.get("die"): sys.exit(1)
    if asked.get("hang"): time.sleep(600)
    print(asked.get("say") or json.dumps({"html": str(os.getpid())}), flush=True)
"""


def drawing(**more: Any) -> Drawing:
    return Drawing((sys.executable, "-c", ECHO), **more)


async def test_questions_are_answered_by_one_process_one_after_the_other() -> None:
    own = drawing()
    assert len(set(await asyncio.gather(*[own.draw({}) for _ in range(MOST_WAITING)]))) == 1
    await own.close()


async def test_more_than_may_wait_are_sent_away() -> None:
    own = drawing()
    found = await asyncio.gather(*[own.draw({}) for _ in range(MOST_WAITING + 1)], return_exceptions=True)
    assert [one.status for one in found if isinstance(one, NoAnswerError)] == [429]
    await own.close()


@pytest.mark.parametrize("bad", [{"die": True}, {"hang": True}, {"say": "no JSON"}])
async def test_one_that_fails_is_replaced(bad: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    own = drawing()
    first = await own.draw({})
    own._timeout = 0.3
    with pytest.raises(NoAnswerError) as raised:
        await own.draw(bad)
    assert raised.value.status == 500 and "could not be drawn" in caplog.text
    own._timeout = 20.0
    assert await own.draw({}) != first
    await own.close()


async def test_it_is_told_no_secret_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_ADMIN_TOKEN", "a secret")
    tell = "import json, os, sys; sys.stdin.readline(); print(json.dumps({'html': ' '.join(os.environ)}), flush=True)"
    own = Drawing((sys.executable, "-c", tell))
    told = await own.draw({})
    assert "PATH" in told and "GATEWAY_ADMIN_TOKEN" not in told
    await own.close()


async def test_a_command_that_is_not_there_is_no_plot() -> None:
    own = Drawing(("/nonexistent/python",))
    with pytest.raises(NoAnswerError):
        await own.draw({})
    await own.close()


async def test_it_ends_when_nobody_asks_and_with_us_whatever_it_does() -> None:
    own = drawing(idle=0.01)
    await own.draw({})
    while own._process is not None or own._dying:
        await asyncio.sleep(0.005)
    own = drawing()
    await own.draw({})
    waits = asyncio.ensure_future(own.draw({"hang": True}))
    behind = asyncio.ensure_future(own.draw({}))
    await asyncio.sleep(0.01)
    await own.close()
    found = await asyncio.gather(waits, behind, return_exceptions=True)
    assert all(isinstance(one, NoAnswerError) for one in found) and not own._dying
    with pytest.raises(NoAnswerError, match="the gateway ends"):
        await own.draw({})


async def test_who_leaves_in_the_middle_of_an_answer_spoils_no_other() -> None:
    own = drawing()
    first = await own.draw({})
    leaves = asyncio.ensure_future(own.draw({"hang": True}))
    await asyncio.sleep(0.01)
    leaves.cancel()
    assert await own.draw({}) != first
    await own.close()


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"null", b'{"figures": 1}', b'{"figures": [1]}', b'{"figures": [{}]}', b"\xff"]
)
def test_what_is_no_question_is_answered_all_the_same(text: bytes) -> None:
    assert "ask as the dashboard does" in str(answer(text)["error"])


def test_the_serving_process_draws_nothing_itself_and_needs_no_database() -> None:
    code = "import sys, gateway.app; print([one for one in ('pygal', 'duckdb', 'jinja2') if one in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


async def test_what_is_looked_for_aside_is_looked_for_once_and_when_it_is_due() -> None:
    found: list[int] = []

    async def find() -> int:
        found.append(1)
        await asyncio.sleep(0)
        return len(found)

    aside = Aside(find, 3600.0, 0)
    assert [aside.look(), aside.look()] == [0, 0]
    while not aside.last:
        await asyncio.sleep(0)
    assert aside.look() == 1
    await asyncio.sleep(0)
    assert len(found) == 1, "it is not due"
    aside._due = 0.0
    aside.look()
    await aside.close(1.0)
    assert aside.last == 2


async def test_what_fails_aside_leaves_what_there_was_and_is_told() -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    aside = Aside(_fail, 0.0, "before")
    aside.look()
    await aside.close(1.0)
    assert aside.look() == "before" and isinstance(told[0]["exception"], ZeroDivisionError)
    await aside.close(1.0)


async def test_nothing_is_looked_for_twice_at_once_and_without_an_answer_the_last_one_stays() -> None:
    begun: list[int] = []
    go = asyncio.Event()

    async def find() -> str:
        begun.append(1)
        await go.wait()
        raise NoAnswerError(429, "others ask")

    aside = Aside(find, 0.0, "before")
    for _ in range(3):
        aside.look()
        await asyncio.sleep(0)
    assert len(begun) == 1
    go.set()
    await aside.close(1.0)
    assert aside.last == "before"


async def _fail() -> str:
    raise ZeroDivisionError
