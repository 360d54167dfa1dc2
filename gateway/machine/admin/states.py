"""How the workers are: what their supervisor knows of each, what each says of itself, and what the system counts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from gateway.machine.admin.asking import Asking, Missing
from gateway.machine.admin.fleet import Standing
from gateway.machine.admin.readiness import readiness
from gateway.machine.admin.usage import usage
from gateway.telemetry.workers import AWAY, READY, SILENT, Manned

Json = dict[str, Any]
WITHIN = 0.8  # seconds: whoever probes a machine asks again soon, and calls it dead when it waits
FRESH = 10.0  # seconds for which the word of a worker counts that is too busy to repeat it


class Seen(NamedTuple):
    """All of them at one instant."""

    ready: bool
    detail: str
    log_lines_dropped: int
    workers: list[Json]
    missing: list[Missing]


class _Said(NamedTuple):
    pid: int
    at: float  # loop seconds
    state: Json


class States:
    """Remembers what each worker said last."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._fleet = asking.fleet
        self._said: dict[int, _Said] = {}
        self._silent: set[int] = set()

    async def look(self) -> Seen:
        """Asks all of them."""
        asked = await self._asking.all("/inner/state", within=WITHIN)
        for told in asked.told:
            self.tell(told.number, told.json)
        self.note(asked.missing)
        return self.seen(asked.missing)

    def tell(self, number: int, state: Json) -> None:
        """A worker said this of itself."""
        self._said[number] = _Said(state["pid"], asyncio.get_running_loop().time(), state)
        self._silent.discard(number)

    def note(self, missing: Iterable[Missing]) -> None:
        self._silent.update(one.worker for one in missing)

    def seen(self, missing: Sequence[Missing]) -> Seen:
        """By what is known now."""
        standing = self._fleet.standing()
        fresh = {one.number: said.state for one in standing if (said := self._last(one)) is not None}
        ready, detail = readiness(len(standing), fresh, missing, self._fleet.draining)
        dropped = sum(said.state["log_lines_dropped"] for said in self._said.values())
        return Seen(ready, detail, dropped, [self._worker(one) for one in standing], list(missing))

    def alive(self) -> set[int | None]:
        """Processes that have not ended."""
        return {one.pid for one in self._fleet.standing() if one.state != "ended"}

    def manned(self) -> dict[int, Manned]:
        """For the metrics."""
        return {one.number: self._manned(one) for one in self._fleet.standing()}

    def _last(self, one: Standing, fresh: float = FRESH) -> _Said | None:
        """What the process that is there now has said of itself, if it is not long ago."""
        said = self._said.get(one.number)
        if said is None or said.pid != one.pid or one.state != "serving":
            return None
        return said if asyncio.get_running_loop().time() - said.at <= fresh else None

    def _manned(self, one: Standing) -> Manned:
        said, used = self._last(one), usage(one.pid)
        state = said.state if said is not None else {}
        silent = one.state == "serving" and one.number in self._silent
        standing = SILENT if silent else READY if state.get("ready") else AWAY
        return Manned(standing, one.restarts, state.get("held"), state.get("connections"), used.cpu, used.memory)

    def _worker(self, one: Standing) -> Json:
        manned, said = self._manned(one), self._last(one)
        now = asyncio.get_running_loop().time()
        return {
            "worker": one.number,
            "pid": one.pid,
            "state": manned.state if one.state == "serving" else one.state,
            "detail": said.state["detail"] if said is not None else None,
            "since": round(now - one.since, 3),
            "restarts": one.restarts,
            "held": manned.held,
            "connections": manned.connections,
            "cpu": manned.cpu,
            "memory": manned.memory,
        }
