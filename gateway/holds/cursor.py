"""The position a poll asks from, and the one its answer leads to. Belongs here: reading the first from the request,
for records and replay, and the second from the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

import orjson

from gateway.head import RequestHead, ResponseHead
from gateway.holds.content import as_text
from gateway.holds.places import Place, compile_place
from gateway.holds.pointer import compile_pointers

Response = Callable[[ResponseHead, bytes], "str | None"]

LONGEST: Final = 256  # characters kept: a cursor lives as long as its call is parked
_RESPONSE: Final = re.compile(r"(?:(max|min|last)\()?json:(/[^\s()]*|)\)?( ?\+ ?1)?")
_WHOLE_NUMBER: Final = re.compile(r"-?[0-9]{1,20}")


def compile_cursor(request: str | Sequence[str] | None) -> Callable[[RequestHead], str | None]:
    """The reader of `cursor.request`: one place or several, of which the first found counts.

    A cursor is cut at 256 characters. Raises ValueError for a place that cannot be read.
    """
    if not request:
        return _nothing
    names = (request,) if isinstance(request, str) else tuple(request)
    places: tuple[Place, ...] = tuple(compile_place(name) for name in names)

    def read(head: RequestHead) -> str | None:
        for place in places:
            value = place(head)
            if value is not None:
                return value[:LONGEST]
        return None

    return read


def _nothing(head: RequestHead) -> str | None:
    return None


def compile_response(text: str | None) -> Response | None:
    """The reader of `cursor.response`: `header:ETag`, `json:/version`, or the `max`, `min` or `last` of all that a
    pointer with `*` finds, such as `max(json:/result/*/update_id) + 1`. None when there is none.

    What is read is None where an answer holds no position there. Raises ValueError.
    """
    if text is None:
        return None
    if text.startswith("header:"):
        name = text.removeprefix("header:")
        return lambda head, body: head.headers.get(name)
    form = _RESPONSE.fullmatch(text)
    if form is None or (form[1] is None) is (")" in text):
        raise ValueError(f"`{text}` is no place in an answer; write json:/version, max(json:/*/id) or header:ETag")
    choose, step = _CHOICES[form[1] or "last"], 1 if form[3] else 0
    find = compile_pointers(form[2], text)
    if form[1] is None and "*" in form[2].split("/"):
        raise ValueError(f"`{text}` finds several values; write max({text}), min({text}) or last({text})")

    def read(head: ResponseHead, body: bytes) -> str | None:
        try:
            found = [value for value in map(as_text, find(orjson.loads(body))) if value is not None]
        except orjson.JSONDecodeError:
            return None
        chosen = choose(found) if found else None
        if chosen is None or not step:
            return chosen
        return str(int(chosen) + step) if _WHOLE_NUMBER.fullmatch(chosen) else None

    return read


def _whole_numbers(pick: Callable[[list[int]], int]) -> Callable[[list[str]], str | None]:
    def choose(found: list[str]) -> str | None:
        return str(pick([int(each) for each in found])) if all(map(_WHOLE_NUMBER.fullmatch, found)) else None

    return choose


_CHOICES: dict[str, Callable[[list[str]], str | None]] = {
    "max": _whole_numbers(max),
    "min": _whole_numbers(min),
    "last": lambda found: found[-1],
}
