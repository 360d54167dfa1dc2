"""The collector of the bench, a process of its own: takes whatever is posted to it and says that it was fine. It
decodes nothing, so that it costs little beside what is measured.
"""

from __future__ import annotations

import sys

import uvloop
from aiohttp import web


async def take(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(content_type="application/x-protobuf")


def main(port: int) -> None:
    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_post("/v1/{signal}", take)
    web.run_app(application, host="127.0.0.1", port=port, print=None, loop=uvloop.new_event_loop(), access_log=None)


if __name__ == "__main__":
    main(int(sys.argv[1]))
