"""One connection to a Redis server. redis-py opens it (TLS, the user, the database); from there on it is a plain
protocol: commands go out as they come, answers come back in order, and what others say comes between.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import hiredis
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.config.states import StateUrl
from gateway.state.redis_errors import LostError

LOOK_AGAIN = 0.005  # seconds: an answer may lie unread because it is this process that was busy
NOTHING = object()  # no whole answer has come yet
MOST_UNREAD = 4 * 1024 * 1024  # bytes that wait to be sent: then the server is gone, as far as we are concerned

Reply = Any  # bytes, a list, a number, or a hiredis.ReplyError as a value
Told = Callable[[Reply], None]


@dataclass(frozen=True, slots=True)
class Where:
    """A server, and how one gets in."""

    url: StateUrl
    user: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None  # made once: that takes longer than a loop may wait

    def connection(self, timeout: float) -> _Opening:
        """Not opened yet; its own retries are off."""
        words: dict[str, Any] = {
            "host": self.url.host, "port": self.url.port, "db": self.url.database, "username": self.user,
            "password": self.password, "protocol": 3, "socket_timeout": None, "socket_connect_timeout": timeout,
            "retry": Retry(NoBackoff(), 0),
        }  # fmt: skip
        return _Opening(self.tls, **words)


class _Opening(Connection):
    """Hands its streams on once they are open."""

    def __init__(self, tls: ssl.SSLContext | None, **words: Any) -> None:
        super().__init__(**words)
        self._tls = tls

    def _connection_arguments(self) -> dict[str, Any]:
        return {"host": self.host, "port": self.port, "ssl": self._tls}

    def give(self) -> asyncio.StreamWriter:
        writer: asyncio.StreamWriter | None = self._writer
        assert writer is not None
        self._reader = self._writer = None
        return writer


class _Exchange:
    """A command that is not answered yet."""

    __slots__ = ("doubted", "missed", "sent", "told")

    def __init__(self, told: Told, missed: Callable[[], None] | None, sent: float) -> None:
        self.told = told
        self.missed = missed  # is told once if the answer is overdue
        self.sent = sent
        self.doubted = False


def _settle(answer: asyncio.Future[Reply], reply: Reply) -> None:
    if not answer.done():  # who asked may have given up
        answer.set_result(reply)


class Session(asyncio.Protocol):
    """`budget` seconds are given to each answer that somebody waits for, and `patience` to any; then the connection is
    given up. `heard` gets what others say, `lost` is told once why the connection is over."""

    def __init__(self, budget: float, patience: float, heard: Callable[[bytes], None],
                 lost: Callable[[Session, Exception], None]) -> None:  # fmt: skip
        self._loop = asyncio.get_running_loop()
        self._budget = budget - LOOK_AGAIN
        self._patience = patience
        self._heard = heard
        self._lost = lost
        self._reader = hiredis.Reader(notEnoughData=NOTHING)
        self._open: deque[_Exchange] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._writer: asyncio.StreamWriter | None = None  # kept: it would close what it wrote to
        self._transport: asyncio.Transport | None = None
        self.over = False

    async def connect(self, where: Where, timeout: float) -> None:
        """Raises RedisError, OSError or TimeoutError."""
        connection = where.connection(timeout)
        try:
            async with asyncio.timeout(timeout):
                await connection.connect()  # type: ignore[no-untyped-call]
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._writer = connection.give()
        self._transport = cast("asyncio.Transport", self._writer.transport)
        self._transport.set_protocol(self)

    def send(self, command: bytes, told: Told, missed: Callable[[], None] | None = None) -> None:
        """`told` gets the answer, or a LostError."""
        transport = self._transport
        if self.over or transport is None:
            told(LostError("the connection is gone"))
            return
        self._open.append(_Exchange(told, missed, self._loop.time()))
        if self._timer is None:
            self._timer = self._loop.call_later(self._budget, self._look)
        transport.write(command)
        if transport.get_write_buffer_size() > MOST_UNREAD:
            self.end(LostError("it takes in nothing any more"))

    async def ask(self, command: bytes) -> Reply:
        """The answer. Raises LostError, hiredis.ReplyError."""
        answer: asyncio.Future[Reply] = self._loop.create_future()
        self.send(command, partial(_settle, answer))
        reply = await answer
        if isinstance(reply, Exception):
            raise reply
        return reply

    def end(self, error: Exception) -> None:
        """Gives the connection up: whoever waits for an answer is told so."""
        if self.over:
            return
        self.over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        waiting, self._open = self._open, deque()
        for exchange in waiting:
            exchange.told(error)
        self._lost(self, error)

    def _look(self) -> None:
        """Whether an answer is overdue."""
        self._timer = None
        now, again = self._loop.time(), self._patience
        if self._open and now - self._open[0].sent >= self._patience:
            self.end(LostError("timeout"))
            return
        for exchange in self._open:
            age = now - exchange.sent
            if age < self._budget:
                again = min(again, self._budget - age)
                break
            if exchange.missed is not None:
                if exchange.doubted:
                    missed, exchange.missed = exchange.missed, None
                    missed()
                exchange.doubted = True
                again = LOOK_AGAIN
        if self._open and not self.over:
            self._timer = self._loop.call_later(min(again, self._patience - (now - self._open[0].sent)), self._look)

    # -- the protocol --------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        try:
            reader.feed(data)
            while not self.over and (reply := reader.gets()) is not NOTHING:
                self._take(reply)
        except hiredis.ProtocolError as error:
            self.end(error)

    def _take(self, reply: Reply) -> None:
        if isinstance(reply, hiredis.PushNotification):
            if reply[0] == b"message":
                self._heard(reply[2])
            elif self._open:
                self._open.popleft().told(reply)  # it has begun to tell us
        elif self._open:
            self._open.popleft().told(reply)
        else:
            self.end(ValueError("it answers what nobody asked"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(LostError(f"connection lost: {exc}" if exc is not None else "it closed the connection"))

    def eof_received(self) -> None:
        """Then it closes."""
