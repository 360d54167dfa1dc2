"""Preflights and the fields of answers to web pages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.outcome import Outcome
from gateway.pipeline import HeaderList, Refusal, Reply
from gateway.policies.cors import compile_cors, preflight, response_headers
from gateway.shapes import Cors
from tests.kit.calls import head_of

APP = "https://app.example.com"


def rules(**changes: Any) -> Cors:
    settings: dict[str, Any] = {"origins": [APP], "methods": ["GET", "POST"], "headers": ["Authorization", "X-A"]}
    return compile_cors(**(settings | changes))


def ask(cors: Cors, origin: str = APP, method: str = "GET", headers: str | None = None) -> Reply | Refusal | None:
    fields = [("Origin", origin), ("Access-Control-Request-Method", method)]
    if headers is not None:
        fields.append(("Access-Control-Request-Headers", headers))
    return preflight(cors, head_of("/updates", *fields, method="OPTIONS"))


def fields_of(headers: HeaderList) -> dict[str, str]:
    fields = {name.decode(): value.decode() for name, value in headers}
    assert len(fields) == len(headers)
    return fields


def test_a_preflight_that_may() -> None:
    reply = ask(rules(credentials=True, max_age=60), headers="authorization,x-a")
    assert isinstance(reply, Reply)
    assert (reply.outcome, reply.status, reply.body) == (Outcome.PREFLIGHT, 204, b"")
    assert fields_of(reply.headers) == {
        "Access-Control-Allow-Origin": APP,
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": "Authorization, X-A",
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Max-Age": "60",
        "Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
    }


@pytest.mark.parametrize(
    ("changes", "asked", "allowed"),
    [
        ({}, {}, True),
        ({}, {"headers": ""}, True),
        ({}, {"headers": " X-A , AUTHORIZATION,"}, True),
        ({}, {"headers": "x-b"}, False),
        ({}, {"headers": "x-a x-b"}, False),
        ({}, {"method": "DELETE"}, False),
        ({}, {"method": "get"}, False),
        ({}, {"origin": APP + "/"}, False),
        ({}, {"origin": APP + ".evil.test"}, False),
        ({}, {"origin": "http://app.example.com"}, False),
        ({}, {"origin": "https://APP.example.com"}, False),
        ({}, {"origin": "null"}, False),
        ({}, {"origin": ""}, False),
        ({}, {"origin": "*"}, False),
        ({"origins": ["*"]}, {"origin": "https://any.test"}, True),
        ({"origins": ["*"]}, {"origin": "null"}, True),
        ({"methods": ["*"]}, {"method": "DELETE"}, True),
        ({"methods": ["*"], "credentials": True}, {"method": "DELETE"}, True),
        ({"methods": ["*"], "credentials": True}, {"method": "*"}, False),
        ({"headers": ["*"]}, {"headers": "x-b"}, True),
        ({"headers": ["*"]}, {"headers": "authorization"}, False),
        ({"headers": ["*", "Authorization"]}, {"headers": "x-b, authorization"}, True),
        ({"headers": []}, {"headers": "x-a"}, False),
    ],
)
def test_what_pages_may_ask(changes: dict[str, Any], asked: dict[str, str], allowed: bool) -> None:
    verdict = ask(rules(**changes), **asked)
    assert isinstance(verdict, Reply) is allowed
    if not allowed:
        assert isinstance(verdict, Refusal)
        assert (verdict.outcome, verdict.status) == (Outcome.FORBIDDEN, 403)


def test_any_method_is_spelt_out_where_credentials_are_sent() -> None:
    reply = ask(rules(methods=["*"], credentials=True))
    assert isinstance(reply, Reply)
    assert fields_of(reply.headers)["Access-Control-Allow-Methods"] == "GET, HEAD, POST, PUT, PATCH, DELETE"


@pytest.mark.parametrize("without", ["Origin", "Access-Control-Request-Method", "OPTIONS"])
def test_what_is_no_preflight_goes_on(without: str) -> None:
    fields = [("Origin", APP), ("Access-Control-Request-Method", "GET")]
    kept = [field for field in fields if field[0] != without]
    head = head_of("/", *kept, method="GET" if without == "OPTIONS" else "OPTIONS")
    assert preflight(rules(), head) is None


EXPOSE = "Retry-After, WWW-Authenticate, RateLimit, RateLimit-Policy"


@pytest.mark.parametrize(
    ("changes", "origin", "expected"),
    [
        (
            {},
            APP,
            {"Access-Control-Allow-Origin": APP, "Access-Control-Expose-Headers": EXPOSE, "Vary": "Origin"},
        ),
        (
            {"credentials": True, "expose": ["ETag", "retry-after"]},
            APP,
            {
                "Access-Control-Allow-Origin": APP,
                "Access-Control-Allow-Credentials": "true",
                "Access-Control-Expose-Headers": EXPOSE.replace("Retry-After", "retry-after") + ", ETag",
                "Vary": "Origin",
            },
        ),
        ({}, "https://evil.test", {"Vary": "Origin"}),
        ({}, None, {"Vary": "Origin"}),
        ({}, "", {"Vary": "Origin"}),
        (
            {"origins": ["*"]},
            "https://any.test",
            {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": EXPOSE},
        ),
        ({"origins": ["*"]}, None, {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": EXPOSE}),
    ],
)
def test_fields_of_every_answer(changes: dict[str, Any], origin: str | None, expected: dict[str, str]) -> None:
    cors = rules(**changes)
    fields = response_headers(cors, origin)
    assert fields_of(fields) == expected
    ready = cors.strangers if origin is None else cors.pages.get(origin, cors.strangers)  # for what is relayed
    assert ready == b"".join(b"%b: %b\r\n" % field for field in fields)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"origins": []}, "origins is empty"),
        ({"origins": ["*"], "credentials": True}, "credentials"),
        ({"headers": ["*"], "credentials": True}, "credentials"),
        ({"expose": ["*"], "credentials": True}, "credentials"),
        ({"origins": ["*", APP]}, "beside others"),
        ({"origins": ["app.example.com"]}, "no origin"),
        ({"origins": [APP + "/"]}, "no origin"),
        ({"origins": ["HTTPS://app.example.com"]}, "no origin"),
        ({"origins": ["null"]}, "no origin"),
        ({"origins": ["https://*.example.com"]}, "no origin"),
        ({"origins": ["https://a.test\r\nX: y"]}, "no origin"),
        ({"headers": ["X A"]}, "neither a method nor a header name"),
        ({"expose": ["a\r\nb"]}, "neither a method nor a header name"),
    ],
)
def test_rules_that_cannot_be(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        rules(**changes)


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_nothing_asked_for_raises_or_is_repeated(origin: str, method: str, headers: str) -> None:
    cors = rules()
    verdict = ask(cors, origin, method, headers)
    allowed = origin == APP and method in ("GET", "POST")
    assert isinstance(verdict, Refusal) or allowed
    assert response_headers(cors, origin) == ((b"Vary", b"Origin"),) or origin == APP
