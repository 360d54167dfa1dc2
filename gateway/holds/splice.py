"""A JSON text changed at one place and nowhere else: numbers, spaces and the order of names stay as they were sent.
Belongs here: finding where in the text a pointer leads, also where a name is given twice, and putting a value there.
The text must have been found to be JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Final

import orjson

Span = tuple[int, int]
Edit = tuple[int, int, bytes]  # what stands there instead

MOST: Final = 32  # places that one pointer may lead to; nobody means more
_TEXT: Final = rb'"(?:[^"\\]++|\\.)*+"'
_VALUE: Final = rb'(%b|[^\s,\]}\[{"]++|(?=[\[{]))' % _TEXT  # a scalar, or where a list or an object begins
_MEMBER: Final = re.compile(rb"[\s,]*+(%b)[\s:]*+%b" % (_TEXT, _VALUE), re.DOTALL)
_ELEMENT: Final = re.compile(rb"[\s,]*+%b" % _VALUE, re.DOTALL)
_NESTING: Final = re.compile(rb'%b|\[[^\[\]{}"]*+\]|\{[^\[\]{}"]*+\}|[\[\]{}]' % _TEXT, re.DOTALL)
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_INDEX: Final = re.compile(r"0|[1-9][0-9]*")
_PLAIN: Final = re.compile(r"(?![0-9]+$)[\w.$-]+", re.ASCII)  # a name that only \u escapes could spell in another way
_OBJECT, _LIST, _QUOTE = b'{["'
_OPEN: Final = b"[{"


@lru_cache(maxsize=256)
def steps_of(pointer: str) -> tuple[str, ...]:
    """The names and indexes of a JSON Pointer (RFC 6901) that is known to be one."""
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/"))


def only_key(raw: bytes, pointer: str) -> bytes | None:
    """The last name of the pointer as it stands in the text, if it stands there no more than once: where the pointer
    leads, if it leads anywhere. None where it may stand there several times, or in another spelling."""
    key = _key(pointer)
    return key if key is not None and raw.count(key) <= 1 and b"\\u" not in raw else None


def places(raw: bytes, pointer: str) -> tuple[Span, ...]:
    """Where each value begins and ends that the pointer, which leads somewhere, leads to; of very many the first."""
    key = only_key(raw, pointer)
    if key is None:
        return tuple(islice(_walk(raw, *_whole(raw), steps_of(pointer)), MOST + 1))
    at = raw.index(key) + len(key)
    while raw[at] in b" \t\r\n:":
        at += 1
    return (_span(raw, _ELEMENT.match(raw, at)),)


def change(raw: bytes, found: Sequence[Span], text: str, numeric: bool) -> bytes | None:
    """The document with `text`, a decimal number or a duration, at all these places: as a string where one was, else as
    a number if it is `numeric`."""
    return _edited(raw, [_edit(raw, start, end, text, numeric) for start, end in found])


def add(raw: bytes, pointer: str, text: str, numeric: bool) -> bytes | None:
    """The document with `text` at a pointer that led nowhere; None when there is no object that it would belong into.

    Where there are two of one name, of which one has it already, both have it then.
    """
    *parents, name = steps_of(pointer)
    edits: list[Edit] = []
    for start, end in islice(_walk(raw, *_whole(raw), tuple(parents)), MOST + 1):
        if raw[start] == _OBJECT:
            there = [where for key, *where in _members(raw, start) if key == name.encode()]
            edits += (_edit(raw, begin, stop, text, numeric) for begin, stop in there)
            if not there:
                comma = b"," if raw[start + 1 : end - 1].strip() else b""
                edits.append((end - 1, end - 1, b"%b%b:%b" % (comma, orjson.dumps(name), _value(text, numeric))))
    return _edited(raw, edits)


@lru_cache(maxsize=256)
def _key(pointer: str) -> bytes | None:
    name = steps_of(pointer)[-1]
    return b'"%b"' % name.encode() if _PLAIN.fullmatch(name) else None


def _edit(raw: bytes, start: int, end: int, text: str, numeric: bool) -> Edit:
    return start, end, _value(text, numeric and raw[start] != _QUOTE)


def _edited(raw: bytes, edits: Sequence[Edit]) -> bytes | None:
    if not 0 < len(edits) <= MOST:
        return None
    for start, end, value in reversed(edits):
        raw = raw[:start] + value + raw[end:]
    return raw


def _value(text: str, numeric: bool) -> bytes:
    if not numeric:
        return orjson.dumps(text)
    return text.encode() if _NUMBER.fullmatch(text) else repr(float(text)).encode()


def _whole(raw: bytes) -> Span:
    return len(raw) - len(raw.lstrip()), len(raw.rstrip())


def _walk(raw: bytes, start: int, end: int, steps: tuple[str, ...]) -> Iterator[Span]:
    if not steps:
        yield start, end
        return
    step, rest = steps[0], steps[1:]
    if raw[start] == _OBJECT:
        wanted = step.encode()
        for name, begin, stop in _members(raw, start):
            if name == wanted:
                yield from _walk(raw, begin, stop, rest)
    elif raw[start] == _LIST and _INDEX.fullmatch(step):
        for begin, stop in islice(_elements(raw, start), int(step[:9]), int(step[:9]) + 1):
            yield from _walk(raw, begin, stop, rest)


def _members(raw: bytes, at: int) -> Iterator[tuple[bytes, int, int]]:
    """Each name of an object, and where its value begins and ends."""
    at += 1
    while (member := _MEMBER.match(raw, at)) is not None:
        name = member[1]
        start, at = _span(raw, member)
        yield orjson.loads(name).encode() if b"\\" in name else name[1:-1], start, at


def _elements(raw: bytes, at: int) -> Iterator[Span]:
    at += 1
    while (element := _ELEMENT.match(raw, at)) is not None:
        start, at = _span(raw, element)
        yield start, at


def _span(raw: bytes, found: re.Match[bytes] | None) -> Span:
    """Where the value begins and ends that a match ends with; however deep it nests."""
    assert found is not None
    start, end = found.span(found.lastindex or 0)
    if raw[start] not in _OPEN:
        return start, end
    depth = 0
    for token in _NESTING.finditer(raw, start):
        first, behind = token.span()
        if behind - first == 1:
            depth += 1 if raw[first] in _OPEN else -1
        if not depth:
            return start, behind
    return start, len(raw)
