"""Is this answer of the upstream "no news"? Belongs here: the `idle` list of a hold policy, compiled into one
function of the answer. Its verdict counts in records and refunds; what is relayed stays.

A test holds, does not hold, or cannot be judged (None): of a body that cannot be read, a value the request did not
have, an error whose status no test beside it names. What cannot be judged is news, and `not` makes it no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from gateway.head import RequestHead, ResponseHead
from gateway.holds import compare
from gateway.holds.answer import BODY_LIMIT, UNREADABLE, Answer
from gateway.holds.content import as_text
from gateway.holds.documents import compile_document_test
from gateway.holds.places import Place, compile_place, is_token
from gateway.holds.plan import IdleTest, Recalled
from gateway.holds.pointer import compile_pointer
from gateway.holds.words import did_you_mean

NOTHING: Recalled = ()
LONGEST: Final = 1024  # characters of a request's value that an answer is compared with
_KEYS = ("any", "all", "not")
_SUBJECTS = ("status", "body", "json:", "xml:", "header:", "every")
_HINT: Final = 'write "status == 204", "body empty", "json:/items == []" or "header:X == VALUE"'

Test = Callable[[Answer], "bool | None"]


def compile_idle(
    tests: Sequence[object] | Mapping[str, object],
) -> tuple[IdleTest, int, Callable[[RequestHead], Recalled] | None]:
    """The test of an `idle` list, how many bytes of body it needs (0 when status and headers decide), and the reader
    of what it compares with in the request (None when that is nothing).

    Any one test that holds means "no news". The caller passes the whole body, or more than the limit of a longer one.
    Raises ValueError.
    """
    compiler = _Compiler()
    listed = [tests] if isinstance(tests, (str, Mapping)) else tests
    test = _any([compiler.compile(each, errors=False) for each in listed])
    places = tuple(compiler.places)

    def recall(head: RequestHead) -> Recalled:
        return tuple([_bounded(place(head)) for place in places])

    return _Idle(test).holds, BODY_LIMIT if compiler.reads_body else 0, recall if places else None


class _Idle:
    """The test, and what it last said: one event is told to all who wait for it in the same words, and `parse` gives
    equal heads as one. Of a wake of thousands that saves each 1.5 us."""

    __slots__ = ("_body", "_head", "_recalled", "_said", "_test")

    def __init__(self, test: Test) -> None:
        self._test = test
        self._head: ResponseHead | None = None
        self._body = b""
        self._recalled: Recalled = NOTHING
        self._said = False

    def holds(self, head: ResponseHead, body: bytes, recalled: Recalled = NOTHING) -> bool:
        if head is self._head and body == self._body and recalled == self._recalled:
            return self._said
        said = self._test(Answer(head, body, recalled)) is True
        if len(body) <= BODY_LIMIT:
            self._head, self._body, self._recalled, self._said = head, body, recalled, said
        return said


class _Compiler:
    """Compiles tests, and learns from them what has to be known: the body, and which values of the request."""

    def __init__(self) -> None:
        self.reads_body = False
        self.places: list[Place] = []

    def compile(self, expr: object, *, errors: bool) -> Test:
        """One test. With `errors` an error status is judged too, for another test names the status."""
        if isinstance(expr, str):
            test = self._leaf(expr)
            return test if errors or _names_status(expr) else _below_400(test)
        if isinstance(expr, Mapping) and expr:
            return _all([self._table(key, value, errors) for key, value in expr.items()])
        raise ValueError(f"`{expr!r}` is no test of an answer; {_HINT}")

    def _table(self, key: str, value: object, errors: bool) -> Test:
        if key not in _KEYS:
            raise ValueError(f"`{key}` is not known here{did_you_mean(key, _KEYS)}; write any, all or not")
        if key == "not":
            inverse = _not(self.compile(value, errors=errors))
            return inverse if errors else _below_400(inverse)
        if isinstance(value, str) or not isinstance(value, Sequence) or not value:
            raise ValueError(f"`{key}` takes a list of tests; write {key} = [..]")
        errors = errors or (key == "all" and any(map(_names_status, value)))
        parts = [self.compile(part, errors=errors) for part in value]
        return _all(parts) if key == "all" else _any(parts)

    def _leaf(self, text: str) -> Test:
        subject, _, rest = text.strip().partition(" ")
        if subject == "status":
            return _status(rest, text)
        if subject.startswith("header:"):
            return self._header(subject.removeprefix("header:"), rest, text)
        every = subject == "every"
        if every:
            subject, _, rest = rest.strip().partition(" ")
        self.reads_body = True
        if subject.startswith("json:"):
            return self._json(subject.removeprefix("json:"), rest, text, every)
        if subject.startswith("xml:") and not every:
            return _xml(subject.removeprefix("xml:"), rest, text)
        if subject == "body" and not every:
            return _body(rest, text)
        raise ValueError(f"`{text}` is no test of an answer{did_you_mean(subject, _SUBJECTS)}; {_HINT}")

    def _header(self, name: str, rest: str, text: str) -> Test:
        if not is_token(name):
            raise ValueError(f"`{text}`: `{name}` is not a header name; write header:X == VALUE")
        compared = self._compared(rest, text)
        if compared is not None:
            return compared(lambda answer: answer.head.headers.get(name))
        check = compare.compile_check(rest, text)
        return lambda answer: check(answer.head.headers.get(name))

    def _json(self, pointer: str, rest: str, text: str, every: bool) -> Test:
        compared = self._compared(rest, text)
        if compared is not None:
            if every:
                raise ValueError(f"`{text}`: `every` compares with a plain value; put it in quotes")
            find = compile_pointer(pointer, text)
            return compared(
                lambda answer: as_text(find(answer.document)) if answer.document is not UNREADABLE else None
            )
        test = compile_document_test(pointer, rest, text, every=every)
        return lambda answer: test(answer.document) if answer.document is not UNREADABLE else None

    def _compared(self, rest: str, whole: str) -> Callable[[Callable[[Answer], str | None]], Test] | None:
        """For `== query:index`: a test of what is read from the answer with what the request has there, as text."""
        name, wanted = compare.split(rest, whole) if rest.lstrip().startswith(("==", "!=")) else ("", "")
        if not compare.names_place(wanted):
            return None
        place, number, equal = compile_place(wanted), len(self.places), name == "=="
        self.places.append(place)

        def build(read: Callable[[Answer], str | None]) -> Test:
            def test(answer: Answer) -> bool | None:
                asked = answer.recalled[number] if number < len(answer.recalled) else None
                told = read(answer)
                return None if asked is None or told is None else (told == asked) is equal

            return test

        return build


def _bounded(value: str | None) -> str | None:
    """It is kept while the call is parked."""
    return value if value is not None and len(value) <= LONGEST else None


def _status(rest: str, text: str) -> Test:
    check = compare.compile_check(rest, text)
    idle = frozenset(status for status in range(100, 600) if check(str(status)))
    if not idle or check("a word"):
        raise ValueError(f"`{text}`: a status is a number; write status == 204, or {{ all = [..] }} of several tests")
    return lambda answer: answer.head.status in idle


def _body(rest: str, text: str) -> Test:
    if rest.strip() == "empty":
        return lambda answer: not answer.body if answer.readable else None
    check = compare.compile_check(rest, text)
    return lambda answer: check(answer.body.decode("utf-8", "replace")) if answer.readable else None


def _xml(name: str, rest: str, text: str) -> Test:
    """`xml: empty`, `xml://Message absent`, `xml:@type == terminate`."""
    if name.startswith("@") and len(name) > 1:
        check = compare.compile_check(rest, text)
        return lambda answer: check(answer.xml.attributes.get(name[1:])) if answer.xml is not None else None
    rest = rest.strip()
    if not name and rest == "empty":
        return lambda answer: answer.xml.empty if answer.xml is not None else None
    local = name.removeprefix("//")
    if name.startswith("//") and local and not set(local) & set("/@*[]:") and rest in ("present", "absent"):
        wanted = rest == "present"
        return lambda answer: (local in answer.xml.names) is wanted if answer.xml is not None else None
    raise ValueError(f"`{text}`: of XML there are xml: empty, xml:@NAME == VALUE and xml://NAME present or absent")


def _names_status(expr: object) -> bool:
    return isinstance(expr, str) and expr.split(maxsplit=1)[:1] == ["status"]


def _below_400(test: Test) -> Test:
    return lambda answer: test(answer) if answer.head.status < 400 else None


def _not(test: Test) -> Test:
    def inverse(answer: Answer) -> bool | None:
        verdict = test(answer)
        return None if verdict is None else not verdict

    return inverse


def _all(tests: Sequence[Test]) -> Test:
    return tests[0] if len(tests) == 1 else _decided_by(False, tuple(tests))


def _any(tests: Sequence[Test]) -> Test:
    return tests[0] if len(tests) == 1 else _decided_by(True, tuple(tests))


def _decided_by(decisive: bool, tests: tuple[Test, ...]) -> Test:
    """The first test with the `decisive` verdict has the say; else one that cannot be judged leaves all unjudged."""

    def combined(answer: Answer) -> bool | None:
        verdict: bool | None = not decisive
        for test in tests:
            one = test(answer)
            if one is decisive:
                return decisive
            if one is None:
                verdict = None
        return verdict

    return combined
