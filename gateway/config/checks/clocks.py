"""The clocks of a hold against each other and against everyone who might cut it short. An error where one that means
failure (the client gives up, the edge in front answers, our own 504) can come before "no news"; a notice where nothing
breaks but a person should know. Every finding names the numbers and what to change.
"""

from __future__ import annotations

import math

from gateway.config.checks.finding import Findings, Notice, View
from gateway.config.clocks import Clock, Quiet, front_name, largest_hold, outside, passes, quiet, writable
from gateway.config.merge import Merged
from gateway.config.schema import Hold, Server
from gateway.holds.budget import FRONT_MARGIN
from gateway.holds.plan import UNWRITABLE
from gateway.holds.units import SMALLEST

_KEYS = {"client_timeout": "hold.client_timeout"}  # of any other clock it is the hold that can be changed


def say(seconds: float) -> str:
    """Always in seconds, so that the numbers of a sum can be compared by eye."""
    return f"{seconds:g}s"


def check_clocks(view: View) -> Findings:
    """The hold of every route."""
    for merged in view.merged:
        if merged.hold is not None:
            yield from _numbers(view, merged, merged.hold)
            yield from _wishes(view, merged, merged.hold)
            yield from _untold(view, merged, merged.hold)
            yield from _signed(view, merged, merged.hold)
            yield from _ends(view, merged, merged.hold, view.config.server)


def _numbers(view: View, merged: Merged, hold: Hold) -> Findings:
    if hold.min > hold.max:
        text = f"{say(hold.min)} is longer than max, {say(hold.max)}; write a shorter min, or a longer max"
        yield view.of(merged, "hold.min", text)
    elif hold.absent is not None and math.isfinite(hold.absent) and not hold.min <= hold.absent <= hold.max:
        bounds = f"min, {say(hold.min)}, to max, {say(hold.max)}"
        yield view.of(merged, "hold.absent", f"{say(hold.absent)} is not within {bounds}; change one of them")
    if hold.margin <= 0:
        ours = "the template" if hold.empty.answer == "template" else "our 504"
        yield view.of(
            merged, "hold.margin", f'is nothing, so {ours} would race the upstream\'s own answer; write margin = "5s"'
        )
    if hold.jitter.early >= hold.max > 0:
        text = f"{say(hold.jitter.early)} takes off more than max, {say(hold.max)}; write a shorter early"
        yield view.of(merged, "hold.jitter.early", text)


def _wishes(view: View, merged: Merged, hold: Hold) -> Findings:
    if hold.absent is None and not hold.ask:
        text = 'nothing would ever be held; write absent = "25s", or ask = [{ in = "query", name = "timeout" }]'
        yield view.of(merged, "hold.absent", text)
    if hold.rewrite and not hold.ask:
        text = "there is no wish to rewrite; write rewrite = false, or say in ask where it stands"
        yield view.of(merged, "hold.rewrite", text)
    elif hold.rewrite and not writable(hold):
        text = "no other wish can be written into XML, or into a session that has begun; write rewrite = false"
        yield view.of(merged, "hold.rewrite", text)


def _untold(view: View, merged: Merged, hold: Hold) -> Findings:
    """An upstream that holds on beyond our deadline, because nobody tells it: without a template that is our 504."""
    end, front = quiet(hold), view.config.server.front
    if end.ours:
        return
    if end.untold == "over_max":
        can = any(place.in_ not in UNWRITABLE for place in hold.ask)
        change = "rewrite = true" if can else 'over_max = "pass"'
        text = (
            f"a poll that asks for more than max, {say(hold.max)}, would end in a 504, for the upstream is not "
            f'told; write {change}, or over_max = "reject"'
        )
        yield view.of(merged, "hold.over_max", text)
    elif end.untold == "absent":
        text = (
            f"a poll that states no wish would end in a 504 after {say(end.deadline)} (max {say(hold.max)} + jitter "
            f"{say(end.due - end.hold)} + margin {say(hold.margin)}), for the upstream is told no end; write what it "
            'holds, such as absent = "25s", or an empty.answer of "template"'
        )
        yield view.of(merged, "hold.absent", text)
    elif passes(hold) and not writable(hold) and front is not None and _clients_ask(hold):
        text = (
            f"a poll that asks for more than {front_name(view.config.server)} waits, {say(front.idle_timeout)}, would "
            'end in a 504, for the upstream is not told; write rewrite = true, or over_max = "reject"'
        )
        yield view.of(merged, "hold.over_max", text)
    elif passes(hold) and front is not None:
        room = largest_hold(hold, front.idle_timeout - FRONT_MARGIN)
        if room < max(hold.min, *(SMALLEST[place.unit] for place in hold.ask)):
            text = (
                f"{front_name(view.config.server)} waits only {say(front.idle_timeout)}, which leaves no hold that "
                "could be asked for: every poll that passes max would end in a 504; write a smaller margin, or name an "
                "edge that waits longer"
            )
            yield view.of(merged, "hold.over_max", text)


def _signed(view: View, merged: Merged, hold: Hold) -> Findings:
    """Signed polls are those of a dialect in which nobody tells the upstream."""
    clamps = writable(hold) and hold.over_max == "clamp"
    if hold.signed is not None and clamps and hold.empty.answer != "template":
        text = (
            f"a signed poll that asks for more than max, {say(hold.max)}, ends in a 504, for it may not be "
            'changed and the upstream is not told; write over_max = "reject" or "pass", if clients ask for so much'
        )
        yield Notice(view.of(merged, "hold.over_max", text))


def _clients_ask(hold: Hold) -> bool:
    """Of a session it is the upstream that says how long: no client makes it more than is usual."""
    return any(place.in_ != "session" for place in hold.ask)


def _ends(view: View, merged: Merged, hold: Hold, server: Server) -> Findings:
    end = quiet(hold)
    for clock in outside(server, merged):
        # The edge cuts every poll alike, so none is granted that it would cut: where holds are longer, max is a lie.
        needed = end.said if clock.name == "client_timeout" else end.deadline
        key = _KEYS.get(clock.name, "hold.max")
        if needed > clock.ends:
            yield view.of(merged, key, _too_long(hold, end, clock))
        elif end.deadline > clock.ends:
            text = (
                f"clients wait {say(clock.seconds)}, but of a silent upstream they are told after {say(end.deadline)} "
                f"({_parts(hold, end)}): "
                "they will have left; write a smaller max or margin, or a longer client_timeout"
            )
            yield Notice(view.of(merged, key, text))
    if not end.ours and end.untold is None and end.deadline > server.drain:
        text = (
            f"a poll may last {say(end.deadline)} and may not be ended early, but drain is {say(server.drain)}: some "
            "are cut at shutdown; write a longer server.drain and stop_grace, if that matters"
        )
        yield Notice(view.of(merged, "hold.max", text))


def _parts(hold: Hold, end: Quiet) -> str:
    return f"{say(end.hold)} + jitter {say(end.due - end.hold)} + margin {say(hold.margin)}"


def _too_long(hold: Hold, end: Quiet, clock: Clock) -> str:
    who = "clients wait" if clock.name == "client_timeout" else f"{clock.name} waits"
    room = largest_hold(hold, clock.ends)
    what = f"a poll may last {_parts(hold, end)} = {say(end.deadline)} but {who} only {say(clock.seconds)}"
    other = "" if clock.fixed else f", or have {clock.name} wait longer"
    return f"{what}; {_shorter(hold, end, room)}{other}"


def _shorter(hold: Hold, end: Quiet, room: float) -> str:
    """What to write so that the longest hold is no longer than `room`."""
    if room < 0.1:
        return f"write a smaller {'jitter and margin' if hold.jitter.span > hold.margin else 'margin'}"
    best = say(math.floor(room) if room >= 1 else math.floor(room * 10) / 10)
    asked = bool(hold.ask) or hold.absent == math.inf
    own = hold.absent is not None and math.isfinite(hold.absent) and (hold.absent > room or not asked)
    keys = [key for key, applies in (("max", asked), ("absent", own), ("min", hold.min > room)) if applies]
    lines = " and ".join(f'{key} = "{best}"' for key in keys)
    decides = not _clients_ask(hold) and hold.absent != math.inf  # then it is the upstream that has to change
    return f"have the upstream hold for no more than {best} and write {lines}" if decides else f"write {lines}"
