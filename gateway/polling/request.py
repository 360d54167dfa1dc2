"""One poll over the network: the address it asks, the request and its phases, and what went wrong in words.
No cookies, no redirects, no silent second attempt, and more patience than the hold that was asked for.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from types import SimpleNamespace

import aiohttp
import orjson
from yarl import URL

from gateway import __version__
from gateway.polling.rules import Answer, Cursor, read_body, read_retry_after
from gateway.polling.text import printable

MAX_BODY = 8 * 1024 * 1024  # bytes of one answer


@dataclass(frozen=True, slots=True)
class Target:
    """What is polled. `timeout` is the hold to ask for in seconds; an empty `timeout_param` sends none."""

    url: URL
    headers: tuple[tuple[str, str], ...] = ()
    cursor_param: str = "last_event_id"
    cursor_field: str = "id"
    timeout_param: str = "timeout"
    timeout: float = 25.0
    max_polls: int | None = None

    @property
    def patience(self) -> float:
        """Seconds of silence after which a poll is given up: always longer than the hold."""
        return self.timeout + max(10.0, 0.25 * self.timeout)

    def at(self, cursor: Cursor | None) -> URL:
        """The address of the next poll."""
        query = {self.cursor_param: str(cursor)} if cursor is not None and self.cursor_param else {}
        if self.timeout_param:
            query[self.timeout_param] = f"{self.timeout:g}"
        return self.url.update_query(query) if query else self.url


@dataclass(slots=True)
class Poll:
    """One poll as it happened. Times in seconds; `connect` is None where a kept connection was used again."""

    answer: Answer = field(default_factory=lambda: Answer(None))
    items: list[object] = field(default_factory=list)
    detail: str = ""
    connect: float | None = None
    first_byte: float | None = None
    total: float = 0.0
    connect_began: float = 0.0


def open_session(target: Target) -> aiohttp.ClientSession:
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(_on_connect_start)
    trace.on_connection_create_end.append(_on_connect_end)
    session = aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, connect=10.0, sock_read=target.patience),
        headers={"User-Agent": f"gateway-poll/{__version__}", "Accept": "application/json, */*;q=0.5"},
        trace_configs=[trace],
        max_line_size=16384,
        max_field_size=16384,
    )
    # aiohttp silently asks again when the server drops a held poll. A cut hold must be seen.
    session._retry_connection = False
    return session


async def _on_connect_start(_: aiohttp.ClientSession, ctx: SimpleNamespace, __: object) -> None:
    ctx.trace_request_ctx.connect_began = time.monotonic()


async def _on_connect_end(_: aiohttp.ClientSession, ctx: SimpleNamespace, __: object) -> None:
    ctx.trace_request_ctx.connect = time.monotonic() - ctx.trace_request_ctx.connect_began


async def poll_once(session: aiohttp.ClientSession, target: Target, cursor: Cursor | None) -> Poll:
    """One poll, with its phases. Never raises for what a network or a server can do."""
    poll = Poll()
    began = time.monotonic()
    try:
        async with session.get(
            target.at(cursor), headers=target.headers, allow_redirects=False, trace_request_ctx=poll
        ) as response:
            poll.first_byte = time.monotonic() - began
            body = await _read(response)
        poll.total = time.monotonic() - began
        _understand(poll, response, body, target.cursor_field)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        poll.total = time.monotonic() - began
        poll.detail, hopeless = explain_failure(error, target.patience)
        poll.answer = Answer(None, poll.total, hopeless=poll.detail if hopeless else None)
    return poll


class _TooLarge(aiohttp.ClientError):
    """An answer beyond MAX_BODY."""


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY:
            raise _TooLarge
    return bytes(body)


def _understand(poll: Poll, response: aiohttp.ClientResponse, body: bytes, cursor_field: str) -> None:
    status = response.status
    retry_after = read_retry_after(response.headers.get("Retry-After"), time.time())
    if status >= 300:
        poll.detail = _words(body) or printable(response.reason or "")
        poll.answer = Answer(status, poll.total, retry_after=retry_after)
        return
    poll.items, cursor = read_body(body, cursor_field)
    poll.answer = Answer(status, poll.total, len(poll.items), cursor)


def _words(body: bytes) -> str:
    """What a server says about its refusal: the detail or title of an RFC 9457 document, if it is one."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    said = data.get("detail") or data.get("title") if isinstance(data, dict) else None
    return printable(said) if isinstance(said, str) else ""


def explain_failure(error: Exception, patience: float) -> tuple[str, bool]:
    """A network failure in words, and whether trying again is hopeless."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return "the server's TLS certificate is not accepted; trust its CA with SSL_CERT_FILE", True
        case aiohttp.ClientSSLError():
            return "the server does not speak TLS with this client; is it an http:// address?", True
        case _TooLarge():
            return f"the answer is larger than {MAX_BODY // 1024 // 1024} MiB", True
        case aiohttp.InvalidURL():
            return "this is not an address that can be polled", True
        case aiohttp.ClientConnectorDNSError():
            return "the host name cannot be resolved", False
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno
            return f"cannot connect ({os.strerror(number) if number else 'no address answers'})", False
        case aiohttp.ConnectionTimeoutError():
            return "no connection within 10 s", False
        case TimeoutError():
            return f"no answer within {patience:g} s", False
        case aiohttp.ClientPayloadError():
            return "the answer was cut off", False
        case aiohttp.ServerDisconnectedError() | ConnectionError():
            return "the connection was closed without an answer", False
        case _:
            return f"the answer was not understood ({type(error).__name__})", False
