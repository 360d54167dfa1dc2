"""Where a hold table looks, against what it looks into: the path of its route must have the parts that are read from
it, and a wish agreed at a handshake needs the handshake.
"""

from __future__ import annotations

import re

from gateway.config.checks.finding import Findings, View
from gateway.config.merge import Merged
from gateway.config.schema import Hold
from gateway.config.schema.hold import Ask
from gateway.config.texts import template_names
from gateway.holds.words import did_you_mean

_ATTRIBUTE = re.compile(r"@[^\W\d][\w.:-]*")


def check_places(view: View) -> Findings:
    """The hold of every route, as it is after merging."""
    for merged in view.merged:
        if merged.hold is not None:
            yield from _captures(view, merged, merged.hold)
            yield from _earlier(view, merged, merged.hold)
            yield from _session(view, merged, merged.hold)


def problem_of(ask: Ask) -> str | None:
    """What is wrong with the name of a place to ask at: "what; remedy"."""
    name = ask.name
    if ask.in_ == "header-item" and not re.fullmatch(r"[^\s/]+/[^\s/]+", name):
        return 'is not an item of a header; write "HEADER/ITEM", such as "Prefer/wait"'
    if ask.in_ == "json" and not name.startswith("/"):
        return f'is not a JSON pointer; write "/{name}"'
    if ask.in_ == "json" and "*" in name[1:].split("/"):
        return f'leads to many values; write an index, such as "{name.replace("*", "0")}"'
    if ask.in_ == "xml" and not _ATTRIBUTE.fullmatch(name):
        return f'is not an attribute of the root element; write "@{name.lstrip("@") or "wait"}"'
    return _unreadable(ask)


def _unreadable(ask: Ask) -> str | None:
    from gateway.holds.places import compile_place
    from gateway.holds.session import compile_answer_place

    try:
        if ask.in_ == "session":
            compile_answer_place(ask.name)
        else:
            compile_place(f"{ask.in_}:{ask.name}")
    except ValueError as error:
        return str(error)
    return None


def _captures(view: View, merged: Merged, hold: Hold) -> Findings:
    from gateway.config.dialect import looked_at

    path = merged.route.match.path
    captured = template_names(path)
    for key, place in dict.fromkeys(looked_at(hold)):
        kind, _, name = place.partition(":")
        if kind == "path" and name not in captured:
            remedy = f"{path.removesuffix('/**').rstrip('/')}/{{{name}}}"
            where = f"`{place}`: the path of route '{merged.route.name}' has no {{{name}}}"
            text = f'{where}{did_you_mean(name, captured)}; write it there, such as path = "{remedy}"'
            yield view.of(merged, f"hold.{key}", text)


def _earlier(view: View, merged: Merged, hold: Hold) -> Findings:
    """What the last answer had is looked up for whoever polls, who is known only once it is known that this is a poll.
    Everywhere else it would be absent for ever."""
    from gateway.config.dialect import looked_at

    for key, place in dict.fromkeys(looked_at(hold)):
        if place.startswith("last:") and not key.startswith("empty"):
            text = f"`{place}` is known for a no-news answer alone; write it in empty, or a place in the request here"
            yield view.of(merged, f"hold.{key}", text)


def _session(view: View, merged: Merged, hold: Hold) -> Findings:
    asks = any(place.in_ == "session" for place in hold.ask)
    if asks and hold.session is None:
        text = "a session's hold is asked for, but nothing says where it begins; write session with key, when and id"
        yield view.of(merged, "hold.ask", text)
    elif hold.session is not None and not asks:
        text = 'nothing asks for what it learns; write ask = [{ in = "session", name = "json:/POINTER" }], or remove it'
        yield view.of(merged, "hold.session", text)
