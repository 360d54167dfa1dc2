"""Connections being made. A task lives only while it connects, and only so many connect at once to one endpoint: a
crowd that arrives together is let in at the pace at which the endpoint accepts, and costs no memory it keeps.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.clock import Timers
from gateway.parse import Parsers
from gateway.sockets import VANISHED_AFTER, family_of, tune
from gateway.transport import Transport
from gateway.upstream.http1 import UpstreamConnection

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.poller import Poller
    from gateway.upstream.endpoint import Endpoint

AT_ONCE = 128  # connections being made to one endpoint
GOODBYE = 2.0  # seconds an endpoint has to answer the end of TLS


class Dial:
    """Stands in `call.up` until there is a connection. `tried` are the endpoints asked so far, the present one last."""

    __slots__ = ("_dialer", "call", "cancelled", "since", "task", "tried")

    def __init__(self, dialer: Dialer, call: Call, tried: tuple[Endpoint, ...], since: float) -> None:
        self.call = call
        self.since = since  # loop seconds
        self.tried = tried
        self.task: asyncio.Task[None] | None = None
        self.cancelled = False
        self._dialer = dialer

    @property
    def endpoint(self) -> Endpoint:
        return self.tried[-1]

    def cancel(self) -> None:
        self.cancelled = True
        if self.task is not None:
            self.task.cancel()

    def pause(self) -> None:
        """Nothing is read yet."""

    def resume(self) -> None:
        """Nothing was paused."""

    def upload(self, data: bytes, ended: bool) -> None:
        raise AssertionError("a body is read only once its head is sent")


class Dialer:
    """Makes connections. `connected` gets a dial and its connection, `failed` a dial and why there is none; neither is
    called for a dial that was cancelled."""

    __slots__ = (
        "_connected", "_endpoints", "_failed", "_loop", "_parsers", "_poller", "_timers", "_vanished_after",
        "most_open",
    )  # fmt: skip

    def __init__(
        self, loop: asyncio.AbstractEventLoop, parsers: Parsers, timers: Timers,
        connected: Callable[[Dial, UpstreamConnection], None], failed: Callable[[Dial, OSError | UnicodeError], None],
        vanished_after: float = VANISHED_AFTER, poller: Poller | None = None,
    ) -> None:  # fmt: skip
        self._loop = loop
        self._parsers = parsers
        self._poller = poller  # of plain connections; None: they are the loop's
        self._timers = timers
        self._connected = connected
        self._failed = failed
        self._endpoints: set[Endpoint] = set()  # that were dialled
        self.most_open = sys.maxsize
        self._vanished_after = vanished_after

    def dial(self, call: Call, tried: tuple[Endpoint, ...]) -> Dial:
        """Begins to connect to the last of `tried`, now or when it is this dial's turn."""
        dial = Dial(self, call, tried, self._timers.now())
        if dial.endpoint.dialing < AT_ONCE:
            self._begin(dial)
        else:
            dial.endpoint.waiting.append(dial)
        return dial

    def _begin(self, dial: Dial) -> None:
        endpoint = dial.endpoint
        self._spare(endpoint)
        endpoint.dialing += 1
        dial.task = self._loop.create_task(self._connect(dial))
        dial.task.add_done_callback(lambda _: self._done(endpoint))

    def _spare(self, wanted: Endpoint) -> None:
        """Closes the oldest idle connection where there are most, when a new one would be one too many."""
        self._endpoints = {each for each in self._endpoints if each.open or each.most_idle} | {wanted}
        if sum(each.open + each.dialing for each in self._endpoints) >= self.most_open:
            fullest = max(self._endpoints, key=lambda each: len(each.idle))
            if fullest.idle:
                fullest.idle.popleft().close()

    async def _connect(self, dial: Dial) -> None:
        endpoint = dial.endpoint
        connection = UpstreamConnection(endpoint, self._parsers, self._timers)
        try:
            await self._reach(endpoint, connection)
        except (OSError, UnicodeError) as error:  # a name that is no host name is a UnicodeError
            if not dial.cancelled:
                self._failed(dial, error)
        except asyncio.CancelledError:
            connection.close()  # it may have been made in the very turn that cancelled us
            raise
        else:
            dial.task = None
            self._take(dial, connection)

    async def _reach(self, endpoint: Endpoint, connection: UpstreamConnection) -> None:
        """Connects at the first of its places, or where that does not let us at the next: a service may listen on one
        of IPv4 and IPv6 only while its name has both. Where none does the first says why, for there may be no IPv6."""
        failures = []
        for place in endpoint.places:
            try:
                await self._open(endpoint, place, connection)
                return
            except ssl.SSLError:
                raise  # somebody is there, and is not who he should be
            except OSError as error:
                failures.append(error)
        try:
            raise failures[0]
        finally:
            failures.clear()  # an error that holds its own frame is a circle

    async def _open(self, endpoint: Endpoint, place: str, connection: UpstreamConnection) -> None:
        secure = endpoint.tls is not None
        if self._poller is not None and not secure and (family := family_of(place)) is not None:
            await self._open_plain(self._poller, family, place, endpoint.port, connection)
            return
        await self._loop.create_connection(
            lambda: connection,
            place,
            endpoint.port,
            ssl=endpoint.tls,
            server_hostname=(endpoint.server_name or endpoint.host) if secure else None,
            ssl_shutdown_timeout=GOODBYE if secure else None,
        )
        assert connection.transport is not None
        raw = connection.transport.get_extra_info("socket")
        if raw is not None:
            tune(raw, self._vanished_after)

    async def _open_plain(
        self, poller: Poller, family: socket.AddressFamily, place: str, port: int, connection: UpstreamConnection
    ) -> None:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            await self._loop.sock_connect(sock, (place, port))
            tune(sock, self._vanished_after)
        except BaseException:
            sock.close()
            raise
        Transport.attach(poller, sock, connection)

    def _take(self, dial: Dial, connection: UpstreamConnection) -> None:
        if dial.cancelled:
            connection.close()
            return
        self._connected(dial, connection)

    def _done(self, endpoint: Endpoint) -> None:
        """A callback of the task: it also runs for one that was cancelled before its first step."""
        endpoint.dialing -= 1
        while endpoint.waiting and endpoint.dialing < AT_ONCE:
            dial = endpoint.waiting.popleft()
            if not dial.cancelled:
                self._begin(dial)
