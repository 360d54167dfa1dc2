"""python-telegram-bot with a gateway process between it and a Bot API server: holds as the bot asked, the newest poll
wins, and every refusal is one that the library understands.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from telegram import Bot, Update
from telegram.error import Conflict, InvalidToken, RetryAfter, TelegramError
from telegram.ext import Application, ApplicationBuilder, MessageHandler
from telegram.request import HTTPXRequest

from tests.kit.gateways import SIGNED_IN, Process, Record, gateway_process, process_config, route, token
from tests.kit.strict import Message
from tests.kit.waiting import until

from .bot_api import BotQueue, serving
from .tap import Tap

ITEMS = 20
BOT = "4839574812:AAFD39kkdpWt3ywyRZergyOLMaJhac60qcA"
SHORT, LONG = 1, 30  # timeouts of a poll, seconds: one that a test can see pass, one that it never will
PLACES = 'from = ["header:Authorization", "cookie:token", "path:pass"]\n'


def before(tap: Tap, more: str = "", server: str = "") -> str:
    """Signed in by a header or cookie, or by a first part of the path, which goes no further than the gateway."""
    policies = ["telegram-getupdates", "signed-in"] + ["calm"] * bool(more)
    routes = route("bot", "/bot{token}/{method}", policies)
    routes += route("passed", "/{pass}/bot{token}/{method}", policies, extra='rewrite = "/bot{token}/{method}"\n')
    more += SIGNED_IN.replace("[policy.", PLACES + "[policy.", 1)
    return process_config(tap.port, more=more, routes=routes, server=server)


def request(where: str, ttl: float = 3600) -> HTTPXRequest:
    """The library's own HTTP client, with the token in a header or a cookie where it can send one."""
    headers = {"Authorization": f"Bearer {token(ttl=ttl)}"} if where == "header" else {}
    cookies = {"token": token(ttl=ttl)} if where == "cookie" else {}
    return HTTPXRequest(httpx_kwargs={"headers": headers, "cookies": cookies, "trust_env": False})


def url(gw: Process, where: str) -> str:
    return f"http://127.0.0.1:{gw.port}" + (f"/{token()}" if where == "path" else "") + "/bot"


class Chat:
    """A bot at work: the texts it got, and the errors its library told it."""

    def __init__(self, gw: Process, where: str) -> None:
        self.texts: list[str] = []
        self.errors: list[TelegramError] = []
        build = ApplicationBuilder().token(BOT).base_url(url(gw, where)).job_queue(None)
        build = build.request(request(where)).get_updates_request(request(where))
        self.app: Application[Any, Any, Any, Any, Any, Any] = build.build()
        self.app.add_handler(MessageHandler(None, self.got))

    async def got(self, update: Update, _: object) -> None:
        assert update.message is not None and update.message.text is not None
        self.texts.append(update.message.text)

    async def start(self, timeout: int) -> None:
        assert self.app.updater is not None
        await self.app.updater.start_polling(0, timeout=timeout, error_callback=self.errors.append)


@contextlib.asynccontextmanager
async def chatting(gw: Process, timeout: int, where: str = "header") -> AsyncIterator[Chat]:
    chat = Chat(gw, where)
    async with chat.app:
        await chat.app.start()
        await chat.start(timeout)
        try:
            yield chat
        finally:
            assert chat.app.updater is not None
            if chat.app.updater.running:
                await chat.app.updater.stop()
            await chat.app.stop()


@contextlib.asynccontextmanager
async def caller(gw: Process, where: str = "header", ttl: float = 3600) -> AsyncIterator[Bot]:
    """A bot that polls only when it is told to."""
    bot = Bot(BOT, url(gw, where), request=request(where), get_updates_request=request(where, ttl))
    async with bot:
        yield bot


def is_poll(message: Message) -> bool:
    return "/getUpdates" in message.target


async def held(tap: Tap) -> None:
    await until(lambda: tap.holds(is_poll) == 1, "a poll at the server")


def polls(gw: Process, outcome: str) -> list[Record]:
    return [one for one in gw.sync_records(0) if "dialect" in one and one["outcome"] == outcome]


async def test_an_idle_poll_is_held_as_long_as_the_bot_asked(tmp_path: Path) -> None:
    async with serving(BOT) as (api, tap):
        with gateway_process(before(tap), tmp_path) as gw:
            async with chatting(gw, SHORT) as chat:
                await until(lambda: len(polls(gw, "empty")) >= 2, "two empty polls")
                assert not chat.errors
            idle = polls(gw, "empty")
    assert set(api.bots[BOT].timeouts) == {0.0, SHORT}  # 0: what the library asks when it starts and stops
    assert {(record["hold_asked"], record["hold_granted"]) for record in idle} == {(SHORT, SHORT)}
    assert min(record["held"] for record in idle) >= SHORT * 0.9


@pytest.mark.parametrize("where", ["header", "cookie", "path"])
async def test_twenty_messages_arrive_once_each_and_long_before_the_hold_would_end(tmp_path: Path, where: str) -> None:
    async with serving(BOT) as (api, tap):
        with gateway_process(before(tap), tmp_path) as gw:
            queue: BotQueue = api.bots[BOT]
            async with chatting(gw, LONG, where) as chat:
                for item in range(ITEMS):
                    await held(tap)
                    queue.publish(str(item))
                    await until(lambda item=item: len(chat.texts) > item, f"item {item}")  # type: ignore[misc]
                for item in range(ITEMS, 2 * ITEMS):
                    queue.publish(str(item))
                await until(lambda: len(chat.texts) >= 2 * ITEMS, "the burst")
                assert chat.texts == [str(item) for item in range(2 * ITEMS)]
                assert not chat.errors
            news = await until(lambda: len(found := polls(gw, "news")) >= ITEMS and found, "their records")
    assert max(record["held"] for record in news) < LONG / 2
    assert {record.get("consumer") for record in news} == {"alice"}
    assert BOT not in (gw.log.read_text("utf-8") + gw.output.read_text("utf-8", "replace"))
    assert not [one for one in tap.requests if token().split(".")[0] in one.target + str(one.headers)]


async def test_a_bot_that_stops_is_noticed_by_the_server_at_once(tmp_path: Path) -> None:
    async with serving(BOT) as (_, tap):
        with gateway_process(before(tap), tmp_path) as gw:
            async with chatting(gw, LONG):
                await held(tap)
            assert [one for one in tap.left if is_poll(one)]
            (record,) = await until(lambda: polls(gw, "client_gone"), "its record")
            assert (record["hold_asked"], record["blame"]) == (LONG, "downstream")


async def test_of_two_bots_with_one_token_the_older_is_told_of_the_conflict(tmp_path: Path) -> None:
    async with serving(BOT) as (api, tap):
        with gateway_process(before(tap), tmp_path) as gw:
            async with chatting(gw, LONG) as older, caller(gw) as newer:
                await held(tap)
                with contextlib.suppress(Conflict):  # the older one comes back after a second
                    await newer.get_updates(timeout=SHORT)
                assert isinstance(older.errors[0], Conflict)
                api.bots[BOT].publish("still alive")
                await until(lambda: older.texts == ["still alive"], "the older one goes on")
            assert polls(gw, "superseded")


async def test_a_bot_that_asks_too_often_reads_when_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PTB_TIMEDELTA", "true")
    limit = '[[policy.calm.rate_limit]]\nrate = "1/min"\nburst = 2\nper = "consumer"\n'  # getMe comes first
    async with serving(BOT) as (_, tap):
        with gateway_process(before(tap, limit), tmp_path) as gw:
            async with caller(gw) as bot:
                assert await bot.get_updates(timeout=0) == ()
                with pytest.raises(RetryAfter) as refused:
                    await bot.get_updates(timeout=LONG)
            assert timedelta(seconds=30) <= refused.value.retry_after <= timedelta(minutes=2)
            assert tap.count(is_poll) == 1


async def test_a_token_that_has_expired_is_told_in_the_bots_words(tmp_path: Path) -> None:
    async with serving(BOT) as (_, tap):
        with gateway_process(before(tap), tmp_path) as gw:
            async with caller(gw, ttl=-60) as bot:
                with pytest.raises(InvalidToken):
                    await bot.get_updates(timeout=LONG)
            assert not tap.count(is_poll)


async def test_a_poll_that_is_held_when_the_gateway_stops_is_told_there_is_nothing(tmp_path: Path) -> None:
    async with serving(BOT) as (_, tap):
        with gateway_process(before(tap, server='drain = "500ms"\nstop_grace = "5s"'), tmp_path) as gw:
            async with chatting(gw, LONG) as chat:
                await held(tap)
                gw.terminate()
                assert await gw.exit_code() == 0
                assert not [error for error in chat.errors if isinstance(error, Conflict)]
            assert polls(gw, "drained")
