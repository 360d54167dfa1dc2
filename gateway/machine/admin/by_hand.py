"""What an operator did to endpoints since the last reload: a worker that is started again has only what the file says,
and is told the rest.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from gateway.machine.admin.fleet import Standing
from gateway.machine.admin.parts import Json


class Order(NamedTuple):
    """One request that changes an upstream's endpoints."""

    method: str
    page: str
    given: Json | None = None


class ByHand:
    """The orders in their sequence, and how far each process has followed them."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self._reloaded = 0
        self._followed: dict[int | None, int] = {}  # by pid

    def renew(self, reloaded: int) -> None:
        """After a reload the file is the truth again."""
        if reloaded != self._reloaded:
            self._reloaded = reloaded
            self.orders = []
            self._followed = {}

    def add(self, order: Order) -> None:
        self.orders.append(order)

    def follows(self, worker: Standing, orders: int) -> None:
        """This process has done so many of them."""
        self._followed[worker.pid] = orders

    def left(self, worker: Standing) -> list[Order]:
        """What it has not done."""
        return self.orders[self._followed.get(worker.pid, 0) :]

    def forget(self, alive: set[int | None]) -> None:
        self._followed = {pid: done for pid, done in self._followed.items() if pid in alive}


def undone(order: Order, before: Json, after: Json) -> Order | None:
    """What takes an order back. `before` and `after` are the upstream; None: nothing has to be."""
    all_, _, rest = order.page.partition("/endpoints")
    all_ += "/endpoints"
    known = {each["name"]: each for each in before["members"]}
    if order.method == "POST" and not rest:
        added = next((each["name"] for each in after["members"] if each["name"] not in known), None)
        return Order("DELETE", f"{all_}/{quote(added, safe='')}") if added is not None else None
    if rest.endswith("/drain"):
        if [each["drained"] for each in before["members"]] == [each["drained"] for each in after["members"]]:
            return None
        return Order("DELETE" if order.method == "POST" else "POST", order.page)
    gone = next((each for name, each in known.items() if name not in {one["name"] for one in after["members"]}), None)
    return Order("POST", all_, {"url": gone["url"], "weight": gone["weight"]}) if gone is not None else None
