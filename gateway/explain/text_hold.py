"""The hold of an explanation as lines of text. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.explain.layout import rows
from gateway.explain.model_hold import Condition, HoldStory
from gateway.explain.words import UNITS, listed, seconds
from gateway.holds.ask import MALFORMED


def hold_lines(hold: HoldStory) -> Iterator[str]:
    yield from rows([("dialect", hold.dialect), ("poll", hold.reason)], 14)
    yield from _conditions(hold.conditions)
    yield from rows(_asked(hold), 14)
    for name, conditions in (("unbounded", hold.unbounded), ("signed", hold.signed)):
        if conditions and hold.held:
            yield from rows([(name, "yes" if _all_hold(conditions) else "no")], 14)
            yield from _conditions(conditions)
    yield from rows(_numbers(hold), 14)


def _conditions(conditions: tuple[Condition, ...]) -> Iterator[str]:
    for each in conditions:
        yield f"{'':16}{'yes' if each.holds else 'no ':<5}{'  ' * each.depth}{each.text}"


def _all_hold(conditions: tuple[Condition, ...]) -> bool:
    """Whether what is written there holds; of nothing written it does not."""
    return bool(conditions) and all(each.holds for each in conditions if not each.depth)


def _asked(hold: HoldStory) -> Iterator[tuple[str, str]]:
    body, wish = hold.body, hold.wish
    if body is not None:
        what = f"{body.bytes} bytes of {body.type or 'no type'}, " if body.bytes else ""
        yield "body", what + body.says
    if hold.asked is not None:
        yield "asked", f"{seconds(hold.asked)} in {hold.place}"
    elif hold.held and _all_hold(hold.unbounded):
        yield "asked", "no end, for `unbounded` holds"
    elif hold.held:
        stated = "no wish that can be read" if hold.note == MALFORMED else "no wish stated"
        yield "asked", f"{stated}; absent means {seconds(hold.absent or 0.0)}"
    if wish is not None and wish.text is not None:
        yield "stated", f"`{wish.text}` in {wish.place}, as {UNITS[wish.unit or 's']}: {wish.means}"
    elif wish is not None:
        yield "stated", f"nothing in {listed(wish.places)}; {wish.means}"


def _numbers(hold: HoldStory) -> Iterator[tuple[str, str]]:
    if hold.note is not None:
        yield "note", hold.note
    if hold.cursor is not None:
        yield "cursor", hold.cursor
    if hold.granted is None or hold.deadline is None:
        return
    by = f", clamped by {hold.clamped_by}" if hold.clamped_by is not None else ""
    less = f" (alone it would be {seconds(hold.unlimited)})" if hold.unlimited not in (None, hold.granted) else ""
    yield "granted", f"{seconds(hold.granted)}{by}{less}"
    yield "deadline", _sum(hold)
    for limit in hold.limits:
        yield "limit", f"{limit.name}, {seconds(limit.seconds)}"
    if not hold.limits:
        yield "limit", "none: no token that ends, no server.front"
    if hold.sent is not None:
        yield "sent on", f"{seconds(hold.sent)}, {_told(hold)}"
        if hold.unchanged is not None:
            yield "", f"because {hold.unchanged}"
        who = "the gateway (template)" if hold.no_news == "template" else "the upstream alone"
        yield "no news", f"may be said by {who}"


def _told(hold: HoldStory) -> str:
    """What the upstream learns of the wait."""
    if hold.rewritten:
        return "written into the request"
    if hold.told is not None and hold.sent is not None and hold.told > hold.sent:
        return f"but the request is left alone and still says {seconds(hold.told)}"
    return "the request is left as it is"


def _sum(hold: HoldStory) -> str:
    parts = [hold.granted or 0.0, hold.jitter or 0.0, hold.margin or 0.0]
    text = f"{seconds(parts[0])} + jitter {seconds(parts[1])} + margin {seconds(parts[2])} = {seconds(sum(parts))}"
    end = hold.deadline or 0.0
    return text if abs(sum(parts) - end) < 1e-6 else f"{seconds(end)}, where {hold.clamped_by} ends ({text})"
