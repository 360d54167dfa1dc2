"""Is this answer of the upstream "no news"? Belongs here: the `idle` list of a hold policy, compiled into one
function of the response head and its body. Its verdict counts in records and refunds; what is relayed stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import orjson

from gateway.head import ResponseHead
from gateway.holds.compare import Check, compile_check
from gateway.holds.places import is_token
from gateway.holds.plan import IdleTest, Recalled
from gateway.holds.pointer import ABSENT, Pointer, compile_pointer, same
from gateway.holds.words import LATER, did_you_mean

BODY_LIMIT = 4096  # bytes: an idle answer is short, a longer body is news
_SUBJECTS = ("status", "body", "json:", "header:")
_HINT = 'write "status == 204", "body empty", "json:/items == []" or "header:X == VALUE"'

_HeadTest = Callable[[ResponseHead], bool]
_BodyTest = Callable[[bytes], bool]
_JsonTest = Callable[[object], bool]


def compile_idle(tests: Sequence[str]) -> tuple[IdleTest, int]:
    """The test of an `idle` list, and how many bytes of body it needs (0 when status and headers decide).

    Any one test that holds means "no news". Tests on headers and bodies look at answers below status 400: an
    error is news unless its status is listed. The caller passes the whole body, or more than the limit of a
    longer one. An encoded body (Content-Encoding) and malformed JSON are news. Raises ValueError.
    """
    statuses: list[_HeadTest] = []
    headers: list[_HeadTest] = []
    bodies: list[_BodyTest] = []
    documents: list[_JsonTest] = []
    for text in tests:
        subject, _, rest = text.strip().partition(" ")
        if subject == "status":
            statuses.append(_status(rest, text))
        elif subject.startswith("header:"):
            headers.append(_header(subject, rest, text))
        elif subject == "body":
            bodies.append(_body(rest, text))
        elif subject.startswith("json:"):
            documents.append(_json(subject, rest.strip(), text))
        else:
            raise ValueError(f"`{text}` is no test of an answer{did_you_mean(subject, _SUBJECTS)}; {_HINT}")
    by_body = _by_body(tuple(bodies), tuple(documents)) if bodies or documents else None
    return _combine(tuple(statuses), tuple(headers), by_body), BODY_LIMIT if by_body else 0


def _combine(statuses: tuple[_HeadTest, ...], headers: tuple[_HeadTest, ...], by_body: _BodyTest | None) -> IdleTest:
    def idle(head: ResponseHead, body: bytes, recalled: Recalled = ()) -> bool:
        for test in statuses:
            if test(head):
                return True
        if head.status >= 400:
            return False
        for test in headers:
            if test(head):
                return True
        if by_body is None or len(body) > BODY_LIMIT or (head.length or 0) > BODY_LIMIT:
            return False
        return "Content-Encoding" not in head.headers and by_body(body)

    return idle


def _by_body(bodies: tuple[_BodyTest, ...], documents: tuple[_JsonTest, ...]) -> _BodyTest:
    def test(body: bytes) -> bool:
        for check in bodies:
            if check(body):
                return True
        if not documents:
            return False
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            return False
        for look in documents:  # noqa: SIM110 - any() with a generator costs three times as much
            if look(document):
                return True
        return False

    return test


def _status(rest: str, text: str) -> _HeadTest:
    check = compile_check(rest, text)
    idle = frozenset(status for status in range(100, 600) if check(str(status)))
    if not idle or check("a word"):
        raise ValueError(f"`{text}`: a status is a number; write status == 204 or status in (204, 304)")
    return lambda head: head.status in idle


def _header(subject: str, rest: str, text: str) -> _HeadTest:
    name = subject.partition(":")[2]
    if not is_token(name):
        raise ValueError(f"`{text}`: `{name}` is not a header name; write header:X == VALUE")
    check = compile_check(rest, text)
    return lambda head: check(head.headers.get(name))


def _body(rest: str, text: str) -> _BodyTest:
    if rest.strip() == "empty":
        return lambda body: not body
    check: Check = compile_check(rest, text)
    return lambda body: check(body.decode("utf-8", "replace"))


def _json(subject: str, rest: str, text: str) -> _JsonTest:
    find = compile_pointer(subject.partition(":")[2], text)
    if rest == "empty":
        return lambda document: _is_empty(find(document))
    if rest == "absent":
        return lambda document: find(document) is ABSENT
    if not rest.startswith("=="):
        word = rest.split(" ")[0]
        hint = did_you_mean(word, ("empty", "absent", "=="))
        raise ValueError(f"`{text}`: `{word}` is no test of JSON{hint}; write == VALUE, empty or absent")
    return _json_equals(find, rest[2:].strip(), text)


def _json_equals(find: Pointer, value: str, text: str) -> _JsonTest:
    if re.match(r"(query|header|json|last):\S", value):
        raise ValueError(f"`{text}`: comparing two places is {LATER}; write a JSON value after ==")
    try:
        wanted: object = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise ValueError(f'`{text}`: `{value}` is not JSON; write a text in quotes: == "{value}"') from None
    return lambda document: same(find(document), wanted)


def _is_empty(value: object) -> bool:
    return value is ABSENT or value is None or value == "" or value == [] or value == {}
