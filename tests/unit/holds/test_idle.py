"""Which answers are "no news"."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.holds.idle import BODY_LIMIT, compile_idle
from gateway.holds.pointer import same
from tests.kit.heads import head, response

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
    ("json:/a absent", 200, {}, b'{"a":null}', True),
    ("json:/a present", 200, {}, b'{"a":0}', True),
    ("json:/a present", 200, {}, b'{"a":null}', False),
    ("json:/type == heartbeat", 200, {}, b'{"type":"heartbeat"}', True),
    ("json:/n == 1", 200, {}, b'{"n":"1"}', True),
    ('json:/n == "1"', 200, {}, b'{"n":1}', False),
    ("json:/n != 1", 200, {}, b'{"n":2}', True),
    ("json:/n != 1", 200, {}, b"{}", True),
    ("json:/n != 1", 200, {}, b"<html>", False),
    ("json:/n in (1, 2)", 200, {}, b'{"n":2}', True),
    ("json:/n not in (1, 2)", 200, {}, b'{"n":2}', False),
    ("json:/n < 5", 200, {}, b'{"n":4.5}', True),
    ("json:/n < 5", 200, {}, b'{"n":[]}', False),
    ("json:/n matches ^s_", 200, {}, b'{"n":"s_1"}', True),
    ("json:/*/channel == /meta/connect", 200, {}, b'[{"channel":"/a"},{"channel":"/meta/connect"}]', True),
    ("json:/*/channel != /meta/connect", 200, {}, b'[{"channel":"/a"},{"channel":"/meta/connect"}]', False),
    ("json:/*/channel not in (/a, /b)", 200, {}, b'[{"channel":"/c"},{"channel":"/meta/connect"}]', True),
    ("json:/*/data absent", 200, {}, b'[{"channel":"/meta/connect"}]', True),
    ("json:/*/data absent", 200, {}, b'[{"channel":"/meta/connect"},{"data":1}]', False),
    ("json:/*/data present", 200, {}, b'[{"channel":"/meta/connect"},{"data":1}]', True),
    ("json:/join/*/events empty", 200, {}, b'{"join":{"!a":{"events":[1]},"!b":{"events":[]}}}', True),
    ("every json:/join/*/events empty", 200, {}, b'{"join":{"!a":{"events":[1]},"!b":{"events":[]}}}', False),
    ("every json:/join/*/events empty", 200, {}, b'{"join":{"!a":{},"!b":{"events":[]}}}', True),
    ("every json:/e/*/type == heartbeat", 200, {}, b'{"e":[{"type":"heartbeat"},{"type":"heartbeat"}]}', True),
    ("every json:/e/*/type == heartbeat", 200, {}, b'{"e":[{"type":"heartbeat"},{"type":"x"}]}', False),
    ("every json:/e/*/type == heartbeat", 200, {}, b'{"e":[{"type":"heartbeat"},{}]}', False),
    ("every json:/e/*/type == heartbeat", 200, {}, b'{"e":[]}', False),
    ("every json:/e/*/type == heartbeat", 200, {}, b'{"e":{}}', False),
    ("every json:/e/*/type == heartbeat", 200, {}, b"{}", False),
    ("every json:/*/*/n > 0", 200, {}, b'[[{"n":1}],[{"n":2},{"n":0}]]', False),
    ("xml: empty", 200, {}, b"<body xmlns='a'/>", True),
    ("xml: empty", 200, {}, b"<?xml version='1.0'?><body>\n</body>\n", True),
    ("xml: empty", 200, {}, b"<body><message/></body>", False),
    ("xml: empty", 200, {}, b"<body>text</body>", False),
    ("xml: empty", 200, {}, b"<body>", False),
    ("xml: empty", 200, {}, b"<!DOCTYPE body [<!ENTITY a 'b'>]><body/>", False),
    ("xml: empty", 200, {}, "<!DOCTYPE body><body/>".encode("utf-16"), False),
    ("xml: empty", 200, {}, b"<?xml version='1.0' encoding='no-such'?><body/>", False),
    ("xml: empty", 200, {}, b"<a>" * 1000 + b"</a>" * 100, False),
    ("xml: empty", 200, {}, b"", False),
    ("xml://Message absent", 200, {}, b"<R><S/></R>", True),
    ("xml://Message absent", 200, {}, b"<R><S><x:Message/></S></R>", False),
    ("xml://Message absent", 200, {}, b"not xml", False),
    ("xml://Code present", 404, {}, b"<Error><Code/></Error>", False),
    ("xml:@type == terminate", 200, {}, b"<body type='terminate'/>", True),
    ("xml:@type absent", 200, {}, b"<body type='terminate'/>", False),
    ("header:X-Idle == yes", 200, {"x-idle": "yes"}, b"", True),
    ("header:X-Idle present", 200, {}, b"", False),
]


@pytest.mark.parametrize(("text", "status", "headers", "body", "idle"), ANSWERS)
def test_a_test_tells_no_news_from_news(text, status, headers, body, idle):
    test = compile_idle([text])[0]
    assert test(response(status, headers), body) is idle


@pytest.mark.parametrize("status", [200, 202, 204, 304, 404, 408, 503])
def test_a_status_may_mean_no_news_whatever_its_class(status):
    test = compile_idle([f"status == {status}"])[0]
    assert test(response(status), b"whatever") is True
    assert test(response(500), b"") is False


COMPARED = [
    ("header:X-Index == query:index", "/v?index=7", {"X-Index": "7"}, b"", True),
    ("header:X-Index == query:index", "/v?index=7", {"X-Index": "8"}, b"", False),
    ("header:X-Index == query:index", "/v?index=7", {}, b"", False),
    ("header:X-Index == query:index", "/v", {"X-Index": "7"}, b"", False),
    ("header:X-Index == query:index", "/v?index=", {}, b"", False),
    ("header:X-Index == query:index", "/v?index=" + "9" * 1025, {"X-Index": "9" * 1025}, b"", False),
    ("header:X-Index != query:index", "/v?index=7", {"X-Index": "8"}, b"", True),
    ("header:X-Index != query:index", "/v", {"X-Index": "8"}, b"", False),
    ({"not": "header:X-Index != query:index"}, "/v", {"X-Index": "8"}, b"", False),
    ("header:ETag == header:If-None-Match", "/v", {"ETag": '"v1"'}, b"", True),
    ("json:/ts == query:ts", "/v?ts=12", {}, b'{"ts":12}', True),
    ("json:/ts == query:ts", "/v?ts=12", {}, b'{"ts":"12"}', True),
    ("json:/ts == query:ts", "/v?ts=12", {}, b'{"ts":13}', False),
    ("json:/ts == query:ts", "/v?ts=12", {}, b"{", False),
    ("json:/id == header-item:Prefer/id", "/v", {}, b'{"id":"a"}', True),
    ('header:X-Index == "query:index"', "/v?index=7", {"X-Index": "query:index"}, b"", True),
]


@pytest.mark.parametrize(("expr", "target", "headers", "body", "idle"), COMPARED)
def test_an_answer_that_says_what_the_request_said_is_no_news(expr, target, headers, body, idle):
    test, _, recall = compile_idle([expr])
    asked = head("GET", target, {"If-None-Match": '"v1"', "Prefer": "id=a"})
    assert test(response(200, headers), body, recall(asked) if recall is not None else ()) is idle


def test_only_what_is_compared_is_kept_of_a_request():
    assert compile_idle(["status == 204", "json: == []"])[2] is None
    recall = compile_idle(["header:A == query:a", {"all": ["status == 200", "header:B == query:b"]}])[2]
    assert recall is not None
    assert recall(head("GET", "/v?b=2&c=3")) == (None, "2")


def test_any_one_of_several_tests_is_enough():
    test, *_ = compile_idle(["status == 204", "header:X present", "body == 6", "json:/a empty", "json: == []"])
    assert test(response(204), b"")
    assert test(response(200, {"X": "1"}), b"news")
    assert test(response(200), b"6")
    assert test(response(200), b"[]")
    assert not test(response(200), b'{"a":1}')


def test_no_test_means_every_answer_is_news():
    test, needs, _ = compile_idle([])
    assert needs == 0
    assert not test(response(204), b"")


def test_a_body_said_to_be_long_is_news_whatever_part_is_shown():
    test, *_ = compile_idle(["body empty"])
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
        ("status == 204 and header:X absent", r"\{ all ="),
        ("status != 200", "a status is a number"),
        ("json:result == []", "json:/result"),
        ("json:/a emty", "did you mean `empty`"),
        ("json:/a~2 empty", "~0"),
        ("header:X( present", "not a header name"),
        ("every json:/a == 1", "needs a `\\*`"),
        ("every body == 1", "no test of an answer"),
        ("json:/a/* == query:x", "several values"),
        ("every json:/a/* == query:x", "plain value"),
        ("header:X in (query:x)", "of an `idle` test"),
        ("xml:Message absent", "xml://NAME"),
        ("xml://a/b absent", "xml://NAME"),
        ("xml: absent", "xml: empty"),
        ("xml://a empty", "xml://NAME"),
        ({"some": ["status == 204"]}, "any, all or not"),
        ({"all": []}, "takes a list"),
        ({"any": "status == 204"}, "takes a list"),
        ({}, "no test of an answer"),
        ([["status == 204"]], "no test of an answer"),
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
    test, *_ = compile_idle([f"json: == {orjson.dumps(document).decode()}"])
    assert test(response(200), orjson.dumps(document))


@given(JSON, JSON)
def test_equality_of_json_is_symmetric(left, right):
    assert same(left, right) == same(right, left)


@given(st.binary(max_size=200))
def test_any_bytes_are_judged_without_failing(body):
    test, *_ = compile_idle(["body == 2", "json:/a/0 empty", "json: == 7", "xml: empty", "every json:/*/a == 1"])
    assert test(response(200), body) in (True, False)
