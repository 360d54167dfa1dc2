"""What a protocol sees of a connection is the same whether the transport is ours or a loop's own: each case runs with
asyncio's, with uvloop's, with ours on both loops, and with ours among many whose writes leave together.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import uvloop

from gateway.poller import Outbox, Poller
from gateway.sending import Sending
from gateway.transport import Transport

RESET = struct.pack("ii", 1, 0)
MUCH = bytes(range(256)) * 32 * 1024  # 8 MiB: more than a kernel takes for a peer that reads nothing


class Gathering(Outbox):
    """As if several events were told in every turn."""

    @property
    def gathers(self) -> bool:  # type: ignore[override]
        return True

    @gathers.setter
    def gathers(self, value: bool) -> None: ...

    def post(self, sender: Sending) -> None:
        super().post(sender)
        asyncio.get_running_loop().call_soon(self.send)


Box = type[Outbox] | None  # None: the transport is the loop's own
KINDS: dict[str, tuple[Callable[[], asyncio.AbstractEventLoop], Box]] = {
    "asyncio": (asyncio.new_event_loop, None),
    "uvloop": (uvloop.new_event_loop, None),
    "ours on asyncio": (asyncio.new_event_loop, Outbox),
    "ours on uvloop": (uvloop.new_event_loop, Outbox),
    "ours among many": (uvloop.new_event_loop, Gathering),
}


class Told(asyncio.Protocol):
    """Writes down all it is told."""

    def __init__(self, keeps: bool = False) -> None:
        self.keeps = keeps
        self.events: list[Any] = []
        self.data = b""
        self.lost = asyncio.get_running_loop().create_future()
        self.news = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.note("made")

    def note(self, what: Any) -> None:
        self.events.append(what)
        self.news.set()

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.news.set()

    def eof_received(self) -> bool:
        self.note("eof")
        return self.keeps

    def pause_writing(self) -> None:
        self.note("pause")

    def resume_writing(self) -> None:
        self.note("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.note(type(exc))
        self.lost.set_result(None)

    async def until(self, seen: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not seen():
                self.news.clear()
                await self.news.wait()


class Broken(Told):
    def data_received(self, data: bytes) -> None:
        raise ZeroDivisionError


@pytest.fixture(params=list(KINDS.values()), ids=list(KINDS))
def kind(request: pytest.FixtureRequest) -> tuple[Callable[[], asyncio.AbstractEventLoop], bool]:
    found: tuple[Callable[[], asyncio.AbstractEventLoop], bool] = request.param
    return found


@asynccontextmanager
async def pair(ours: Box, keeps: bool = False, kind: type[Told] = Told) -> AsyncIterator[tuple[Told, socket.socket]]:
    """A connection: a protocol on our side, a socket that blocks on the other."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = socket.create_connection(server.getsockname())
        near, _ = server.accept()
    near.setblocking(False)
    peer.settimeout(20)
    told = kind(keeps)
    poller = Poller(loop, outbox=ours()) if ours else None
    if poller is not None:
        Transport.attach(poller, near, told)
    else:
        await loop.connect_accepted_socket(lambda: told, near)
    with peer:
        yield told, peer
        if not told.lost.done():  # asyncio's own fails then
            told.transport.abort()
        await asyncio.wait_for(told.lost, 20)
    if poller is not None:
        poller.close()


def everything(peer: socket.socket) -> Iterator[bytes]:
    while data := peer.recv(1 << 20):
        yield data


def in_thread(peer: socket.socket) -> asyncio.Future[bytes]:
    return asyncio.get_running_loop().run_in_executor(None, lambda: b"".join(everything(peer)))


async def data_comes_as_it_is_sent(ours: Box) -> None:
    async with pair(ours) as (told, peer):
        sent = MUCH[:200_000]
        await asyncio.get_running_loop().run_in_executor(None, peer.sendall, sent)
        await told.until(lambda: len(told.data) == len(sent))
        assert told.data == sent and told.events == ["made"]


async def what_is_written_arrives_also_what_the_kernel_did_not_take(ours: Box) -> None:
    async with pair(ours) as (told, peer):
        told.transport.write(b"first,")
        told.transport.write(MUCH)
        assert told.events == ["made", "pause"] and told.transport.get_write_buffer_size() > 0
        told.transport.write(b"last")
        told.transport.close()
        assert told.transport.is_closing()
        assert await in_thread(peer) == b"first," + MUCH + b"last"
        await asyncio.wait_for(told.lost, 20)
        assert told.events[-1] is type(None)


async def with_a_limit_of_nothing_it_is_told_when_all_has_left(ours: Box) -> None:
    async with pair(ours) as (told, peer):
        told.transport.set_write_buffer_limits(high=0)
        told.transport.write(b"small")
        while told.transport.get_write_buffer_size():
            await asyncio.sleep(0)
        calm = [each for each in told.events if each != "made"]
        assert calm in ([], ["pause", "resume"])
        told.transport.write(MUCH)
        await told.until(lambda: told.events[-1] == "pause")
        told.transport.write_eof()
        reading = in_thread(peer)
        await told.until(lambda: told.events[-1] == "resume")
        assert told.transport.get_write_buffer_size() == 0
        assert await reading == b"small" + MUCH


async def an_end_closes_unless_the_protocol_keeps_it_open(ours: Box) -> None:
    async with pair(ours) as (told, peer):
        peer.shutdown(socket.SHUT_WR)
        await asyncio.wait_for(told.lost, 20)
        assert told.events == ["made", "eof", type(None)]
    async with pair(ours, keeps=True) as (told, peer):
        peer.sendall(b"all of it")
        peer.shutdown(socket.SHUT_WR)
        await told.until(lambda: "eof" in told.events)
        told.transport.write(b"answer")
        assert await asyncio.get_running_loop().run_in_executor(None, peer.recv, 100) == b"answer"
        assert told.data == b"all of it" and told.events == ["made", "eof"]
        told.transport.close()
        await asyncio.wait_for(told.lost, 20)


async def an_end_of_ours_comes_after_all_that_was_written(ours: Box) -> None:
    async with pair(ours) as (told, peer):
        assert told.transport.can_write_eof()
        told.transport.write(MUCH)
        told.transport.write_eof()
        with pytest.raises(RuntimeError):
            told.transport.write(b"more")
        assert await in_thread(peer) == MUCH
        peer.sendall(b"still heard")
        await told.until(lambda: told.data == b"still heard")


async def a_reset_is_told_with_its_error(ours: Box) -> None:
    async with pair(ours) as (told, peer):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        peer.close()
        await asyncio.wait_for(told.lost, 20)
        assert told.events == ["made", ConnectionResetError]


async def a_write_to_who_has_reset_ends_it_once(ours: Box) -> None:
    async with pair(ours) as (told, peer):
        told.transport.pause_reading()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        peer.close()
        told.transport.write(b"one")
        told.transport.write(b"two")
        await asyncio.wait_for(told.lost, 20)
        assert len(told.events) == 2 and issubclass(told.events[1], OSError)


async def what_is_not_read_stays_with_the_peer(ours: Box) -> None:
    async with pair(ours) as (told, peer):
        told.transport.pause_reading()
        assert not told.transport.is_reading()
        peer.sendall(b"kept back")
        await asyncio.sleep(0.05)
        assert told.data == b""
        told.transport.resume_reading()
        await told.until(lambda: told.data == b"kept back")


async def an_abort_throws_away_what_is_unsent(ours: Box) -> None:
    async with pair(ours) as (told, peer):
        told.transport.write(MUCH)
        told.transport.abort()
        told.transport.abort()
        told.transport.close()
        await asyncio.wait_for(told.lost, 20)
        try:
            assert len(await in_thread(peer)) < len(MUCH)
        except ConnectionResetError:
            pass
        assert told.events[-1] is type(None) and told.events.count(type(None)) == 1


async def another_protocol_may_take_over(ours: Box) -> None:
    async with pair(ours) as (told, peer):
        other = Told()
        told.transport.set_protocol(other)
        assert told.transport.get_protocol() is other
        peer.sendall(b"for the other")
        await other.until(lambda: other.data == b"for the other")
        told.transport.set_protocol(told)


async def options_of_its_socket_can_be_set(ours: Box) -> None:
    async with pair(ours) as (told, peer):
        sock = told.transport.get_extra_info("socket")
        assert sock.family == socket.AF_INET and sock.fileno() > 0
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        told.transport.abort()
        await asyncio.wait_for(told.lost, 20)
        with pytest.raises(ConnectionResetError):
            peer.recv(1)


async def a_protocol_that_fails_loses_its_connection_and_nobody_elses(ours: Box) -> None:
    loop, said = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda loop, context: said.append(context["exception"]))
    async with pair(ours, kind=Broken) as (told, peer):
        peer.sendall(b"x")
        await asyncio.wait_for(told.lost, 20)
        assert [type(each) for each in said] == [ZeroDivisionError]


CASES = [
    data_comes_as_it_is_sent,
    what_is_written_arrives_also_what_the_kernel_did_not_take,
    with_a_limit_of_nothing_it_is_told_when_all_has_left,
    an_end_closes_unless_the_protocol_keeps_it_open,
    an_end_of_ours_comes_after_all_that_was_written,
    a_reset_is_told_with_its_error,
    a_write_to_who_has_reset_ends_it_once,
    what_is_not_read_stays_with_the_peer,
    an_abort_throws_away_what_is_unsent,
    another_protocol_may_take_over,
    options_of_its_socket_can_be_set,
    a_protocol_that_fails_loses_its_connection_and_nobody_elses,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_transport_does_as_the_loops_own(
    case: Callable[[bool], Any], kind: tuple[Callable[[], asyncio.AbstractEventLoop], bool]
) -> None:
    factory, ours = kind
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(case(ours))
