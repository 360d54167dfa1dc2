"""The forwarded request, read off the stand-in upstream: without secrets, and with words where every call has an id of
its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gateway.explain.model import Forwarded
from gateway.telemetry import trace

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.explain.scene import Scene
    from gateway.explain.secrets import Mask
    from gateway.head import RequestHead
    from gateway.upstream.balance import Upstream

CALL_ID = "<call id>"
_WORDS = {"round-robin": " first, the next call to the next one", "random-two": ", say: two are drawn by lot"}


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
    return Forwarded(call.endpoint.name, _chosen(call, call.endpoint.upstream), lines, len(body), mask.body(body, head))


def _chosen(call: Call, upstream: Upstream) -> str:
    """In words that follow the endpoint's name. What a gateway that runs has learnt and counted is not known here."""
    balance = upstream.balance
    if len(upstream.endpoints) < 2:
        return ""
    if balance.kind == "hash" and (call.affinity is not None or balance.where in ("consumer", "tenant")):
        return f", as every call with the same value for {balance}"
    if balance.kind == "sticky" and call.affinity is not None:
        return ", unless its session is known to be at another"
    begins = "; its answer may begin a session, which stays there" if balance.kind == "sticky" else ""
    return _WORDS.get(balance.kind, " first, when none is busier") + begins
