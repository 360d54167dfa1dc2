"""The hold of one request as a story: which condition decided, what was asked, what was granted and what cut it short.
The numbers are those the real admission wrote on the call; only the words are made here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.clock import NEVER
from gateway.config.clocks import front_name
from gateway.explain.body import body_story
from gateway.explain.model_hold import Condition, HoldStory, Limit
from gateway.explain.wish import name_of, unchanged, wish_story
from gateway.holds import ask, budget, content
from gateway.holds.predicate import compile_when
from gateway.holds.stated import stated

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.config.schema import Hold
    from gateway.config.settings import Config
    from gateway.explain.secrets import Mask
    from gateway.head import RequestHead
    from gateway.holds.plan import AskPlace, HoldPlan


def hold_story(
    config: Config, table: Hold, call: Call, head: RequestHead, length: int, wall: float, mask: Mask
) -> HoldStory:
    """The story of `call`, whose route has the hold `table`, as written. `head` is the request as it came, with what
    was read of its body, `length` how long that is in bytes, `wall` the Unix time of the arrival."""
    plan = call.plan
    assert plan is not None and plan.hold is not None
    hold = plan.hold
    wish = ask.read(hold, head)
    place, _ = stated(hold.ask, head)
    conditions = tuple(_conditions(table.when, head))
    story = HoldStory(
        dialect=hold.dialect,
        held=wish.held and wish.refused is None,
        reason=_reason(wish, place, conditions),
        conditions=conditions,
        place=name_of(place) if place is not None else None,
        asked=wish.seconds,
        absent=(wish.plan or hold).absent,
        note=call.note or wish.note,
        no_news=hold.answer,
        replay=hold.replay,
        body=body_story(hold, call, head, length),
        wish=wish_story(hold, head, wish, mask),
        unbounded=tuple(_conditions(table.unbounded, head)) if table.unbounded is not None else (),
        signed=tuple(_conditions(table.signed, head)) if table.signed is not None else (),
    )
    return _granted(config, story, call, hold, head, wall, mask) if call.granted is not None else story


def _granted(
    config: Config, story: HoldStory, call: Call, plan: HoldPlan, head: RequestHead, wall: float, mask: Mask
) -> HoldStory:
    granted, hold = call.granted or 0.0, call.hold or plan  # of one that may not be changed another plan counts
    rewritten = call.rewrite and call.wait_sent is not None and call.wait_sent != call.told
    alone = budget.grant(call.started, call.asked, hold, (), call.told)
    return replace(
        story,
        cursor=mask.text(call.cursor) if call.cursor is not None else None,
        granted=granted,
        unlimited=alone.hold,
        clamped_by=call.clamped_by,
        jitter=hold.jitter.longest(granted),
        margin=hold.margin,
        deadline=call.deadline - call.started,
        limits=tuple(_limits(config, call, wall)),
        upstream_due=call.upstream_due - call.started if call.upstream_due != NEVER else None,
        rewritten=rewritten,
        unchanged=unchanged(plan, call, head) if not rewritten else None,
        sent=call.wait_sent,
        told=call.told if call.told != NEVER else None,
    )


def _limits(config: Config, call: Call, wall: float) -> Iterator[Limit]:
    if call.identity is not None and call.identity.not_after is not None and call.plan is not None:
        name = "token" if call.plan.bound_to_token else 'token (not counted, expiry = "ignore")'
        yield Limit(name, call.identity.not_after - wall)
    front = config.server.front
    if front is not None:
        yield Limit(front_name(config.server), front.idle_timeout)


def _reason(wish: ask.Ask, place: AskPlace | None, conditions: tuple[Condition, ...]) -> str:
    if wish.note in (content.MALFORMED, content.TOO_LONG):
        return "no, an ordinary call: the dialect cannot look into its body"
    if not wish.poll:
        failed = next((each.text for each in conditions if not each.holds and not each.depth), "when")
        return f"no, an ordinary call: `{failed}` does not hold"
    if wish.refused is not None:
        return 'yes, but it asks for more than max, and over_max = "reject"'
    if not wish.held:
        if place is not None and wish.note != ask.MALFORMED:
            return 'no, an ordinary call: a wish of 0 or less means that here (zero, negative = "none")'
        lacking = "its wish cannot be read" if place is not None else "it states no wish"
        return f'no, an ordinary call: {lacking}, and absent = "none"'
    return "yes: everything in `when` holds" if conditions else "yes: `when` is empty, so every request of the route is"


def _conditions(when: object, head: RequestHead, depth: int = 0) -> Iterator[Condition]:
    """Every line of a `when`, each judged by itself."""
    if isinstance(when, (list, tuple)):
        for part in when:
            yield from _conditions(part, head, depth)
        return
    holds = compile_when([when])(head)
    if not isinstance(when, Mapping):
        yield Condition(str(when), holds, depth)
        return
    for key, parts in when.items():
        yield Condition(f"{key}:", holds, depth)
        yield from _conditions(parts, head, depth + 1)
