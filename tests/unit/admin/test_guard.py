"""Who may ask the admin listener: one request's headers a row, and what they are told."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.admin.guard import Access, access, refuse, refuse_write
from gateway.config.addresses import Listen
from gateway.config.references import Secret
from gateway.config.schema import Admin

HERE, EVERYWHERE, NAMED = "127.0.0.1", "0.0.0.0", "gw.internal"
TOKEN = "an admin token"


def rules(host: str = HERE, token: str | None = None, hosts: tuple[str, ...] = (), path: str | None = None) -> Access:
    listen = Listen("" if path else host, 0 if path else 9090, path)
    secret = Secret("env", "TOKEN") if token is not None else None
    return access(Admin.model_construct(listen=listen, token=secret, hosts=hosts), token)


def headers(*fields: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(fields))


def status(of: Access, *fields: tuple[str, str], path: str = "/api/held") -> int:
    """What a request with these headers is told; 200 when nothing stands in its way."""
    no = refuse(of, headers(*fields), "http", path)
    return no.status if no is not None else 200


@pytest.mark.parametrize("path", ["/healthz", "/api/held", "/nowhere"])
@pytest.mark.parametrize(
    ("listen", "host", "expected"),
    [
        (HERE, "localhost", 200),
        (HERE, "LocalHost:9090", 200),
        (HERE, "127.0.0.1:1", 200),
        (HERE, "127.8.8.8", 200),
        (HERE, "[::1]:9090", 200),
        (HERE, "gateway.internal:9090", 200),
        (HERE, "10.0.0.1", 421),
        (HERE, "0.0.0.0:9090", 421),
        (HERE, "evil.example", 421),
        (HERE, "localhost.evil.example", 421),
        (HERE, "127.0.0.1.evil.example", 421),
        (HERE, "gateway.internal.evil.example", 421),
        (HERE, "evil.example#localhost", 421),
        (HERE, "localhost@evil.example", 421),
        (HERE, "localhost, evil.example", 421),
        (HERE, "[::1", 421),
        (HERE, "::1", 421),
        (HERE, "2130706433", 421),
        (HERE, "0x7f.1", 421),
        (HERE, "", 421),
        (EVERYWHERE, "10.0.0.1:9090", 200),
        (EVERYWHERE, "[2001:db8::1]:9090", 200),
        (EVERYWHERE, "127.0.0.1", 200),
        (EVERYWHERE, "localhost:9090", 200),
        (EVERYWHERE, "GATEWAY.internal", 200),
        (EVERYWHERE, "evil.example:9090", 421),
        (EVERYWHERE, "10.0.0.1.evil.example", 421),
        (NAMED, "gw.internal:9090", 200),
        (NAMED, "other.internal:9090", 421),
    ],
)
def test_the_names_it_may_be_called_by(listen: str, host: str, expected: int, path: str) -> None:
    assert status(rules(listen, hosts=("gateway.internal",)), ("Host", host), path=path) == expected


def test_every_host_that_is_named_must_be_its_own() -> None:
    assert status(rules(), ("Host", "localhost"), ("Host", "evil.example")) == 421


def test_a_request_without_a_host_comes_from_no_browser() -> None:
    assert status(rules()) == 200
    assert status(rules(), ("Origin", "http://")) == 403


def test_a_unix_socket_has_no_name() -> None:
    assert status(rules(path="/run/admin.sock"), ("Host", "whatever")) == 200


@pytest.mark.parametrize("path", ["/healthz", "/api/held"])
@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (("Origin", "http://localhost:9090"), 200),
        (("Origin", "HTTP://LOCALHOST:9090"), 200),
        (("Origin", "https://localhost:9090"), 200),
        (("Origin", "https://localhost"), 403),
        (("Origin", "http://localhost:3000"), 403),
        (("Origin", "http://localhost"), 403),
        (("Origin", "http://127.0.0.1:9090"), 403),
        (("Origin", "https://evil.example"), 403),
        (("Origin", "null"), 403),
        (("Origin", ""), 403),
        (("Sec-Fetch-Site", "same-origin"), 200),
        (("Sec-Fetch-Site", "none"), 200),
        (("Sec-Fetch-Site", "cross-site"), 403),
    ],
)
def test_the_pages_that_may_ask(field: tuple[str, str], expected: int, token: str | None, path: str) -> None:
    fields = [("Host", "localhost:9090"), field, ("Authorization", f"Bearer {TOKEN}")]
    assert status(rules(token=token), *fields, path=path) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"Bearer   {TOKEN}", 200),
        (f"Bearer {TOKEN[:-1]}X", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Bearer {TOKEN}X", 401),
        (f"Bearer {TOKEN.upper()}", 401),
        ("Bearer ", 401),
        ("Bearer", 401),
        ("", 401),
        (TOKEN, 401),
        (f"Basic {TOKEN}", 401),
        (f"Token {TOKEN}", 401),
        (f"Bearer\t{TOKEN}", 401),
        ("Bearer " + "x" * 10_000, 401),
        ("Bearer \udcff\udcfe", 401),
    ],
)
def test_the_token(given: str, expected: int) -> None:
    of = rules(EVERYWHERE, TOKEN)
    assert status(of, ("Host", "10.0.0.1"), ("Authorization", given)) == expected
    for path in ("/healthz", "/readyz"):
        assert status(of, ("Host", "10.0.0.1"), ("Authorization", given), path=path) == 200


def test_two_tokens_are_none() -> None:
    fields = [("Host", "10.0.0.1"), ("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer wrong")]
    assert status(rules(EVERYWHERE, TOKEN), *fields) == 401
    assert status(rules(EVERYWHERE, TOKEN), ("Host", "10.0.0.1")) == 401


def test_a_write_needs_a_token_or_what_no_web_page_can_send() -> None:
    for no in (refuse_write(rules(), headers()), refuse_write(rules(path="/run/admin.sock"), headers())):
        assert no is not None and (no.status, "Gateway-Admin: 1" in no.error) == (403, True)
    assert refuse_write(rules(), headers(("gateway-admin", ""))) is None
    assert refuse_write(rules(token=TOKEN), headers()) is None, "who has the token was asked for it before"
