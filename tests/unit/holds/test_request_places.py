"""Values of a request by the names that policies give them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.head import Known
from gateway.holds.places import KINDS, compile_place
from tests.kit.heads import FORM, XML, head, posted

DOCUMENT = '{"a":[{"b":"x"},{"b":7}],"t":true,"f":2.50,"n":null,"o":{"p":[1, 2]},"a/b":"s","":"e","big":1e16}'


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("json:/a/0/b", "x"),
        ("json:/a/1/b", "7"),
        ("json:/t", "true"),
        ("json:/f", "2.5"),
        ("json:/n", None),
        ("json:/o", '{"p":[1,2]}'),
        ("json:/o/p", "[1,2]"),
        ("json:/a~1b", "s"),
        ("json:/", "e"),
        ("json:/a/2", None),
        ("json:/a/b", None),
        ("json:/x", None),
    ],
)
def test_a_json_value_reads_as_text_and_null_as_nothing(place, value):
    assert compile_place(place)(posted("/u", DOCUMENT)) == value


@pytest.mark.parametrize(
    ("place", "body", "media", "value"),
    [
        ("form:a", "b=1&a=%20x&a=2", FORM, " x"),
        ("form:a", "a", FORM, ""),
        ("form:a", "b=1", FORM, None),
        ("form:a", "a=1", "text/plain", None),
        ("form:a", b"a=\xff", FORM, "\udcff"),
        ("json:/a", '{"a":1}', "", "1"),
        ("json:/a", '{"a":1}', "application/x-amz-json-1.0", "1"),
        ("json:/a", '{"a":1}', FORM, None),
        ("xml:@wait", "<?xml version='1.0'?><body wait='60' xmlns='x'><a wait='1'/></body>", XML, "60"),
        ("xml:@xml:lang", "<body xml:lang='en'/>", "application/soap+xml", "en"),
        ("xml:@wait", "<body><a wait='1'/></body>", XML, None),
        ("xml:@wait", "<body wait='60'/>", "text/plain", None),
    ],
)
def test_a_body_is_read_as_what_its_type_says(place, body, media, value):
    assert compile_place(place)(posted("/u", body, media)) == value


@pytest.mark.parametrize(
    ("cookies", "value"), [([], None), (["b=1; a=2"], "2"), (["b=1", 'a="x"'], "x"), (["a="], None), (["aa=1"], None)]
)
def test_a_cookie_is_found_among_others(cookies, value):
    assert compile_place("cookie:a")(head("GET", "/u", [("Cookie", each) for each in cookies])) == value


@pytest.mark.parametrize(("params", "value"), [(None, None), ({"room": "a%20b"}, "a b"), ({"x": "1"}, None)])
def test_a_capture_of_the_path_reads_without_its_escapes(params, value):
    request = head("GET", "/rooms/a%20b")
    request.params = params
    assert compile_place("path:room")(request) == value


def test_a_header_of_the_last_answer_is_known_once_there_was_one():
    read = compile_place("last:Stream-Cursor")
    request = head("GET", "/u")
    assert read(request) is None
    request.known = Known(None, {"stream-cursor": "7"})
    assert read(request) == "7"


@pytest.mark.parametrize("place", ["form:a", "json:/a", "xml:@a"])
def test_without_a_body_nothing_is_found_in_it(place):
    assert compile_place(place)(head("GET", "/u?a=1")) is None


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("jsn:/a", "did you mean `json`"),
        ("session:sid", "names no place in a request"),
        ("json", "names no place in a request"),
        ("json:", "write json:/POINTER"),
        ("xml:", "write xml:@NAME"),
        ("json:a", "write json:/a"),
        ("json:/a~2", "RFC 6901"),
        ("xml:wait", "write xml:@NAME"),
        ("xml:@", "write xml:@NAME"),
        ("cookie:a b", "write cookie:NAME"),
        ("last:a b", "write last:NAME"),
        ("header:a b", "write header:NAME"),
        ("header-item:Prefer", "write HEADER/ITEM"),
    ],
)
def test_a_place_that_cannot_be_read_says_what_to_write(place, says):
    with pytest.raises(ValueError, match=says):
        compile_place(place)


@given(
    st.sampled_from(["form:a", "json:/a", "json:/a/0", "xml:@a"]),
    st.binary(max_size=80),
    st.sampled_from([FORM, XML, ""]),
)
def test_any_body_of_any_type_has_a_value_or_none(place, body, media):
    value = compile_place(place)(posted("/u", body, media))
    assert value is None or isinstance(value, str)


def test_every_kind_of_place_can_be_named():
    for kind in KINDS:
        name = {"header-item": "A/b", "json": "/a", "xml": "@a"}.get(kind, "a")
        assert compile_place(f"{kind}:{name}")(head("GET", "/u")) is None
