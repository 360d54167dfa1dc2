"""How calls end, decided: what an upstream's answer was, and what a hold gets that we want to end. The second is the
table of who may say "no news" (DESIGN.md section 4, docs/holds.md). Decisions only; `serve` carries them out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from gateway import refusals
from gateway.clock import NEVER
from gateway.holds import budget
from gateway.holds.answer import BODY_LIMIT
from gateway.outcome import Outcome
from gateway.pipeline import Refusal, Reply
from gateway.policies.websocket import GOING_AWAY, POLICY_VIOLATION
from gateway.upstream import failure

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.head import ResponseHead
    from gateway.holds.plan import HoldPlan, Recalled

FULL_TIME: Final = 0.9  # share of the granted hold after which an empty answer was not given early
LESSON: Final = 4096  # bytes of an answer that may teach something: who begins a session says little
_RAN_OUT: Final = frozenset({Outcome.BLANK, Outcome.OVERRUN, Outcome.EXPIRED, Outcome.DRAINED})
_SILENT = ("body_idle", "hold_over", "overdue")  # notes of `of_cut`
# The note of a call that had no answer in time, but whose body had not come whole either.
UNFINISHED: Final = "unfinished"
# Why a hold ended early; BLANK for every other reason.
_BLANKS: Final = {"token": Outcome.EXPIRED, "drain": Outcome.DRAINED}


def of_status(status: int) -> Outcome:
    """The ending of an ordinary call that was answered."""
    return Outcome.UPSTREAM_ERROR if status >= 500 else Outcome.ANSWERED


def of_answer(hold: HoldPlan, head: ResponseHead, body: bytes, recalled: Recalled = ()) -> Outcome:
    """The ending of a poll that was answered. `body` is all of it, or more than `idle_body_limit` bytes of it."""
    if hold.idle(head, body, recalled):
        return Outcome.EMPTY
    return Outcome.NEWS if head.status < 400 else of_status(head.status)


def sampled(call: Call) -> int:
    """Bytes of an answer that are kept until its end: what it takes to see whether it is news, or to learn from it."""
    needed = call.hold.idle_body_limit if call.hold is not None else 0
    return max(needed, LESSON) if call.teaches else needed


def is_idle(call: Call, outcome: Outcome | None) -> bool:
    """Whether a poll that ends so brought no news although it was held for all the time it could be: a poll loop at
    rest. That time is what was left to ask the upstream for when it was asked."""
    if outcome in _RAN_OUT:
        return True
    answered = call.ended if call.began_early and call.ended is not None else call.first_byte_at
    if outcome is not Outcome.EMPTY or call.sent_at is None or answered is None:
        return False
    hold = call.wait_sent if call.wait_sent is not None else call.granted
    if hold is not None and call.rewrite and call.hold is not None:
        hold = budget.as_written(call.hold, hold)
    return hold is not None and answered - call.sent_at >= FULL_TIME * _usual(hold, call)


def _usual(hold: float, call: Call) -> float:
    """How long an upstream that was asked for `hold` seconds takes to say "no news": some say it early. Of a hold that
    would be over before it began nothing is taken off, or every answer at once would count as held."""
    early = call.hold.jitter.early if call.hold is not None else 0.0
    return hold - early if early < hold else hold


def next_due(call: Call, idle: float, now: float) -> float:
    """Until when an answer that has begun must go on. That of a hold need not before the hold's own deadline; where
    there is none, neither the client's nor ours, it is heartbeats that show it alive. A body that is longer than any
    "no news" is on its way to its end, like every other answer; only a token's end and a drain do not wait for it."""
    if call.stream is not None:
        return call.stream.due
    if not call.began_early:
        return now + idle
    if _endless(call):
        return min(call.deadline, now + idle)
    if call.bytes_out <= BODY_LIMIT or call.clamped_by in _BLANKS:
        return call.deadline
    return max(call.deadline, now + idle)


def of_tunnel(call: Call) -> tuple[Outcome, str | None, int]:
    """How a tunnel ends whose last instant has come: outcome, note, and the code both sides are told."""
    if call.clamped_by == "token":
        return Outcome.EXPIRED, None, POLICY_VIOLATION
    if call.clamped_by == "drain":
        return Outcome.DRAINED, None, GOING_AWAY
    return Outcome.TUNNELLED, "max_time", GOING_AWAY


def only_held(call: Call) -> bool:
    """Whether a poll is held on although its answer has begun, and no news passes through that is on its way to its
    end. Without an end of its own it is nothing but held, whatever has passed."""
    return call.held_on and (_endless(call) or call.bytes_out <= BODY_LIMIT)


def _endless(call: Call) -> bool:
    return call.upstream_due == NEVER and call.hold is not None and call.hold.max >= budget.LONGEST


def of_cut(call: Call, now: float) -> tuple[Outcome, str | None]:
    """How an answer ends that has begun and does not go on, and the note of that: nothing can be said any more."""
    if call.stream is not None:
        return call.stream.ending(now)
    if not call.began_early or now < call.deadline:
        return Outcome.TRUNCATED, "body_idle"
    if call.clamped_by in _BLANKS:
        return _BLANKS[call.clamped_by], None
    if now < call.upstream_due:
        return Outcome.TRUNCATED, "hold_over"
    if call.bytes_out > BODY_LIMIT:
        return Outcome.TRUNCATED, "body_idle"
    if call.endpoint is not None:
        call.endpoint.overruns += 1
    return Outcome.TRUNCATED, "overdue"


def of_endpoint(call: Call, outcome: Outcome) -> Outcome | None:
    """What the endpoint of a call that ended is told of it; None: nothing, for it had no part in that. Quiet is not
    hung: of an answer that fell silent, and of a hold that we ended before it was due, nobody can tell which it was.
    Of connections that could not be had it was told at once."""
    if outcome is Outcome.UPSTREAM_TIMEOUT:
        if call.hold is not None:
            return Outcome.OVERRUN if _overdue(call, call.ended or 0.0) else None
        return outcome if call.sent_at is not None and call.note != UNFINISHED else None
    if outcome is Outcome.TRUNCATED and call.note in _SILENT:
        return Outcome.OVERRUN if call.note == "overdue" else None
    return outcome if outcome is not Outcome.UPSTREAM_REFUSED and call.sent_at is not None else None


def _overdue(call: Call, now: float) -> bool:
    """Whether the endpoint that a poll was sent to should have answered by now."""
    return call.sent_at is not None and now >= call.upstream_due


def of_quiet(call: Call, now: float, draining: Callable[[], Refusal]) -> Refusal | Reply | None:
    """What a parked poll is told whose time is up. None: nothing may be said, the connection is closed."""
    cause = call.clamped_by
    if call.blank is not None:
        return _template(call, call.blank, now, cause)
    if cause == "drain":
        silent = call.hold is not None and call.hold.answer == "never" and call.parked_at is not None
        return None if silent else draining()
    if cause != "token" and call.endpoint is not None and _overdue(call, now):
        call.endpoint.overruns += 1
    return refusals.EXPIRED if cause == "token" else failure.TIMEOUT


def _template(call: Call, blank: Reply, now: float, cause: str | None) -> Refusal | Reply:
    """A blank while the upstream was not yet due, an overrun after, and a 504 once overruns are a habit."""
    if now < call.upstream_due or cause == "drain":
        return replace(blank, outcome=_BLANKS.get(cause or "", Outcome.BLANK), close=cause == "drain")
    if call.sent_at is None:  # nobody was asked: nobody is overdue
        return replace(blank, outcome=_BLANKS.get(cause or "", Outcome.BLANK))
    if call.endpoint is not None:
        call.endpoint.overruns += 1
        if not budget.overrun_answer(call.endpoint.overruns):
            return failure.TIMEOUT
    return replace(blank, outcome=Outcome.OVERRUN)
