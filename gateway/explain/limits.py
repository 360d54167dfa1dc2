"""The limits of a route as a story for one request: in the order in which they are asked, each with who counts as one
under it. What is counted is what the real rules say of the call; only the words are made here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.explain.model import Count, LimitStory
from gateway.explain.words import rate_text, seconds

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.config.merge import LimitName, Merged
    from gateway.config.schema import ConcurrencyCap, HoldCap, RateLimit
    from gateway.explain.secrets import Mask
    from gateway.head import RequestHead
    from gateway.policies.caps import Cap
    from gateway.policies.rate_limit import RateLimit as Rate

    Table = RateLimit | HoldCap | ConcurrencyCap

Pair = tuple[str, str]  # a limit as the store calls it, and who counts as one under it
Asking = Callable[[Sequence[Pair]], "tuple[Mapping[Pair, Count], str]"]  # who is asked, and what is said of that
_STAND_IN = "\0"  # as `policies.keys` marks them


def limit_stories(merged: Merged, call: Call, head: RequestHead, mask: Mask) -> list[tuple[Pair, LimitStory]]:
    """Each limit of the route with what it counts under. `head` is the request as it came."""
    plan = call.plan
    assert plan is not None
    named: list[tuple[LimitName, Table]] = [*merged.rate_limits, *merged.hold_caps, *merged.concurrency_caps]
    tables = {name.key: (name, table) for name, table in named}
    rules: list[Rate | Cap] = [*(plan.shown.limits if plan.shown is not None else ()), *plan.caps]
    sent, call.head = call.head, head  # as it was before it was forwarded: some keys stand in the head
    try:
        return [_told(merged, rule, *tables[rule.limit], call, mask) for rule in rules]
    finally:
        call.head = sent


def counted(found: list[tuple[Pair, LimitStory]], asking: Asking) -> tuple[tuple[LimitStory, ...], str]:
    """The stories with the counts of now, and who told them."""
    counts, who = asking([pair for pair, story in found if story.unmet is None])
    return tuple(replace(story, count=counts.get(pair)) for pair, story in found), who


def not_asked(_: Sequence[Pair]) -> tuple[Mapping[Pair, Count], str]:
    return {}, "the running gateway was not asked: counts unknown"


def _told(
    merged: Merged, rule: Rate | Cap, name: LimitName, table: Table, call: Call, mask: Mask
) -> tuple[Pair, LimitStory]:
    key = rule.key(call)
    origin = f"{name.table} {name.name}" if name.table == "policy" else "route"
    story = LimitStory(
        kind=name.kind,
        name=getattr(rule, "name", name.name),
        origin=origin,
        allows=_allows(table),
        per=table.per,
        key=_shown(table.per, key, mask),
        stands_in=key.startswith(_STAND_IN),
        excess="; ".join(_excess(name.kind, table, merged)),
        unmet=_unmet(name.kind, rule, table, call),
    )
    return (rule.limit, key), story


def _shown(per: str, key: str, mask: Mask) -> str:
    """A key as it may be printed: of a header's value there is only a digest anyway."""
    text = mask.text(key.lstrip(_STAND_IN))
    return f"digest {text}" if per.startswith("header:") and not key.startswith(_STAND_IN) else text


def _allows(table: Table) -> str:
    rate = getattr(table, "rate", None)
    if rate is None:
        return f"{getattr(table, 'max', None)} at once"
    burst = getattr(table, "burst", None)
    return f"{rate_text(rate)}, burst {burst if burst is not None else max(int(rate[0]), 1)}"


def _excess(kind: str, table: Table, merged: Merged) -> Iterator[str]:
    """What becomes of a call too many."""
    mode = getattr(table, "mode", None) or getattr(table, "on_excess", "reject")
    polls = kind != "concurrency_cap"
    if mode == "delay":
        yield "a poll too many waits for its token, out of its own hold; an ordinary call is refused (429)"
    elif mode == "wait":
        own = "out of its own hold" if polls else f"for at most {seconds(merged.response_timeout)}"
        yield f"one too many waits in line for a place, {own}"
    elif mode == "evict-oldest":
        yield 'one too many ends the oldest poll in "no news"'
    else:
        yield "one too many is refused (429)"
    if getattr(table, "refund_empty", False):
        yield "an empty poll that was held to its end costs nothing"


def _unmet(kind: str, rule: Rate | Cap, table: Table, call: Call) -> str | None:
    """Why the limit is not asked for this call, None when it is."""
    if kind == "hold_cap" and call.hold is None and call.upgrade is None:
        return "counts polls, and this is an ordinary call"
    if kind == "concurrency_cap" and call.hold is not None:
        return "counts ordinary calls, and this is a poll"
    if kind == "concurrency_cap" and call.upgrade is not None:
        return "counts ordinary calls, and this may become a tunnel"
    if rule.applies is None or rule.applies(call):
        return None
    wanted = ", ".join(f"{claim} = {' or '.join(map(str, values))}" for claim, values in table.when_claims.items())
    return f"is meant for callers with {wanted}"
