"""`when` and `needs`: which requests they admit, and what a bad test is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.holds.predicate import compile_when
from tests.kit.heads import head

TESTS = [
    ("query:since present", "/u?since=3", {}, True),
    ("query:since present", "/u?since=", {}, True),
    ("query:since present", "/u", {}, False),
    ("query:since absent", "/u", {}, True),
    ("query:since absent", "/u?since=3", {}, False),
    ("query:feed == longpoll", "/u?feed=longpoll", {}, True),
    ("query:feed == longpoll", "/u?feed=LongPoll", {}, False),
    ("query:feed == longpoll", "/u", {}, False),
    ("query:feed == a b", "/u?feed=a+b", {}, True),
    ('query:feed == ""', "/u?feed=", {}, True),
    ('query:feed == "query:x"', "/u?feed=query:x", {}, True),
    ("query:full_state != true", "/u?full_state=true", {}, False),
    ("query:full_state != true", "/u", {}, True),
    ("query:index > 0", "/u?index=7", {}, True),
    ("query:index > 0", "/u?index=0", {}, False),
    ("query:index > 0", "/u?index=many", {}, False),
    ("query:index > 0", "/u?index=inf", {}, False),
    ("query:index > 0", "/u?index=1e9", {}, False),
    ("query:index > 0", "/u?index=" + "9" * 10_000, {}, False),
    ("query:index > 0", "/u", {}, False),
    ("query:index <= 0", "/u?index=-1.5", {}, True),
    ("query:index >= 2", "/u?index=2", {}, True),
    ("query:index < 2", "/u?index=2", {}, False),
    ("query:since in (now, 0)", "/u?since=now", {}, True),
    ("query:since in (now, 0)", "/u?since=1", {}, False),
    ('query:since in ("a,b", c)', "/u?since=a,b", {}, True),
    ("query:since not in (now, 0)", "/u?since=1", {}, True),
    ("query:since not in (now, 0)", "/u?since=0", {}, False),
    ("query:since  not  in (now, 0)", "/u", {}, True),
    ("header:X-Hold present", "/u", {"x-hold": "1"}, True),
    ("header:X-Hold == yes", "/u", {"x-hold": "yes"}, True),
    ("header:X-Hold absent", "/u", {}, True),
    ("header:Tag == a, b", "/u", [("tag", "a"), ("TAG", "b")], True),
    ('header:If-None-Match matches ^"[^"]*"$', "/u", {"If-None-Match": '"v1"'}, True),
    ('header:If-None-Match matches ^"[^"]*"$', "/u", {"If-None-Match": '"v1", "v2"'}, False),
    ("header-item:Prefer/wait present", "/u", {"Prefer": "respond-async, wait=10; x=y"}, True),
    ("header-item:Prefer/wait present", "/u", [("Prefer", "respond-async"), ("prefer", "WAIT=1")], True),
    ("header-item:Prefer/wait present", "/u", {"Prefer": 'note="a, wait=3"'}, False),
    ("header-item:Prefer/wait present", "/u", {"Prefer": "await=3"}, False),
    ("header-item:Prefer/wait present", "/u", {"Prefer": "wait"}, True),
    ('header-item:Prefer/wait == ""', "/u", {"Prefer": "wait"}, True),
    ("header-item:Prefer/wait > 5", "/u", {"Prefer": 'wait="10"'}, True),
    ("header-item:Prefer/wait == 10", "/u", {"Prefer": "wait = 10 ;a, wait=20"}, True),
    ("method == GET", "/u", {}, True),
    ("method in (POST, PUT)", "/u", {}, False),
    ("path == /u", "/u?x=/v", {}, True),
    ("path matches ^/v[0-9]+/", "/v2/keys", {}, True),
    ("path matches ^/v[0-9]+/", "/a/v2/", {}, False),
    ("json:/a present", "/u", {}, False),
]


@pytest.mark.parametrize(("text", "target", "headers", "holds"), TESTS)
def test_a_test_looks_at_one_place_of_the_request(text, target, headers, holds):
    assert compile_when([text])(head("GET", target, headers)) is holds


@pytest.mark.parametrize(
    ("expr", "target", "holds"),
    [
        ([], "/u", True),
        (["query:a present", "query:b present"], "/u?a&b", True),
        (["query:a present", "query:b present"], "/u?a", False),
        ({"any": ["query:a present", "query:b present"]}, "/u?b", True),
        ({"any": ["query:a present", "query:b present"]}, "/u", False),
        ({"not": "query:a present"}, "/u", True),
        ({"not": ["query:a present", "query:b present"]}, "/u?a", True),
        ([{"any": ["query:a present", {"all": ["query:b present", {"not": "query:c present"}]}]}], "/u?b", True),
        ([{"any": ["query:a present", {"all": ["query:b present", {"not": "query:c present"}]}]}], "/u?b&c", False),
        ({"all": []}, "/u", True),
        ({"any": ["query:a present"], "not": "query:b present"}, "/u?a&b", False),
    ],
)
def test_lists_and_tables_combine_tests(expr, target, holds):
    assert compile_when(expr)(head("GET", target)) is holds


@pytest.mark.parametrize(
    ("expr", "says"),
    [
        (["quary:since present"], "did you mean `query`"),
        (["querysince present"], "write"),
        (["query:since presnt"], "did you mean `present`"),
        (["query:since = 3"], "did you mean `==`"),
        (["query:since exists"], "did you mean `present`"),
        (["query:index>0"], "a space before and after `>`"),
        (["query:since"], "query:since present"),
        (["query: present"], "lacks a name"),
        (["query:since present too"], "nothing may follow"),
        (["query:since =="], 'write ""'),
        (["query:since > now"], "compares numbers"),
        (["query:since in now, 0"], r"in \(A, B\)"),
        (["query:since in ()"], r"in \(A, B\)"),
        (["query:since matches ("], "regular expression"),
        (["query:since matches"], "regular expression"),
        (["header:X-Index == query:index"], "of an `idle` test compare with a place"),
        (["json:timeout present"], "json:/timeout"),
        (["json:/timeout"], "json:/timeout present"),
        (["every query:a == 1"], "looks into JSON"),
        (["every json:/a == 1"], r"needs a `\*`"),
        (["xml:wait present"], "write xml:@NAME"),
        (["session:sid present"], "names no place in a request"),
        (["header:X Y == 1"], "no comparison"),
        (["header:X(Y == 1"], "not a header name"),
        (["header-item:Prefer present"], "Prefer/wait"),
        (["methd == GET"], "did you mean `method`"),
        (["no response bytes yet"], "is not a test"),
        ([7], "`7` is not a test"),
        ({"some": []}, "any, all or not"),
        ({"any": []}, "never holds"),
        ({"any": "query:a present"}, "takes a list"),
        ({}, "empty table"),
        ([""], "is not a test"),
    ],
)
def test_a_bad_test_says_what_to_write(expr, says):
    with pytest.raises(ValueError, match=says):
        compile_when(expr)


@given(st.text(max_size=40))
def test_any_text_compiles_or_is_refused_with_a_reason(text):
    try:
        test = compile_when([text])
    except ValueError:
        return
    assert test(head("GET", "/u?a=1")) in (True, False)


@given(st.text(max_size=200))
def test_a_list_header_of_any_text_is_read_without_failing(value):
    test = compile_when(["header-item:Prefer/wait present"])
    assert test(head("GET", "/u", {"Prefer": value})) in (True, False)
    assert test(head("GET", "/u", {"Prefer": "wait=1, " + value}))
