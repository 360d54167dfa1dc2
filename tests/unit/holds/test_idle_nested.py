"""Idle tests that nest: how they combine, and that nothing they are built of makes "no news" of what was not read."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.holds.idle import BODY_LIMIT, compile_idle
from tests.kit.heads import response

NESTED = [
    ({"all": ["status == 204", "header:Closed absent"]}, 204, {}, b"", True),
    ({"all": ["status == 204", "header:Closed absent"]}, 204, {"closed": "1"}, b"", False),
    ({"all": ["status == 204", {"not": "header:Closed present"}]}, 204, {"closed": "1"}, b"", False),
    ({"all": ["status == 404", "json:/code == MessageNotExist"]}, 404, {}, b'{"code":"MessageNotExist"}', True),
    ({"all": ["status == 404", "json:/code == MessageNotExist"]}, 404, {}, b'{"code":"QueueNotExist"}', False),
    ({"all": ["status == 404", {"any": ["body empty", "header:X present"]}]}, 404, {"x": "1"}, b"no", True),
    ({"any": ["status == 204", "body empty"]}, 500, {}, b"", False),
    ({"any": ["status == 204", "body empty"]}, 200, {}, b"", True),
    ({"all": ["xml: empty", "xml:@type absent"]}, 200, {}, b"<body/>", True),
    ({"all": ["xml: empty", "xml:@type absent"]}, 200, {}, b"<body type='error'/>", False),
    ({"not": "json:/news present"}, 200, {}, b"{}", True),
    ({"not": "json:/news present"}, 200, {}, b'{"news":1}', False),
    ({"not": "json:/news present"}, 200, {}, b"<html>", False),
    ({"not": "json:/news present"}, 200, {"content-encoding": "gzip"}, b"{}", False),
    ({"not": "json:/news present"}, 200, {}, b"{}" + b" " * BODY_LIMIT, False),
    ({"not": "json:/news present"}, 500, {}, b"{}", False),
    ({"not": "status == 200"}, 500, {}, b"", False),
    ({"not": {"not": "json:/news present"}}, 200, {}, b"<html>", False),
    ({"not": {"all": ["json:/news present", "status == 200"]}}, 200, {}, b"<html>", False),
    ({"not": {"any": ["json:/news present", "status == 200"]}}, 200, {}, b"<html>", False),
]


@pytest.mark.parametrize(("expr", "status", "headers", "body", "idle"), NESTED)
def test_tests_combine_and_what_cannot_be_judged_is_news(expr, status, headers, body, idle):
    assert compile_idle([expr])[0](response(status, headers), body) is idle


LEAVES = st.sampled_from(
    ["body empty", "body != x", "json:/a absent", "json: != 1", "json:/*/a absent", "xml: empty", "xml://a absent"]
)
TESTS = st.recursive(
    LEAVES,
    lambda inner: (
        st.fixed_dictionaries({"not": inner})
        | st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)})
        | st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)})
    ),
    max_leaves=6,
)


@given(TESTS)
def test_a_body_that_cannot_be_read_is_news_however_tests_nest(expr):
    test = compile_idle([expr])[0]
    assert not test(response(200), b"1" * (BODY_LIMIT + 1))
    assert not test(response(200, length=BODY_LIMIT + 1), b"")
    assert not test(response(200, {"Content-Encoding": "gzip"}), b"")
    assert not test(response(500), b"")


@given(TESTS, st.binary(max_size=40) | st.sampled_from([b"{}", b"[]", b"1", b"<a/>", b"<b><a/></b>"]))
def test_not_turns_what_was_judged_and_only_that(expr, body):
    found = response(200)
    plain, inverse = compile_idle([expr])[0](found, body), compile_idle([{"not": expr}])[0](found, body)
    assert not (plain and inverse)
    assert compile_idle([{"not": {"not": expr}}])[0](found, body) is plain


@given(st.recursive(st.integers(0, 3) | st.none(), lambda inner: st.lists(inner, max_size=3), max_leaves=9))
def test_every_and_any_agree_with_what_python_says(document):
    body = orjson.dumps(document)
    elements = document if isinstance(document, list) else []
    every, some = compile_idle(["every json:/* == 1"])[0], compile_idle(["json:/* == 1"])[0]
    assert every(response(200), body) is (bool(elements) and all(one == 1 for one in elements))
    assert some(response(200), body) is any(one == 1 for one in elements)
