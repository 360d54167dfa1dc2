"""The demo's long-poll service, asked directly: what it holds, what it answers, whom it misses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from gateway.demo.upstream import BOARD, RECENT, Board, make_app, start
from tests.kit.waiting import soon, until


class Service:
    """The service on a free port, and a client for it."""

    def __init__(self, board: Board, session: aiohttp.ClientSession) -> None:
        self.board = board
        self.session = session

    async def get(self, path: str, **query: str) -> tuple[int, Any]:
        async with self.session.get(path, params=query) as response:
            return response.status, await response.json() if response.status != 204 else None

    async def publish(self, message: str) -> int:
        async with self.session.post("/publish", json={"message": message}) as response:
            assert response.status == 201
            return int((await response.json())["id"])

    async def held(self, count: int) -> None:
        await until(lambda: len(self.board.waiting) == count, f"{count} polls held")


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    app = make_app(hold=30)
    runner, port = await start(app)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        yield Service(app[BOARD], session)
    await soon(runner.cleanup())


async def test_a_poll_is_held_until_news_comes(service: Service) -> None:
    poll = asyncio.create_task(service.get("/updates", last_event_id="0"))
    await service.held(1)
    assert await service.publish("hello") == 1
    status, news = await soon(poll)
    assert (status, [(event["id"], event["message"]) for event in news]) == (200, [(1, "hello")])
    assert isinstance(news[0]["at"], float)


async def test_one_message_wakes_every_held_poll(service: Service) -> None:
    polls = [asyncio.create_task(service.get("/updates", last_event_id="0")) for _ in range(20)]
    await service.held(20)
    await service.publish("all")
    answers = await soon(asyncio.gather(*polls))
    assert [[event["id"] for event in news] for _, news in answers] == [[1]] * 20
    assert service.board.waiting == set()


async def test_news_after_the_cursor_is_answered_at_once_and_in_order(service: Service) -> None:
    for number in range(5):
        await service.publish(str(number))
    _, news = await service.get("/updates", last_event_id="2")
    assert [event["id"] for event in news] == [3, 4, 5]


async def test_without_a_cursor_the_recent_history_is_answered_at_once(service: Service) -> None:
    assert await service.get("/updates") == (200, [])
    for number in range(RECENT + 5):
        service.board.publish(str(number), 0.0)
    _, news = await service.get("/updates")
    assert [event["id"] for event in news] == list(range(6, RECENT + 6))


@pytest.mark.parametrize(("query", "expected"), [({}, (200, [])), ({"empty": "204"}, (204, None))])
async def test_a_hold_without_news_ends_in_no_news(
    service: Service, query: dict[str, str], expected: tuple[int, Any]
) -> None:
    assert await soon(service.get("/updates", last_event_id="0", timeout="0.01", **query)) == expected


async def test_a_service_may_say_no_news_with_204() -> None:
    runner, port = await start(make_app(hold=0.01, empty_status=204))
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        assert (await session.get("/updates?last_event_id=0")).status == 204
    await soon(runner.cleanup())


@pytest.mark.parametrize(
    "query",
    [
        {"last_event_id": "x"},
        {"last_event_id": "-1"},
        {"last_event_id": "²"},
        {"last_event_id": "9" * 5000},
        {"last_event_id": "0", "timeout": "soon"},
        {"last_event_id": "0", "timeout": "nan"},
        {"last_event_id": "0", "timeout": "-5"},
    ],
)
async def test_a_bad_question_gets_400(service: Service, query: dict[str, str]) -> None:
    status, body = await service.get("/updates", **query)
    assert status == 400
    assert "must be" in body["error"]


async def test_a_client_that_leaves_is_noticed_and_counted(service: Service) -> None:
    poll = asyncio.create_task(service.get("/updates", last_event_id="0"))
    await service.held(1)
    poll.cancel()
    await service.held(0)
    await until(lambda: service.board.counts["gone"] == 1, "the client counted as gone")
    assert await service.get("/stats") == (
        200,
        {"held": 0, "published": 0, "answered": 0, "empty": 0, "gone": 1},
    )


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", '{"message": "grüße"}'),
        ("application/x-www-form-urlencoded", "message=gr%C3%BC%C3%9Fe"),
        ("text/plain; charset=utf-8", "grüße\n"),
    ],
)
async def test_a_message_comes_as_json_form_or_text(service: Service, content_type: str, body: str) -> None:
    headers = {"Content-Type": content_type}
    async with service.session.post("/publish", data=body.encode(), headers=headers) as response:
        assert (response.status, await response.json()) == (201, {"id": 1})
    assert service.board.history[-1].message == "grüße"


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{", 400),
        ("application/json", b'["message"]', 400),
        ("application/json", b'{"message": 5}', 400),
        ("application/json", b"\xff", 400),
        ("text/plain", b"  ", 400),
        ("text/plain; charset=none-such", b"hello", 400),
        ("text/plain", b"x" * 2001, 400),
        ("text/plain", b"x" * 20_000, 413),
        ("application/x-www-form-urlencoded", b"text=hello", 400),
    ],
)
async def test_what_is_no_message_is_refused(service: Service, content_type: str, body: bytes, status: int) -> None:
    headers = {"Content-Type": content_type}
    async with service.session.post("/publish", data=body, headers=headers) as response:
        assert response.status == status
    assert service.board.newest == 0


def test_the_history_is_bounded_and_keeps_the_newest() -> None:
    board = Board(hold=1)
    for number in range(1005):
        board.publish(str(number), 0.0)
    assert (len(board.history), board.history[0].id, board.newest) == (1000, 6, 1005)
    assert len(board.after(0)) == 1000
    assert [event.id for event in board.after(1003)] == [1004, 1005]


async def test_stopping_the_service_answers_what_is_held() -> None:
    app = make_app(hold=30)
    runner, port = await start(app)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        poll = asyncio.create_task(session.get("/updates?last_event_id=0"))
        await until(lambda: len(app[BOARD].waiting) == 1, "a held poll")
        await soon(runner.cleanup())
        async with await soon(poll) as response:
            assert (response.status, await response.json()) == (200, [])


async def test_the_page_is_one_file_that_loads_nothing_from_elsewhere(service: Service) -> None:
    async with service.session.get("/") as response:
        html, policy = await response.text(), response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    nonce = policy.partition("'nonce-")[2].partition("'")[0]
    assert html.count(f'nonce="{nonce}"') == 2
    assert "{nonce}" not in html
    assert not any(sign in html for sign in ("http://", "https://", "@import", "src="))
