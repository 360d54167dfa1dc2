"""Starvation advice: what keeps clients from being served, told from the numbers of many calls. Pure rules, with their
thresholds beside them (docs/past.md lists them); a healthy day breaks none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field

from gateway.past.signs import Ended, Loop, Served, Signs, Slot, signs
from gateway.past.source import Past

Number = float | int | str

LEAST_BEHIND = 20  # calls that came behind a hold, or were kept out by a cap
LEAST_CUT, CUT_SHARE, CUT_PEAK = 20, 0.5, 5  # polls cut at one time; of those that lasted so long; to any time before
LEAST_REFUSED, REFUSED_SHARE, ONE_CLIENT = 100, 0.05, 0.8
LEAST_EVICTED, EVICTED_SHARE = 50, 0.1
LEAST_OVERRUNS, OVERRUN_SHARE = 20, 0.05
LEAST_CLAMPED, CLAMPED_SHARE, TOKEN_SHARE = 100, 0.5, 0.1


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to know, the numbers it rests on, and what to do about it."""

    kind: str
    text: str
    do: str
    route: str | None = None
    consumer: str | None = None
    numbers: dict[str, Number] = field(default_factory=dict)


def advise(past: Past) -> list[dict[str, object]]:
    """The advice for the calls of a connected log, as plain values."""
    return [asdict(each) for each in advice_for(signs(past))]


def advice_for(found: Signs) -> list[Advice]:
    return [each for rule in RULES for each in rule(found)]


def one_slot(found: Signs) -> Iterator[Advice]:
    """A client with a single slot that a long hold always takes: its other calls come late or not at all."""
    for slot in found.slots:
        if slot.overlaps or slot.behind + slot.starved < LEAST_BEHIND:
            continue
        numbers: dict[str, Number] = {
            "hours": slot.hours, "share": round(slot.share, 3), "behind": slot.behind, "starved": slot.starved,
        }  # fmt: skip
        text = f"consumer {slot.consumer} has one slot and spends it on route {slot.route}: {_percent(slot.share)}"
        text = f"{text} of its time; {_behind(slot)}"
        yield Advice("one_slot", text, _more_slots(slot), slot.route, slot.consumer, numbers)


def _behind(slot: Slot) -> str:
    parts = []
    if slot.behind:
        parts.append(f"{slot.behind} other calls began only when a poll had ended in no news")
    if slot.starved:
        parts.append(f"{slot.starved} calls were kept out by a cap")
    return " and ".join(parts)


def _more_slots(slot: Slot) -> str:
    if slot.starved >= slot.behind:
        return "raise the max of the cap that refuses it, or let other routes count under a cap of their own"
    return f"let this client poll on a connection or worker of its own, or shorten the max of the hold of {slot.route}"


def tight_loop(found: Signs) -> Iterator[Advice]:
    """Clients that ask again at once, and again, for nothing."""
    for loop in found.loops:
        many = f"{loop.clients} clients of route {loop.route} re-poll" if loop.clients > 1 else (
            f"client {loop.most} of route {loop.route} re-polls")  # fmt: skip
        rate, ending = f"{loop.per_minute / 60:.1f}", f"mostly {loop.outcome} after {_time(loop.took)}"
        text = f"{many} up to {rate} times a second in vain: {ending}"
        numbers: dict[str, Number] = {
            "clients": loop.clients, "per_second": round(loop.per_minute / 60, 2), "polls": loop.polls,
            "outcome": loop.outcome, "took": round(loop.took, 6),
        }  # fmt: skip
        yield Advice(
            "tight_loop", text, _slow_down(loop), loop.route, loop.most if loop.clients == 1 else None, numbers
        )


def _slow_down(loop: Loop) -> str:
    if loop.outcome in ("rate_limited", "capped"):
        return 'the clients do not wait for Retry-After: correct them, or let them wait here (mode = "delay")'
    if loop.outcome in ("unauthenticated", "forbidden"):
        return "the clients go on with a token that is refused: let them stop on 401 and 403"
    if loop.outcome in ("superseded", "conflict"):
        return "several clients poll under one name and end each other: let all but one stop, or give each its own"
    if loop.outcome not in ("empty", "blank"):
        return "let the clients back off after an error, with jitter"
    if loop.granted is not None and loop.granted < 1:
        return "the clients ask for no hold: give the hold policy a min such as 5s"
    return "the service says no news at once instead of holding: see that it reads the hold that it is sent"


def edge_cut(found: Signs) -> Iterator[Advice]:
    """Many clients gone after the very same time: nobody left, something cut them."""
    routes = defaultdict[str, dict[int, Ended]](dict)
    for each in found.ended:
        routes[each.route][each.step] = each
    for route, steps in routes.items():
        at = max(steps, key=lambda step: (_gone(steps, step), -step))
        cut, lasted = _gone(steps, at), sum(each.polls for step, each in steps.items() if step >= at)
        usual = 2 * sum(each.gone for step, each in steps.items() if step < at) / max(at, 1)
        if cut < LEAST_CUT or cut < CUT_SHARE * lasted or cut < CUT_PEAK * usual:
            continue
        both = [steps[step] for step in (at, at + 1) if step in steps and steps[step].gone]
        seconds = sum((each.gone_at or 0.0) * each.gone for each in both) / cut
        numbers: dict[str, Number] = {"at": round(seconds, 1), "cut": cut, "lasted": lasted}
        who = (
            "the edge in front"
            if any(each.several for each in both)
            else "the edge in front, or by the one client that was cut,"
        )
        cuts = f"{cut} of {lasted} that lasted so long ended in client_gone then"
        text = f"polls of route {route} are cut by {who} at {seconds:.4g} s: {cuts}"
        do = f'set server.front = "{int(seconds)}s", or its name, and holds end before it; or raise its timeout'
        yield Advice("edge_cut", text, do, route, None, numbers)


def _gone(steps: dict[int, Ended], at: int) -> int:
    """Clients that left within two steps: a cut may fall on the border of one."""
    return sum(steps[step].gone for step in (at, at + 1) if step in steps)


def refused(found: Signs) -> Iterator[Advice]:
    """Limits that refuse much, and whether that is one client's fault. A loop is told as one."""
    looped = {loop.route for loop in found.loops if loop.outcome in ("rate_limited", "capped")}
    for each in found.refused:
        count = each.rate_limited + each.capped
        if each.route in looped or count < LEAST_REFUSED or count < REFUSED_SHARE * each.calls:
            continue
        limit = "rate limit" if each.rate_limited >= each.capped else "cap"
        numbers: dict[str, Number] = {
            "share": round(count / each.calls, 3), "rate_limited": each.rate_limited, "capped": each.capped,
            "clients": each.clients,
        }  # fmt: skip
        text = f"the {limit} of route {each.route} refuses {_percent(count / each.calls)} of its calls"
        if each.most_count >= ONE_CLIENT * count:
            text += f", nearly all of client {each.most}"
            yield Advice("refused", text, f"ask client {each.most} to call less often, or give it a limit of its own",
                         each.route, each.most, numbers)  # fmt: skip
        else:
            yield Advice("refused", f"{text}, of {each.clients} clients",
                         f"the {limit} is too tight for its clients: raise it, or let them wait in line",
                         each.route, None, numbers)  # fmt: skip


def evictions(found: Signs) -> Iterator[Advice]:
    """Polls that end each other."""
    for route, rows in _by_route(found.served).items():
        polls, evicted = sum(each.polls for each in rows), sum(each.evicted for each in rows)
        if evicted >= LEAST_EVICTED and evicted >= EVICTED_SHARE * polls:
            yield Advice(
                "evictions",
                f"{_percent(evicted / polls)} of the polls of route {route} are ended to make room for others",
                "raise the max of its hold_cap above the tabs or workers one client has, or set evict_grace",
                route, None, {"share": round(evicted / polls, 3), "evicted": evicted, "polls": polls},
            )  # fmt: skip


def overruns(found: Signs) -> Iterator[Advice]:
    """A service that keeps holding after its own hold is over."""
    for route, rows in _by_route(found.served).items():
        late = [
            each for each in rows if each.overruns >= LEAST_OVERRUNS and each.overruns >= OVERRUN_SHARE * each.polls
        ]
        if not late:
            continue
        polls, count = sum(each.polls for each in late), sum(each.overruns for each in late)
        sent = [each for each in rows if each.endpoint is not None]
        where = "" if len(late) == len(sent) else f" on endpoint {', '.join(str(each.endpoint) for each in late)}"
        yield Advice(
            "overruns",
            f"{_percent(count / polls)} of the polls of route {route}{where} outlast the hold the service was told",
            "see that the service honours the hold it is sent; if it is only a little late, raise the margin",
            route, None, {"share": round(count / polls, 3), "overruns": count, "polls": polls},
        )  # fmt: skip


def clamped(found: Signs) -> Iterator[Advice]:
    """Clients that ask for more than they get, most of the time."""
    for route, rows in _by_route(found.served).items():
        granted = sum(each.granted for each in rows)
        for cause, what in (("max", "the max of its hold policy"), ("front", "the edge in front")):
            count = sum(each.clamped[cause] for each in rows)
            wish = (found.asked or {}).get((route, cause))
            if wish is None or count < LEAST_CLAMPED or count < CLAMPED_SHARE * granted:
                continue
            numbers: dict[str, Number] = {
                "share": round(count / granted, 3), "clamped": count, "asked": wish[0], "granted": round(wish[1], 3),
            }  # fmt: skip
            less = f"get {_time(wish[1])} of the {_time(wish[0])} they ask for: {what}"
            text = f"{_percent(count / granted)} of the polls of route {route} {less}"
            yield Advice("clamped", text, _longer(cause), route, None, numbers)


def _longer(cause: str) -> str:
    if cause == "front":
        return "raise the idle timeout of the edge and server.front with it, or let clients ask for less"
    return "raise max as far as gateway check calls it safe: clients poll more often than they mean to"


def short_tokens(found: Signs) -> Iterator[Advice]:
    """Holds that end because a token does."""
    for route, rows in _by_route(found.served).items():
        granted, count = sum(each.granted for each in rows), sum(each.clamped["token"] for each in rows)
        if count >= LEAST_CLAMPED and count >= TOKEN_SHARE * granted:
            yield Advice(
                "short_tokens",
                f"{_percent(count / granted)} of the polls of route {route} are cut short by the end of their token",
                "let the issuer give tokens that last much longer than a hold, or let clients renew them earlier",
                route, None, {"share": round(count / granted, 3), "clamped": count, "granted": granted},
            )  # fmt: skip


RULES: tuple[Callable[[Signs], Iterable[Advice]], ...] = (
    one_slot, tight_loop, edge_cut, refused, evictions, overruns, clamped, short_tokens,
)  # fmt: skip


def _by_route(served: Iterable[Served]) -> dict[str, list[Served]]:
    routes = defaultdict[str, list[Served]](list)
    for each in served:
        routes[each.route].append(each)
    return routes


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.4g} s"
