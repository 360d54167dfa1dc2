"""The admin listener's pages: an aiohttp.web application over what `app` can tell and do. A file has the pages of one
idea; who may ask is decided in `guard`, how requests and answers look in `exchange`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from aiohttp import web

from gateway.admin import exchange, guard, metrics
from gateway.admin.counts import Pairs
from gateway.admin.dashboard import Dashboard
from gateway.admin.doors import BUSY
from gateway.admin.ending import Ended, Selection
from gateway.admin.endpoints import Endpoints
from gateway.admin.held import Held
from gateway.admin.listing import Listing
from gateway.admin.orders import Orders
from gateway.admin.overview import Sources
from gateway.admin.parts import Parts
from gateway.admin.past import Past
from gateway.admin.probes import Probes
from gateway.admin.worker import Worker
from gateway.upstream.members import Members


class Operated(Protocol):
    """What the admin side may ask of the running gateway."""

    @property
    def members(self) -> Members:
        """By whom endpoints are added, removed and drained."""

    def ready(self) -> tuple[bool, str]: ...

    def log_lines_dropped(self) -> int: ...

    async def held(self, asked: Listing) -> dict[str, object]: ...

    def sources(self) -> Sources:
        """What an overview is read from."""

    def call_log(self) -> Path | None:
        """The file that calls are recorded in."""

    def upstreams(self) -> list[dict[str, object]]: ...

    def routes(self) -> list[dict[str, object]]: ...

    def limits(self, pairs: Pairs) -> list[dict[str, object]]: ...

    def gauges(self) -> metrics.Gauges: ...

    async def end_held(self, chosen: Selection, wanted: Callable[[], bool]) -> Ended:
        """Ends what is chosen, for as long as `wanted()`."""

    async def reload(self) -> list[str]:
        """Puts the configuration on disk in force. Its problems, one line each; none when it is live."""

    def begin_drain(self) -> dict[str, object]:
        """Begins the end of the process, once; what there is to say about it."""


def make_admin(gateway: Operated, access: guard.Access) -> web.Application:
    """The application."""
    admin = web.Application(middlewares=[exchange.guarded(access)], client_max_size=exchange.MAX_BODY)
    admin[BUSY] = set()
    admin.on_response_prepare.append(exchange.finish)
    worker = Worker()
    past = Past(gateway, worker)
    dashboard = Dashboard(gateway, worker, access.token is not None)
    admin.on_startup.append(dashboard.lives)
    admin.on_shutdown.append(dashboard.ends)
    for pages in (Probes(gateway), Held(gateway), Parts(gateway), Endpoints(gateway), past, Orders(gateway), dashboard):
        admin.router.add_routes(pages.routes())
    return admin
