"""The pages of a machine's admin listener: those of one process, and its workers. Who may ask, and how requests and
answers look, is as there (`admin.guard`, `admin.exchange`).
"""

from __future__ import annotations

from aiohttp import web

from gateway.admin.api import Pages, assemble
from gateway.admin.dashboard import Dashboard
from gateway.admin.guard import Access
from gateway.admin.orders import Orders
from gateway.admin.past import Past
from gateway.admin.worker import Worker
from gateway.machine.admin.asking import Asking
from gateway.machine.admin.endpoints import Endpoints
from gateway.machine.admin.fleet import Fleet
from gateway.machine.admin.held import Held
from gateway.machine.admin.parted import Parts
from gateway.machine.admin.probes import Probes
from gateway.machine.admin.states import States
from gateway.machine.admin.view import Whole


def make_machine_admin(fleet: Fleet, access: Access) -> web.Application:
    """The application."""
    asking, worker = Asking(fleet), Worker()
    states = States(asking)
    dashboard = Dashboard(Whole(asking, states), fleet.call_log(), worker, access.token is not None)
    endpoints = Endpoints(asking)
    pages: list[Pages] = [Probes(asking, states), Held(asking), Parts(asking, states), endpoints, Past(fleet, worker)]
    admin = assemble(access, [*pages, Orders(fleet), dashboard], dashboard)

    async def lives(_: web.Application) -> None:
        endpoints.start()

    async def ends(_: web.Application) -> None:
        await endpoints.stop()
        await asking.close()

    admin.on_startup.append(lives)
    admin.on_cleanup.append(ends)
    return admin
