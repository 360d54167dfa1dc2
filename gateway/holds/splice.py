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
Edit = tuple[int, int, bytes]  # what stands there instead

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"')
_SCALAR = re.compile(rb"[^\s,\]}]+")
_GAP = re.compile(rb"[\s,:]*")
_NESTING = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_INDEX = re.compile(r"0|[1-9][0-9]*")
_PLAIN = re.compile(r"(?![0-9]+$)[\w.$-]+", re.ASCII)  # a name that only \u escapes could spell in another way
_OBJECT, _END_OF_OBJECT, _END_OF_ARRAY, _QUOTE = b'{}]"'
_OPEN, _CLOSE = b"[{", b"]}"


@lru_cache(maxsize=256)
def steps_of(pointer: str) -> tuple[str, ...]:
    """The names and indexes of a JSON Pointer (RFC 6901) that is known to be one."""
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/"))


def only_key(raw: bytes, pointer: str) -> bytes | None:
    """The last name of the pointer as it stands in the text, if it stands there no more than once: where the pointer
    leads, if it leads anywhere. None where it may stand there several times, or in another spelling."""
    key = _key(pointer)
    return key if key is not None and raw.count(key) <= 1 and b"\\u" not in raw else None


def spans(raw: bytes, pointer: str) -> Iterator[Span]:
    """Where each value begins and ends that the pointer leads to."""
    return _walk(raw, _skip(raw, 0), steps_of(pointer))


def put(raw: bytes, pointer: str, text: str, numeric: bool, leads: bool) -> bytes | None:
    """The document with `text`, a decimal number or a duration, at the pointer: as a string where one was, else as a
    number if it is `numeric`. Where nothing was (`leads` is False) it is added to the object it belongs into; None when
    there is no such object."""
    edits = list(_changed(raw, pointer, text, numeric) if leads else _added(raw, pointer, text, numeric))
    for start, end, value in reversed(edits):
        raw = raw[:start] + value + raw[end:]
    return raw if edits else None


@lru_cache(maxsize=256)
def _key(pointer: str) -> bytes | None:
    name = steps_of(pointer)[-1]
    return b'"%b"' % name.encode() if _PLAIN.fullmatch(name) else None


def _changed(raw: bytes, pointer: str, text: str, numeric: bool) -> Iterator[Edit]:
    key = only_key(raw, pointer)
    if key is not None:  # nearly always
        start = _skip(raw, raw.index(key) + len(key))
        yield _edit(raw, start, text, numeric)
        return
    for start, _ in spans(raw, pointer):
        yield _edit(raw, start, text, numeric)


def _added(raw: bytes, pointer: str, text: str, numeric: bool) -> Iterator[Edit]:
    """Into every object that may be meant, for there may be two of one name, of which the one has it already."""
    *parents, name = steps_of(pointer)
    for start, end in _walk(raw, _skip(raw, 0), tuple(parents)):
        if raw[start] == _OBJECT:
            there = [begin for key, begin in _members(raw, start) if key == name.encode()]
            yield from (_edit(raw, begin, text, numeric) for begin in there)
            if not there:
                comma = b"," if raw[start + 1 : end - 1].strip() else b""
                yield end - 1, end - 1, b"%b%b:%b" % (comma, orjson.dumps(name), _value(text, numeric))


def _edit(raw: bytes, start: int, text: str, numeric: bool) -> Edit:
    return start, _end(raw, start), _value(text, numeric and raw[start] != _QUOTE)


def _value(text: str, numeric: bool) -> bytes:
    if not numeric:
        return orjson.dumps(text)
    return text.encode() if _NUMBER.fullmatch(text) else repr(float(text)).encode()


def _walk(raw: bytes, at: int, steps: tuple[str, ...]) -> Iterator[Span]:
    if not steps:
        yield at, _end(raw, at)
        return
    step, rest = steps[0], steps[1:]
    if raw[at] == _OBJECT:
        wanted = step.encode()
        for name, start in _members(raw, at):
            if name == wanted:
                yield from _walk(raw, start, rest)
    elif raw[at] == _OPEN[0] and _INDEX.fullmatch(step):
        for number, start in enumerate(_elements(raw, at)):
            if number == int(step):
                yield from _walk(raw, start, rest)
                return


def _members(raw: bytes, at: int) -> Iterator[tuple[bytes, int]]:
    """Each name of an object and where its value begins."""
    at = _skip(raw, at + 1)
    while raw[at] != _END_OF_OBJECT:
        end = _end(raw, at)
        name = raw[at + 1 : end - 1]
        start = _skip(raw, end)
        yield orjson.loads(raw[at:end]).encode() if b"\\" in name else name, start
        at = _skip(raw, _end(raw, start))


def _elements(raw: bytes, at: int) -> Iterator[int]:
    at = _skip(raw, at + 1)
    while raw[at] != _END_OF_ARRAY:
        yield at
        at = _skip(raw, _end(raw, at))


def _skip(raw: bytes, at: int) -> int:
    return _GAP.match(raw, at).end()  # type: ignore[union-attr]


def _end(raw: bytes, at: int) -> int:
    """Where the value ends that begins at `at`; however deep it nests."""
    if raw[at] not in _OPEN:
        return (_STRING if raw[at] == _QUOTE else _SCALAR).match(raw, at).end()  # type: ignore[union-attr]
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
