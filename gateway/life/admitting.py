"""From the head to the verdict of its route's steps: no task is made, a step that must wait gives a future. What the
call wants is asked here, of its head or of its body.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway import admission, refusals
from gateway.call import ADMITTING, WAITING, Call
from gateway.clock import NEVER
from gateway.head import RequestHead
from gateway.life.forwarding import Forwarding
from gateway.pipeline import Verdict, run
from gateway.policies import websocket
from gateway.sides import READING
from gateway.upstream import failure
from gateway.upstream.hops import client_of

if TYPE_CHECKING:
    from gateway.holds.plan import HoldPlan
    from gateway.plan import Plan
    from gateway.policies.websocket import Upgrades


class Admitting(Forwarding):
    """Takes calls from the edge."""

    def open(self, call: Call) -> None:
        """Routes a call whose head was read and runs its admission."""
        head = call.head
        assert head is not None
        call.state = ADMITTING
        if self.snapshot.trusted:
            call.peer, head.scheme = client_of(call.peer, head, self.snapshot.trusted)
        if self.arrives is not None:
            call.arrival = self.arrives(head)
        verdict = admission.route(call, head, self.snapshot)
        if verdict is None and call.plan is not None:
            hold = call.plan.hold
            if call.plan.upgrade is not None and "Upgrade" in head.headers:
                verdict = self._offer(call, head, call.plan.upgrade)
            if (
                verdict is None
                and hold is not None
                and call.upgrade is None
                and not (hold.body_limit and admission.looks_into_body(head, hold))
            ):
                verdict = self._wish(call, head, hold)
        if verdict is not None:
            self._say(call, verdict)
        else:
            self._admit(call, 0)

    def _wish(self, call: Call, head: RequestHead, hold: HoldPlan) -> Verdict:
        if hold.session is not None and call.plan is not None:
            head.known = self._memory.of_session(call.plan, head, self._timers.now())
            call.teaches = int(hold.session.when(head))
        verdict = admission.wish(call, head, hold)
        if verdict is None and call.hold is not None and self.sheds_hold():
            return failure.NO_ROOM_TO_HOLD
        return verdict

    def _offer(self, call: Call, head: RequestHead, rules: Upgrades) -> Verdict:
        """What asks for another protocol is no poll, and lasts as long as one: there must be room, and time."""
        offer = websocket.asks(rules, head)
        if not isinstance(offer, websocket.Offer):
            return offer
        call.upgrade = offer
        if self.draining is not None:
            return self._draining_refusal()
        return failure.NO_ROOM_TO_HOLD if self.sheds_hold() else None

    def _admit(self, call: Call, first: int) -> None:
        plan = call.plan
        assert plan is not None
        verdict, index = run(call, plan.steps, first)
        if call.state is not ADMITTING:  # it ended inside a step
            return
        if isinstance(verdict, asyncio.Future):
            call.state = WAITING
            verdict.add_done_callback(lambda done: call.serve.on_resumed(call, done, index))
            return
        hold = plan.hold
        if verdict is None and hold is not None and hold.body_limit and admission.looks_into_body(call.head, hold):
            self._gather(call, plan, min(hold.body_limit, plan.max_body))
        elif verdict is None and call.framing is not None and admission.keeps_body(call, plan):
            self._gather(call, plan, plan.max_body)
        else:
            self._take(call, plan, verdict)

    def _gather(self, call: Call, plan: Plan, limit: int) -> None:
        """Waits for the body, unless it is known to be too long to be looked into."""
        assert call.head is not None
        call.state = WAITING
        if call.head.length is not None and call.head.length > limit:
            self._read(call, None)
            return
        call.up = READING
        self._timers.arm(call, self._timers.now() + plan.response_timeout)
        call.conn.read_whole(limit)

    def _read(self, call: Call, body: bytes | None) -> None:
        """The body is there, which may say whether this is a poll; None: it is too long to be looked into."""
        plan, head = call.plan, call.head
        assert plan is not None and head is not None
        call.state = ADMITTING
        self._timers.arm(call, NEVER)
        hold = plan.hold
        if hold is None or not (hold.body_limit and admission.looks_into_body(head, hold)):  # it is only kept
            admission.keep_body(call, head, body)
            self._take(call, plan, None)
            return
        readable = admission.with_body(call, head, body)
        self._take(call, plan, self._wish(call, head, hold) if readable else None)

    def _resume(self, call: Call, done: asyncio.Future[Verdict], index: int) -> None:
        if call.up is not None:  # it waits for something else by now
            self._forget(call, done, index)
            return
        call.state = ADMITTING
        try:
            verdict = done.result()
            if verdict is None:
                self._admit(call, index)
                return
        except asyncio.CancelledError:
            verdict = refusals.INTERNAL
        except Exception as error:
            done.get_loop().call_exception_handler({"message": "a step that waited failed", "exception": error})
            verdict = refusals.INTERNAL
        if call.state is ADMITTING:
            self._say(call, verdict)

    def _forget(self, call: Call, done: asyncio.Future[Verdict], index: int) -> None:
        """The call ended while the step waited: nobody else will look at how the step ended."""
        if not done.cancelled():
            done.exception()
