"""How requests to the admin listener get to their page and how every answer looks: JSON, never stored, without a
version. What is refused before a page is asked, and what is wrong with a request or with us, becomes an answer here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.typedefs import Middleware

from gateway.admin import guard
from gateway.admin.doors import BUSY

if TYPE_CHECKING:
    from gateway.config.problems import ConfigError

MAX_BODY = 64 * 1024
BODY_TIMEOUT = 10.0  # seconds
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    # Nothing inline, nothing from elsewhere, and no text that becomes HTML.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Quiet(logging.LoggerAdapter[logging.Logger]):
    """aiohttp's complaints. It tells every malformed request with a traceback, by which anybody could fill the log."""

    def log(self, level: int, msg: object, *args: object, **more: Any) -> None:
        if isinstance(more.get("exc_info"), HttpProcessingError):
            level, more = logging.DEBUG, {}
        super().log(level, msg, *args, **more)


def answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """JSON."""
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json", headers=headers)


async def finish(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.popall("Server", None)
    response.headers.update(HEADERS)


async def asked(request: web.Request) -> dict[str, object]:
    """The filter, as a JSON object in the body or as a query, whose values are text."""
    body = await _body(request)
    if not body:
        return query(request)
    if request.query:
        raise web.HTTPBadRequest(reason="the filter is in the body and in the query; write it in one of them")
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        asked = None
    if not isinstance(asked, dict):
        raise web.HTTPBadRequest(reason='the body is not a JSON object; write one such as {"route": "updates"}')
    return asked


def query(request: web.Request) -> dict[str, object]:
    """The parameters of a page, each in the type that JSON would have given it."""
    if len(set(request.query)) < len(request.query):
        raise web.HTTPBadRequest(reason="a parameter is given twice")
    return {key: _value(key, text) for key, text in request.query.items()}


def wrong(what: str, error: ConfigError) -> web.Response:
    """The answer to parameters that cannot be used: what is wrong with each, and what to write."""
    return answer({"error": what, "problems": [str(one) for one in error.problems]}, 400)


async def _body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(reason="the body did not come") from None
    except (web.RequestPayloadError, ConnectionError):  # the latter hears no answer
        raise web.HTTPBadRequest(reason="the body is malformed") from None


def _value(key: str, text: str) -> object:
    """A value of a query in the type that JSON would have given it."""
    if key in ("all", "dry_run", "poll"):
        return {"true": True, "false": False}.get(text, text)
    return int(text) if key == "limit" and text.isdecimal() and len(text) < 12 else text


def guarded(access: guard.Access) -> Middleware:
    @web.middleware
    async def checked(request: web.Request, handler: _Handler) -> web.StreamResponse:
        no = guard.refuse(access, request.headers, request.scheme, request.path)
        is_page = request.match_info.http_exception is None
        if no is None and is_page and request.method not in ("GET", "HEAD"):
            no = guard.refuse_write(access, request.headers)
        if no is not None:
            headers = {"WWW-Authenticate": 'Bearer realm="admin"'} if no.status == 401 else None
            return answer({"error": no.error}, no.status, headers)
        busy = request.app[BUSY]
        busy.add(request.protocol)
        try:
            return await _answered(request, handler)
        finally:
            busy.discard(request.protocol)

    return checked


async def _answered(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """The page, or what is wrong with the request, or with us."""
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        allowed = sorted(error.allowed_methods)
        text = f"only {' and '.join(allowed)} {'is' if len(allowed) == 1 else 'are'} served here"
        return answer({"error": text}, 405, {"Allow": ", ".join(allowed)})
    except web.HTTPNotFound:
        pages = [resource.canonical for resource in request.app.router.resources()]
        return answer({"error": "there is no such page", "pages": pages}, 404)
    except web.HTTPRequestEntityTooLarge:
        return answer({"error": f"the body is longer than {MAX_BODY} bytes"}, 413)
    except web.HTTPException as error:
        return answer({"error": error.reason}, error.status)
    except Exception as error:
        context = {"message": f"the admin page {request.path} failed", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)
        return answer({"error": "an error of the gateway's own; its log says more"}, 500)
