"""The pages of calls that are over. They are answered from the files of the call log, by a process of its own; what may
be asked for and what is wrong with it, `gateway.past.worker` knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from aiohttp import web

from gateway.admin.exchange import answer
from gateway.admin.worker import NoAnswerError, Worker

if TYPE_CHECKING:
    from multidict import MultiMapping

NO_LOG = 'no file has the calls of this gateway; write log.calls = "file:PATH" and start it again'
SINCE = "1h"  # of calls; the whole log is asked for by who means it, and looked through for one id
_OURS = frozenset({"ask", "log", "memory", "threads"})


class Logged(Protocol):
    """Whose calls are recorded."""

    def call_log(self) -> Path | None:
        """The file that they are recorded in."""


class Past:
    """One method a page."""

    def __init__(self, gateway: Logged, worker: Worker | None = None) -> None:
        self._gateway = gateway
        self._worker = worker or Worker()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/calls", self.calls),
            web.get("/api/trends", self.trends),
            web.get("/api/advice", self.advice),
        ]

    async def calls(self, request: web.Request) -> web.Response:
        return await self._ask(request, {"ask": "calls"} if "id" in request.query else {"ask": "calls", "since": SINCE})

    async def trends(self, request: web.Request) -> web.Response:
        return await self._ask(request, {"ask": "trends"})

    async def advice(self, request: web.Request) -> web.Response:
        return await self._ask(request, {"ask": "advice"})

    async def _ask(self, request: web.Request, about: Mapping[str, object]) -> web.Response:
        log = self._gateway.call_log()
        if log is None:
            return answer({"error": NO_LOG}, 409)
        try:
            question = {**about, **asked(request.query), "log": str(log)}
            return answer(await self._worker.ask(question, lambda: request.transport is not None))
        except NoAnswerError as error:
            return answer({"error": str(error)}, error.status, {"Retry-After": "1"} if error.status == 429 else None)


def asked(query: MultiMapping[str]) -> dict[str, object]:
    """The parameters of a page as part of a question; one that is given twice means both. Raises NoAnswerError."""
    question: dict[str, object] = {}
    for name in dict.fromkeys(query):
        values = query.getall(name)
        if name in _OURS:
            raise NoAnswerError(400, f"{name}: is not asked for here; leave it out")
        question[name] = values if len(values) > 1 else _value(name, values[0])
    return question


def _value(name: str, text: str) -> object:
    return int(text) if name == "limit" and text.isdecimal() and len(text) < 12 else text
