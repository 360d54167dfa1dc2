"""An upstream that cannot bear two polls of one session, and gateways with a rule for that. It reads what comes in the
order in which it came: a connection that was closed before a poll was sent is not there any more.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from .gateways import InProcess, config, gateway, hold, route
from .raw import RawClient, client, get
from .strict import Message
from .upstreams import HoldingUpstream, Step
from .waiting import until

LOSER = '{ status = 409, headers = { Content-Type = "application/json" }, body = \'{"ok":false}\' }'
ASK = '[{ in = "query", name = "ms", unit = "ms" }]'
NEWEST, OLDEST, FATAL = "newest-wins", "oldest-wins", "session-fatal"


def sid(request: Message) -> str:
    return request.target.partition("sid=")[2].partition("&")[0]


class Jealous(HoldingUpstream):
    """Holds what it gets; `together` says how many of a session were there at once at most."""

    def __init__(self) -> None:
        super().__init__()
        self.together = 0

    def _hold(self, request: Message) -> Sequence[Step]:
        there = [peer for peer in self.peers if peer.live and peer.playing and sid(peer.requests[-1]) == sid(request)]
        self.together = max(self.together, len(there))
        return super()._hold(request)


def poll(rule: str, **values: object) -> str:
    never = {"replay": '"session"', "empty": '{ answer = "never" }'} if rule == FATAL else {}
    return hold(key='"query:sid"', concurrency=f'"{rule}"', loser=LOSER, **{**never, **values})


@contextlib.asynccontextmanager
async def two(
    up: HoldingUpstream, folder: Path, rule: str, server: str = "", upstream: str = "", **values: object
) -> AsyncIterator[tuple[InProcess, RawClient, RawClient]]:
    """A gateway under one rule, and two clients."""
    text = config(up.port, more=poll(rule, **values), routes=route(policies=["poll"]), server=server, upstream=upstream)
    async with gateway(text, folder) as gw, client(gw.port) as first, client(gw.port) as second:
        yield gw, first, second


def lost(found: Message) -> bool:
    return (found.status, bytes(found.body), found.one("Content-Type")) == (409, b'{"ok":false}', "application/json")


async def at_hand(up: HoldingUpstream, *clients: RawClient) -> None:
    """Leaves an idle connection to the upstream for each client: what goes on next need not connect first."""
    before = len(up.requests)
    for number, one in enumerate(clients):
        await one.send(get(f"/?sid=warm-{number}"))
    await until(lambda: len(up.requests) == before + len(clients) and up.held == len(clients))
    up.publish()
    for one in clients:
        await one.read_answer()
