"""The workers of a supervisor, as the admin side sees them. Looks things up and passes them on; decides nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gateway.machine.admin.fleet import Standing

if TYPE_CHECKING:
    from gateway.machine.supervisor import Supervisor


class Crew:
    """An `admin.fleet.Fleet`."""

    def __init__(self, supervisor: Supervisor, directory: Path, workers: int, log: Path | None) -> None:
        self.reload = supervisor.reload
        self.begin_drain = supervisor.begin_drain
        self._supervisor = supervisor
        self._directory = directory
        self._workers = workers
        self._log = log

    @property
    def draining(self) -> bool:
        return self._supervisor.draining

    @property
    def reloaded(self) -> int:
        return self._supervisor.reloaded

    def call_log(self) -> Path | None:
        return self._log

    def standing(self) -> list[Standing]:
        return [self._standing(number) for number in range(self._workers)]

    def _standing(self, number: int) -> Standing:
        workers = self._supervisor.workers
        life, restarts = workers.lives.get(number), workers.restarts[number]
        socket = self._directory / f"worker-{number}.sock"
        if life is None:
            return Standing(number, None, "ended", workers.buried.get(number, self._supervisor.began), restarts, socket)
        return Standing(number, life.pid, "serving" if life.serves else "starting", life.began, restarts, socket)
