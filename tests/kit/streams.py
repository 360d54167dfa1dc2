"""The scenes of streams of events: what a service sends, and how a test sees that an answer was cut."""

from __future__ import annotations

import asyncio

import pytest

from .gateways import SIGNED_IN, route
from .raw import RawClient
from .strict import Cut
from .upstreams import Step

SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
OPEN = SSE + b"Transfer-Encoding: chunked\r\n\r\n"
ONE, TWO = b"id: 1\ndata: one\n\n", b"id: 2\ndata: two\n\n"
BEAT = b":\n\n"


def sse(**values: str) -> dict[str, str]:
    """A route whose answers may be streams of events, with an `sse` table of these lines."""
    lines = "".join(f'{key} = "{value}"\n' for key, value in values.items())
    return {"more": f"{SIGNED_IN}[policy.events.sse]\n{lines}", "routes": route(policies=["events"])}


def held_back(*steps: Step) -> list[Step]:
    """The steps, and then nothing more ever comes."""
    return [*steps, asyncio.Event()]


async def cut(raw: RawClient) -> bytes:
    """What came of an answer that must be seen to be cut."""
    with pytest.raises(Cut) as found:
        await raw.read_answer()
    assert found.value.message is not None
    return bytes(found.value.message.body)


def pause(seconds: float = 0.05) -> Step:
    done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(seconds, lambda: done.done() or done.set_result(b""))
    return done
