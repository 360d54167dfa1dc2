"""The pages by which an operator adds, removes and drains endpoints of a running upstream. Until the next reload: then
the file is the truth again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web
from pydantic import ValidationError

from gateway.admin.exchange import answer, asked, wrong
from gateway.config.problems import ConfigError
from gateway.config.schema.upstream import Endpoint
from gateway.config.translate import translate
from gateway.upstream.members import NoSuchError, RefusedError

if TYPE_CHECKING:
    from gateway.admin.api import Operated

_ALL = "/api/upstreams/{upstream}/endpoints"
_ONE = _ALL + "/{endpoint}"


class Endpoints:
    """One method a page."""

    def __init__(self, gateway: Operated) -> None:
        self._gateway = gateway

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(_ALL, self.add),
            web.delete(_ONE, self.remove),
            web.post(_ONE + "/drain", self.drain),
            web.delete(_ONE + "/drain", self.take_again),
        ]

    async def add(self, request: web.Request) -> web.Response:
        try:
            wanted = _read(await asked(request))
        except ConfigError as error:
            return wrong("the endpoint cannot be used", error)
        url, upstream = wanted.url, request.match_info["upstream"]
        try:
            await self._gateway.members.add(
                upstream, url.host, url.port, url.scheme == "https", url.path, wanted.weight
            )
        except (NoSuchError, RefusedError) as error:
            return _no(error)
        return self._told(upstream, 201)

    async def remove(self, request: web.Request) -> web.Response:
        upstream, endpoint = request.match_info["upstream"], request.match_info["endpoint"]
        try:
            self._gateway.members.remove(upstream, endpoint)
        except (NoSuchError, RefusedError) as error:
            return _no(error)
        return self._told(upstream)

    async def drain(self, request: web.Request) -> web.Response:
        return self._drained(request, drained=True)

    async def take_again(self, request: web.Request) -> web.Response:
        return self._drained(request, drained=False)

    def _drained(self, request: web.Request, drained: bool) -> web.Response:
        upstream, endpoint = request.match_info["upstream"], request.match_info["endpoint"]
        try:
            self._gateway.members.drain(upstream, endpoint, drained)
        except (NoSuchError, RefusedError) as error:
            return _no(error)
        return self._told(upstream)

    def _told(self, upstream: str, status: int = 200) -> web.Response:
        """The upstream as `/api/upstreams` has it now."""
        return answer(next(each for each in self._gateway.upstreams() if each["name"] == upstream), status)


def _read(given: dict[str, object]) -> Endpoint:
    try:
        return Endpoint.model_validate(given)
    except ValidationError as error:
        raise ConfigError(translate(error, Endpoint, "endpoint")) from None


def _no(error: NoSuchError | RefusedError) -> web.Response:
    return answer({"error": str(error)}, 404 if isinstance(error, NoSuchError) else 409)
