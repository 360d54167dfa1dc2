"""From what a call is to its upstream: its deadline, what its limits let it have, its wait in line, the attempts.
While it is in line or parked its clock ends here.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from gateway import admission, refusals, verdicts
from gateway.asking import Asking
from gateway.call import ADMITTING, PARKED, WAITING, Call
from gateway.head import Known
from gateway.holds.budget import FRONT_MARGIN
from gateway.life.ending import Ending
from gateway.pipeline import Refusal, Verdict
from gateway.pollers import Kept
from gateway.ramp import Early
from gateway.sides import READING
from gateway.upstream import failure
from gateway.upstream.dial import Dial
from gateway.upstream.http1 import UpstreamConnection
from gateway.upstream.repeat import Pause
from gateway.waiting import Spot

if TYPE_CHECKING:
    from gateway.plan import Plan


class Forwarding(Ending):
    """Lets calls in, and sends them on."""

    def _take(self, call: Call, plan: Plan, verdict: Verdict) -> None:
        """It is known what the call is: it gets its deadline, and what its limits let it have."""
        if verdict is None and call.hold is not None:
            verdict = self._limit(call, plan)
            if verdict is None and self.ramp is not None:
                call.state = WAITING
                early = call.up = self.ramp.enter(call)
                self._timers.arm(call, min(early.until, call.deadline))
                return
        self._demand(call, plan, verdict)

    def _limit(self, call: Call, plan: Plan) -> Verdict:
        now, limits = self._timers.now(), []
        if call.hold is not None and call.hold.last and call.head is not None:
            known = call.head.known or Known()
            call.head.known = known._replace(headers=self._memory.of_poller(plan, call, now))
        if self.draining is not None:
            limits.append(("drain", self.draining.slot(now, random.random())))
        if self.snapshot.edge.front_idle_timeout is not None:
            limits.append(("front", call.started + self.snapshot.edge.front_idle_timeout - FRONT_MARGIN))
        cause = admission.limit(call, plan, limits, now, self._clock.wall())
        return admission.no_hold(call, cause, self._draining_refusal(), failure.TIMEOUT) if cause is not None else None

    def _demand(self, call: Call, plan: Plan, verdict: Verdict) -> None:
        if verdict is None and plan.at_once is not None:
            taken = self._limits.take(call, plan)
            if taken is not None:
                if isinstance(taken, (Spot, Asking)):
                    call.state = WAITING
                    call.up = taken
                    self._timers.arm(call, taken.until)
                    return
                verdict = taken
        self._go_on_in(call, plan, verdict)

    def _go_on_in(self, call: Call, plan: Plan, verdict: Verdict) -> None:
        """Its limits let it in, or not: now other polls of the same poller have their say, where there are rules."""
        if verdict is None and call.hold is not None and call.hold.tells_apart:
            self._forward(call, plan, self._limits.pollers.enter(call, plan.upstream.name))
        else:
            self._forward(call, plan, verdict)

    def _forward(self, call: Call, plan: Plan, verdict: Verdict | Kept) -> None:
        """Its admission is over: forward it, keep it back, or tell it why not."""
        if isinstance(verdict, Kept):
            call.state = WAITING
            call.up = verdict
            self._timers.arm(call, min(verdict.until, call.deadline))
            return
        if verdict is None:
            call.state = PARKED
            plan.upstream.calls += 1
            verdict = self._forwarder.forward(call, plan)
            if self.parked is not None and verdict is None and call.hold is not None and call.state is PARKED:
                self.parked(call, self.snapshot)
        if verdict is failure.TOO_LATE and call.hold is not None:
            self._quiet(call, self._timers.now())
        elif verdict is not None:
            self._say(call, verdict)

    def _turn(self, call: Call) -> None:
        """It is first in its line, and what it waits for may be there: it asks again for all it demands. Or the store
        has said what comes of that."""
        plan, up = call.plan, call.up
        if plan is None:
            return
        if isinstance(up, Kept):
            self._come(call, plan, up)
        elif isinstance(up, Early) and not self._limits.too_late(call):
            up.cancel()
            call.up = None
            call.state = ADMITTING
            self._demand(call, plan, None)
        elif not isinstance(up, (Spot, Asking)):
            return
        elif isinstance(up, Asking) and not up.said:
            up.again = True
        elif self._limits.too_late(call):
            self._overdue(call, self._timers.now())
        elif isinstance(up, Spot):
            self._took(call, plan, up, self._limits.take(call, plan))
        else:
            self._took(call, plan, up.spot, self._limits.told(call, plan, up))

    def _took(self, call: Call, plan: Plan, spot: Spot | None, taken: Refusal | Spot | Asking | None) -> None:
        """What a call that waited got, or for what it waits now. `spot` is where it stood, if anywhere."""
        if isinstance(taken, (Spot, Asking)):
            call.up = taken
            if isinstance(taken, Spot) and taken is not spot:
                if spot is not None:
                    spot.line.leave(spot)  # that it got, but now it waits for something else
                self._timers.arm(call, min(taken.until, call.due))
            return
        if spot is not None:
            spot.cancel()
        call.up = None
        call.state = ADMITTING
        self._go_on_in(call, plan, taken)

    def _come(self, call: Call, plan: Plan, kept: Kept) -> None:
        """What it was kept back for is over. The hold of one that waited for the end of another begins only now, but a
        drain that was to end it still does."""
        kept.cancel()
        call.up = None
        call.state = ADMITTING
        verdict: Verdict | Kept = kept.beaten()
        if verdict is None and kept.seat is not None and call.clamped_by != "drain":
            verdict = self._limit(call, plan)
        self._forward(call, plan, verdict if verdict is not None else kept.rest())

    def _overdue(self, call: Call, now: float) -> None:
        """A call's clock ran out: of its wait in line or for its body, of connecting, of its answer, of a hold."""
        if isinstance(call.up, Asking):
            call.up = call.up.forsake()
        if isinstance(call.up, Dial) and now < call.deadline and call.plan is not None:
            self._forwarder.connect_timed_out(call, call.plan, call.up)
        elif isinstance(call.up, Pause) and call.up.until <= now < call.deadline and call.plan is not None:
            self._repeats.pause_over(call, call.plan)
        elif isinstance(call.up, Kept) and now >= call.up.until and not self._limits.too_late(call):
            self._turn(call)
        elif (
            isinstance(call.up, (Spot, Kept, Early))
            and call.blank is None
            and call.clamped_by not in ("drain", "token")
        ):
            self._say(call, self._limits.in_vain(call))
        elif call.hold is not None:
            self._quiet(call, now)
        elif call.clamped_by == "drain":
            self._say(call, self._draining_refusal())
        else:
            if isinstance(call.up, UpstreamConnection) and not call.up.upload_done:
                call.note = verdicts.UNFINISHED
            self._say(call, refusals.BODY_TIMEOUT if call.up is READING else failure.TIMEOUT)

    def _late(self, call: Call) -> None:
        self._quiet(call, self._timers.now())

    def _fail(self, call: Call, refusal: Refusal, note: str) -> None:
        """Nothing was relayed yet: what may be is sent again, everything else is told."""
        call.note = note or None
        verdict = self._repeats.lost(call, call.plan, refusal) if call.plan is not None else refusal
        if verdict is failure.TOO_LATE:
            self._quiet(call, self._timers.now())
        elif verdict is not None:
            self._say(call, verdict)
