"""Header rules as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policies.headers import UNTOUCHABLE, HeaderRules, compile_header_rules


@pytest.mark.parametrize(
    ("rules", "drop", "add"),
    [
        ([], set(), b""),
        ([HeaderRules()], set(), b""),
        ([HeaderRules({"X-Key": "a b"})], {b"x-key"}, b"X-Key: a b\r\n"),
        ([HeaderRules({"X-Key": " a\t"})], {b"x-key"}, b"X-Key: a\r\n"),
        ([HeaderRules({"X-Key": ""})], {b"x-key"}, b"X-Key: \r\n"),
        ([HeaderRules({}, ["X-Debug", "x-debug"])], {b"x-debug"}, b""),
        ([HeaderRules({"A": "1", "B": "2"})], {b"a", b"b"}, b"A: 1\r\nB: 2\r\n"),
        ([HeaderRules({"A": "1"}), HeaderRules({"a": "2"})], {b"a"}, b"a: 2\r\n"),
        ([HeaderRules({"A": "1"}), HeaderRules({}, ["a"])], {b"a"}, b""),
        ([HeaderRules({}, ["A"]), HeaderRules({"a": "2"})], {b"a"}, b"a: 2\r\n"),
        ([HeaderRules({"A": "1"}, ["A"])], {b"a"}, b"A: 1\r\n"),
    ],
)
def test_rules_as_bytes(rules: list[HeaderRules], drop: set[bytes], add: bytes) -> None:
    assert compile_header_rules(rules) == (frozenset(drop), add)


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "ä", "a\x00", "(a)", "a,b"])
def test_names_that_are_none(name: str) -> None:
    for rule in (HeaderRules({name: "1"}), HeaderRules({}, [name])):
        with pytest.raises(ValueError, match="is not a header name"):
            compile_header_rules([rule])


@pytest.mark.parametrize("name", [*sorted(UNTOUCHABLE), "Connection", "CONTENT-LENGTH"])
def test_what_frames_a_message_is_not_touched(name: str) -> None:
    for rule in (HeaderRules({name: "1"}), HeaderRules({}, [name])):
        with pytest.raises(ValueError, match="belongs to the connection"):
            compile_header_rules([rule])


@pytest.mark.parametrize("value", ["secret\r\nX: y", "secret\n", "secret\x00", "secret\x7f", "secretü"])
def test_values_that_are_none_are_not_repeated(value: str) -> None:
    with pytest.raises(ValueError, match="the value of X-Key holds line breaks") as error:
        compile_header_rules([HeaderRules({"X-Key": value})])
    assert "secret" not in str(error.value)


@given(st.dictionaries(st.text(max_size=6), st.text(max_size=12), max_size=4))
def test_what_compiles_is_one_line_per_name(values: dict[str, str]) -> None:
    try:
        drop, add = compile_header_rules([HeaderRules(values)])
    except ValueError:
        return
    lines = add.split(b"\r\n")
    assert lines.pop() == b""
    assert {line.partition(b":")[0].lower() for line in lines} == drop
    assert len(lines) == len(drop)
