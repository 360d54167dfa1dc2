"""The forwarded request, read off the stand-in upstream: without secrets, and with words where every call has an id of
its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gateway.explain.model import Forwarded
from gateway.telemetry import trace

if TYPE_CHECKING:
    from gateway.explain.scene import Scene
    from gateway.explain.secrets import Mask
    from gateway.head import RequestHead

CALL_ID = "<call id>"


def forwarded(scene: Scene, head: RequestHead, mask: Mask) -> Forwarded | None:
    """What the endpoint was sent; None when the call was not forwarded. `head` is the request as it came."""
    call, pair = scene.call, scene.upstream
    if pair is None or call.endpoint is None:
        return None
    own = trace.span_id(call, len(call.tries) + 1)
    raw, _, body = pair[1].written.partition(b"\r\n\r\n")
    text = raw.decode("utf-8", "backslashreplace").replace(call.id, CALL_ID)
    first, *fields = re.sub(f"-{own}-0[0-3]", "-<span id>-<flags>", text).split("\r\n")
    method, _, rest = first.partition(" ")
    target, _, version = rest.rpartition(" ")
    lines = (f"{method} {mask.target(target)} {version}", *map(mask.field, fields))
    return Forwarded(call.endpoint.name, lines, len(body), mask.body(body, head))
