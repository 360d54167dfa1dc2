"""What happens to an endpoint, as a line of the call log: pure, from an Event to a flat dictionary. The fields are a
contract with whoever reads the log (docs/record.md); a line of this kind is no call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.telemetry.columns import KIND
from gateway.telemetry.record import VERSION, timestamp

if TYPE_CHECKING:
    from gateway.upstream.standing import Event

LEVELS = {"eject": "warning", "probe": "warning", "restore": "notice"}


def of_endpoint(event: Event, wall: float) -> dict[str, object]:
    """`wall` is Unix seconds of when it happened."""
    record: dict[str, object] = {
        "v": VERSION,
        KIND: event.kind,
        "time": timestamp(wall),
        "level": LEVELS[event.kind],
        "upstream": event.upstream,
        "endpoint": event.endpoint,
        "why": event.why,
        "taking": event.taking,
        "members": event.members,
    }
    if event.lasts is not None:
        record |= {
            "until": timestamp(wall + event.lasts),
            "lasts": round(event.lasts, 3),
            "strikes": event.strikes,
            "times": event.times,
        }
    return record
