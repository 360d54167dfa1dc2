"""Gateways with limits and caps, and the callers that run into them."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

from .gateways import SIGNED_IN, InProcess, bearer, config, gateway, route
from .raw import RawClient, client, get
from .strict import Message
from .upstreams import HoldingUpstream, ScriptedUpstream
from .waiting import until


def limit(rate: str = "1/hour", **more: str) -> str:
    lines = "".join(f"{key} = {value}\n" for key, value in more.items())
    return f'[[policy.limits.rate_limit]]\nrate = "{rate}"\n{lines}'


def cap(kind: str = "hold_cap", most: int = 1, **more: str) -> str:
    lines = "".join(f"{key} = {value}\n" for key, value in more.items())
    return f"[[policy.limits.{kind}]]\nmax = {most}\n{lines}"


@contextlib.asynccontextmanager
async def limited(
    up: ScriptedUpstream,
    folder: Path,
    *limits: str,
    poll: str | None = None,
    signed: bool = True,
    provider: str = "",
    routes: str = "",
    **tables: str,
) -> AsyncIterator[tuple[InProcess, RawClient]]:
    """A gateway with `limits` in one policy, which every route here has; `poll` is a hold policy called "poll"."""
    more = SIGNED_IN.replace("[policy.", f'tenant = "tenant"\n{provider}[policy.') + "".join(limits) + (poll or "")
    names = [*(["signed-in"] if signed else []), *(["poll"] if poll is not None else []), "limits"]
    text = config(up.port, more=more, routes=routes or route(policies=names), **tables)
    async with gateway(text, folder) as gw, client(gw.port) as raw:
        yield gw, raw


async def statuses(raw: RawClient, *requests: bytes) -> list[int]:
    return [(await raw.ask(request)).status for request in requests]


def alice(target: str = "/", *fields: str, **claims: object) -> bytes:
    return get(target, bearer("alice", **claims), *fields)


def bob(target: str = "/", *fields: str, **claims: object) -> bytes:
    return get(target, bearer("bob", **claims), *fields)


async def outcomes(gw: InProcess, count: int) -> Counter[str]:
    return Counter(record["outcome"] for record in await gw.records(count))


def left(found: Message) -> list[int]:
    """What is left under each limit, as the client was told."""
    return [int(part.split("r=")[1].split(";")[0]) for part in (found.one("RateLimit") or "").split(",")]


async def polled(up: HoldingUpstream, raw: RawClient, request: bytes) -> None:
    """Sends a poll and waits until the upstream holds it."""
    before, taken = len(up.requests), up.taken
    await raw.send(request)
    await until(lambda: len(up.requests) == before + 1 and up.taken > taken)


async def waits(gw: InProcess, raw: RawClient, request: bytes) -> None:
    """Sends a call and waits until it stands in a line."""
    before = waiting(gw)
    await raw.send(request)
    await until(lambda: waiting(gw) == before + 1, "a call that waits")


def waiting(gw: InProcess) -> int:
    """Calls that wait for something of ours."""
    calls = [connection.call for connection in gw.app._edge.connections]
    return sum(call is not None and call.state.name == "WAITING" for call in calls)


@contextlib.asynccontextmanager
async def several(gw: InProcess, count: int) -> AsyncIterator[list[RawClient]]:
    """So many clients more."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(client(gw.port)) for _ in range(count)]
