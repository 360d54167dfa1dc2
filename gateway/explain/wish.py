"""What a client stated about its hold: where, in which words, what that means in its dialect, and why another wait was
not written in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.explain.model_hold import WishStory
from gateway.explain.words import UNITS, listed, seconds
from gateway.holds import ask, stated
from gateway.holds.plan import NONE, UNBOUNDED, UNWRITABLE

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.explain.secrets import Mask
    from gateway.head import RequestHead
    from gateway.holds.plan import AskPlace, HoldPlan

_SHOWN = 64  # characters of a wish


def name_of(place: AskPlace) -> str:
    return f"{place.where}:{place.name}"


def wish_story(hold: HoldPlan, head: RequestHead, wish: ask.Ask, mask: Mask) -> WishStory | None:
    """None where no wish is looked for. `hold` is the dialect's plan, `wish` what the gateway read."""
    if not hold.ask or not wish.poll:
        return None
    place, texts = stated.stated(hold.ask, head)
    text = mask.value(name_of(place), texts[0][:_SHOWN]) if place is not None else None
    return WishStory(
        places=tuple(map(name_of, hold.ask)),
        place=name_of(place) if place is not None else None,
        text=text,
        unit=place.unit if place is not None else None,
        means=_means(hold, wish, place, texts),
    )


def _means(hold: HoldPlan, wish: ask.Ask, place: AskPlace | None, texts: Sequence[str]) -> str:
    if wish.plan is not None and wish.plan is hold.endless:
        return "nothing: `unbounded` holds, so the poll has no end of its own"
    if place is None:
        learnt = any(each.where == "session" for each in hold.ask)
        return f"{'no session is known here, ' if learnt else ''}{_absent(hold)}"
    asked = stated.seconds(place, texts[0])
    if asked is None:
        return f"it cannot be read as {UNITS[place.unit]}: {_absent(hold)}"
    several = ", the first of several that differ" if stated.differ(texts) else ""
    if asked <= 0:
        name, rule = ("zero", hold.zero) if asked == 0 else ("negative", hold.negative)
        means = _absent(hold) if rule != NONE else "an ordinary call"
        return f'{name} = "{rule}"{several}: {means}'
    return f"{seconds(asked)}{several}"


def _absent(hold: HoldPlan) -> str:
    if hold.absent is None:
        return 'absent = "none", an ordinary call'
    return 'absent = "unbounded"' if hold.absent == UNBOUNDED else f"absent = {seconds(hold.absent)}"


def unchanged(hold: HoldPlan, call: Call, head: RequestHead) -> str:
    """Why the upstream is not told another wait. `hold` is the dialect's plan; `call.hold` what counted for it."""
    if not hold.ask:
        return "the dialect has no place for a wish"
    if not hold.rewrite:
        return "rewrite = false"
    if call.hold is not None and call.hold is hold.endless:
        return "a poll without an end of its own is told none"
    if call.hold is None or call.hold.rewrite:
        return "it says so already" if call.asked is not None else "absent means that already"
    return _fixed(hold, head)


def _fixed(hold: HoldPlan, head: RequestHead) -> str:
    if "Signature-Input" in head.headers:
        return "it is signed (Signature-Input)"
    if hold.signed is not None and hold.signed(head):
        return "`signed` holds, so no byte of it may be changed"
    place, _ = stated.stated(hold.ask, head)
    if place is None:
        return f"this request has no room for a wish in {listed(map(name_of, hold.ask))}"
    if place.where in UNWRITABLE:
        return f"a wish in {name_of(place)} cannot be written over"
    return f"what stands in {name_of(place)} cannot be changed, or a digest of the body says what it is"
