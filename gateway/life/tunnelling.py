"""What events do to a call that is a tunnel: after a 101 bytes pass both ways, and only its clock is looked at here."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, cast

from gateway import admission, verdicts
from gateway.call import TUNNELLING, Call
from gateway.clock import NEVER
from gateway.drain import Drain
from gateway.head import END, ResponseHead
from gateway.life.relaying import Relaying
from gateway.outcome import TUNNELLED, Outcome
from gateway.pipeline import Refusal
from gateway.policies import websocket
from gateway.policies.websocket import GOING_AWAY, POLICY_VIOLATION
from gateway.upstream import failure
from gateway.upstream.http1 import UpstreamConnection

if TYPE_CHECKING:
    from gateway.sides import Glued


class Tunnelling(Relaying):
    """Ends tunnels in the way of their protocol."""

    def _switch(self, call: Call, head: ResponseHead, up: UpstreamConnection, data: bytes) -> None:
        plan, now = call.plan, self._timers.now()
        assert plan is not None and plan.upgrade is not None and call.upgrade is not None
        wrong = websocket.wrong(call.upgrade, head)
        if wrong is not None:
            up.cancel()
            self._fail(call, failure.BAD, wrong)
            return
        call.state = TUNNELLING
        call.wire = None
        call.status = head.status
        call.ending = TUNNELLED
        call.first_byte_at = now
        if call.endpoint is not None:
            call.endpoint.overruns = 0
        if plan.upstream.sessions is not None:
            plan.upstream.sessions.answered(call, head, now)
        ends = [(now + plan.upgrade.max_time, "max"), (admission.token_end(call, now, self._clock.wall()), "token")]
        self._bound_by_drain(plan, now, lambda at, why: ends.append((at, why)))
        call.deadline, call.clamped_by = min(ends)
        fresh = plan.shown.lines(call, now) if plan.shown is not None else END
        call.up = call.conn.switch(head, plan.response.drops, plan.response.add, fresh, up, data)
        self._timers.arm(call, min(call.deadline, now + plan.upgrade.idle_timeout))

    def _rest(self, call: Call, now: float) -> None:
        """The clock of a tunnel: its end has come, or nothing has passed for too long, or something has meanwhile."""
        assert call.plan is not None and call.plan.upgrade is not None
        idle = glued(call).last + call.plan.upgrade.idle_timeout
        if now >= call.deadline:
            self._finish(call, *verdicts.of_tunnel(call))
        elif now >= idle:
            self._finish(call, TUNNELLED, "idle", GOING_AWAY)
        else:
            self._timers.arm(call, min(call.deadline, idle))

    def _finish(self, call: Call, outcome: Outcome, note: str | None, code: int) -> None:
        """Ends a tunnel, once: both sides are told with that code, and then it is over or cut off."""
        if call.ending is not TUNNELLED:
            return
        call.ending = outcome
        call.note = note or call.note
        self._timers.arm(call, NEVER)
        glued(call).end(code)

    def _wind_up(self, call: Call, drain: Drain) -> None:
        """A tunnel ends at its own instant within the window: its client comes back, and shall not come with all."""
        end = drain.slot(self._timers.now(), random.random())
        if end < call.deadline:
            call.deadline, call.clamped_by = end, "drain"
            if call.ending is TUNNELLED:
                self._timers.arm(call, min(end, call.due))

    def _yield(self, call: Call) -> None:
        by_another = call.note is not None and call.note.startswith("for ")
        self._finish(call, Outcome.EVICTED, None, POLICY_VIOLATION if by_another else GOING_AWAY)

    def _shut(self, call: Call) -> None:
        self._finish(call, Outcome.REVOKED, None, POLICY_VIOLATION)

    def _over(self, call: Call) -> None:
        assert call.ending is not None
        self._close_tunnel(call, call.ending)

    def _left(self, call: Call, outcome: Outcome) -> None:
        self._close_tunnel(call, outcome)

    def _broken(self, call: Call, refusal: Refusal, note: str) -> None:
        call.note = note
        self._close_tunnel(call, Outcome.TRUNCATED)

    def _close_tunnel(self, call: Call, outcome: Outcome) -> None:
        call.bytes_in, call.bytes_out = glued(call).passed
        if call.plan is not None and call.plan.upstream.sessions is not None:
            call.plan.upstream.sessions.lasted(call, self._timers.now())
        self._settle(call, outcome)


def glued(call: Call) -> Glued:
    """Both sides of a call that is a tunnel."""
    return cast("Glued", call.up)
