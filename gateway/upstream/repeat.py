"""What is sent again: when a connection died or an answer counts as a failure, on another endpoint first, after a
pause, and never more of it than the upstream's budget has. What may be is for `policies.retry` to say.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from gateway.call import Try
from gateway.clock import NEVER
from gateway.outcome import Outcome
from gateway.policies import retry
from gateway.upstream import failure
from gateway.upstream.forward import due

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.clock import Timers
    from gateway.head import ResponseHead
    from gateway.pipeline import Refusal
    from gateway.plan import Plan
    from gateway.upstream.endpoint import Endpoint
    from gateway.upstream.forward import Forwarder


class Pause:
    """Stands in `call.up` until the call is sent again, at `until` (loop seconds). Its clock is the call's own."""

    __slots__ = ("until",)

    def __init__(self, until: float) -> None:
        self.until = until

    def cancel(self) -> None:
        """Nothing is under way."""

    def pause(self) -> None:
        """Nothing is read yet."""

    def resume(self) -> None:
        """Nothing was paused."""

    def upload(self, data: bytes, ended: bool) -> None:
        raise AssertionError("what is sent again has no body that still comes")


class Repeats:
    __slots__ = ("_forwarder", "_timers")

    def __init__(self, forwarder: Forwarder, timers: Timers) -> None:
        self._forwarder = forwarder
        self._timers = timers

    def lost(self, call: Call, plan: Plan, refusal: Refusal) -> Refusal | None:
        """Sends a call again whose upstream failed, where that may be; else what the call is to be told."""
        if refusal.outcome is not Outcome.UPSTREAM_RESET or call.up is not None:
            return refusal
        raced = refusal is failure.STALE and retry.at_once(call, self._timers.now())
        if not retry.after_loss(call, plan, raced) or not self._affords(call, plan):
            return refusal
        return self._again(call, plan, refusal.outcome, 0, raced)

    def answered(self, call: Call, plan: Plan, head: ResponseHead) -> bool:
        """Sends a call again whose answer counts as a failure, where that may be: then that answer is thrown away."""
        if isinstance(call.up, Pause) or not retry.after_answer(call, plan, head) or not self._affords(call, plan):
            return False
        if call.up is not None:  # there is more of it to come
            call.up.cancel()
            call.up = None
        refusal = self._again(call, plan, Outcome.UPSTREAM_ERROR, head.status, False)
        if refusal is not None:
            call.serve.on_failure(call, refusal, f"after {head.status}")
        return True

    def pause_over(self, call: Call, plan: Plan) -> None:
        call.up = None
        refusal = self._forwarder.forward(call, plan, asked(call, plan))
        if refusal is failure.TOO_LATE:
            call.serve.on_late(call)
        elif refusal is not None:
            call.serve.on_failure(call, refusal, call.note or "")

    def _affords(self, call: Call, plan: Plan) -> bool:
        upstream = plan.upstream
        if upstream.budget.take(plan.retry.budget, upstream.calls, upstream.held, self._timers.now()):
            return True
        call.note = "retry_budget"
        return False

    def _again(self, call: Call, plan: Plan, outcome: Outcome, status: int, raced: bool) -> Refusal | None:
        endpoint, now = call.endpoint, self._timers.now()
        assert endpoint is not None and call.sent_at is not None
        call.tries = (*call.tries, Try(endpoint, call.sent_at, now, True, outcome, status))
        self._forwarder.give_back(call, endpoint)
        if raced:  # nobody's fault, and what rests beside it is likely to be closed as well
            endpoint.close_idle()
        else:
            plan.upstream.told(endpoint, outcome, status, call.sent_at)
        call.upstream_due, call.sent_at = NEVER, None  # nobody owes it an answer now
        pause = pause_before(call, plan, raced)
        if not pause:
            return self._forwarder.forward(call, plan, asked(call, plan))
        call.up = Pause(now + pause)
        self._timers.arm(call, min(now + pause, due(call, plan, now)))
        return None


def pause_before(call: Call, plan: Plan, raced: bool) -> float:
    """Seconds until a call is sent again. None for the built-in rule, where another endpoint can be asked or only the
    connection was to blame."""
    if raced or (call.hold is not None and asked(call, plan)):
        return 0.0
    return retry.pause(plan.retry, sum(each.sent for each in call.tries), random.random())


def asked(call: Call, plan: Plan) -> tuple[Endpoint, ...]:
    """Whom not to ask now: all that were, or only the last one where that would leave nobody, or none. A session is
    asked for at home: nobody else knows it."""
    if call.affinity is not None and plan.upstream.sessions is not None:
        return ()
    all_of_them = tuple(each.endpoint for each in call.tries if each.sent)
    for those in (all_of_them, all_of_them[-1:]):
        if any(each not in those for each in plan.upstream.choice):
            return those
    return ()
