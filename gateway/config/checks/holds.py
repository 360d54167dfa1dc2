"""The texts inside hold tables: predicates, idle tests, templates and cursors must compile, and a template may use
only values that a request is known to have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from gateway.config.checks.finding import Findings, View
from gateway.config.checks.places import problem_of
from gateway.config.merge import Merged
from gateway.config.problems import Problem, problem
from gateway.config.schema import Empty, Hold

_USED = re.compile(r"\{((?:query|header|header-item|cookie|form|json|xml|last):[^{}\"']+)\}")


def check_holds(view: View) -> Findings:
    """Compiles what each hold table says, where it says it, then looks at the merged templates."""
    for name, policy in view.config.policies.items():
        if policy.hold is not None:
            yield from _compiles(view, "policy", name, policy.hold)
    for route in view.config.routes:
        if route.hold is not None:
            yield from _compiles(view, "route", route.name, route.hold)
    for merged in view.merged:
        if merged.hold is not None:
            yield from _template_of(view, merged, merged.hold)


def _template_of(view: View, merged: Merged, hold: Hold) -> Findings:
    """The template as it is after merging: a route may have written half of it."""
    own = merged.route.hold
    if own is not None and "empty" in own.model_fields_set:
        try:
            _compile_template(hold.empty)
        except ValueError as error:
            yield view.at("route", merged.route.name, "hold.empty", str(error))
    if hold.empty.answer == "template":
        for text in _undeclared(hold):
            yield view.of(merged, "hold.empty.body", text)


def _compiles(view: View, table: str, name: str, hold: Hold) -> Iterator[Problem]:
    origin = view.origin(table, name)
    parts = list(_parts(hold))
    if table == "policy":  # that of a route is half of one, and is looked at when it is merged
        parts.append(("empty", _compile_template, hold.empty))
    for key, compile_part, value in parts:
        try:
            compile_part(value)
        except ValueError as error:
            yield problem(origin.file, f"{origin.key}.hold.{key}", str(error))
    for number, ask in enumerate(hold.ask):
        text = problem_of(ask)
        if text is not None:
            yield problem(origin.file, f"{origin.key}.hold.ask[{number}].name", text)


def _parts(hold: Hold) -> Iterator[tuple[str, Callable[[Any], object], Any]]:
    """Every text of a hold table, with what compiles it."""
    from gateway.holds.cursor import compile_cursor
    from gateway.holds.idle import compile_idle
    from gateway.holds.places import compile_place
    from gateway.holds.predicate import compile_when
    from gateway.holds.session import compile_answer_place, compile_session_key, compile_skip

    for key, condition in (("when", hold.when), ("unbounded", hold.unbounded), ("signed", hold.signed)):
        if condition is not None:
            yield key, compile_when, condition
    yield "idle", compile_idle, hold.idle
    yield "cursor.request", compile_cursor, hold.cursor.request
    yield "empty.needs", compile_when, hold.empty.needs
    if hold.key != "consumer":
        yield "key", compile_place, hold.key
    if hold.session is not None:
        yield "session.key", compile_session_key, hold.session.key
        yield "session.when", compile_when, hold.session.when
        yield "session.id", compile_answer_place, hold.session.id
        yield "session.skip", compile_skip, hold.session.skip


def _compile_template(empty: Empty) -> None:
    from gateway.holds.blank import compile_template

    if empty.status in (204, 304) and empty.body:
        raise ValueError(f"a {empty.status} has no body; remove body, or write status = 200")
    compile_template(empty.status, empty.headers, empty.body, [])


def _undeclared(hold: Hold) -> Iterator[str]:
    """What a template uses although neither `needs` nor `when` promises that the request has it."""
    promised = set(_promises(hold.when)) | set(_promises(list(hold.empty.needs)))
    used = dict.fromkeys(_USED.findall(" ".join((hold.empty.body, *hold.empty.headers.values()))))
    for place in used:
        if place.lower() not in promised:
            yield f'uses {{{place}}}, which a request may lack; write needs = ["{place} present"]'


def _promises(condition: Any) -> Iterator[str]:
    """The places a condition that holds proves to be present: those of a list and of `all`, not of `any`."""
    if isinstance(condition, str):
        place, _, test = condition.strip().partition(" ")
        if not re.match(r"(absent|empty|!=|not\s)", test.strip()):
            yield place.lower()
    elif isinstance(condition, dict):
        for item in condition.get("all", ()):
            yield from _promises(item)
    elif isinstance(condition, list):
        for item in condition:
            yield from _promises(item)
