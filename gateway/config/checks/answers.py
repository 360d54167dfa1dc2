"""What a hold table says of answers in a protocol's own words, and where an answer says how far it goes: these texts
must compile too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from gateway.config.checks.finding import Findings, View
from gateway.config.problems import Problem, problem
from gateway.config.schema import Hold


def check_answers(view: View) -> Findings:
    """Compiles the refusals, the loser's answer and `cursor.response` where they are written."""
    for name, policy in view.config.policies.items():
        if policy.hold is not None:
            yield from _compiles(view, "policy", name, policy.hold, policy.hold)
    for merged in view.merged:
        if merged.hold is not None and merged.route.hold is not None:  # it may have written half of an answer
            yield from _compiles(view, "route", merged.route.name, merged.hold, merged.route.hold)


def _compiles(view: View, table: str, name: str, hold: Hold, written: Hold) -> Iterator[Problem]:
    """Of `hold` what `written` has a part in."""
    origin = view.origin(table, name)
    for key, compile_part in _parts(hold):
        if key.partition(".")[0] not in written.model_fields_set:
            continue
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
