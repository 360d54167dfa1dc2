"""Finding a token in a request, and taking it out again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.places import credential_cookies, credential_headers, finder, names_of, without_cookie
from tests.kit.calls import head_of

BASIC = ("Authorization", "Basic QQ==")


@pytest.mark.parametrize(
    ("source", "headers", "tokens"),
    [
        ("header:Authorization", [("Authorization", "Bearer t")], ("t",)),
        ("header:authorization", [("AUTHORIZATION", "bEARER   t ")], ("t",)),
        ("header:Authorization", [BASIC], ()),
        ("header:Authorization", [("Authorization", "Bearer")], ()),
        ("header:Authorization", [("Authorization", "Bearer ")], ()),
        ("header:Authorization", [("Authorization", "t")], ()),
        ("header:Authorization", [("Authorization", "Bearert")], ()),
        ("header:Authorization", [], ()),
        ("header:Authorization", [BASIC, ("Authorization", "Bearer t")], ("Basic QQ==", "Bearer t")),
        ("header:X-Token", [("x-token", " t ")], ("t",)),
        ("header:X-Token", [("X-Token", "t"), ("X-Token", "u")], ("t", "u")),
        ("header:X-Token", [("X-Token", " ")], ()),
        ("cookie:t", [("Cookie", "a=1; t=x.y.z; b=2")], ("x.y.z",)),
        ("cookie:t", [("Cookie", 't="x"')], ("x",)),
        ("cookie:t", [("Cookie", "T=x; tt=y; xt=z; t")], ()),
        ("cookie:t", [("Cookie", "t=; t=x")], ("x",)),
        ("cookie:t", [("Cookie", "t=x; t=y")], ("x",)),
        ("cookie:t", [("Cookie", "a=1"), ("Cookie", "t=x")], ("x",)),
        ("cookie:t", [("Cookie", "a=t=x")], ()),
        ("cookie:t", [], ()),
    ],
)
def test_finding(source: str, headers: list[tuple[str, str]], tokens: tuple[str, ...]) -> None:
    assert finder(source)(head_of("/", *headers), None) == tokens


@pytest.mark.parametrize(
    ("target", "tokens"),
    [
        ("/?t=x", ("x",)),
        ("/?a=1&t=x%2Ey", ("x.y",)),
        ("/?%74=x", ("x",)),
        ("/?t=x&t=y", ("x", "y")),
        ("/?t=", ()),
        ("/?T=x", ()),
        ("/", ()),
    ],
)
def test_finding_in_the_query(target: str, tokens: tuple[str, ...]) -> None:
    assert finder("query:t")(head_of(target), None) == tokens


@pytest.mark.parametrize(("params", "tokens"), [({"t": "x"}, ("x",)), ({"t": ""}, ()), ({}, ()), (None, ())])
def test_finding_in_the_path(params: dict[str, str] | None, tokens: tuple[str, ...]) -> None:
    assert finder("path:t")(head_of(), params) == tokens


@pytest.mark.parametrize("source", ["", "header", "header:", "body:token", "Header:X"])
def test_no_place(source: str) -> None:
    with pytest.raises(ValueError, match="no place for a token; write header:"):
        finder(source)


def test_what_is_not_to_be_forwarded() -> None:
    sources = ("header:Authorization", "cookie:a", "query:t", "header:X-Token", "cookie:b", "cookie:a", "path:p")
    assert credential_headers(sources) == {b"authorization", b"x-token"}
    assert credential_cookies(sources) == ("a", "b")
    assert names_of("query", sources) == ("t",)


@pytest.mark.parametrize(
    ("value", "left"),
    [
        (b"t=x", None),
        (b"t=x; t=y", None),
        (b"t", None),
        (b" t =x", None),
        (b"a=1; t=x; b=2", b"a=1; b=2"),
        (b"a=1;t=x;b=2", b"a=1; b=2"),
        (b"tt=1; T=2", b"tt=1; T=2"),
        (b"a=t=x", b"a=t=x"),
        (b"", None),
        (b" ; ;", None),
    ],
)
def test_taking_a_cookie_out(value: bytes, left: bytes | None) -> None:
    assert without_cookie(value, "t") == left


@given(st.lists(st.sampled_from(["t=1", " t = 2", "a=1", "b", "", 't="x"', "tt=3", "a=t=9"])))
def test_what_is_left_holds_no_token(pairs: list[str]) -> None:
    left = without_cookie(";".join(pairs).encode(), "t")
    if left is not None:
        assert finder("cookie:t")(head_of("/", ("Cookie", left.decode())), None) == ()
