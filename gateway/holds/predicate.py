"""Is this request a poll? May the template be used for it? Belongs here: the `when` and `needs` lists of a
hold policy, compiled once into a function of the request head.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Final

from gateway.head import RequestHead
from gateway.holds.compare import compile_check
from gateway.holds.documents import compile_document_test
from gateway.holds.places import KINDS, compile_place
from gateway.holds.plan import Predicate
from gateway.holds.pointer import ABSENT
from gateway.holds.words import did_you_mean

_KEYS = ("any", "all", "not")
_WHOLE: dict[str, Callable[[RequestHead], str]] = {"method": attrgetter("method"), "path": attrgetter("path")}
_HINT: Final = 'write "query:NAME present", "header:NAME == VALUE", "method == GET" or { any = [..] }'


def always(head: RequestHead) -> bool:
    """The predicate of an empty list."""
    return True


def compile_when(expr: Sequence[object] | Mapping[str, object]) -> Predicate:
    """The predicate of a `when` or `needs` value: a list (all must hold; `[]` always does) or a table with
    `any`, `all` and `not`, nested at will.

    Raises ValueError saying what to write instead.
    """
    return _compile(expr)


def _compile(expr: object) -> Predicate:
    if isinstance(expr, str):
        return _test(expr)
    if isinstance(expr, Mapping):
        return _table(expr)
    if isinstance(expr, Sequence):
        return _all([_compile(part) for part in expr])
    raise ValueError(f"`{expr!r}` is not a test; {_HINT}")


def _test(text: str) -> Predicate:
    subject, _, rest = text.strip().partition(" ")
    if subject == "every":
        subject, _, rest = rest.strip().partition(" ")
        if not subject.startswith("json:"):
            raise ValueError(f"`{text}`: `every` looks into JSON; write every json:/items/*/type == VALUE")
        return _document_test(subject, rest, text, every=True)
    if subject in _WHOLE:
        check, whole = compile_check(rest, text), _WHOLE[subject]
        return lambda head: check(whole(head))
    if ":" not in subject:
        raise ValueError(f"`{text}` is not a test{did_you_mean(subject, (*KINDS, *_WHOLE))}; {_HINT}")
    glued = re.search(r"[=<>]+", subject)
    if glued is not None:
        raise ValueError(f"`{text}`: write a space before and after `{glued[0]}`")
    if not rest.strip():
        raise ValueError(f"`{text}` says where but not what; write {subject} present or {subject} == VALUE")
    if subject.startswith("json:"):
        return _document_test(subject, rest, text)
    place, check = compile_place(subject), compile_check(rest, text)
    return lambda head: check(place(head))


def _document_test(subject: str, rest: str, whole: str, *, every: bool = False) -> Predicate:
    test = compile_document_test(subject.removeprefix("json:"), rest, whole, every=every)
    return lambda head: test(head.content.document if head.content is not None else ABSENT)


def _table(table: Mapping[str, object]) -> Predicate:
    parts: list[Predicate] = []
    for key, value in table.items():
        if key not in _KEYS:
            raise ValueError(f"`{key}` is not known here{did_you_mean(key, _KEYS)}; write any, all or not")
        if key == "not":
            parts.append(_not(_compile(value)))
            continue
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ValueError(f"`{key}` takes a list; write {key} = [{value!r}]")
        tests = [_compile(part) for part in value]
        parts.append(_all(tests) if key == "all" else _any(tests))
    if not parts:
        raise ValueError("an empty table is not a test; write [] for `always`")
    return _all(parts)


def _not(test: Predicate) -> Predicate:
    return lambda head: not test(head)


def _all(tests: list[Predicate]) -> Predicate:
    if not tests:
        return always
    if len(tests) == 1:
        return tests[0]
    fixed = tuple(tests)

    def every(head: RequestHead) -> bool:
        for test in fixed:  # noqa: SIM110 - all() with a generator costs three times as much
            if not test(head):
                return False
        return True

    return every


def _any(tests: list[Predicate]) -> Predicate:
    if not tests:
        raise ValueError("`any = []` never holds; name at least one test in it")
    fixed = tuple(tests)

    def some(head: RequestHead) -> bool:
        for test in fixed:  # noqa: SIM110 - as above
            if test(head):
                return True
        return False

    return some
