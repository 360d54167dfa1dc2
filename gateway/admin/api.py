"""The admin listener's pages: an aiohttp.web application over what `app` can tell and do. A file has the pages of one
idea; who may ask is decided in `guard`, how requests and answers look in `exchange`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import Protocol

from aiohttp import web

from gateway.admin import exchange, guard, metrics
from gateway.admin.census import Sources
from gateway.admin.counts import Pairs
from gateway.admin.dashboard import Dashboard
from gateway.admin.doors import BUSY
from gateway.admin.ending import Ended, Selection
from gateway.admin.endpoints import Endpoints
from gateway.admin.held import Held
from gateway.admin.inner import Inner, in_time
from gateway.admin.listing import Listing, Page
from gateway.admin.orders import Ordered, Orders
from gateway.admin.parts import Parts
from gateway.admin.past import Logged, Past
from gateway.admin.probes import Probes
from gateway.admin.view import Own
from gateway.admin.worker import Worker
from gateway.upstream.members import Members


class Pages(Protocol):
    """The pages of one idea."""

    def routes(self) -> list[web.RouteDef]: ...


class Operated(Ordered, Logged, Protocol):
    """What the admin side may ask of the running gateway."""

    @property
    def members(self) -> Members:
        """By whom endpoints are added, removed and drained."""

    def ready(self) -> tuple[bool, str]: ...

    def log_lines_dropped(self) -> int: ...

    async def held(self, asked: Listing) -> Page: ...

    def sources(self) -> Sources:
        """What an overview is read from."""

    def upstreams(self) -> list[dict[str, object]]: ...

    def routes(self) -> list[dict[str, object]]: ...

    def limits(self, pairs: Pairs) -> list[dict[str, object]]: ...

    def gauges(self) -> metrics.Gauges: ...

    async def end_held(self, chosen: Selection, wanted: Callable[[], bool], begun_by: float = inf) -> Ended:
        """Ends what is chosen, for as long as `wanted()`; nothing that began later than that."""

    async def endable(self, chosen: Selection) -> tuple[list[float], int]:
        """When the calls began that would be ended, the longest held first, and how many more are meant."""


def make_admin(gateway: Operated, access: guard.Access, inner: bool = False) -> web.Application:
    """The application; `inner`: with the pages by which a supervisor asks a worker."""
    view, worker = Own(gateway.sources), Worker()
    dashboard = Dashboard(view, gateway.call_log(), worker, access.token is not None)
    pages: list[Pages] = [Probes(gateway), Held(gateway), Parts(gateway), Endpoints(gateway), Past(gateway, worker)]
    pages += [Orders(gateway), dashboard, *([Inner(gateway, view)] if inner else [])]
    admin = assemble(access, pages, dashboard)
    if inner:
        admin.middlewares.append(in_time)
    return admin


def assemble(access: guard.Access, pages: Iterable[Pages], dashboard: Dashboard) -> web.Application:
    """An application of these pages, among which is the dashboard."""
    admin = web.Application(middlewares=[exchange.guarded(access)], client_max_size=exchange.MAX_BODY)
    admin[BUSY] = set()
    admin.on_response_prepare.append(exchange.finish)
    admin.on_startup.append(dashboard.lives)
    admin.on_shutdown.append(dashboard.ends)
    for some in pages:
        admin.router.add_routes(some.routes())
    return admin
