"""Asks workers over their sockets, all at once and each for a bounded time: one that has died, is stopped or is busy
with something else keeps nobody waiting, and the answer says which it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import aiohttp
import orjson

from gateway.admin.guard import WRITES
from gateway.admin.inner import UNTIL
from gateway.machine.admin.fleet import Fleet, Standing

WITHIN = 2.0  # seconds for an answer
AGAIN = 0.25  # the same for a worker that did not answer when it was asked last
MOST_BYTES = 256 * 1024 * 1024  # of an answer


class Told(NamedTuple):
    """What a worker answered."""

    number: int
    pid: int | None  # of the process that was asked
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


class Missing(NamedTuple):
    """Why a worker has not answered."""

    worker: int
    why: str


class Asked(NamedTuple):
    """By those who answered, in the order of their numbers, and of the others why not."""

    told: list[Told]
    missing: list[Missing]


class Asking:
    """`close()` when nobody is asked any more."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self._silent: set[int | None] = set()  # pids
        self._sessions: dict[int, aiohttp.ClientSession] = {}

    async def all(self, page: str, query: Mapping[str, str] | None = None, within: float = WITHIN) -> Asked:
        """Every worker is asked for this page."""
        return await self.some(self.fleet.standing(), "GET", page, within, params=query)

    async def some(self, workers: Sequence[Standing], method: str, page: str, within: float = WITHIN,
                   **more: Any) -> Asked:  # fmt: skip
        """These workers are asked the same."""
        return sort(await asyncio.gather(*[self.one(each, method, page, within, **more) for each in workers]))

    async def one(
        self, worker: Standing, method: str, page: str, within: float = WITHIN, **more: Any
    ) -> Told | Missing:
        """One worker is asked."""
        if worker.state != "serving":
            return Missing(worker.number, {"starting": "is being started"}.get(worker.state, "has ended"))
        patience = min(within, AGAIN) if worker.pid in self._silent else within
        try:
            async with asyncio.timeout(patience):
                told = await self._ask(worker, method, page, patience, more)
        except TimeoutError:
            self._silent.add(worker.pid)
            return Missing(worker.number, f"does not answer (nothing within {patience:g} s)")
        except (aiohttp.ClientError, OSError):
            return Missing(worker.number, "has ended" if self._gone(worker) else "cannot be asked")
        self._silent.discard(worker.pid)
        return told

    async def _ask(self, worker: Standing, method: str, page: str, patience: float, more: dict[str, Any]) -> Told:
        until = asyncio.get_running_loop().time() + patience
        headers = {WRITES: "1", UNTIL: repr(until)} if method != "GET" else {}
        asked = self._session(worker).request(
            method, f"http://worker{page}", headers=headers, allow_redirects=False, **more
        )
        async with asked as answer:
            body = b"".join([part async for part in _bounded(answer.content)])
            return Told(worker.number, worker.pid, answer.status, body)

    def _session(self, worker: Standing) -> aiohttp.ClientSession:
        """A connection for each question: a worker closes those on which nothing is asked when it likes, and a request
        must not be sent twice."""
        session = self._sessions.get(worker.number)
        if session is None:
            session = self._sessions[worker.number] = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(str(worker.socket), force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(), trust_env=False,
            )  # fmt: skip
        return session

    def _gone(self, worker: Standing) -> bool:
        return all(each.pid != worker.pid for each in self.fleet.standing())

    async def close(self) -> None:
        sessions, self._sessions = self._sessions, {}
        with suppress(OSError):
            await asyncio.gather(*[each.close() for each in sessions.values()])


async def _bounded(content: aiohttp.StreamReader) -> Any:
    size = 0
    async for part in content.iter_chunked(1 << 20):
        size += len(part)
        if size > MOST_BYTES:
            raise aiohttp.ClientPayloadError("a worker says too much")
        yield part


def sort(answers: Sequence[Told | Missing]) -> Asked:
    """Those who did what they were asked, and those who did not answer, or with an error of their own."""
    told = [one for one in answers if isinstance(one, Told) and one.status < 500]
    failed = [
        Missing(one.number, f"answered {one.status}") for one in answers if isinstance(one, Told) and one.status >= 500
    ]
    missing = [*(one for one in answers if isinstance(one, Missing)), *failed]
    return Asked(told, sorted(missing))


def named(missing: Sequence[Missing]) -> dict[str, Any]:
    """Whom an answer is without; nothing where it is of all."""
    return {"missing": [one._asdict() for one in missing]} if missing else {}
