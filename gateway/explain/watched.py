"""What decides whether an endpoint of a route's upstream takes calls, in sentences: its ejection and its probes."""

from __future__ import annotations

from collections.abc import Iterator
from math import floor
from typing import TYPE_CHECKING

from gateway.explain.words import seconds

if TYPE_CHECKING:
    from gateway.config import schema
    from gateway.config.schema.upstream import Ejection, Health


def watched_by(upstream: schema.Upstream) -> tuple[str, ...]:
    return tuple(_said(upstream))


def _said(upstream: schema.Upstream) -> Iterator[str]:
    if len(upstream.endpoints) > 1 and upstream.ejection is not None:
        yield _ejection(upstream.ejection, len(upstream.endpoints))
    if upstream.health is not None:
        yield _health(upstream.health)


def _ejection(rules: Ejection, members: int) -> str:
    most = min(floor(rules.max_share * members + 1e-9), members - 1)
    also = f", or are answered {', '.join(map(str, rules.status))}," if rules.status else ""
    return (
        f"an endpoint where {rules.strikes} calls in a row fail{also} within {seconds(rules.within)} takes none for "
        f"{seconds(rules.for_)}; at most {most} of {members} at once"
    )


def _health(health: Health) -> str:
    good = ", ".join(map(str, health.status)) or "2xx"
    return (
        f"GET {health.path} every {seconds(health.interval)}: {health.unhealthy} in a row without {good} within "
        f"{seconds(health.timeout)} take an endpoint out, {health.healthy} with it bring it back"
    )
