"""Room for new connections to upstreams: when they are as many as there may be, an idle one is given up, of those that
rest longest where most rest. The endpoint dialled is real; idle connections are stand-ins.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

from gateway.clock import Timers
from gateway.parse import Parsers
from gateway.upstream.balance import Upstream
from gateway.upstream.dial import Dial, Dialer
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.http1 import UpstreamConnection
from tests.kit.waiting import until


class Idle:
    """An idle connection."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Dialling:
    """A Dialer, and the connections it made."""

    def __init__(self, port: int, most: int) -> None:
        loop = asyncio.get_running_loop()
        self.made: list[UpstreamConnection] = []
        self.dialer = Dialer(loop, Parsers(loop), Timers(loop), self._connected, self._failed)
        self.dialer.most_open = most
        self._port = port

    def _connected(self, dial: Dial, connection: UpstreamConnection) -> None:
        self.made.append(connection)

    def _failed(self, dial: Dial, error: OSError | UnicodeError) -> None:
        raise error

    def endpoint(self, idle: int) -> tuple[Endpoint, list[Idle]]:
        """An endpoint that was dialled before, and the connections to it that rest, the oldest first."""
        made, resting = Endpoint(Upstream("up"), "127.0.0.1", self._port), [Idle() for _ in range(idle)]
        made.idle.extend(cast(Any, resting))
        made.open = idle
        self.dialer._endpoints.add(made)
        return made, resting

    def dial(self, endpoint: Endpoint) -> None:
        self.dialer.dial(cast(Any, None), (endpoint,))


@contextlib.asynccontextmanager
async def dialling(most: int) -> AsyncIterator[Dialling]:
    server = await asyncio.start_server(lambda _, writer: None, "127.0.0.1", 0)
    found = Dialling(server.sockets[0].getsockname()[1], most)
    try:
        yield found
    finally:
        for connection in found.made:
            connection.cancel()
        server.close()


async def test_while_there_is_room_nothing_is_given_up() -> None:
    async with dialling(3) as on:
        endpoint, idle = on.endpoint(2)
        on.dial(endpoint)
        await until(lambda: on.made)
        assert [one.closed for one in idle] == [False, False]
        assert (endpoint.open, endpoint.dialing) == (3, 0)


async def test_connections_that_are_being_made_count() -> None:
    async with dialling(3) as on:
        endpoint, idle = on.endpoint(2)
        on.dial(endpoint)
        on.dial(endpoint)
        assert [one.closed for one in idle] == [True, False], "the one that rests longest"
        await until(lambda: len(on.made) == 2)


async def test_it_is_taken_from_where_most_rest() -> None:
    async with dialling(4) as on:
        (wanted, own), (_, others) = on.endpoint(1), on.endpoint(3)
        on.dial(wanted)
        assert [one.closed for one in (*own, *others)] == [False, True, False, False]
        await until(lambda: on.made)


async def test_where_nothing_rests_nothing_is_given_up_and_the_new_one_is_made_all_the_same() -> None:
    async with dialling(1) as on:
        endpoint, _ = on.endpoint(0)
        endpoint.open = 5
        on.dial(endpoint)
        await until(lambda: on.made)


async def test_an_endpoint_that_is_gone_counts_until_its_last_connection_is() -> None:
    async with dialling(3) as on:
        (wanted, idle), (gone, _) = on.endpoint(2), on.endpoint(0)
        gone.retire()
        gone.open = 1  # it carries a call
        on.dial(wanted)
        assert [one.closed for one in idle] == [True, False]
        gone.open = 0
        on.dial(wanted)
        assert gone not in on.dialer._endpoints, "nothing keeps it"
        await until(lambda: len(on.made) == 2)
