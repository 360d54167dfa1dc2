"""The admin listener's HTTP: an aiohttp.web application over what `app` can tell. A token guards everything but health,
and on a loopback listener the Host must be a loopback name, so that no web page can reach it by a name of its own.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Protocol

import orjson
from aiohttp import web
from aiohttp.typedefs import Middleware

from gateway.admin.counts import Pairs, limits_page

MAX_LISTED = 1000
PAGES = ("/healthz", "/readyz", "/api/held", "/api/routes", "/api/limits")
_OPEN = frozenset({"/healthz", "/readyz"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Operated(Protocol):
    """What the admin side may ask of the running gateway."""

    def ready(self) -> tuple[bool, str]: ...

    def log_lines_dropped(self) -> int: ...

    def held(self, limit: int) -> dict[str, object]: ...

    def routes(self) -> list[dict[str, object]]: ...

    def limits(self, pairs: Pairs) -> list[dict[str, object]]: ...


def make_admin(gateway: Operated, token: str | None, loopback: bool) -> web.Application:
    """The application. `token` None leaves it open, which `check` allows on loopback only."""
    admin = web.Application(middlewares=[_guard(token, loopback)])

    async def healthz(_: web.Request) -> web.Response:
        return _json({"status": "ok", "log_lines_dropped": gateway.log_lines_dropped()})

    async def readyz(_: web.Request) -> web.Response:
        ready, detail = gateway.ready()
        return _json({"ready": ready, "detail": detail}, 200 if ready else 503)

    async def held(request: web.Request) -> web.Response:
        text = request.query.get("limit", "100")
        limit = int(text) if text.isdecimal() and len(text) < 6 else 100
        return _json(gateway.held(min(limit, MAX_LISTED)))

    async def routes(_: web.Request) -> web.Response:
        return _json({"routes": gateway.routes()})

    admin.on_response_prepare.append(_without_version)
    admin.router.add_get("/healthz", healthz)
    admin.router.add_get("/readyz", readyz)
    admin.router.add_get("/api/held", held)
    admin.router.add_get("/api/routes", routes)
    admin.router.add_get("/api/limits", limits_page(gateway))
    return admin


async def _without_version(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.popall("Server", None)


def _json(value: object, status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json", headers=headers)


def _guard(token: str | None, loopback: bool) -> Middleware:
    expected = f"Bearer {token}".encode() if token is not None else None

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if loopback and not _is_loopback(request.host):
            return _json({"error": "the Host is not a loopback name"}, 421)
        if expected is not None and request.path not in _OPEN:
            given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(given, expected):
                response = _json({"error": "the admin token is needed: Authorization: Bearer .."}, 401)
                response.headers["WWW-Authenticate"] = 'Bearer realm="admin"'
                return response
        try:
            return await handler(request)
        except web.HTTPMethodNotAllowed as error:
            response = _json({"error": "only GET is served here"}, 405)
            response.headers["Allow"] = error.headers["Allow"]
            return response
        except web.HTTPNotFound:
            return _json({"error": "there is no such page", "pages": PAGES}, 404)

    return guard


def _is_loopback(host: str) -> bool:
    name = host[: host.index("]") + 1] if host.startswith("[") and "]" in host else host.partition(":")[0]
    return name.lower() in _LOOPBACK
