"""Services that keep their sessions in memory, several behind one upstream: each knows only those it began, and tells
everybody else that it does not. Sessions stand in the query, in a header or in a cookie.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

from .raw import get
from .strict import Message
from .upstreams import ScriptedUpstream, Step, answer, chunked

UNKNOWN = b'{"code":1,"message":"Session ID unknown"}'
STICKY = {
    "query": 'balance = "sticky:query.sid"\nsticky = { id = "json:/sid", skip = "0" }',
    "header": 'balance = "sticky:header.Mcp-Session-Id"',
    "cookie": 'balance = "sticky:cookie.session"',
}


class SessionServer(ScriptedUpstream):
    """Begins a session for whoever names none; `strangers` are the sessions it was asked for and did not begin."""

    def __init__(self, name: str, where: str = "query", pieces: int = 1) -> None:
        super().__init__(then=self._serve_one)
        self.name, self.where, self.pieces = name, where, pieces
        self.sessions: set[str] = set()
        self.strangers: list[str] = []
        self.numbers = itertools.count(1)

    def _serve_one(self, request: Message) -> Iterable[Step]:
        asked = named(request, self.where)
        if asked is None:
            return self._begin()
        if asked not in self.sessions:
            self.strangers.append(asked)
            return (answer(UNKNOWN, "400 Bad Request"),)
        return (answer(self.name.encode()),)

    def _begin(self) -> Iterable[Step]:
        session = f"{self.name}-{next(self.numbers)}"
        self.sessions.add(session)
        if self.where == "header":
            return (answer(b"begun", "200 OK", f"Mcp-Session-Id: {session}"),)
        if self.where == "cookie":
            fields = ["Set-Cookie: theme=dark", f'Set-Cookie: session="{session}"; Path=/; HttpOnly']
            return (answer(b"begun", "200 OK", *fields),)
        body = b"0" + json.dumps({"sid": session, "pingInterval": 25000}).encode()
        if self.pieces == 1:
            return (answer(body),)
        head = answer(b"", "200 OK", "Transfer-Encoding: chunked", length=False)
        cut = len(body) // self.pieces
        parts = [body[start : start + cut] for start in range(0, len(body), cut)]
        return (head, *(chunked(part, end=False) for part in parts), b"0\r\n\r\n")


def named(request: Message, where: str) -> str | None:
    """The session that a request names."""
    if where == "header":
        return request.one("Mcp-Session-Id")
    if where == "cookie":
        found = (request.one("Cookie") or "").partition("session=")[2].partition(";")[0]
        return found or None
    return request.target.partition("sid=")[2].partition("&")[0] or None


def within(session: str, where: str = "query", *fields: str) -> bytes:
    """A request of a session."""
    if where == "header":
        return get("/", f"Mcp-Session-Id: {session}", *fields)
    if where == "cookie":
        return get("/", f"Cookie: a=1; session={session}; b=2", *fields)
    return get(f"/?a=1&sid={session}", *fields)


def begun(found: Message, where: str = "query") -> str:
    """The session that an answer begins."""
    if where == "header":
        return str(found.one("Mcp-Session-Id"))
    if where == "cookie":
        return next(line for line in found.all("Set-Cookie") if "session=" in line).split('"')[1]
    body: dict[str, Any] = json.loads(bytes(found.body)[1:])
    return str(body["sid"])


@contextlib.asynccontextmanager
async def session_servers(count: int, where: str = "query", pieces: int = 1) -> AsyncIterator[list[SessionServer]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(SessionServer(f"s{n}", where, pieces)) for n in range(count)]
