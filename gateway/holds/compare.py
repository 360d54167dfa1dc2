"""The right half of a test in a policy: `present`, `== x`, `in (a, b)`, `> 0`, `matches RE`. Belongs here:
turning it into a function of one value, shared by tests on requests (`predicate`) and on answers (`idle`).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from typing import Final

import orjson

from gateway.holds import items, units
from gateway.holds.places import KINDS
from gateway.holds.words import did_you_mean

Check = Callable[["str | None"], bool]

ORDER: Final = {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}
OPERATORS: tuple[str, ...] = ("present", "absent", "==", "!=", "<", ">", "<=", ">=", "in", "not in", "matches")
_ALIASES: Final = {
    "=": "==",
    "is": "==",
    "equals": "==",
    "exists": "present",
    "missing": "absent",
    "contains": "matches",
}
_HINT: Final = "write present, absent, == VALUE, != VALUE, > NUMBER, in (A, B), not in (A, B) or matches REGEX"
_PARTS: Final = re.compile(r"(==|!=|<=|>=|<|>|not\s+in\b|[^\s(\"]+)\s*(.*)", re.DOTALL)
_PLACE: Final = re.compile(rf"(?:{'|'.join(KINDS)}):\S+")


def compile_check(text: str, whole: str) -> Check:
    """The check written as `text`, the part of the test `whole` after what it looks at.

    A missing value is unequal to everything: `!=` and `not in` hold, all others do not. Raises ValueError.
    """
    name, rest = split(text, whole)
    if name in ("present", "absent"):
        return _presence(name, rest, whole)
    if name in ORDER:
        return _order(name, rest, whole)
    if name in ("in", "not in"):
        return _membership(name, rest, whole)
    return _matches(rest, whole) if name == "matches" else _equality(name, rest, whole)


def split(text: str, whole: str, known: Sequence[str] = OPERATORS) -> tuple[str, str]:
    """The comparison of a check, one of `known`, and what follows it."""
    parts = _PARTS.fullmatch(text.strip())
    name, rest = (" ".join(parts[1].split()), parts[2]) if parts else ("", "")
    if name not in known:
        near = f", did you mean `{_ALIASES[name]}`?" if name in _ALIASES else did_you_mean(name, known)
        raise ValueError(f"`{whole}`: `{name or text}` is no comparison{near}; {_HINT}")
    if name in ("present", "absent", "empty") and rest:
        raise ValueError(f"`{whole}`: nothing may follow `{name}`; make `{rest}` a test of its own")
    return name, rest


def _presence(name: str, rest: str, whole: str) -> Check:
    if name == "present":
        return lambda value: value is not None
    return lambda value: value is None


def _equality(name: str, rest: str, whole: str) -> Check:
    wanted = literal(rest, whole)
    if name == "==":
        return lambda value: value == wanted
    return lambda value: value != wanted


def _membership(name: str, rest: str, whole: str) -> Check:
    wanted = frozenset(literal(part, whole) for part in members(name, rest, whole))
    if name == "in":
        return lambda value: value in wanted
    return lambda value: value not in wanted


def members(name: str, rest: str, whole: str) -> list[str]:
    """What stands in the brackets of `in (A, B)`."""
    found = items.split(rest[1:-1]) if rest.startswith("(") and rest.endswith(")") else []
    if not found:
        raise ValueError(f"`{whole}`: a list stands in brackets; write {name} (A, B)")
    return found


def _order(name: str, rest: str, whole: str) -> Check:
    bound = units.number(rest)
    if bound is None:
        raise ValueError(f"`{whole}`: `{name}` compares numbers; write {name} NUMBER, as in {name} 0")
    holds, limit = ORDER[name], bound

    def check(value: str | None) -> bool:
        found = units.number(value) if value is not None else None
        return found is not None and holds(found, limit)

    return check


def _matches(rest: str, whole: str) -> Check:
    try:
        pattern = re.compile(rest)
    except re.error as error:
        raise ValueError(f"`{whole}`: not a regular expression ({error}); write matches ^...$") from None
    if not rest:
        raise ValueError(f"`{whole}`: write the regular expression after `matches`, as in matches ^[0-9]+$")
    return lambda value: value is not None and pattern.search(value) is not None


def names_place(text: str) -> bool:
    """Whether a value, as it is written, is the name of a place in a request. In quotes it is a text."""
    return _PLACE.fullmatch(text) is not None


def literal(text: str, whole: str) -> str:
    """A value as a policy writes it: bare, or in double quotes with JSON's escapes."""
    if text.startswith('"'):
        try:
            return str(orjson.loads(text))
        except orjson.JSONDecodeError:
            raise ValueError(f'`{whole}`: {text} is not a quoted value; write "..", escaped as in JSON') from None
    if not text:
        raise ValueError(f'`{whole}`: a value is missing; write "" for an empty one')
    if names_place(text):
        raise ValueError(
            f'`{whole}`: only `==` and `!=` of an `idle` test compare with a place; put a value in quotes: "{text}"'
        )
    return text
