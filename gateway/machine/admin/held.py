"""The pages of what all workers hold now: they list it and end it, by the words of one process. A limit is one for the
machine: the longest held of all go first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from gateway.admin import exchange
from gateway.admin.ending import Selection, read_selection
from gateway.admin.listing import read_listing, told
from gateway.config.problems import ConfigError
from gateway.machine.admin.answers import of_those
from gateway.machine.admin.asking import WITHIN, Asked, Asking, sort
from gateway.machine.admin.rows import Cut, cut, one_page, read_page

WATCH = 0.1  # seconds between two looks at whether the operator still waits


class Held:
    """One method a page."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/api/held", self.list), web.post("/api/held/end", self.end)]

    async def list(self, request: web.Request) -> web.Response:
        try:
            wanted = read_listing(exchange.query(request))
        except ConfigError as error:
            return exchange.wrong("the query cannot be used", error)
        asked = await self._asking.all("/inner/held", request.query)
        pages = [read_page(each.json) for each in asked.told]
        page = one_page(pages, wanted.limit, wanted.sort.startswith("-"))
        return of_those(asked, told(page, wanted.sort))

    async def end(self, request: web.Request) -> web.Response:
        given = await exchange.asked(request)
        try:
            chosen = read_selection(given)
        except ConfigError as error:
            return exchange.wrong("the filter cannot be used", error)
        asked = await self._asking.some(self._asking.fleet.standing(), "POST", "/inner/endable", json=given)
        found = {each.number: each.json for each in asked.told}
        others = sum(one["not_endable"] for one in found.values())
        meant = cut({number: one["begun"] for number, one in found.items()}, chosen.limit)
        if chosen.dry_run:
            count = sum(meant.shares.values())
            return of_those(asked, {"dry_run": True, "would_end": count, "not_endable": others})
        ended = await self._end(request, given, chosen, meant)
        done = sum(each.json["ended"] for each in ended.told)
        return of_those(
            Asked(asked.told, sorted({*asked.missing, *ended.missing})), {"ended": done, "not_endable": others}
        )

    async def _end(self, request: web.Request, given: Mapping[str, Any], chosen: Selection, meant: Cut) -> Asked:
        """Each worker ends its share, spread over the same time, for as long as the operator waits."""
        orders = [
            self._asking.one(worker, "POST", "/inner/end", chosen.within + WITHIN, json=order)
            for worker in self._asking.fleet.standing()
            if (order := _order(given, meant, worker.number)) is not None
        ]
        tasks = {asyncio.ensure_future(each) for each in orders}
        left = tasks
        while left and request.transport is not None:
            _, left = await asyncio.wait(left, timeout=WATCH)
        for task in left:
            task.cancel()
        return sort([task.result() for task in tasks - left])


def _order(given: Mapping[str, Any], meant: Cut, worker: int) -> dict[str, Any] | None:
    share = meant.shares.get(worker, 0)
    return {"filter": given, "limit": share, "begun_by": meant.begun_by} if share else None
