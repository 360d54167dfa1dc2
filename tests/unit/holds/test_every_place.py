"""Conditions and templates over every place of a request: bodies, parts of the path, cookies, earlier answers."""

from __future__ import annotations

from xml.etree import ElementTree

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.head import Known, RequestHead
from gateway.holds.blank import compile_template, render
from gateway.holds.content import Content
from gateway.holds.idle import compile_idle
from gateway.holds.predicate import compile_when
from tests.kit.heads import Fields, head, response

JSON, FORM, XML = "application/json", "application/x-www-form-urlencoded", "text/xml"
CONNECT = b'[{"channel":"/meta/other"},{"channel":"/meta/connect","id":"7","advice":{"timeout":0}}]'


def request(body: bytes = b"", media: str = JSON, headers: Fields = ()) -> RequestHead:
    """A POST with this body, to a path of which `token` is a part, by someone who has had an answer."""
    found = head("POST", "/bot1:a/poll?q=1", headers)
    found.content = Content(body, media)
    found.params = {"token": "1:a"}
    found.known = Known(None, {"stream-cursor": "c9"})
    return found


@pytest.mark.parametrize(
    ("text", "body", "media", "holds"),
    [
        ("form:Action == ReceiveMessage", b"Action=ReceiveMessage&Version=1", FORM, True),
        ("form:Action == ReceiveMessage", b"Action=SendMessage", FORM, False),
        ("form:Action present", b'{"Action":1}', JSON, False),
        ("json:/*/channel == /meta/connect", CONNECT, JSON, True),
        ("json:/*/channel == /meta/handshake", CONNECT, JSON, False),
        ("json:/*/channel != /meta/handshake", CONNECT, JSON, True),
        ("json:/*/channel != /meta/connect", CONNECT, JSON, False),
        ("json:/*/channel in (/meta/connect, /x)", CONNECT, JSON, True),
        ("json:/*/channel matches ^/meta/c", CONNECT, JSON, True),
        ("json:/*/advice present", CONNECT, JSON, True),
        ("json:/*/data absent", CONNECT, JSON, True),
        ("json:/*/advice/timeout > 0", CONNECT, JSON, False),
        ("json:/*/advice/timeout <= 0", CONNECT, JSON, True),
        ("every json:/*/channel matches ^/meta/", CONNECT, JSON, True),
        ("every json:/*/id present", CONNECT, JSON, False),
        ("json:/*/channel == /meta/connect", b"[]", JSON, False),
        ("json:/*/channel == /meta/connect", b"{", JSON, False),
        ("json:/returnImmediately != true", b'{"returnImmediately":true}', JSON, False),
        ("json:/returnImmediately != true", b'{"returnImmediately":"true"}', JSON, False),
        ("json:/returnImmediately != true", b'{"returnImmediately":false}', JSON, True),
        ("json:/returnImmediately != true", b"{}", JSON, True),
        ("json:/requestTimeout >= 0", b'{"requestTimeout":10000}', JSON, True),
        ("json:/requestTimeout >= 0", b'{"requestTimeout":-1}', JSON, False),
        ("json:/requestTimeout >= 0", b'{"requestTimeout":"5"}', JSON, True),
        ("json:/requestTimeout >= 0", b"{}", JSON, False),
        ("json:/n == 5", b'{"n":5.0}', JSON, True),
        ("json:/n == 5", b'{"n":true}', JSON, False),
        ("json:/ack empty", b'{"ack":[]}', JSON, True),
        ("json:/ack empty", b'{"ack":["a"]}', JSON, False),
        ("json:/ack absent", b'{"ack":null}', JSON, True),
        ("json:/ack == []", b'{"ack":[ ]}', JSON, True),
        ("json: == {}", b"{}", JSON, True),
        ("json:/messages/0/x present", b'{"messages":[{"x":{}}]}', JSON, True),
        ("xml:@sid present", b"<body sid='s'/>", XML, True),
        ("xml:@rid > 3", b"<body rid='4'/>", XML, True),
        ("path:token == 1:a", b"", JSON, True),
        ("path:other absent", b"", JSON, True),
        ("path == /bot1:a/poll", b"", JSON, True),
        ("cookie:session == s1", b"", JSON, True),
        ("last:Stream-Cursor present", b"", JSON, True),
        ("last:Other present", b"", JSON, False),
    ],
)
def test_a_condition_looks_at_any_place(text: str, body: bytes, media: str, holds: bool) -> None:
    assert compile_when([text])(request(body, media, {"Cookie": "a=b; session=s1"})) is holds


def test_a_body_nobody_read_says_nothing() -> None:
    bare = head("POST", "/u")
    assert compile_when(["json:/a absent", "form:a absent", "xml:@a absent", "json:/*/a absent"])(bare)
    assert not compile_when({"any": ["json:/a present", "every json:/*/a == 1"]})(bare)


def test_an_answer_is_compared_with_what_stood_in_the_body() -> None:
    test, _, recall = compile_idle(["json:/seq == json:/since", "header:X-Room == path:token"])
    assert recall is not None
    seen = recall(request(b'{"since":4}'))
    assert seen == ("4", "1:a")
    assert test(response(200), b'{"seq":4}', seen)
    assert test(response(200, {"X-Room": "1:a"}), b'{"seq":5}', seen)
    assert not test(response(200, {"X-Room": "2:a"}), b'{"seq":5}', seen)
    assert not test(response(200), b'{"seq":4}', recall(request(b"{}")))


TEXT = '{"q":"{query:q}","h":"{header:H}","i":"{header-item:Prefer/id}","c":"{cookie:s}","j":"{json:/0/id}",'
TEXT += '"p":"{path:token}","l":"{last:Stream-Cursor}"}'


def test_a_template_is_filled_from_every_place() -> None:
    template = compile_template(200, {"Content-Type": JSON, "Next": "{last:Stream-Cursor}"}, TEXT)
    asked = request(b'[{"id":"7"}]', headers={"H": "h", "Prefer": "wait=5, id=i", "Cookie": "s=c"})
    reply = render(template, asked)
    assert reply is not None
    assert dict(reply.headers)[b"Next"] == b"c9"
    assert orjson.loads(reply.body) == {"q": "1", "h": "h", "i": "i", "c": "c", "j": "7", "p": "1:a", "l": "c9"}
    asked.known = None
    assert render(template, asked) is None


@pytest.mark.parametrize(
    ("body", "filled"),
    [
        (b'{"x":7}', b'{"a":7}'),
        (b'{"x":-1.5}', b'{"a":-1.5}'),
        (b'{"x":"8"}', b'{"a":8}'),
        (b'{"x":"8}"}', None),
        (b'{"x":true}', None),
        (b'{"x":[1]}', None),
        (b'{"x":null}', None),
        (b"{}", None),
        (b"{", None),
    ],
)
def test_outside_of_quotes_only_a_number_is_filled_in(body: bytes, filled: bytes | None) -> None:
    reply = render(compile_template(200, {"Content-Type": JSON}, '{"a":{json:/x}}'), request(body))
    assert (reply.body if reply is not None else None) == filled


def test_a_cursor_that_acknowledges_is_echoed_and_never_advanced() -> None:
    template = compile_template(200, {"Content-Type": JSON}, '{"ok":true,"result":[],"offset":{form:offset}}')
    for offset in ("0", "41", "-1", "9007199254740993"):
        reply = render(template, request(b"offset=" + offset.encode(), FORM))
        assert reply is not None and reply.body == b'{"ok":true,"result":[],"offset":%s}' % offset.encode()


@pytest.mark.parametrize(
    "text",
    [
        '{"o":{form:offset + 1}}',
        '{"o":{json:/n + 1}}',
        '{"o":{form:offset+1}}',
        '{"o":{form:offset}+1}',
        '{"o":1{form:offset}}',
    ],
)
def test_a_template_cannot_count(text: str) -> None:
    with pytest.raises(ValueError, match=r"not JSON|never counted on"):
        compile_template(200, {"Content-Type": JSON}, text)


@pytest.mark.parametrize(
    ("need", "body", "used"),
    [
        ("json:/ack empty", b"{}", True),
        ("json:/ack empty", b'{"ack":["a"]}', False),
        ("json:/since not in (now, 0)", b'{"since":"now"}', False),
        ("last:Stream-Cursor present", b"", True),
        ("last:Stream-Closed present", b"", False),
        ("path:token present", b"", True),
    ],
)
def test_a_need_may_be_of_any_place(need: str, body: bytes, used: bool) -> None:
    template = compile_template(200, {"Content-Type": JSON}, "{}", [need])
    assert (render(template, request(body)) is not None) is used


NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(ANY_JSON)
def test_whatever_a_body_holds_the_answer_is_json_one_header_line_or_well_formed_markup(value: object) -> None:
    asked = request(orjson.dumps({"x": value}))
    quoted = render(compile_template(200, {"Content-Type": JSON}, '{"a":"{json:/x}","b":[]}'), asked)
    assert quoted is None or set(orjson.loads(quoted.body)) == {"a", "b"}
    number = render(compile_template(200, {"Content-Type": JSON}, '{"a":{json:/x},"b":[]}'), asked)
    assert number is None or isinstance(orjson.loads(number.body)["a"], (int, float))
    line = render(compile_template(204, {"X": 'v="{json:/x}"'}, ""), asked)
    assert line is None or all(0x20 <= byte < 0x7F for byte in line.headers[0][1])
    markup = render(compile_template(200, {"Content-Type": XML}, "<a b='{json:/x}'>{json:/x}</a>"), asked)
    assert markup is None or len(ElementTree.fromstring(markup.body)) == 0


@given(st.binary(max_size=60), st.sampled_from([JSON, FORM, XML, ""]))
def test_any_body_is_judged_and_filled_in_without_failing(body: bytes, media: str) -> None:
    asked = request(body, media)
    tests = ["json:/*/a == 1", "every json:/* > 0", "form:a present", "xml:@a present", "json:/a/0 empty"]
    for test in tests:
        assert compile_when([test])(asked) in (True, False)
    template = compile_template(200, {"Content-Type": JSON}, '["{form:a}","{xml:@a}"]')
    reply = render(template, asked)
    assert reply is None or orjson.loads(reply.body)
