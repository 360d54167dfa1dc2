"""Refusals in a protocol's own words."""

from __future__ import annotations

from xml.etree import ElementTree

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.holds.own_words import compile_loser, compile_own_words

JSON = {"Content-Type": "application/json"}
TEXT = {"Content-Type": "text/plain"}
XML = {"Content-Type": "text/xml"}


def said(body, headers=JSON, status=429, detail="Too many.", retry_after=7):
    return compile_own_words(status, headers, body).body(status, detail, retry_after)


@pytest.mark.parametrize(
    ("body", "headers", "filled"),
    [
        ('{"ok":false,"error_code":{status}}', JSON, b'{"ok":false,"error_code":429}'),
        ('{"d":"{detail}","p":{"retry_after":{retry_after}}}', JSON, b'{"d":"Too many.","p":{"retry_after":7}}'),
        ('{"e":"M_LIMIT","retry_after_ms":{retry_after_ms}}', JSON, b'{"e":"M_LIMIT","retry_after_ms":7000}'),
        ('{"code":"E{status}"}', JSON, b'{"code":"E429"}'),
        ("<E><Code>{status}</Code><M>{detail}</M></E>", XML, b"<E><Code>429</Code><M>Too many.</M></E>"),
        ('c[{status},"{detail}"]\n', TEXT, b'c[429,"Too many."]\n'),
        ("", {}, b""),
        ("h\n", {}, b"h\n"),
        ("busy {status}", {"Content-Type": "application/javascript"}, b"busy 429"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_a_protocol_says(body, headers, filled):
    assert said(body, headers) == filled


def test_without_a_time_to_come_back_it_is_one_second():
    assert said("[{retry_after},{retry_after_ms}]", retry_after=None) == b"[1,1000]"
    assert said("[{retry_after},{retry_after_ms}]", retry_after=0) == b"[0,0]"


@pytest.mark.parametrize(
    ("body", "headers", "fields"),
    [
        ("", {}, ()),
        ("", {"X-Error": "yes"}, ((b"X-Error", b"yes"),)),
        ('{"ok":false}', {}, ((b"Content-Type", b"application/json"),)),
        ('{"s":{status}}', {}, ((b"Content-Type", b"application/json"),)),
        ("h\n", {}, ((b"Content-Type", b"text/plain; charset=utf-8"),)),
        ("<a/>", {"content-type": "text/xml"}, ((b"content-type", b"text/xml"),)),
    ],
)
def test_a_body_has_a_type_also_where_none_is_written(body, headers, fields):
    assert compile_own_words(429, headers, body).headers == fields


@pytest.mark.parametrize(
    ("status", "headers", "body", "says"),
    [
        (429, JSON, '{"ok":fals}', "not JSON"),
        (429, JSON, '{"a":{detail}}', r'"\{detail\}" in quotes'),
        (429, JSON, '{"a":1{status}}', "not JSON"),
        (429, JSON, '{"a":"{detial}"}', r"did you mean `detail`"),
        (429, JSON, '{"a":"{retry_after_s}"}', r"did you mean `retry_after"),
        (429, JSON, '{"a":"{x}"}', r"write one of \{status\}, \{detail\}"),
        (429, XML, "<a>", "not XML"),
        (429, XML, "<{detail}/>", "not XML"),
        (429, {"Content-Type": "application/javascript"}, "f('{detail}')", "Content-Type"),
        (204, {}, "gone", "a 204 has no body"),
    ],
)
def test_bad_words_say_what_to_write(status, headers, body, says):
    with pytest.raises(ValueError, match=says):
        compile_own_words(status, headers, body)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_detail_stays_inside_its_place(detail):
    assert orjson.loads(said('{"a":"{detail}","b":[{status}]}', detail=detail)) == {"a": detail, "b": [429]}
    ElementTree.fromstring(said("<a b='{detail}'>{detail}</a>", XML, detail=detail))


def test_the_one_that_gives_way_is_told_in_the_same_words():
    loser = compile_loser(409, {}, '{"ok":false,"error_code":409}')
    assert (loser.status, loser.body) == (409, b'{"ok":false,"error_code":409}')
    assert loser.headers == ((b"Content-Type", b"application/json"), (b"Cache-Control", b"no-store"))
    assert compile_loser(204, {"cache-control": "private"}, "").headers == ((b"cache-control", b"private"),)
    with pytest.raises(ValueError, match="a 204 has no body"):
        compile_loser(204, {}, "x")
