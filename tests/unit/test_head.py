"""Heads as values: reading and rewriting a query without touching what was not asked for."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.head import parse_query, remove_arg, set_arg
from tests.kit.calls import head_of


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        ("", ()),
        ("a", (("a", ""),)),
        ("a=", (("a", ""),)),
        ("=a", (("", "a"),)),
        ("a=1&b=2&a=3", (("a", "1"), ("b", "2"), ("a", "3"))),
        ("a=b=c", (("a", "b=c"),)),
        ("&&a=1&", (("a", "1"),)),
        ("a+b=c+d", (("a b", "c d"),)),
        ("%61=%62", (("a", "b"),)),
        ("a=%ff%C3", (("a", "\ufffd\ufffd"),)),
        ("a=%ED%A0%80", (("a", "\ufffd\ufffd\ufffd"),)),  # no lone surrogate gets in this way
        ("a=%", (("a", "%"),)),
        ("a=1;b=2", (("a", "1;b=2"),)),
    ],
)
def test_a_query_is_pairs_in_order(query: str, pairs: tuple[tuple[str, str], ...]) -> None:
    assert parse_query(query) == pairs


QUERIES = st.lists(st.sampled_from([*"abc&&==%+;1", "token", "%74oken", "a=1", "&token=x&", "%26"]), max_size=12).map(
    "".join
)


@given(QUERIES)
def test_a_query_reads_as_the_standard_library_reads_it(query: str) -> None:
    assert list(parse_query(query)) == parse_qsl(query, keep_blank_values=True)


@given(QUERIES, st.sampled_from(["token", "a", "", "%74oken"]))
def test_a_removed_parameter_is_gone_and_the_rest_is_as_it_was(query: str, name: str) -> None:
    left = remove_arg(query, name)
    assert parse_query(left) == tuple(pair for pair in parse_query(query) if pair[0] != name)
    assert set(left.split("&")) <= {*query.split("&"), ""}


@given(QUERIES, st.sampled_from(["token", "a", "timeout"]), st.sampled_from(["1", "25", "0.5"]))
def test_a_set_parameter_is_there_once_and_the_rest_is_as_it_was(query: str, name: str, value: str) -> None:
    changed = parse_query(set_arg(query, name, value))
    assert [pair for pair in changed if pair[0] == name] == [(name, value)]
    assert [pair for pair in changed if pair[0] != name] == [pair for pair in parse_query(query) if pair[0] != name]


@pytest.mark.parametrize(
    ("query", "expected"),
    [("", "t=9"), ("a=1", "a=1&t=9"), ("t=1&a=2", "t=9&a=2"), ("a=1&t=1&b=2&t=3", "a=1&t=9&b=2"), ("%74=1", "t=9"),
    ("T=1", "T=1&t=9")],
)  # fmt: skip
def test_a_set_parameter_keeps_its_place(query: str, expected: str) -> None:
    assert set_arg(query, "t", "9") == expected


def test_a_stripped_argument_is_not_remembered() -> None:
    head = head_of("/a?x=1&token=secret&y=2")
    assert head.arg("token") == "secret" and head.arg("none") is None
    head.without_arg("token")
    assert head.query == "x=1&y=2" and head.arg("token") is None and head.args == (("x", "1"), ("y", "2"))


@pytest.mark.parametrize(
    ("length", "chunked", "framing"),
    [(None, False, None), (0, False, None), (5, False, "length"), (None, True, "chunked")],
)
def test_the_framing_says_whether_there_is_a_body(length: int | None, chunked: bool, framing: str | None) -> None:
    assert head_of("/a", method="POST", length=length, chunked=chunked).framing == framing
