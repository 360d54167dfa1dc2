"""The metrics of a machine of several workers, which its supervisor has: how its workers are, each under its number. A
gateway that is one process has none of them (docs/metrics.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gateway.telemetry.instruments import Gauges, Instrument, Points

READY, AWAY, SILENT = "ready", "away", "silent"  # takes calls; does not, and is known not to; does not answer
STATES = (READY, AWAY, SILENT)


class Manned(NamedTuple):
    """One worker now. `held` and `connections` are None where it does not say, `cpu` (seconds) and `memory` (bytes)
    where the system does not."""

    state: str
    restarts: int
    held: int | None
    connections: int | None
    cpu: float | None
    memory: int | None


def _each(read: Callable[[Manned], float | None]) -> Callable[[Gauges], Points]:
    return lambda seen: (((number,), value) for number, one in seen.workers.items() if (value := read(one)) is not None)


def _states(seen: Gauges) -> Points:
    found = [one.state for one in seen.workers.values()]
    return [((state,), found.count(state)) for state in STATES] if found else ()


WORKERS: tuple[Instrument, ...] = (
    Instrument("gateway.workers", "gauge", "{worker}", "Workers of this machine.", ("state",), _states),
    Instrument("gateway.worker.restarts", "counter", "{restart}", "How often a worker ended and was started again.",
               ("worker",), _each(lambda one: one.restarts)),
    Instrument("gateway.worker.held", "gauge", "{call}", "Calls that a worker holds.", ("worker",),
               _each(lambda one: one.held)),
    Instrument("gateway.worker.connections", "gauge", "{connection}", "Client connections that a worker has.",
               ("worker",), _each(lambda one: one.connections)),
    Instrument("gateway.worker.cpu", "counter", "s", "Processor time of a worker since it was started.", ("worker",),
               _each(lambda one: one.cpu)),
    Instrument("gateway.worker.memory", "gauge", "By", "Resident memory of a worker.", ("worker",),
               _each(lambda one: one.memory)),
)  # fmt: skip
