"""The kind `retry`: which calls may be sent again although the upstream may have seen them, and after what pause. A
poll asks its dialect's replay class instead; what the kind says of budget and pauses counts for it too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from gateway.holds.replay import REPLAY
from gateway.shapes import Retry

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.head import RequestHead, ResponseHead
    from gateway.plan import Plan

KEPT: Final = 16 * 1024  # bytes of a request that are kept until it is answered, to be sent again
LONGEST: Final = 2.0  # seconds; no pause gets longer by doubling
RACE: Final = 1.0  # seconds: a connection that was closed before the request came there is lost sooner
SAFE: Final = frozenset(
    {"GET", "HEAD", "OPTIONS"}
)  # of the methods that only ask (RFC 9110 9.2.1) those that are served


def compile_retry(
    attempts: int, budget: float, backoff: float, methods: Iterable[str], status: Iterable[int]
) -> Retry:  # fmt: skip
    return Retry(attempts, budget, backoff, frozenset(methods), frozenset(status))


def pause(retry: Retry, number: int, share: float) -> float:
    """Seconds before the attempt that follows `number` others: the first pause doubled each time. `share` (0 to 1) is
    drawn, and spreads it from half to one and a half."""
    return min(retry.backoff * 2.0 ** (number - 1), max(retry.backoff, LONGEST)) * (0.5 + share)


def keeps_body(plan: Plan, head: RequestHead) -> bool:
    """Whether the body of an ordinary call is read whole before it is sent, for it may have to be sent again."""
    retry = plan.retry
    if head.length is None or head.length > KEPT or retry.attempts < 2 or head.method not in retry.methods:
        return False
    return _nothing_is_lost(plan)


def at_once(call: Call, now: float) -> bool:
    """Whether its connection died so soon that the upstream may have closed it before the request came there."""
    return call.sent_at is not None and now - call.sent_at <= RACE


def after_loss(call: Call, plan: Plan, raced: bool) -> bool:
    """Whether a call whose connection died before an answer may be sent again. `raced`: it died at once, was used
    before and brought not a byte, so the upstream most likely closed it before the request came there."""
    if call.wire is None or call.sent_at is None:
        return False
    if call.hold is not None:
        return True  # a poll keeps its bytes only for this, and only once
    if _may(call, plan):
        return True
    first = not any(each.sent for each in call.tries)
    return raced and first and call.method in SAFE and _nothing_is_lost(plan)


def after_answer(call: Call, plan: Plan, head: ResponseHead) -> bool:
    """Whether an answer counts as a failure here, so that the call is sent again. One that says when to come back is
    for the client."""
    if head.status not in plan.retry.status or call.hold is not None or call.wire is None or call.sent_at is None:
        return False
    return "Retry-After" not in head.headers and _may(call, plan)


def _may(call: Call, plan: Plan) -> bool:
    retry, sent = plan.retry, 1 + sum(each.sent for each in call.tries)
    return sent < retry.attempts and call.method in retry.methods and _nothing_is_lost(plan)


def _nothing_is_lost(plan: Plan) -> bool:
    """Where polls take away what they are told, so may whoever asks without waiting."""
    return plan.hold is None or REPLAY[plan.hold.replay].again
