"""A JSON text changed at one place and nowhere else: numbers, spaces and the order of names stay as they were sent.
Belongs here: finding where in the text a pointer leads, also where a name is given twice, and putting a value there.
The text must have been found to be JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

import orjson

Span = tuple[int, int]

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"')
_SCALAR = re.compile(rb"[^\s,\]}]+")
_GAP = re.compile(rb"[\s,:]*")
_NESTING = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_INDEX = re.compile(r"0|[1-9][0-9]*")
_OPEN, _CLOSE = b"[{", b"]}"


@lru_cache(maxsize=256)
def steps_of(pointer: str) -> tuple[str, ...]:
    """The names and indexes of a JSON Pointer (RFC 6901) that is known to be one."""
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/"))


def may_repeat(raw: bytes, pointer: str) -> bool:
    """Whether the pointer may lead to several values, because an object has a name twice. Cheap, hardly ever wrong."""
    name = steps_of(pointer)[-1]
    return bool(_INDEX.fullmatch(name)) or b"\\" in raw or raw.count(b'"%b"' % name.encode()) > 1


def spans(raw: bytes, pointer: str) -> Iterator[Span]:
    """Where each value begins and ends that the pointer leads to."""
    return _walk(raw, _GAP.match(raw).end(), steps_of(pointer))  # type: ignore[union-attr]


def put(raw: bytes, pointer: str, text: str, numeric: bool) -> bytes | None:
    """The document with `text`, a decimal number or a duration, at the pointer: as a string where one was, else as a
    number if it is `numeric`. Where nothing was it is added to the object it belongs into; None when there is no such
    object."""
    found = [
        (start, end, _value(text, numeric and raw[start : start + 1] != b'"')) for start, end in spans(raw, pointer)
    ]
    if not found:
        steps = steps_of(pointer)
        for start, end in _walk(raw, _GAP.match(raw).end(), steps[:-1]):  # type: ignore[union-attr]
            if raw[start : start + 1] == b"{":
                comma = b"," if raw[start + 1 : end - 1].strip() else b""
                member = b"%b%b:%b" % (comma, orjson.dumps(steps[-1]), _value(text, numeric))
                found.append((end - 1, end - 1, member))
    for start, end, value in reversed(found):
        raw = raw[:start] + value + raw[end:]
    return raw if found else None


def _value(text: str, numeric: bool) -> bytes:
    if not numeric:
        return orjson.dumps(text)
    return text.encode() if _NUMBER.fullmatch(text) else repr(float(text)).encode()


def _walk(raw: bytes, at: int, steps: tuple[str, ...]) -> Iterator[Span]:
    if not steps:
        yield at, _end(raw, at)
        return
    step, rest = steps[0], steps[1:]
    if raw[at : at + 1] == b"{":
        wanted = step.encode()
        for name, start in _members(raw, at):
            if name == wanted:
                yield from _walk(raw, start, rest)
    elif raw[at : at + 1] == b"[" and _INDEX.fullmatch(step):
        for number, start in enumerate(_elements(raw, at)):
            if number == int(step):
                yield from _walk(raw, start, rest)
                return


def _members(raw: bytes, at: int) -> Iterator[tuple[bytes, int]]:
    """Each name of an object and where its value begins."""
    at = _skip(raw, at + 1)
    while raw[at] != 0x7D:
        end = _end(raw, at)
        name = raw[at + 1 : end - 1]
        start = _skip(raw, end)
        yield orjson.loads(raw[at:end]).encode() if b"\\" in name else name, start
        at = _skip(raw, _end(raw, start))


def _elements(raw: bytes, at: int) -> Iterator[int]:
    at = _skip(raw, at + 1)
    while raw[at] != 0x5D:
        yield at
        at = _skip(raw, _end(raw, at))


def _skip(raw: bytes, at: int) -> int:
    return _GAP.match(raw, at).end()  # type: ignore[union-attr]


def _end(raw: bytes, at: int) -> int:
    """Where the value ends that begins at `at`; however deep it nests."""
    if raw[at] not in _OPEN:
        return (_STRING if raw[at] == 0x22 else _SCALAR).match(raw, at).end()  # type: ignore[union-attr]
    depth = 0
    for token in _NESTING.finditer(raw, at):
        char = raw[token.start()]
        if char in _OPEN:
            depth += 1
        elif char in _CLOSE:
            depth -= 1
            if not depth:
                return token.end()
    return len(raw)
