"""The wish of a client: whether its request is a poll, how long it asked to be held, and writing another wait
in its place for the upstream. Belongs here: reading and writing; what is granted is `budget`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from gateway.head import RequestHead
from gateway.holds import content, units
from gateway.holds.plan import NONE, UNBOUNDED, AskPlace, HoldPlan
from gateway.holds.rewrite import Rewrite, put, put_all
from gateway.holds.stated import differ, rivals, seconds, stated

MALFORMED: Final = "malformed_ask"  # notes of a record
REPEATED: Final = "repeated_ask"
ENDLESS: Final = "unbounded_ask"
OVER_MAX: Final = "over_max"  # reason of a refusal
_EVERYWHERE = ("query", "header", "header-item")  # every request has room for those
_BODY = ("form", "json")
_DIGESTS = ("Content-Digest", "Repr-Digest", "Digest", "Content-MD5")


class Ask(NamedTuple):
    """What a request wishes.

    `poll`: the dialect's `when` holds. `held`: it is to be held; if not it is an ordinary call, as is a poll
    that asked for 0. `seconds`: the wait it stated, None when it stated none. `told`: the wait the upstream
    understands if nothing is rewritten, UNBOUNDED when that cannot be known. `refused`: why it must be
    refused. `note`: what was odd about the wish. `plan`: what counts for this poll instead of the dialect's plan,
    because nothing of it may be changed, or because it has no end of its own.
    """

    poll: bool
    held: bool
    seconds: float | None = None
    told: float = UNBOUNDED
    refused: str | None = None
    note: str | None = None
    plan: HoldPlan | None = None


NOT_A_POLL: Final = Ask(poll=False, held=False)
_NOT_HELD: Final = Ask(poll=True, held=False)


def read(plan: HoldPlan, head: RequestHead) -> Ask:
    """The wish of a request. The first place that has one counts, and in it the first value."""
    if plan.body_limit and (head.framing is not None or head.content is not None):
        unread = _unread(plan, head)
        if unread is not None:
            return NOT_A_POLL._replace(note=unread)
    if not plan.when(head):
        return NOT_A_POLL
    if plan.unbounded is not None and plan.unbounded(head):
        return Ask(True, True, None, UNBOUNDED, None, ENDLESS, plan.endless or without_end(plan))
    place, texts = stated(plan.ask, head)
    others = rivals(plan.ask, head) if len(plan.ask) > 1 else ()  # nearly always there is one
    wish = _wish(plan, place, texts, others)
    if wish.held and plan.rewrite and plan.ask and _is_fixed(plan, head, place, others):
        return wish._replace(plan=plan.fixed or replace(plan, rewrite=False))
    return wish


def write(plan: HoldPlan, head: RequestHead, wait: float) -> Rewrite:
    """The changes that make the upstream hold for `wait` seconds, rounded down to the unit; none if it would.

    A wish that is malformed, or repeated with different values, there or at another place, is always written over at
    every place: what the upstream would make of it nobody knows. Where the client stated none, the first place of `ask`
    is used that it could have stated one at: a form cannot hold JSON.
    """
    unchanged = Rewrite(head.query)
    if not plan.writable:
        return unchanged
    place, texts = stated(plan.ask, head)
    if place is None:
        return unchanged if wait == plan.absent else _added(plan, head, wait) or unchanged
    asked = seconds(place, texts[0])
    others = rivals(plan.ask, head) if len(plan.ask) > 1 else ()  # nearly always there is one
    if asked is not None and not others and not differ(texts) and wait == (asked if asked > 0 else plan.absent):
        return unchanged
    text = _text(plan, wait, place)
    if asked == wait and texts[0].isascii():
        text = texts[0].strip(" \t+")  # one of several: as the client wrote it
    if others:
        return put_all([(place, text), *((other, _text(plan, wait, other)) for other in others)], head) or unchanged
    return put(place, head, text) or unchanged


def without_end(plan: HoldPlan) -> HoldPlan:
    """The plan as it counts for polls that have no end of their own: the upstream is told none, and we wait long."""
    return replace(
        plan, ask=(), rewrite=False, absent=UNBOUNDED, max=units.LONGEST_HOLD, over_max="clamp", endless=None
    )


def _unread(plan: HoldPlan, head: RequestHead) -> str | None:
    """Why a body, which the dialect has to look into, says nothing."""
    if plan.head_when is not None and not plan.head_when(head):
        return None
    if head.content is None or content.encoded(head):
        return content.TOO_LONG
    return None if head.content.sound() else content.MALFORMED


def _wish(plan: HoldPlan, place: AskPlace | None, texts: Sequence[str], others: Sequence[AskPlace]) -> Ask:
    if place is None:
        return _default(plan, None)
    wait = seconds(place, texts[0])
    if wait is None:
        return _default(plan, MALFORMED)
    note = REPEATED if others or (len(texts) > 1 and differ(texts)) else None
    if wait <= 0:
        rule = plan.zero if wait == 0 else plan.negative
        return _default(plan, note) if rule != NONE else _NOT_HELD._replace(note=note)
    if wait > plan.max and plan.over_max == "reject":
        return Ask(True, False, wait, wait, OVER_MAX, note)
    return Ask(True, True, wait, UNBOUNDED if note else wait, None, note)


def _is_fixed(plan: HoldPlan, head: RequestHead, place: AskPlace | None, others: Sequence[AskPlace]) -> bool:
    """Whether no other wait can be written into this request: it is signed (RFC 9421, or as the dialect says), its
    wish stands where none can be written, or there is no place for one."""
    if "Signature-Input" in head.headers or (plan.signed is not None and plan.signed(head)):
        return True
    if others and place is not None:
        every = (place, *others)
        return not all(_takes(each, head) for each in every) or put_all([(each, "1") for each in every], head) is None
    if place is not None and place.where in _EVERYWHERE:  # nearly always
        return False
    if place is not None and place.where in _BODY:  # where a value was read another can be written: 4 us to try it
        return _digested(head)
    return not any(_takes(each, head) for each in (plan.ask if place is None else (place,)))


def _takes(place: AskPlace, head: RequestHead) -> bool:
    """Whether a wait could be written at that place of this request."""
    if place.where in _EVERYWHERE:
        return True
    if place.where in _BODY and _digested(head):
        return False
    return put(place, head, "1") is not None


def _digested(head: RequestHead) -> bool:
    """Whether the body must stay as its digest says (RFC 9530, RFC 1864)."""
    headers = head.headers
    for name in _DIGESTS:  # noqa: SIM110 - any() with a generator costs three times as much
        if name in headers:
            return True
    return False


def _default(plan: HoldPlan, note: str | None) -> Ask:
    """A request that stated no wait, or none that counts."""
    if plan.absent is None:
        return _NOT_HELD._replace(note=note)
    if plan.absent == UNBOUNDED:
        return Ask(True, True, None, UNBOUNDED, None, note or ENDLESS)
    return Ask(True, True, None, UNBOUNDED if note else plan.absent, None, note)


def _added(plan: HoldPlan, head: RequestHead, wait: float) -> Rewrite | None:
    for place in plan.ask:
        written = put(place, head, _text(plan, wait, place))
        if written is not None:
            return written
    return None


def _text(plan: HoldPlan, wait: float, place: AskPlace) -> str:
    if plan.zero != NONE:  # a 0 made by rounding would mean the upstream's own default, which may be long
        wait = max(wait, units.SMALLEST[place.unit])
    return units.render(wait, place.unit)
