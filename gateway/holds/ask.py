"""The wish of a client: whether its request is a poll, how long it asked to be held, and writing another wait
in its place for the upstream. Belongs here: reading and writing; what is granted is `budget`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gateway.head import RequestHead, set_arg
from gateway.holds import items, units
from gateway.holds.plan import NONE, UNBOUNDED, AskPlace, HoldPlan

MALFORMED = "malformed_ask"  # notes of a record
REPEATED = "repeated_ask"
ENDLESS = "unbounded_ask"
OVER_MAX = "over_max"  # reason of a refusal


class Ask(NamedTuple):
    """What a request wishes.

    `poll`: the dialect's `when` holds. `held`: it is to be held; if not it is an ordinary call, as is a poll
    that asked for 0. `seconds`: the wait it stated, None when it stated none. `told`: the wait the upstream
    understands if nothing is rewritten, UNBOUNDED when that cannot be known. `refused`: why it must be
    refused. `note`: what was odd about the wish.
    """

    poll: bool
    held: bool
    seconds: float | None = None
    told: float = UNBOUNDED
    refused: str | None = None
    note: str | None = None


class Rewrite(NamedTuple):
    """The wish as forwarded: the whole query, a header that replaces every field of its name, and a body and a path in
    place of those that came (None: as they came)."""

    query: str
    header: tuple[bytes, bytes] | None
    body: bytes | None = None
    path: str | None = None


NOT_A_POLL = Ask(poll=False, held=False)
_NOT_HELD = Ask(poll=True, held=False)


def read(plan: HoldPlan, head: RequestHead) -> Ask:
    """The wish of a request. The first place that has one counts, and in it the first value."""
    if not plan.when(head):
        return NOT_A_POLL
    place, texts = _stated(plan, head)
    if place is None:
        return _default(plan, None)
    wait = units.seconds(texts[0], place.unit)
    if wait is None:
        return _default(plan, MALFORMED)
    note = REPEATED if _differ(texts) else None
    if wait <= 0:
        rule = plan.zero if wait == 0 else plan.negative
        return _default(plan, note) if rule != NONE else _NOT_HELD._replace(note=note)
    if wait > plan.max and plan.over_max == "reject":
        return Ask(True, False, wait, wait, OVER_MAX, note)
    return Ask(True, True, wait, UNBOUNDED if note else wait, None, note)


def write(plan: HoldPlan, head: RequestHead, seconds: float) -> Rewrite:
    """The changes that make the upstream hold for `seconds`, rounded down to the unit; none if it would.

    A wish that is malformed, or repeated with different values, is always written over: what the upstream
    would make of it nobody knows. Where the client stated none, the first place of `ask` is used.
    """
    unchanged = Rewrite(head.query, None)
    if not plan.writable:
        return unchanged
    place, texts = _stated(plan, head)
    if place is None:
        return unchanged if seconds == plan.absent else _set(plan.ask[0], head, _text(plan, seconds, plan.ask[0]))
    wait = units.seconds(texts[0], place.unit)
    if wait is not None and not _differ(texts) and seconds == (wait if wait > 0 else plan.absent):
        return unchanged
    if wait == seconds and texts[0].isascii():
        return _set(place, head, texts[0].strip(" \t+"))  # one of several: as the client wrote it
    return _set(place, head, _text(plan, seconds, place))


def _stated(plan: HoldPlan, head: RequestHead) -> tuple[AskPlace | None, Sequence[str]]:
    for place in plan.ask:
        texts = _texts(place, head)
        if texts:
            return place, texts
    return None, ()


def _texts(place: AskPlace, head: RequestHead) -> Sequence[str]:
    if place.where == "query":
        name = place.name
        return [value for key, value in head.args if key == name]
    if place.where == "header":
        return head.headers.getall(place.name, ())
    header, _, item = place.name.partition("/")
    lines = head.headers.getall(header, ())
    return items.values(lines, item.lower()) if lines else ()


def _differ(texts: Sequence[str]) -> bool:
    return len(texts) > 1 and any(text != texts[0] for text in texts)


def _default(plan: HoldPlan, note: str | None) -> Ask:
    """A request that stated no wait, or none that counts."""
    if plan.absent is None:
        return _NOT_HELD._replace(note=note)
    if plan.absent == UNBOUNDED:
        return Ask(True, True, None, UNBOUNDED, None, note or ENDLESS)
    return Ask(True, True, None, UNBOUNDED if note else plan.absent, None, note)


def _text(plan: HoldPlan, seconds: float, place: AskPlace) -> str:
    if plan.zero != NONE:  # a 0 made by rounding would mean the upstream's own default, which may be long
        seconds = max(seconds, units.SMALLEST[place.unit])
    return units.render(seconds, place.unit)


def _set(place: AskPlace, head: RequestHead, text: str) -> Rewrite:
    if place.where == "query":
        return Rewrite(set_arg(head.query, place.name, text), None)
    header, _, item = place.name.partition("/")
    if item:
        text = items.replace(head.headers.getall(header, ()), item.lower(), text)
    return Rewrite(head.query, (header.encode(), text.encode("utf-8", "surrogateescape")))
