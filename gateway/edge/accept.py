"""Taking connections off a listening socket, as many as there is room for. Who comes beyond that is told so and sent
away, a few at a time, or waits in the kernel's queue: what is parked is never disturbed by a crowd at the door.
"""

from __future__ import annotations

import asyncio
import errno
import random
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from gateway import refusals
from gateway.edge.announced import announced
from gateway.edge.answer import answer_bytes
from gateway.edge.http1 import LINGER, Downstream
from gateway.edge.proxy_header import BadHeaderError
from gateway.edge.room import AWAY, Shed
from gateway.edge.seal import seal
from gateway.edge.tls import Introduced
from gateway.networks import within
from gateway.pipeline import Refusal
from gateway.problem import render
from gateway.transport import Transport
from gateway.upstream import failure

if TYPE_CHECKING:
    from gateway.edge.edge import Edge

BATCH = 64  # connections taken in one turn of the loop
SHARED_BATCH = 1  # the same where other processes take them off the same socket
TURN = 0.005  # seconds for which those have the first turn when this process has more connections than they
PAUSE = 0.2  # seconds until the next try when the system had no descriptor for another connection
_STARVED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_NO_CERTIFICATE = frozenset({"PEER_DID_NOT_RETURN_A_CERTIFICATE", "CERTIFICATE_VERIFY_FAILED"})
_WORDS: dict[Shed, Refusal] = {Shed.CONNECTIONS: failure.NO_ROOM, Shed.ADDRESS: refusals.TOO_MANY_CONNECTIONS}


class Acceptor:
    """One listening socket. `tls` None means plain HTTP; it may become another while it listens. At most `batch`
    connections are taken in one turn."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, edge: Edge, sock: socket.socket, tls: ssl.SSLContext | None = None,
        batch: int = BATCH,
    ) -> None:  # fmt: skip
        self._loop = loop
        self._edge = edge
        self._sock = sock
        self._batch = batch
        self.tls = tls
        self._scheme = "https" if tls is not None else "http"
        self._tasks: set[asyncio.Task[None]] = set()
        self._later: asyncio.TimerHandle | None = None
        self._reading = False
        self.resume()

    def resume(self) -> None:
        """Takes connections (again)."""
        self._later = None
        if not self._reading and self._sock.fileno() >= 0:
            self._reading = True
            self._loop.add_reader(self._sock, self._ready)

    def _pause(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._sock)

    def close(self, taking: bool = True, last: bool = False) -> None:
        """Stops listening. Who is in the kernel's queue by now is still taken: it was told that it is connected. Not
        where another process takes it. `last`: nobody will ever listen on this socket again."""
        if self._sock.fileno() < 0:
            return
        self._pause()
        if taking and last:
            seal(self._sock)
        while taking and self._take_batch(BATCH) == BATCH:
            pass
        self._sock.close()  # nothing comes between: where it could not be sealed, who joins the queue here is lost
        if self._later is not None:
            self._later.cancel()

    def abort(self) -> None:
        """Stops now, handshakes included."""
        self._pause()
        self._sock.close()
        for task in self._tasks:
            task.cancel()

    def _ready(self) -> None:
        if self._edge.room.ahead:
            self._pause()
            self._later = self._loop.call_later(TURN, self._after_turn)
        else:
            self._take_batch(self._batch)

    def _after_turn(self) -> None:
        """Whoever is still in the queue had no other to take them."""
        self.resume()
        self._take_batch(BATCH)

    def _take_batch(self, most: int) -> int:
        """How many were taken; fewer than `most` when nobody is left in the queue or there is no room."""
        for taken in range(most):
            if self._edge.room.shut:
                self._pause()
                self._edge.room.when_open(self.resume)
                return taken
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return taken
            except OSError as error:
                if error.errno in _STARVED:
                    self._starved()
                    return taken
                continue  # an error of the connection that was waiting, not of ours (accept(2))
            sock.setblocking(False)
            self._let_in(sock, address[0] if isinstance(address, tuple) else "")
        return most

    def _starved(self) -> None:
        """The system has none left although we planned with what it promised: others share it (ENFILE)."""
        self._edge.turned_away(Shed.DESCRIPTORS)
        self._pause()
        self._later = self._loop.call_later(PAUSE, self.resume)

    def _let_in(self, sock: socket.socket, peer: str) -> None:
        """`peer` is empty on a unix socket: whoever may open its file may also say whose connection it is."""
        edge = self._edge
        proxied = edge.limits.proxy_protocol
        if proxied and peer and not within(peer, edge.serve.snapshot.trusted):
            edge.turned_away(Shed.NO_PROXY, peer)
            sock.close()
            return
        shed = edge.room.enter(peer)
        if shed is not None:
            self._send_away(sock, peer, shed, proxied)
        elif proxied:
            self._run(self._announce(sock, peer))
        elif edge.poller is not None and self.tls is None:
            Transport.attach(edge.poller, sock, Downstream(edge, self._scheme, peer))
        else:
            self._run(self._accept(sock, peer))

    def _send_away(self, sock: socket.socket, peer: str, shed: Shed, proxied: bool) -> None:
        """`proxied`: a PROXY header is still to come."""
        room = self._edge.room
        self._edge.turned_away(shed)
        if room.away < AWAY:
            room.turn_away(ended=False)
            self._run(self._turn_away(sock, peer, shed, proxied))
        else:
            sock.close()  # so many of one address that they are not even told

    def _run(self, work: asyncio._CoroutineLike[None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _announce(self, sock: socket.socket, proxy: str) -> None:
        """From here on the connection is that of the client the proxy names."""
        room = self._edge.room
        client = await self._client(sock, proxy)
        shed = room.rename(proxy, client) if client is not None else None
        if client is None or shed is not None:
            room.leave(proxy)
        if shed is not None:
            self._send_away(sock, proxy, shed, proxied=False)
        elif client is not None:
            await self._accept(sock, client)

    async def _client(self, sock: socket.socket, proxy: str) -> str | None:
        """Who connects: whom the header names, or the proxy itself. None: there is no header, so it was closed."""
        try:
            client = await announced(self._loop, sock, self._edge.limits.header_timeout)
            return proxy if client is None else client
        except BadHeaderError as error:
            self._edge.turned_away(Shed.PROXY_HEADER, proxy, str(error))
        except (OSError, asyncio.CancelledError):  # NobodyError is one: a port that was looked at is nothing to tell
            pass
        sock.close()
        return None

    async def _accept(self, sock: socket.socket, peer: str) -> None:
        asked = self.tls is not None and self.tls.verify_mode is not ssl.CERT_NONE
        kind = Introduced if asked else Downstream
        if not await self._serve(sock, peer, lambda: kind(self._edge, self._scheme, peer)):
            self._edge.room.leave(peer)

    async def _turn_away(self, sock: socket.socket, peer: str, shed: Shed, proxied: bool) -> None:
        there = not proxied or await self._client(sock, peer) is not None
        if not there or not await self._serve(sock, peer, lambda: Away(self._edge, _WORDS[shed])):
            self._edge.room.turn_away(ended=True)

    async def _serve(self, sock: socket.socket, peer: str, factory: Callable[[], asyncio.Protocol]) -> bool:
        """Whether a connection came about: a TLS handshake may fail, or the client may have left already."""
        if self._edge.poller is not None and self.tls is None:
            Transport.attach(self._edge.poller, sock, factory())
            return True
        timeout = self._edge.limits.header_timeout if self.tls is not None else None
        try:
            await self._loop.connect_accepted_socket(factory, sock, ssl=self.tls, ssl_handshake_timeout=timeout)
        except (OSError, asyncio.CancelledError) as error:  # ssl.SSLError and TimeoutError are of them
            sock.close()
            if isinstance(error, ssl.SSLError) and error.reason in _NO_CERTIFICATE:
                self._edge.turned_away(Shed.CERTIFICATE, peer, _said(error))
            return False
        return True


def _said(error: ssl.SSLError) -> str:
    """What is wrong with a client's certificate, as OpenSSL puts it."""
    return error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else "it showed none"


class Away(asyncio.Protocol):
    """A connection there is no room for: told so, and given a moment to hear it (RFC 9112 9.6)."""

    def __init__(self, edge: Edge, words: Refusal) -> None:
        self._edge = edge
        self._words = words
        self._handle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)
        words = replace(self._words, retry_after=1 + int(9 * random.random()))
        headers, body = render(words)
        transport.write(answer_bytes(words.status, headers, body, "", 1, keep=False))
        if transport.can_write_eof():
            try:
                transport.write_eof()
            except OSError:
                pass  # the client left in the queue; its end is still to come
        self._handle = asyncio.get_running_loop().call_later(LINGER, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._edge.room.turn_away(ended=True)
