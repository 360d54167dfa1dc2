"""The life of a call: run the admission without a task, then react to events until it is settled, once. The table at
the end says what each event does in each state. Knows no sockets: `call.conn` and `call.up` are told what to do.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from gateway import admission, refusals, verdicts
from gateway.asking import Asking
from gateway.call import Call, State
from gateway.clock import NEVER, Clock, Timers
from gateway.demands import release
from gateway.drain import Drain
from gateway.head import END, Known, RequestHead, ResponseHead
from gateway.holds.budget import FRONT_MARGIN
from gateway.limits import Limits
from gateway.memory import Memory
from gateway.outcome import Outcome
from gateway.pipeline import Refusal, Reply, Verdict, run
from gateway.policies import cors, websocket
from gateway.policies.websocket import GOING_AWAY, POLICY_VIOLATION
from gateway.pollers import Kept, lost
from gateway.problem import render
from gateway.ramp import Early, Ramp
from gateway.sides import READING
from gateway.streams import HEARTBEAT, SPREAD, Stream, is_stream
from gateway.upstream import failure
from gateway.upstream.dial import Dial
from gateway.upstream.forward import Forwarder
from gateway.upstream.hops import client_of
from gateway.upstream.http1 import UpstreamConnection
from gateway.upstream.repeat import Pause, Repeats
from gateway.waiting import Spot

if TYPE_CHECKING:
    from gateway.holds.plan import HoldPlan
    from gateway.plan import Plan, Snapshot
    from gateway.policies.websocket import Upgrades
    from gateway.sides import Glued
    from gateway.state.notes import Notes
    from gateway.telemetry.trace import Arrives
    from gateway.upstream.endpoint import Endpoint
    from gateway.upstream.http1 import UpstreamConnection


# As globals: on CPython 3.11 an enum's attribute costs four times a global, and compiled a final one costs nothing.
OPENING: Final[State] = State.OPENING
ADMITTING: Final[State] = State.ADMITTING
WAITING: Final[State] = State.WAITING
PARKED: Final[State] = State.PARKED
RELAYING: Final[State] = State.RELAYING
TUNNELLING: Final[State] = State.TUNNELLING
SETTLED: Final[State] = State.SETTLED
ANSWERED: Final[Outcome] = Outcome.ANSWERED
NEWS: Final[Outcome] = Outcome.NEWS
EMPTY: Final[Outcome] = Outcome.EMPTY
TUNNELLED: Final[Outcome] = Outcome.TUNNELLED
NAMES: Final = 2  # of `Call.teaches`
ENDED_ROUTE: Final = Drain(0.0, 5.0)  # over what time those come back whose route a reload took away


class Serve:
    """Takes calls from the edge and settles each exactly once, which hands it to `settled` for its record."""

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
        self._table = {event: tuple(getattr(self, row.get(state, "_ignore")) for state in State)
                       for event, row in TABLE.items()}  # fmt: skip

    def share(self, notes: Notes) -> None:
        """What is remembered of earlier answers is shared with other workers."""
        self._memory.share(notes)

    # -- admission -----------------------------------------------------------------------------------------------

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
            verdict.add_done_callback(lambda done: self.on_resumed(call, done, index))
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

    def _draining_refusal(self) -> Refusal:
        """Spread: all who are ended together must not come back together. Without a drain it is a route that ends."""
        drain = self.draining or ENDED_ROUTE
        return refusals.DRAINING.later(drain.retry_after(random.random()))

    # -- events --------------------------------------------------------------------------------------------------

    def on_resumed(self, call: Call, done: asyncio.Future[Verdict], index: int) -> None:
        """A step that waited has its verdict."""
        self._table["resumed"][call.state](call, done, index)

    def on_turn(self, call: Call) -> None:
        """A call that waits in line is first, and there may be room."""
        self._table["turn"][call.state](call)

    def on_head(self, call: Call, head: ResponseHead, data: bytes, ended: bool, framed: bytes | None = None) -> None:
        """The upstream began to answer; `data` is the part of the body that came along, `framed` that in its chunks."""
        self._table["head"][call.state](call, head, data, ended, framed)

    def on_switch(self, call: Call, head: ResponseHead, up: UpstreamConnection, data: bytes) -> None:
        """The upstream says that it changed the protocol; `data` is what it sent right behind its 101."""
        self._table["switch"][call.state](call, head, up, data)

    def on_interim(self, call: Call, head: ResponseHead) -> None:
        """The upstream said something before its answer (1xx)."""
        self._table["interim"][call.state](call, head)

    def on_body(self, call: Call, data: bytes, framed: bytes | None = None) -> None:
        self._table["body"][call.state](call, data, framed)

    def on_end(self, call: Call) -> None:
        self._table["end"][call.state](call)

    def on_failure(self, call: Call, refusal: Refusal, note: str) -> None:
        """The upstream failed; `refusal` says how the client is told if it can still be told."""
        self._table["failure"][call.state](call, refusal, note)

    def on_late(self, call: Call) -> None:
        """Connecting took so long that no hold worth sending is left."""
        self._table["late"][call.state](call)

    def hear(self, call: Call) -> None:
        """An answer that has come and waits for its turn (`rush`) is told before anything else ends the call."""
        if call.state is PARKED and isinstance(call.up, UpstreamConnection):
            call.up.hear()

    def on_deadline(self, call: Call, now: float) -> None:
        self.hear(call)
        try:
            self._table["deadline"][call.state](call, now)
        except Exception:
            self.refuse(call, refusals.INTERNAL)  # or it would be parked for ever, without a clock
            raise

    def on_gone(self, call: Call, outcome: Outcome = Outcome.CLIENT_GONE) -> None:
        """The client left, or took nothing for too long."""
        self._table["gone"][call.state](call, outcome)

    def on_whole(self, call: Call, body: bytes | None) -> None:
        """The request body that was asked for is complete; None: it is longer than was allowed."""
        if call.up is READING:
            call.up = None
            self._table["whole"][call.state](call, body)

    def on_upload(self, call: Call, data: bytes, ended: bool) -> None:
        """A piece of the request body arrived."""
        self._table["upload"][call.state](call, data, ended)

    def on_bad_upload(self, call: Call, refusal: Refusal) -> None:
        """The request body is malformed, too large or too slow."""
        self._table["bad_upload"][call.state](call, refusal)

    def on_choked(self, call: Call) -> None:
        """The client reads slower than the upstream sends."""
        self._table["choked"][call.state](call)

    def on_drained(self, call: Call) -> None:
        """Everything written to the client has left our buffer."""
        self._table["drained"][call.state](call)

    def on_evict(self, call: Call) -> None:
        """Somebody else takes this call's place."""
        self._table["evict"][call.state](call)

    def on_superseded(self, call: Call) -> None:
        """A newer poll of the same poller was let in."""
        self.hear(call)
        self._table["superseded"][call.state](call)

    def on_revoked(self, call: Call) -> None:
        """The caller may no longer be served."""
        self._table["revoked"][call.state](call)

    def on_drain(self, call: Call, drain: Drain) -> None:
        """The process is going to end: every call gets its instant within the window."""
        self._table["drain"][call.state](call, drain)

    # -- what events do ------------------------------------------------------------------------------------------

    def _ignore(self, call: Call, *_: Any) -> None:
        """An event that came too late or means nothing here."""

    def _begin(self, call: Call, head: ResponseHead, data: bytes, ended: bool, framed: bytes | None) -> None:
        plan, hold = call.plan, call.hold
        assert plan is not None
        if head.status >= 400 and self._repeats.answered(call, plan, head):
            return
        call.state = RELAYING
        call.wire = None
        call.status = head.status
        now = call.first_byte_at = self._timers.now()
        sessions = plan.upstream.sessions
        if sessions is not None and sessions.answered(call, head, now):
            call.teaches |= NAMES
        if hold is None and not call.teaches:
            call.ending = verdicts.of_status(head.status)
        else:
            self._judge(call, head, data, ended)
        if plan.hold is not None and plan.hold.last:
            self._memory.notice(plan, call, head, now)
        if not ended and call.began_early:
            self._hold_on(call)
        elif call.endpoint is not None:
            call.endpoint.overruns = 0
            if not ended and is_stream(head):
                self._stream(call, plan, head, data, now)
        call.bytes_out += len(data)
        if ended and call.charged and call.ending is not ANSWERED:
            self._limits.refund(call, plan, call.ending)  # before the client is told what it has left
        extra, rules = plan.response.add, plan.cors
        if rules is not None:
            extra += rules.strangers if call.origin is None else rules.pages.get(call.origin, rules.strangers)
        fresh = plan.shown.lines(call, now) if plan.shown is not None else END
        sent = call.conn.begin(head, plan.response.drops, extra, fresh, data, ended, framed)
        if call.ending is NEWS:
            call.news_latency = self._timers.now() - now
        if ended and sent:
            self._settle(call, call.ending)
        elif sent:  # else its clock stands still until the client has caught up
            self._timers.arm(call, verdicts.next_due(call, plan.body_idle_timeout, self._timers.now()))

    def _stream(self, call: Call, plan: Plan, head: ResponseHead, data: bytes, now: float) -> None:
        """A stream of events begins: it has no end of its own, so it ends with its token at the latest."""
        stream = call.stream = Stream(head, plan.sse, plan.body_idle_timeout, now)
        stream.came(data, now)
        stream.end_by(admission.token_end(call, now, self._clock.wall()), "token")
        if plan.sse is not None:
            stream.end_by(now + plan.sse.max_time * (1.0 - SPREAD * random.random()), "max_time")
            if plan.sse.resumes:
                self._bound_by_drain(plan, now, stream.end_by)
        if call.ending is ANSWERED:
            call.ending = Outcome.STREAMED

    def _hint(self, call: Call, head: ResponseHead) -> None:
        assert call.plan is not None
        call.conn.hint(head, call.plan.response.drops)

    def _hold_on(self, call: Call) -> None:
        """The answer of a hold began before there is news: it is held on, but nothing can take that answer's place any
        more. So a drain lets it run to the end of its window, as every hold that we may not end ourselves."""
        call.blank = None
        if call.clamped_by == "drain" and self.draining is not None:
            end = self.draining.end
            call.deadline = max(
                call.deadline, min(end, admission.token_end(call, self._timers.now(), self._clock.wall()))
            )

    def _judge(self, call: Call, head: ResponseHead, data: bytes, ended: bool) -> None:
        """Is this answer news? A short body is kept until its end where that must be read to know, or to learn."""
        limit = verdicts.sampled(call)
        if not ended and limit and len(data) <= limit and (head.length is None or head.length <= limit):
            call.sample = (head, data)
            data = b"\0" * (limit + 1)  # if it grows longer
        elif ended:
            self._learn(call, head, data)
        if call.hold is None:
            call.ending = verdicts.of_status(head.status)
        else:
            call.ending = verdicts.of_answer(call.hold, head, data, call.recalled)

    def _learn(self, call: Call, head: ResponseHead, body: bytes) -> None:
        """A whole answer, which may be the one that says what its session is called, or how long its polls are held."""
        if not call.teaches or call.plan is None or len(body) > verdicts.LESSON:
            return
        now, sessions = self._timers.now(), call.plan.upstream.sessions
        if call.teaches & NAMES and sessions is not None:
            sessions.learn(call, head, body, now)
        if call.teaches & ~NAMES:
            self._memory.learn(call.plan, head, body, now)

    def _relay(self, call: Call, data: bytes, framed: bytes | None) -> None:
        if call.sample is not None:
            head, body = call.sample
            fits = len(body) + len(data) <= verdicts.sampled(call)
            call.sample = (head, body + data) if fits else None
        call.bytes_out += len(data)
        came = self._timers.now()
        if call.stream is not None:
            call.stream.came(data, came)
        call.conn.write(data, framed)
        if call.plan is not None and call.state is RELAYING and call.due != NEVER:
            self._timers.arm(call, verdicts.next_due(call, call.plan.body_idle_timeout, came))
        if data and call.began_early:  # what came last was the news, if any of it was
            call.news_latency = self._timers.now() - came

    def _end(self, call: Call) -> None:
        if call.sample is not None:
            head, body = call.sample
            call.sample = None
            self._learn(call, head, body)
            if call.hold is not None:
                call.ending = verdicts.of_answer(call.hold, head, body, call.recalled)
        if call.ending is not NEWS:
            call.news_latency = None
        if call.began_early and call.endpoint is not None:
            call.endpoint.overruns = 0
        self._timers.arm(call, NEVER)
        if call.conn.finish():
            self._settle(call, call.ending)

    def _fail(self, call: Call, refusal: Refusal, note: str) -> None:
        """Nothing was relayed yet: what may be is sent again, everything else is told."""
        call.note = note or None
        verdict = self._repeats.lost(call, call.plan, refusal) if call.plan is not None else refusal
        if verdict is failure.TOO_LATE:
            self._quiet(call, self._timers.now())
        elif verdict is not None:
            self._say(call, verdict)

    def _truncate(self, call: Call, refusal: Refusal, note: str) -> None:
        """The answer broke off: so does the connection, never to look complete."""
        call.note = note
        call.conn.abort(reset=True)
        self._settle(call, Outcome.TRUNCATED)

    def _late(self, call: Call) -> None:
        self._quiet(call, self._timers.now())

    def _overdue(self, call: Call, now: float) -> None:
        """A call's clock ran out: of its wait in line or for its body, of connecting, of its answer, of a hold."""
        if isinstance(call.up, Asking):
            call.up = call.up.forsake()
        if isinstance(call.up, Dial) and now < call.deadline and call.plan is not None:
            self._forwarder.connect_timed_out(call, call.plan, call.up)
        elif isinstance(call.up, Pause) and call.up.until <= now < call.deadline and call.plan is not None:
            self._repeats.pause_over(call, call.plan)
        elif isinstance(call.up, Kept) and now >= call.up.until and not self._limits.too_late(call):
            self.on_turn(call)
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

    def _quiet(self, call: Call, now: float) -> None:
        """We want this hold to end: the table of who may say "no news" decides how."""
        verdict = verdicts.of_quiet(call, now, self._draining_refusal)
        if verdict is None:
            call.conn.abort(reset=False)
            self._settle(call, Outcome.DRAINED)
        else:
            self._say(call, verdict)

    def _stall(self, call: Call, now: float) -> None:
        """The upstream stopped in its answer, or what had begun, a hold or a stream, is over: it ends here, visibly."""
        if call.stream is not None and call.up is not None and call.stream.lives(now):
            self._beat(call, call.stream, now)
            return
        outcome, note = verdicts.of_cut(call, now)
        call.note = note or call.note
        if call.stream is not None and outcome is not Outcome.TRUNCATED:
            call.conn.cut()
        else:
            call.conn.abort(reset=True)
        self._settle(call, outcome)

    def _beat(self, call: Call, stream: Stream, now: float) -> None:
        """Nothing was sent for a while: a comment is, where neither an event nor a chunk is cut by it."""
        stream.beat(now)
        if (
            stream.between
            and not stream.choked
            and not (isinstance(call.up, UpstreamConnection) and call.up.within_chunk)
        ):
            call.bytes_out += len(HEARTBEAT)
            call.conn.write(HEARTBEAT)
        self._timers.arm(call, stream.due)

    def _leave(self, call: Call, outcome: Outcome) -> None:
        self._settle(call, outcome)

    def _pass_on(self, call: Call, data: bytes, ended: bool) -> None:
        plan = call.plan
        assert plan is not None
        call.bytes_in += len(data)
        if call.bytes_in > plan.max_body:
            self.on_bad_upload(call, refusals.TOO_LARGE)
            return
        if call.up is not None:
            call.up.upload(data, ended)
        if call.hold is None and call.state is PARKED:
            self._timers.arm(call, self._timers.now() + plan.response_timeout)

    def _reject_upload(self, call: Call, refusal: Refusal) -> None:
        self._say(call, refusal)

    def _break_off(self, call: Call, refusal: Refusal) -> None:
        call.conn.abort(reset=True)
        self._settle(call, refusal.outcome)

    def _hold_back(self, call: Call) -> None:
        end = NEVER
        if call.up is not None:
            call.up.pause()
            if call.stream is not None:
                call.stream.choked, end = True, call.stream.end
        self._timers.arm(call, end)

    def _go_on(self, call: Call) -> None:
        """The client caught up: read on, or settle what was only waiting for its last byte to leave."""
        if call.up is None:
            self._settle(call, call.ending)
            return
        call.up.resume()
        assert call.plan is not None
        if call.stream is not None:
            call.stream.go_on(self._timers.now())
        self._timers.arm(call, verdicts.next_due(call, call.plan.body_idle_timeout, self._timers.now()))

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

    def _bound_by_drain(self, plan: Plan, now: float, end_by: Callable[[float, str], None]) -> None:
        """What begins only now, and would last, while a drain is under way or after its route was taken away."""
        drain = self.draining
        if drain is None and not self.snapshot.serves(plan.route):
            drain = Drain(now, now + ENDED_ROUTE.end)
        if drain is not None:
            end_by(drain.slot(now, random.random()), "drain")

    # -- what events do to a tunnel ------------------------------------------------------------------------------

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

    # -- the end -------------------------------------------------------------------------------------------------

    def refuse(self, call: Call, refusal: Refusal) -> None:
        """Ends a call that was malformed before it could be routed, or that a bug stopped on its way."""
        if call.state < RELAYING:
            self._say(call, refusal)

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


def glued(call: Call) -> Glued:
    """Both sides of a call that is a tunnel."""
    return cast("Glued", call.up)


S = State
TABLE: dict[str, dict[State, str]] = {
    "resumed": {S.WAITING: "_resume", S.SETTLED: "_forget"},
    "turn": {S.WAITING: "_turn"},
    "whole": {S.WAITING: "_read"},
    "interim": {S.PARKED: "_hint"},
    "head": {S.PARKED: "_begin"},
    "switch": {S.PARKED: "_switch"},
    "body": {S.RELAYING: "_relay"},
    "end": {S.RELAYING: "_end", S.TUNNELLING: "_over"},
    "failure": {S.PARKED: "_fail", S.RELAYING: "_truncate", S.TUNNELLING: "_broken"},
    "late": {S.PARKED: "_late"},
    "deadline": {S.WAITING: "_overdue", S.PARKED: "_overdue", S.RELAYING: "_stall", S.TUNNELLING: "_rest"},
    "gone": {
        S.OPENING: "_leave",
        S.ADMITTING: "_leave",
        S.WAITING: "_leave",
        S.PARKED: "_leave",
        S.RELAYING: "_leave",
        S.TUNNELLING: "_left",
    },
    "upload": {S.PARKED: "_pass_on", S.RELAYING: "_pass_on"},
    "bad_upload": {S.WAITING: "_reject_upload", S.PARKED: "_reject_upload", S.RELAYING: "_break_off"},
    "choked": {S.RELAYING: "_hold_back"},
    "drained": {S.RELAYING: "_go_on"},
    "evict": {S.WAITING: "_evict", S.PARKED: "_evict", S.TUNNELLING: "_yield"},
    "superseded": {S.WAITING: "_give_way", S.PARKED: "_give_way", S.RELAYING: "_break_hold"},
    "revoked": {S.WAITING: "_revoke", S.PARKED: "_revoke", S.RELAYING: "_cut", S.TUNNELLING: "_shut"},
    "drain": {
        S.WAITING: "_wind_down",
        S.PARKED: "_wind_down",
        S.RELAYING: "_wind_down",
        S.TUNNELLING: "_wind_up",
    },
}
