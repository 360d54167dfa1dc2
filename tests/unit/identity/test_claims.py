"""What is read from a claim set."""

from __future__ import annotations

import pytest

from gateway.identity.claims import MISSING, instant_of, lookup, name_of, scopes_of, texts_of


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sub", "alice"),
        ("realm.name", "blue"),
        ("a.b", "whole name first"),
        ("https://id.test/tenant", "acme"),
        ("realm.none", MISSING),
        ("realm.name.deeper", MISSING),
        ("none", MISSING),
        ("", MISSING),
        (".", MISSING),
        ("list.0", MISSING),
    ],
)
def test_lookup(name: str, value: object) -> None:
    claims = {
        "sub": "alice",
        "realm": {"name": "blue"},
        "a.b": "whole name first",
        "a": {"b": "path"},
        "https://id.test/tenant": "acme",
        "list": ["x"],
    }
    assert lookup(claims, name) == value


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("alice", "alice"),
        ("Zoë 李", "Zoë 李"),
        ("a b", "a b"),
        ("x" * 256, "x" * 256),
        (42, "42"),
        (-7, "-7"),
        (0, "0"),
        ("", None),
        ("x" * 257, None),
        (10**256, None),
        pytest.param(10**5000, None, id="5001 digits"),
        (" alice", None),
        ("alice ", None),
        ("a\r\nX: y", None),
        ("a\x00", None),
        ("a\x1b[2J", None),
        ("a\u2028b", None),
        ("a\u202eb", None),
        ("\ud800", None),
        (True, None),
        (1.5, None),
        (["alice"], None),
        ({"a": 1}, None),
        (None, None),
    ],
)
def test_name_of(value: object, name: str | None) -> None:
    assert name_of(value) == name


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        (5, 5.0),
        (1.5, 1.5),
        (-1, -1.0),
        (float("nan"), None),
        (float("inf"), None),
        (10**400, None),
        (True, None),
        ("5", None),
        (None, None),
        ([], None),
    ],
)
def test_instant_of(value: object, instant: float | None) -> None:
    assert instant_of(value) == instant


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({}, set()),
        ({"scope": "a b"}, {"a", "b"}),
        ({"scope": "a  b "}, {"a", "b"}),
        ({"scope": "a\tb"}, {"a\tb"}),
        ({"scp": ["a", "b", 1, ""]}, {"a", "b"}),
        ({"scp": "a b"}, {"a", "b"}),
        ({"scope": "a", "scp": ["b"]}, {"a"}),
        ({"scope": {"a": 1}}, set()),
    ],
)
def test_scopes_of(claims: dict[str, object], scopes: set[str]) -> None:
    assert scopes_of(claims) == scopes


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("gold", ("gold",)),
        (True, ("true",)),
        (3, ("3",)),
        (["a", 1, False, None, ["b"], {"c": 1}], ("a", "1", "false")),
        (None, ()),
        (1.5, ()),
        ({}, ()),
    ],
)
def test_texts_of(value: object, texts: tuple[str, ...]) -> None:
    assert texts_of(value) == texts
