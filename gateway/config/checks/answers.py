"""What a hold table says of answers in a protocol's own words, and where an answer says how far it goes: these texts
must compile too, and a template may name only parts of the path that the route has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from gateway.config.checks.finding import Findings, View
from gateway.config.merge import Merged
from gateway.config.problems import Problem, problem
from gateway.config.schema import Hold
from gateway.config.texts import template_names

_PARTS_OF_PATH = re.compile(r"\{path:([^{}\"']+)\}")


def check_answers(view: View) -> Findings:
    """Compiles the refusals, the loser's answer and `cursor.response` where they are written."""
    for name, policy in view.config.policies.items():
        if policy.hold is not None:
            yield from _compiles(view, "policy", name, policy.hold)
    for route in view.config.routes:
        if route.hold is not None:
            yield from _compiles(view, "route", route.name, route.hold)
    for merged in view.merged:
        if merged.hold is not None and merged.hold.empty.answer == "template":
            yield from _parts_of_path(view, merged, merged.hold)


def _compiles(view: View, table: str, name: str, hold: Hold) -> Iterator[Problem]:
    origin = view.origin(table, name)
    for key, compile_part in _parts(hold):
        try:
            compile_part()
        except ValueError as error:
            yield problem(origin.file, f"{origin.key}.hold.{key}", str(error))


def _parts(hold: Hold) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every answer of a hold table, with what compiles it."""
    from gateway.holds.cursor import compile_response
    from gateway.holds.own_words import compile_loser, compile_own_words

    yield "cursor.response", partial(compile_response, hold.cursor.response)
    yield "loser.body", partial(compile_loser, hold.loser.status, hold.loser.headers, hold.loser.body)
    for stands_for, words in hold.refusals.items():
        status = words.status or int(stands_for)
        yield f"refusals.{stands_for}.body", partial(compile_own_words, status, words.headers, words.body)


def _parts_of_path(view: View, merged: Merged, hold: Hold) -> Findings:
    """A part that the route's path does not have is never there: the template would never be used."""
    path = merged.route.match.path
    texts = " ".join((hold.empty.body, *hold.empty.headers.values()))
    for name in dict.fromkeys(_PARTS_OF_PATH.findall(texts)):
        if name not in template_names(path):
            text = f'uses {{path:{name}}}, but "{path}" has no {{{name}}}; write it in match.path, or leave it out'
            yield view.of(merged, "hold.empty.body", text)
