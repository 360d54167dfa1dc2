"""An explanation as plain text in sections, readable at 100 columns. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from gateway.explain.clocks import DUE
from gateway.explain.model import ClockStory, Explanation, HoldStory, LimitStory, RouteStory, Setting, StepStory
from gateway.explain.words import seconds

WIDTH = 100
_LABEL = 12
_USUAL = frozenset({"Content-Type", "Content-Length", "Cache-Control"})  # of every refusal

Rows = Iterable[tuple[str, str]]


def render(story: Explanation) -> str:
    """The whole text, without a line end."""
    sections = [
        ("", [f"{story.method} {story.target}", f"to {story.host} from {story.peer}"]),
        ("Result", list(_rows(_result(story)))),
        ("Route", list(_rows(_route(story.route))) if story.route is not None else []),
        ("Admission", list(_rows(_admission(story)))),
        ("Hold", list(_hold(story.hold)) if story.hold is not None else []),
        ("Limits, in the order in which they are asked", list(_limits(story))),
        ("Forwarded request", list(_forwarded(story))),
        ("Clocks, counted from the request's arrival", list(_clocks(story))),
        ("What may happen", list(_rows(((event.name, event.then) for event in story.events), 26))),
        ("Settings", list(_settings(story.settings))),
    ]
    return "\n\n".join("\n".join((*([title] if title else []), *lines)) for title, lines in sections if lines)


def _rows(rows: Rows, label: int = _LABEL) -> Iterator[str]:
    """A label and its text, aligned and wrapped; an empty label continues the one above."""
    for name, text in rows:
        if len(name) >= label:
            yield f"  {name}"
            name = ""
        yield from textwrap.wrap(
            text or "-",
            WIDTH,
            initial_indent=f"  {name:<{label}}",
            subsequent_indent=" " * (label + 2),
            break_on_hyphens=False,
        )


def _result(story: Explanation) -> Iterator[tuple[str, str]]:
    verdict, hold = story.verdict, story.hold
    answer = verdict.answer
    if verdict.result == "held" and hold is not None and hold.deadline is not None:
        end = f"ended by us after {seconds(hold.deadline)} at the latest"
        yield "held", f"{seconds(hold.granted or 0.0)} granted, {end}"
    elif verdict.result == "forwarded":
        yield "forwarded", "as an ordinary call"
    elif answer is not None:
        yield verdict.result, f"{answer.status} {answer.reason}; recorded as {verdict.outcome}"
        if verdict.slug is not None:
            yield "why", f"{verdict.slug}: {verdict.detail}"
        if verdict.hint is not None:
            yield "", verdict.hint
        usual = _USUAL if verdict.slug is not None else frozenset()
        yield from (("", f"{name}: {value}") for name, value in answer.headers if name not in usual)
        if answer.body and verdict.slug is None:
            yield "body", answer.body
    if story.as_if_admitted:
        yield "", "What follows is shown as if the call had been admitted."


def _route(route: RouteStory) -> Iterator[tuple[str, str]]:
    yield "name", f"{route.name} ({route.file})"
    yield "match", f"{','.join(route.methods) or '*'} {route.host or '*'}{route.path}"
    if route.rewrite is not None:
        yield "rewrite", route.rewrite
    yield "upstream", f"{route.upstream}: {', '.join(route.endpoints)} ({route.balance})"
    label = "policies"
    for policy in route.policies:
        yield label, f"{policy.name} ({policy.file}): {', '.join(policy.kinds)}"
        label = ""
    if route.own_kinds:
        yield label, f"and the route's own: {', '.join(route.own_kinds)}"


def _admission(story: Explanation) -> Iterator[tuple[str, str]]:
    for step in story.admission:
        yield step.kind, _step(step)
    caller = story.caller
    if caller is None:
        return
    tenant = f", tenant {caller.tenant}" if caller.tenant is not None else ""
    yield "caller", f"consumer {caller.consumer}{tenant}, by provider {caller.provider}"
    if caller.scopes:
        yield "scopes", " ".join(caller.scopes)
    if caller.ends_in is not None:
        yield "token", f"counts for another {seconds(caller.ends_in)}, leeway included"


def _step(step: StepStory) -> str:
    if step.waits:
        return "would wait for something that is not fetched here"
    return "admits" if step.status is None else f"refuses: {step.status} {step.slug}, {step.detail}"


def _hold(hold: HoldStory) -> Iterator[str]:
    yield from _rows([("dialect", hold.dialect), ("poll", hold.reason)], 14)
    for each in hold.conditions:
        yield f"{'':16}{'yes' if each.holds else 'no ':<5}{'  ' * each.depth}{each.text}"
    yield from _rows(_numbers(hold), 14)


def _numbers(hold: HoldStory) -> Iterator[tuple[str, str]]:
    if hold.asked is not None:
        yield "asked", f"{seconds(hold.asked)} in {hold.place}"
    elif hold.held:
        yield "asked", f"no wish stated; absent means {seconds(hold.absent or 0.0)}"
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


def _limits(story: Explanation) -> Iterator[str]:
    for limit in story.limits:
        counts = f"counts under {limit.key}{_instead(limit)}: {_count(limit)}" if limit.unmet is None else None
        what = f"{limit.allows} per {limit.per} [{limit.origin}]"
        yield from _rows([(limit.kind, f'"{limit.name}": {what}'), ("", limit.excess)], 18)
        yield from _rows([("", counts or f"not asked here: it {limit.unmet}")], 18)
    if story.counts_from is not None and any(limit.unmet is None for limit in story.limits):
        yield from _rows([("counts", story.counts_from)], 18)


def _instead(limit: LimitStory) -> str:
    return f", for want of a {limit.per}" if limit.stands_in else ""


def _count(limit: LimitStory) -> str:
    count = limit.count
    if count is None:
        return "unknown"
    if not count.known:
        return "unknown, for the running gateway has no such limit; reload it"
    waiting = f", {count.waiting} in line" if count.waiting else ""
    if count.held is not None:
        full = ", so one more is one too many" if count.held >= (count.max or 0) else ""
        return f"{count.held} of {count.max} held{full}{waiting}"
    more = f", one more in {count.reset} s" if count.reset else ""
    return f"{count.left} left{more}{waiting}"


def _forwarded(story: Explanation) -> Iterator[str]:
    sent = story.forwarded
    if sent is None:
        return
    several = story.route is not None and len(story.route.endpoints) > 1
    yield f"  to {sent.endpoint}{' first, when none is busier' if several else ''}"
    yield from (f"  | {line}" for line in sent.lines)
    if sent.body_bytes:
        yield f"  | and a body of {sent.body_bytes} bytes"


def _clocks(story: Explanation) -> Iterator[str]:
    race = story.race
    if race is None:
        return
    for clock in sorted(story.clocks, key=_place):
        at = seconds(clock.seconds) if clock.seconds is not None else "-"
        yield from _rows([(f"{at:>10}  {clock.name}", f"{clock.then} [{_short(clock.origin)}]")], 32)
    silent = f"if the upstream stays silent, {race.first} after {seconds(race.seconds)}: {race.then}"
    yield from _rows([("first", silent)])
    if race.warning is not None:
        yield from _rows([("warning", race.warning)])
    if race.largest_hold is not None:
        said = f"the largest hold that ends before {race.because} is {seconds(race.largest_hold)}"
        yield from _rows([("safe", said if race.largest_hold > 0 else f"no hold ends before {race.because}")])


def _short(origin: str) -> str:
    """Who wrote a value, without the file: the settings name it."""
    return origin.partition(" (")[0]


def _place(clock: ClockStory) -> tuple[bool, float]:
    """Those that run during the silence come first, in the order in which they end."""
    runs = clock.races or clock.name == DUE
    return not runs, (clock.seconds or 0.0) if runs else 0.0


def _settings(settings: tuple[Setting, ...]) -> Iterator[str]:
    origins = dict.fromkeys(setting.origin for setting in settings)
    for origin in origins:
        yield f"  from {origin}"
        yield from _rows(((f"  {each.key}", each.value) for each in settings if each.origin == origin), 30)
