"""The kind `sse`: routes whose answers may be streams of events (docs/streams.md). Here is what its table compiles to;
what happens to a stream is in `streams`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.clock import NEVER
from gateway.pipeline import Verdict
from gateway.shapes import Sse

if TYPE_CHECKING:
    from gateway.call import Call

LONGEST_ID: Final = 256  # characters of a Last-Event-ID that are kept


def compile_sse(heartbeat: float | None, idle: float, max_time: float | None, resumes: bool = True) -> Sse:
    """Times in seconds; None: never."""
    beat, most = (each if each is not None else NEVER for each in (heartbeat, max_time))
    return Sse(beat, idle, most, resumes)


def last_event(call: Call) -> Verdict:
    """The step that remembers where a client takes up its stream again, for the record."""
    if call.cursor is None and call.head is not None:
        said = call.head.headers.get("Last-Event-ID")
        call.cursor = said[:LONGEST_ID] if said is not None else None
    return None
