"""Which answers are "no news"."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.holds.idle import BODY_LIMIT, compile_idle
from gateway.holds.pointer import same
from tests.kit.heads import response

ANSWERS = [
    ("status == 204", 204, {}, b"", True),
    ("status == 204", 200, {}, b"", False),
    ("status in (204, 304)", 304, {}, b"", True),
    ("status == 503", 503, {}, b"busy", True),
    ("body empty", 200, {}, b"", True),
    ("body empty", 200, {}, b"\n", False),
    ("body empty", 500, {}, b"", False),
    ("body == 2", 200, {}, b"2", True),
    ("body in (2, 6)", 200, {}, b"6", True),
    ("body in (2, 6)", 200, {}, b"26", False),
    (r'body == "h\n"', 200, {}, b"h\n", True),
    ("body == 2", 200, {}, b"\xff", False),
    ("json: == []", 200, {}, b"[]", True),
    ("json: == []", 200, {}, b" [ ] ", True),
    ("json: == []", 200, {}, b"[1]", False),
    ("json: == []", 200, {}, b"", False),
    ("json: == []", 200, {}, b"[", False),
    ("json: == []", 200, {}, b'"\xff"', False),
    ("json: == []", 500, {}, b"[]", False),
    ("json: == []", 200, {"content-encoding": "gzip"}, b"[]", False),
    ("json: == []", 200, {}, b"[]" + b" " * BODY_LIMIT, False),
    ("json:/result == []", 200, {}, b'{"ok":true,"result":[]}', True),
    ("json:/changes == false", 200, {}, b'{"changes":false}', True),
    ("json:/changes == false", 200, {}, b'{"changes":0}', False),
    ("json:/n == 1", 200, {}, b'{"n":1.0}', True),
    ("json:/n == 1", 200, {}, b'{"n":true}', False),
    ("json:/n == null", 200, {}, b"{}", False),
    ('json:/message == "reconnect"', 200, {}, b'{"message":"reconnect"}', True),
    ('json:/events/0/type == "heartbeat"', 200, {}, b'{"events":[{"type":"heartbeat"}]}', True),
    ("json:/events/1 absent", 200, {}, b'{"events":[{"type":"x"}]}', True),
    ("json:/events/01 absent", 200, {}, b'{"events":[1, 2]}', True),
    ("json:/a~1b == 1", 200, {}, b'{"a/b":1}', True),
    ("json:/a empty", 200, {}, b'{"a":{}}', True),
    ("json:/a empty", 200, {}, b'{"a":""}', True),
    ("json:/a empty", 200, {}, b'{"a":null}', True),
    ("json:/a empty", 200, {}, b"{}", True),
    ("json:/a empty", 200, {}, b'{"a":0}', False),
    ("json:/a empty", 200, {}, b'{"a":false}', False),
    ("json:/a absent", 200, {}, b'{"a":null}', False),
    ("header:X-Idle == yes", 200, {"x-idle": "yes"}, b"", True),
    ("header:X-Idle present", 200, {}, b"", False),
]


@pytest.mark.parametrize(("text", "status", "headers", "body", "idle"), ANSWERS)
def test_a_test_tells_no_news_from_news(text, status, headers, body, idle):
    test, _ = compile_idle([text])
    assert test(response(status, headers), body) is idle


def test_any_one_of_several_tests_is_enough():
    test, _ = compile_idle(["status == 204", "header:X present", "body == 6", "json:/a empty", "json: == []"])
    assert test(response(204), b"")
    assert test(response(200, {"X": "1"}), b"news")
    assert test(response(200), b"6")
    assert test(response(200), b"[]")
    assert not test(response(200), b'{"a":1}')


def test_no_test_means_every_answer_is_news():
    test, needs = compile_idle([])
    assert needs == 0
    assert not test(response(204), b"")


def test_a_body_said_to_be_long_is_news_whatever_part_is_shown():
    test, _ = compile_idle(["body empty"])
    assert not test(response(200, length=BODY_LIMIT + 1), b"")


@pytest.mark.parametrize(
    ("tests", "needs"),
    [
        (["status == 204"], 0),
        (["header:X present"], 0),
        (["body empty"], 4096),
        (["status == 204", "json: == []"], 4096),
    ],
)
def test_the_body_is_asked_for_only_when_a_test_reads_it(tests, needs):
    assert compile_idle(tests)[1] == needs


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("staus == 204", "did you mean `status`"),
        ("status == none", "a status is a number"),
        ("status present", "a status is a number"),
        ("status == 204 and header:X absent", "a status is a number"),
        ("status != 200", "a status is a number"),
        ("json:result == []", "json:/result"),
        ("json:/a == heartbeat", '== "heartbeat"'),
        ("json:/a emty", "did you mean `empty`"),
        ("json:/a/*/b == 1", "not available"),
        ("json:/a~2 empty", "~0"),
        ("json:/a == query:x", "not available"),
        ("header:X-Consul-Index == query:index", "not available"),
        ("header:X( present", "not a header name"),
        ("every json:/a == 1", "no test of an answer"),
        ("body", "no comparison"),
    ],
)
def test_a_bad_test_says_what_to_write(text, says):
    with pytest.raises(ValueError, match=says):
        compile_idle([text])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_a_document_equals_itself_as_text(document):
    test, _ = compile_idle([f"json: == {orjson.dumps(document).decode()}"])
    assert test(response(200), orjson.dumps(document))


@given(JSON, JSON)
def test_equality_of_json_is_symmetric(left, right):
    assert same(left, right) == same(right, left)


@given(st.binary(max_size=200))
def test_any_bytes_are_judged_without_failing(body):
    test, _ = compile_idle(["body == 2", "json:/a/0 empty", "json: == 7"])
    assert test(response(200), body) in (True, False)
