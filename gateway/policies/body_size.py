"""The kind `body_size`: a request that announces too large a body is refused before a byte of it is read.
Bodies that announce nothing are counted by the edge while they pass (`Plan.max_body`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.outcome import Outcome
from gateway.pipeline import Refusal, Step, Verdict

if TYPE_CHECKING:
    from gateway.call import Call


def compile_body_size(max: int) -> Step:  # noqa: A002
    """The step that refuses a Content-Length above `max` bytes (RFC 9110 15.5.14).

    The connection is closed after the answer, or the client would go on sending what nobody reads.
    """
    detail = f"the body of a request may have {max} bytes here"
    refusal = Refusal(Outcome.TOO_LARGE, 413, "body_too_large", detail, close=True)

    def screen(call: Call) -> Verdict:
        head = call.head
        if head is None or head.length is None or head.length <= max:
            return None
        return refusal

    return screen
