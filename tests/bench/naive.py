"""The proxy one writes in an afternoon: aiohttp's Application before its ClientSession, no policies, no log.
The gateway is compared with it, so it gets uvloop, no connection limit and whole answers, not streams.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import uvloop
from aiohttp import web

from .wire import raise_descriptors

SESSION = web.AppKey("session", aiohttp.ClientSession)
HOP_BY_HOP = frozenset({"connection", "keep-alive", "host", "content-length", "transfer-encoding", "upgrade"})


def proxy_to(base: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler that forwards every request below `base`."""

    async def handle(request: web.Request) -> web.Response:
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP]
        body = await request.read() if request.can_read_body else None
        url = base + request.raw_path
        async with request.app[SESSION].request(
            request.method, url, headers=headers, data=body, allow_redirects=False
        ) as answer:
            kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP]
            return web.Response(status=answer.status, headers=dict(kept), body=await answer.read())

    return handle


async def session(app: web.Application) -> AsyncIterator[None]:
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as client:
        app[SESSION] = client
        yield


def main() -> None:
    port, upstream = int(sys.argv[1]), int(sys.argv[2])
    raise_descriptors()
    app = web.Application()
    app.cleanup_ctx.append(session)
    app.router.add_route("*", "/{path:.*}", proxy_to(f"http://127.0.0.1:{upstream}"))
    loop = uvloop.new_event_loop()
    web.run_app(app, host="127.0.0.1", port=port, backlog=4096, access_log=None, print=None, loop=loop)


if __name__ == "__main__":
    main()
