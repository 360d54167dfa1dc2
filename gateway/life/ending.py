"""How a call ends early, or at all: whom we tell that there is no news, who has to give way, what a drain does, and the
settling. The ground floor of `Serve`: it holds what all of it works with.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from gateway import refusals, verdicts
from gateway.call import RELAYING, SETTLED, Call
from gateway.clock import NEVER, Clock, Timers
from gateway.demands import release
from gateway.drain import Drain
from gateway.head import END
from gateway.limits import Limits
from gateway.memory import Memory
from gateway.outcome import ANSWERED, EMPTY, NEWS, Outcome
from gateway.pipeline import Refusal, Reply
from gateway.policies import cors
from gateway.pollers import lost
from gateway.problem import render
from gateway.ramp import Ramp
from gateway.upstream.forward import Forwarder
from gateway.upstream.repeat import Repeats

if TYPE_CHECKING:
    from gateway.plan import Plan, Snapshot
    from gateway.telemetry.trace import Arrives
    from gateway.upstream.endpoint import Endpoint


ENDED_ROUTE: Final = Drain(0.0, 5.0)  # over what time those come back whose route a reload took away


class Ending:
    """Ends calls, each exactly once, and hands it to `settled` for its record."""

    def __init__(self, snapshot: Snapshot, clock: Clock, timers: Timers, forwarder: Forwarder, limits: Limits,
                 settled: Callable[[Call], None]) -> None:  # fmt: skip
        self.snapshot = snapshot
        self.draining: Drain | None = None
        self.sheds_hold: Callable[[], bool] = lambda: False  # set by the edge: no room for another parked call
        self.parked: Callable[[Call, Snapshot], None] | None = None  # wants to know of every hold that begins
        self.ramp: Ramp | None = None  # until those have come back whom the end of the process before sent away
        self.arrives: Arrives | None = None  # what spans will show of a head, where there are any
        self._clock = clock
        self._timers = timers
        self._forwarder = forwarder
        self._repeats = Repeats(forwarder, timers)
        self._limits = limits
        self._memory = Memory()
        self._settled = settled

    def _ignore(self, call: Call, *_: Any) -> None:
        """An event that came too late or means nothing here."""

    def _say(self, call: Call, verdict: Refusal | Reply) -> None:
        """The gateway answers itself."""
        if isinstance(verdict, Reply):
            headers, body = verdict.headers, verdict.body
        else:
            if verdict.outcome is Outcome.OVERLOADED:  # spread, or all who were refused return together
                verdict = verdict.later(1 + int(9 * random.random()))
            dialect = call.plan.hold if call.plan is not None else None
            own = dialect.refusals.get(verdict.status) if dialect is not None else None
            headers, body = render(verdict, call.id, own)
            if own is not None and own.status != verdict.status:
                verdict = replace(verdict, status=own.status)
        if call.up is not None:
            call.up.cancel()
            call.up = None
        plan, fresh = call.plan, END
        if plan is not None and plan.cors is not None and verdict.outcome is not Outcome.PREFLIGHT:
            headers = cors.answer_headers(plan.cors, call.origin, headers)
        if plan is not None and plan.shown is not None and verdict.outcome is not Outcome.PREFLIGHT:
            if call.charged:
                self._limits.refund(call, plan, verdict.outcome)
            fresh = plan.shown.lines(call, self._timers.now())
        call.state = RELAYING
        call.status = verdict.status
        call.ending = verdict.outcome
        self._timers.arm(call, NEVER)
        call.bytes_out = 0 if call.method == "HEAD" or verdict.status in (204, 304) else len(body)
        if call.conn.answer(verdict.status, headers, body, verdict.close, fresh):
            self._settle(call, verdict.outcome)

    def _settle(self, call: Call, outcome: Outcome | None) -> None:
        """Exactly once: the connection to the upstream is given up or back, leases return, the record is written."""
        call.state = SETTLED
        call.outcome = outcome
        self._timers.cancel(call)
        if call.up is not None:
            call.up.cancel()
            call.up = None
        call.ended = self._timers.now()  # after what it waited for has counted that: its work is never less than none
        if call.charged and outcome is not ANSWERED and call.plan is not None:
            self._limits.refund(call, call.plan, outcome)
        release(call)
        if call.endpoint is not None and call.endpoint.upstream.watch is not None and outcome is not None:
            self._tell(call, call.endpoint, outcome)
        try:
            self._settled(call)
        finally:
            call.conn.settled(call)

    def _tell(self, call: Call, endpoint: Endpoint, outcome: Outcome) -> None:
        """Its endpoint learns how the call ended, unless all is well as before; of attempts that failed before it was
        told at once."""
        if not endpoint.wary and (outcome is ANSWERED or outcome is NEWS or outcome is EMPTY):
            return
        told = verdicts.of_endpoint(call, outcome)
        if told is not None and call.attempts > len(call.tries):
            endpoint.upstream.told(endpoint, told, call.status, call.sent_at)

    def refuse(self, call: Call, refusal: Refusal) -> None:
        """Ends a call that was malformed before it could be routed, or that a bug stopped on its way."""
        if call.state < RELAYING:
            self._say(call, refusal)

    def _draining_refusal(self) -> Refusal:
        """Spread: all who are ended together must not come back together. Without a drain it is a route that ends."""
        drain = self.draining or ENDED_ROUTE
        return refusals.DRAINING.later(drain.retry_after(random.random()))

    def _bound_by_drain(self, plan: Plan, now: float, end_by: Callable[[float, str], None]) -> None:
        """What begins only now, and would last, while a drain is under way or after its route was taken away."""
        drain = self.draining
        if drain is None and not self.snapshot.serves(plan.route):
            drain = Drain(now, now + ENDED_ROUTE.end)
        if drain is not None:
            end_by(drain.slot(now, random.random()), "drain")

    def _quiet(self, call: Call, now: float) -> None:
        """We want this hold to end: the table of who may say "no news" decides how."""
        verdict = verdicts.of_quiet(call, now, self._draining_refusal)
        if verdict is None:
            call.conn.abort(reset=False)
            self._settle(call, Outcome.DRAINED)
        else:
            self._say(call, verdict)

    def _leave(self, call: Call, outcome: Outcome) -> None:
        self._settle(call, outcome)

    def _reject_upload(self, call: Call, refusal: Refusal) -> None:
        self._say(call, refusal)

    def _break_off(self, call: Call, refusal: Refusal) -> None:
        call.conn.abort(reset=True)
        self._settle(call, refusal.outcome)

    def _evict(self, call: Call) -> None:
        if call.blank is not None:
            self._say(call, replace(call.blank, outcome=Outcome.EVICTED))
        elif call.evictable:
            self._say(call, lost(call, Outcome.EVICTED))

    def _give_way(self, call: Call) -> None:
        self._say(call, lost(call, Outcome.SUPERSEDED))

    def _break_hold(self, call: Call) -> None:
        """It has to give way while it is held on: all that can still be shown is that this is no whole answer."""
        if verdicts.only_held(call):
            call.conn.abort(reset=True)
            self._settle(call, Outcome.SUPERSEDED)

    def _revoke(self, call: Call) -> None:
        self._say(call, refusals.REVOKED)

    def _cut(self, call: Call) -> None:
        """Revoked while the answer passes through: it ends here, visibly."""
        call.conn.abort(reset=True)
        self._settle(call, Outcome.REVOKED)

    def _wind_down(self, call: Call, drain: Drain) -> None:
        """A parked poll with a template ends spread over the window; everything else may run until its end. An answer
        that has begun is let finish, unless it is a hold still, or a stream whose clients are known to come back."""
        if call.state is RELAYING and not call.held_on:
            self._wind_stream_down(call, drain)
            return
        end = drain.slot(self._timers.now(), random.random()) if call.blank is not None else drain.end
        if end < call.deadline:
            call.deadline, call.clamped_by = end, "drain"
        if end < call.due:
            self._timers.arm(call, end)

    def _wind_stream_down(self, call: Call, drain: Drain) -> None:
        rules = call.plan.sse if call.plan is not None else None
        if call.stream is not None and call.up is not None and rules is not None and rules.resumes:
            call.stream.end_by(drain.slot(self._timers.now(), random.random()), "drain")
            self._timers.arm(call, call.stream.due)
