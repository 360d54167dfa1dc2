"""base64url and JSON as tokens must spell them."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.strict import MAX_DEPTH, base64url, json_object


@given(st.binary(max_size=200))
def test_base64url_reads_back_what_was_written(raw: bytes) -> None:
    assert base64url(urlsafe_b64encode(raw).rstrip(b"=").decode()) == raw


@given(st.text(alphabet="AB9-_+/= \n.é", max_size=12))
def test_base64url_has_one_text_per_value(text: str) -> None:
    try:
        raw = base64url(text)
    except ValueError:
        return
    assert urlsafe_b64encode(raw).rstrip(b"=").decode() == text


@pytest.mark.parametrize("text", ["QQ==", "QQ=", "QR", "Q", "QQ\n", " QQ", "Q Q", "+w", "/w", "Qé", "QQ.QQ", "Q%3D"])
def test_base64url_refuses_other_spellings(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        base64url(text)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=4))
def test_json_object_reads_back_what_was_written(value: dict[str, object]) -> None:
    assert json_object(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b'"a"',
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1}x',
        b'{"a":1,}',
        b"{'a':1}",
        b'{"a":"\n"}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        '{"a":1}'.encode("utf-16"),
        b'{"a":' + b"1" * 5000 + b"}",
    ],
)
def test_json_object_refuses(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        json_object(raw)


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def test_json_object_takes_nesting_up_to_the_limit() -> None:
    json_object(nested(MAX_DEPTH))
    for depth in (MAX_DEPTH + 1, 1000, 10_000):
        with pytest.raises(ValueError, match="nested"):
            json_object(nested(depth))


def test_many_shallow_objects_and_brackets_in_strings_are_not_deep() -> None:
    value = {"roles": [{"name": "[[[{{{"}] * 100, "text": '"[' * 50}
    assert json_object(json.dumps(value).encode()) == value
