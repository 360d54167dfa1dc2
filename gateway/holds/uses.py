"""What the texts of a hold policy look into: which of them need the body of a request, which part of `when` a head
decides, which header fields of earlier answers must be remembered. Belongs here: walking over conditions as they were
written, at load time only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from gateway.holds.places import BODY_KINDS, KINDS

_PLAIN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\smatches\s.*', re.DOTALL)  # texts and regular expressions name no place
_PLACE: Final = re.compile(rf"(?<![\w:/-])({'|'.join(sorted(KINDS, key=len, reverse=True))}):([^\s(),]*)")
_MARK: Final = re.compile(rf"\{{({'|'.join(sorted(KINDS, key=len, reverse=True))}):([^{{}}\"']+)\}}")
_COMPARED: Final = re.compile(r"(?:==|!=|<=|>=|<|>|\bin\b)(.*)", re.DOTALL)


def places_of(condition: object) -> Iterator[str]:
    """Every place a condition looks at, also those it compares with."""
    for text in texts_of(condition):
        yield from (f"{kind}:{name}" for kind, name in _PLACE.findall(_PLAIN.sub(" ", text)))


def recalled_by(condition: object) -> Iterator[str]:
    """The places in the request that a test of an answer compares it with: what stands behind its operator."""
    for text in texts_of(condition):
        compared = _COMPARED.search(_PLAIN.sub(" ", text))
        yield from places_of(compared[1]) if compared is not None else ()


def places_in(text: str) -> Iterator[str]:
    """The places that a template fills in."""
    return (f"{kind}:{name}" for kind, name in _MARK.findall(text))


def texts_of(condition: object) -> Iterator[str]:
    """The single tests of a condition, however they nest."""
    if isinstance(condition, str):
        yield condition
    elif isinstance(condition, Mapping):
        yield from texts_of(list(condition.values()))
    elif isinstance(condition, Sequence):
        for part in condition:
            yield from texts_of(part)


def need_body(places: Iterable[str]) -> bool:
    return any(place.partition(":")[0] in BODY_KINDS for place in places)


def head_part(condition: object) -> list[object]:
    """Those of the conditions that must all hold which the head of a request decides."""
    return [part for part in _conjuncts(condition) if not need_body(places_of(part))]


def last_headers(places: Iterable[str]) -> tuple[str, ...]:
    """The header fields, in lower case, that `last:` places name; each once, in order."""
    kinds = (place.partition(":") for place in places)
    return tuple(dict.fromkeys(name.lower() for kind, _, name in kinds if kind == "last"))


def _conjuncts(condition: object) -> Iterator[object]:
    if isinstance(condition, Mapping) and set(condition) == {"all"}:
        yield from _conjuncts(condition["all"])
    elif isinstance(condition, Sequence) and not isinstance(condition, str):
        for part in condition:
            yield from _conjuncts(part)
    else:
        yield condition
