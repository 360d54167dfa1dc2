"""What is plotted of several workers: endings a second add up, and so does what they have counted. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.admin.census import Json
from gateway.admin.history import GROUPS, KEPT
from gateway.telemetry.histogram import HOLD, NEWS

NOTHING: Json = {
    "series": [(name, [None] * KEPT) for name in GROUPS],
    "held": [0] * (len(HOLD) + 1),
    "news": [0] * (len(NEWS) + 1),
}


def whole(parts: Sequence[Json]) -> Json:
    """There is at least one."""
    series = [(name, _added([part["series"][place][1] for part in parts])) for place, name in enumerate(GROUPS)]
    return {"series": series, **{key: [*map(sum, zip(*[part[key] for part in parts], strict=True))]
                                 for key in ("held", "news")}}  # fmt: skip


def remains(part: Json) -> Json:
    """Of a process that has ended: what it counted. Its last minutes went with it."""
    return {**part, "series": NOTHING["series"]}


def after(past: Json, now: Json) -> Json:
    return whole([past, now])


def _added(lines: list[list[float | None]]) -> list[float | None]:
    """None where nobody had begun."""
    steps = ([value for value in step if value is not None] for step in zip(*lines, strict=True))
    return [sum(values) if values else None for values in steps]
