"""The decisions of a call on its way in: which plan, whether it is a poll, and until when it may be held. Plain
functions on the Call and the Snapshot, run in this order by `serve`; each returns None to let the call on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from gateway import refusals
from gateway.clock import NEVER
from gateway.head import Routed
from gateway.holds import ask, blank, budget, content
from gateway.outcome import Outcome
from gateway.pipeline import Verdict
from gateway.policies import cors, retry
from gateway.pollers import key_of
from gateway.routing import Found, NotFound, Router
from gateway.target import without_port

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.head import RequestHead
    from gateway.holds.plan import HoldPlan
    from gateway.plan import Plan, Snapshot

_NEVER_SERVED: Final = frozenset({"CONNECT", "TRACE"})
_UNUSUAL: Final = _NEVER_SERVED | {"OPTIONS"}
_SERVED = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


def route(call: Call, head: RequestHead, snapshot: Snapshot) -> Verdict:
    """Writes `plan` and `params`; 404, 405 with Allow, 421, 413, or the answer to a CORS preflight."""
    router, repeats = snapshot.router, head.repeats
    known = repeats.routed if repeats is not None else None
    if known is not None and known.router is router and known.path == head.path and known.method == head.method:
        _write_route(call, head, known.found)
        return None  # it has no body: that is known of these fields
    host = without_port(head.host)
    found = router.find(host, head.path, head.method)
    if isinstance(found, NotFound) or head.method in _UNUSUAL:
        return _route_unusual(call, head, router, host, found)
    if repeats is not None and found.params is not None:
        repeats.routed = Routed(router, head.method, head.path, found)
    _write_route(call, head, found)
    return refusals.TOO_LARGE if head.length is not None and head.length > found.plan.max_body else None


def _write_route(call: Call, head: RequestHead, found: Found) -> None:
    call.plan, call.params = plan, head.params = found
    if plan.cors is not None:
        call.origin = head.headers.get("Origin")


def _route_unusual(call: Call, head: RequestHead, router: Router, host: str, found: Found | NotFound) -> Verdict:
    """A method that has a meaning of its own here, or one that the path does not serve."""
    if head.method == "OPTIONS" and "Origin" in head.headers:
        wanted = router.find(host, head.path, head.headers.get("Access-Control-Request-Method", ""))
        if not isinstance(wanted, NotFound) and wanted.plan.cors is not None:
            answer = cors.preflight(wanted.plan.cors, head)
            if answer is not None:
                call.plan, call.params = wanted
                return answer
    meant = router.find(host, head.path, found.allow[0]) if isinstance(found, NotFound) and found.allow else found
    if not isinstance(meant, NotFound):  # also for a method it does not serve: what its path keeps secret stays secret
        _write_route(call, head, meant)
    if head.method in _NEVER_SERVED:
        return refusals.method_not_allowed((found.allow if isinstance(found, NotFound) else ()) or _SERVED)
    if isinstance(found, NotFound):
        if found.allow:
            return refusals.method_not_allowed(found.allow)
        return refusals.NO_ROUTE if found.known_host else refusals.UNKNOWN_HOST
    return refusals.TOO_LARGE if head.length is not None and head.length > found.plan.max_body else None


def wish(call: Call, head: RequestHead, hold: HoldPlan) -> Verdict:
    """Writes `hold`, `asked`, `told`, `cursor` and `key` of a request that is a poll; others are ordinary calls."""
    asked = ask.read(hold, head)
    call.note = asked.note
    if asked.refused:
        return refusals.OVER_MAX
    if asked.held:
        call.hold = asked.plan or hold
        call.asked, call.told = asked.seconds, asked.told
        call.cursor = hold.cursor(head)
        if hold.tells_apart:
            call.key = key_of(hold, head)
        if hold.recall is not None:
            call.recalled = hold.recall(head)
    return None


def looks_into_body(head: RequestHead | None, hold: HoldPlan) -> bool:
    """Whether the dialect has to look into the body before it is known what this request is."""
    return head is not None and head.framing is not None and (hold.head_when is None or hold.head_when(head))


def keeps_body(call: Call, plan: Plan) -> bool:
    """Whether the body of an ordinary call is read whole only to be kept, for the call may have to be sent again."""
    return call.hold is None and call.head is not None and retry.keeps_body(plan, call.head)


def keep_body(call: Call, head: RequestHead, body: bytes | None) -> None:
    """Writes the body as read, to go out with the head."""
    if body is not None:
        head.content = content.Content(body, content.media_type(head))
        call.framing = None
        call.bytes_in = len(body)


def with_body(call: Call, head: RequestHead, body: bytes | None) -> bool:
    """Writes the body as read, for the dialect to look into and to be forwarded from there. False when nobody can look
    into it: it is too long (None), and passes through as it comes, or it is encoded. That is noted in the record."""
    keep_body(call, head, body)
    if body is not None and not content.encoded(head):
        return True
    call.note = content.TOO_LONG
    return False


def limit(call: Call, plan: Plan, limits: list[tuple[str, float]], now: float, wall: float) -> str | None:
    """Writes the deadline: the earliest of what the client asked for and of everything that ends a hold sooner.

    `limits` are (cause, loop seconds); the token's end is added here. Returns the cause for which the hold would be too
    short to be worth sending, None when it is long enough.
    """
    hold, head = call.hold, call.head
    assert hold is not None and head is not None
    if hold.template is not None:
        call.blank = blank.render(hold.template, head)
    if (end := token_end(call, now, wall)) != NEVER:
        limits.append(("token", end))
    grant = budget.grant(now, call.asked, hold, limits, call.told)
    call.granted, call.clamped_by = grant.hold, grant.clamped_by
    call.deadline, call.upstream_due, call.rewrite = grant.deadline, grant.upstream_due, grant.rewrite
    return grant.answer_now


def token_end(call: Call, now: float, wall: float) -> float:
    """When the token ends that bounds this hold (loop seconds), NEVER where none does."""
    if call.plan is None or not call.plan.bound_to_token or call.identity is None or call.identity.not_after is None:
        return NEVER
    return now + call.identity.not_after - wall


def no_hold(call: Call, cause: str, draining: Verdict, late: Verdict) -> Verdict:
    """What a poll gets whose hold would be too short: 401 for a token, no news where we may say it."""
    if cause == "token":
        return refusals.EXPIRED
    if call.blank is not None:
        outcome = Outcome.DRAINED if cause == "drain" else Outcome.BLANK
        return replace(call.blank, outcome=outcome, close=cause == "drain")
    return draining if cause == "drain" else late
