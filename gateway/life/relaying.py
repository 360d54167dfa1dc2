"""From the first byte of an answer to its last: whether it is news, what is learnt of it, what is due in a stream, and
who of the two sides is slower.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from gateway import admission, refusals, verdicts
from gateway.call import PARKED, RELAYING, Call
from gateway.clock import NEVER
from gateway.head import END, ResponseHead
from gateway.life.admitting import Admitting
from gateway.outcome import ANSWERED, NEWS, Outcome
from gateway.pipeline import Refusal
from gateway.streams import HEARTBEAT, SPREAD, Stream, is_stream
from gateway.upstream.http1 import UpstreamConnection

if TYPE_CHECKING:
    from gateway.plan import Plan

NAMES: Final = 2  # of `Call.teaches`


class Relaying(Admitting):
    """Passes answers on."""

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

    def _truncate(self, call: Call, refusal: Refusal, note: str) -> None:
        """The answer broke off: so does the connection, never to look complete."""
        call.note = note
        call.conn.abort(reset=True)
        self._settle(call, Outcome.TRUNCATED)

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

    def _pass_on(self, call: Call, data: bytes, ended: bool) -> None:
        plan = call.plan
        assert plan is not None
        call.bytes_in += len(data)
        if call.bytes_in > plan.max_body:
            call.serve.on_bad_upload(call, refusals.TOO_LARGE)
            return
        if call.up is not None:
            call.up.upload(data, ended)
        if call.hold is None and call.state is PARKED:
            self._timers.arm(call, self._timers.now() + plan.response_timeout)

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
