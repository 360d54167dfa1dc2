"""The pages by which an operator adds, removes and drains endpoints, in all workers or in none: where one refuses,
those that have done it take it back. A worker that was away is told when it is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from gateway.admin.exchange import answer, asked
from gateway.machine.admin.answers import of_those
from gateway.machine.admin.asking import Asked, Asking, Told
from gateway.machine.admin.by_hand import ByHand, Order, undone
from gateway.machine.admin.fleet import Standing
from gateway.machine.admin.parts import Json, of_upstreams

_ALL = "/api/upstreams/{upstream}/endpoints"
_ONE = _ALL + "/{endpoint}"
WITHIN = 5.0  # seconds: a name may have to be looked up
EVERY = 0.5  # seconds between two looks for a worker that has not done all


class Endpoints:
    """One method a page; `start()` and `stop()` with the listener."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._by_hand = ByHand()
        self._turn = asyncio.Lock()  # one order after the other, the same in every worker
        self._task: asyncio.Task[None] | None = None

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(_ALL, self.order),
            web.delete(_ONE, self.order),
            web.post(_ONE + "/drain", self.order),
            web.delete(_ONE + "/drain", self.order),
        ]

    def start(self) -> None:
        self._task = asyncio.ensure_future(self._follow())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def order(self, request: web.Request) -> web.Response:
        """Whatever it is: workers know what may be asked."""
        given = await asked(request) if request.method == "POST" and "endpoint" not in request.match_info else None
        order = Order(request.method, request.rel_url.raw_path, given)
        async with self._turn:
            self._renew()
            return await self._ordered(order, request.match_info["upstream"])

    async def _ordered(self, order: Order, upstream: str) -> web.Response:
        workers = self._asking.fleet.standing()
        before = await self._asking.all("/api/upstreams")
        there = [each for each in workers if each.number in {told.number for told in before.told}]
        if not there:
            return of_those(before, {})
        first = await self._order(there[:1], order)
        if not first.told or first.told[0].status >= 400:  # it is the same for all, most likely: none has done it
            return answer(first.told[0].json, first.told[0].status) if first.told else of_those(first, {})
        rest = await self._order(there[1:], order)
        done = [*first.told, *(told for told in rest.told if told.status < 400)]
        refused = [told for told in rest.told if told.status >= 400]
        if refused:
            await self._undo(order, upstream, before.told, done)
            return answer(_refusal(refused[0]), refused[0].status)
        self._count(order, workers, done)
        (found,) = of_upstreams([(told.number, [told.json]) for told in done])
        return of_those(Asked(done, sorted([*before.missing, *rest.missing])), found, first.told[0].status)

    async def _order(self, workers: Sequence[Standing], order: Order) -> Asked:
        return await self._asking.some(workers, order.method, order.page, WITHIN, refusals=True, json=order.given)

    async def _undo(self, order: Order, upstream: str, before: Sequence[Told], done: Sequence[Told]) -> None:
        for told in done:
            was = next(each for each in before if each.number == told.number).json["upstreams"]
            back = undone(order, next(each for each in was if each["name"] == upstream), told.json)
            worker = next(each for each in self._asking.fleet.standing() if each.number == told.number)
            if back is not None:
                await self._asking.one(worker, back.method, back.page, WITHIN, json=back.given)

    # -- those that were away --------------------------------------------------------------------------------------

    def _renew(self) -> None:
        self._by_hand.renew(self._asking.fleet.reloaded)

    def _count(self, order: Order, workers: Sequence[Standing], done: Sequence[Told]) -> None:
        """Those who have done all before have done this one, too; the others come to it in their turn."""
        pids = {told.pid for told in done}
        up_to_date = [each for each in workers if each.pid in pids and not self._by_hand.left(each)]
        self._by_hand.add(order)
        for worker in up_to_date:
            self._by_hand.follows(worker, len(self._by_hand.orders))

    async def _follow(self) -> None:
        """While there is a listener, whatever happens."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(EVERY)
            try:
                async with self._turn:
                    self._renew()
                    await self._tell()
            except Exception as error:
                loop.call_exception_handler({"message": "a worker was not told of endpoints", "exception": error})

    async def _tell(self) -> None:
        if not self._by_hand.orders:
            return
        workers = self._asking.fleet.standing()
        self._by_hand.forget({each.pid for each in workers})
        for worker in workers:
            for order in self._by_hand.left(worker) if worker.state == "serving" else ():
                told = await self._asking.one(worker, order.method, order.page, WITHIN, json=order.given)
                if not isinstance(told, Told) or told.status >= 500:
                    break
                self._by_hand.follows(worker, len(self._by_hand.orders) - len(self._by_hand.left(worker)) + 1)


def _refusal(told: Told) -> Json:
    said: dict[str, Any] = told.json
    return {**said, "error": f"worker {told.number}: {said['error']}; nothing was changed in the others"}
