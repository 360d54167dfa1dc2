"""From `ejection` and `health` of an upstream's table to what its endpoints are watched by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.upstream.ejection import Ejection
from gateway.upstream.health import Health

if TYPE_CHECKING:
    from gateway.config.schema import upstream as tables


def compile_ejection(table: tables.Ejection | None) -> Ejection | None:
    if table is None:
        return None
    return Ejection(table.strikes, table.within, table.for_, table.max_share, frozenset(table.status))


def compile_health(table: tables.Health | None) -> Health | None:
    if table is None:
        return None
    return Health(
        table.path, table.interval, table.timeout, table.healthy, table.unhealthy, frozenset(table.status), table.host
    )
