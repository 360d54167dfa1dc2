"""Which calls leave a trace. A trace id is random, so its last 16 hexadecimal digits decide: those below a bound are
kept, the same everywhere that the share is the same (OpenTelemetry's TraceIdRatioBased compares alike). Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.outcome import ENDINGS, Outcome
from gateway.shapes import Sample
from gateway.telemetry.trace import ADOPTED, trace_id

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.config import schema

ALL: Final = "g"  # sorts behind every digit


def bound(share: float) -> str:
    """What the last 16 digits of a trace id are compared with, as text, so that this share of all ids is below it."""
    below = round(share * 2**64)
    return f"{below:016x}" if below < 2**64 else ALL


def compile_sample(table: schema.Sample, held: bool) -> Sample:
    """The bounds of a route. Told upstream is the largest its endings may have: `empty` only where there are holds, and
    `error` never, or the flag would be set on everything because something may yet go wrong."""
    kept = {"news": bound(table.news), "empty": bound(table.empty), "error": bound(table.error)}
    return Sample(kept, max(kept["news"], kept["empty"]) if held else kept["news"])


def keeps(call: Call, sample: Sample) -> bool:
    """Whether a settled call leaves a trace. A caller whose trace was adopted has decided for all but errors."""
    share = ENDINGS[call.outcome or Outcome.INTERNAL_ERROR].share
    arrival = call.arrival
    if arrival is not None and arrival.parent and arrival.role is ADOPTED:
        if arrival.sampled:
            return True
        if share != "error":
            return False
    return trace_id(call)[16:] < sample.kept.get(share, "")
