"""Addresses, URLs, names, headers, paths and secrets as people write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import addresses, references, texts

from .kit import refusal

NO_PART = (
    'cannot be a part of a path; write plain text, "{x}" for one part, "a{x}b" for what is between, or "**" at the end'
)
BASE = Path("/etc/gateway")


def listen(value: object) -> object:
    return addresses.parse_listen(value, BASE)


def secret(value: object) -> object:
    return references.parse_secret(value, BASE)


def header_value(value: object) -> object:
    return texts.parse_header_value(value, BASE)


def token_place(value: object) -> object:
    return texts.parse_place(value, ("header", "cookie", "query", "path"))


def body_place(value: object) -> object:
    return texts.parse_place(value, ("form", "json"))


@pytest.mark.parametrize(
    ("parse", "value", "result"),
    [
        (listen, "127.0.0.1:8080", addresses.Listen("127.0.0.1", 8080)),
        (listen, "[::]:8443", addresses.Listen("::", 8443)),
        (listen, "localhost:0", addresses.Listen("localhost", 0)),
        (listen, "unix:/run/g.sock", addresses.Listen("", 0, "/run/g.sock")),
        (listen, "unix:g.sock", addresses.Listen("", 0, "/etc/gateway/g.sock")),
        (addresses.parse_network, "10.0.0.0/8", "10.0.0.0/8"),
        (addresses.parse_network, "10.0.0.1", "10.0.0.1/32"),
        (addresses.parse_network, "2001:DB8::/32", "2001:db8::/32"),
        (addresses.parse_endpoint, "http://a:5000", addresses.EndpointUrl("http", "a", 5000)),
        (addresses.parse_endpoint, "https://A.example/v2/", addresses.EndpointUrl("https", "a.example", 443, "/v2")),
        (addresses.parse_endpoint, "http://[::1]:80", addresses.EndpointUrl("http", "::1", 80)),
        (addresses.parse_origin, "https://app.example.com", "https://app.example.com"),
        (addresses.parse_origin, "http://localhost:3000", "http://localhost:3000"),
        (addresses.parse_origin, "*", "*"),
        (texts.parse_host, "API.example.com", "api.example.com"),
        (texts.parse_host, "*.example.com", "*.example.com"),
        (texts.parse_template, "/a/{x}/**", "/a/{x}/**"),
        (texts.parse_template, "/", "/"),
        (texts.parse_template, "/bot{token}/{x}:poll/a-{id}.json", "/bot{token}/{x}:poll/a-{id}.json"),
        (token_place, "cookie:token", texts.Place("cookie", "token")),
        (body_place, "form:token", texts.Place("form", "token")),
        (body_place, "json:/a/0/b~1c", texts.Place("json", "/a/0/b~1c")),
        (body_place, "json:", texts.Place("json", "")),
        (secret, "env:NAME", references.Secret("env", "NAME")),
        (secret, "file:key", references.Secret("file", "/etc/gateway/key")),
        (secret, "hunter2", references.Secret("literal", "hunter2")),
        (header_value, "", references.Secret("literal", "")),
        (header_value, "env:KEY", references.Secret("env", "KEY")),
    ],
)
def test_what_is_written_well_becomes_a_value(parse: Callable[[object], object], value: str, result: object) -> None:
    assert parse(value) == result


@pytest.mark.parametrize(
    ("parse", "value", "message"),
    [
        (listen, 8080, 'is not an address; write text in quotes, such as "127.0.0.1:8080"'),
        (listen, ":8080", '":8080" names no host; write "0.0.0.0:8080" to listen on every address'),
        (listen, "*:90", '"*:90" names no host; write "0.0.0.0:90" to listen on every address'),
        (listen, "127.0.0.1", '"127.0.0.1" names no port; write "127.0.0.1:8080"'),
        (listen, "a:99999", '"a:99999" is not an address; write "HOST:PORT", such as "127.0.0.1:8080"'),
        (listen, "::1:80", '"::1:80" is not an address; write "HOST:PORT", such as "127.0.0.1:8080"'),
        (listen, "fd:2", 'is no descriptor of a socket; write "fd:3" for the first that systemd hands over'),
        (listen, "unix:", 'names no socket; write "unix:/run/gateway.sock"'),
        (listen, "unix:/" + "x" * 107, "the socket path is longer than 107 bytes; write a shorter one"),
        (addresses.parse_network, "10.1.0.0/8", '"10.1.0.0/8" has bits set behind its length; write "10.0.0.0/8"'),
        (addresses.parse_network, "x", '"x" is not a network; write an address or a range, such as "10.0.0.0/8"'),
        (addresses.parse_network, 10, 'is not a network; write text in quotes, such as "10.0.0.0/8"'),
        (
            addresses.parse_endpoint,
            "a:5000",
            '"a:5000" is not an upstream URL; write "http://HOST:PORT" or "https://HOST:PORT"',
        ),
        (
            addresses.parse_endpoint,
            "http://a:5000/?x",
            '"http://a:5000/?x" is not an upstream URL; write "http://HOST:PORT" or "https://HOST:PORT"',
        ),
        (
            addresses.parse_endpoint,
            "http://a:5x",
            '"http://a:5x" is not an upstream URL; write "http://HOST:PORT" or "https://HOST:PORT"',
        ),
        (
            addresses.parse_endpoint,
            "http://u:p@a",
            "the URL carries a password; remove it and use headers = { set = { Authorization = .. } }",
        ),
        (
            addresses.parse_endpoint,
            "http://a/x/../y",
            'the path of "http://a/x/../y" is not canonical; write it plain, such as "http://host:5000/v2"',
        ),
        (
            addresses.parse_origin,
            "https://A.com/",
            '"https://A.com/" is never sent by a browser; write "https://a.com"',
        ),
        (
            addresses.parse_origin,
            "https://a.com:443",
            '"https://a.com:443" is never sent by a browser; write "https://a.com"',
        ),
        (addresses.parse_origin, "a.com", '"a.com" is not an origin; write "https://HOST", or "*" for everyone'),
        (texts.parse_name, "a b", "is not a name; write letters, digits, '_', '-' and '.', at most 64"),
        (texts.parse_header_name, "X:", 'is not a header name; write one such as "X-Example"'),
        (texts.parse_header_name, "Host", 'the gateway itself decides "Host"; remove it'),
        (
            header_value,
            "a\r\nb",
            "holds characters no header may carry; write visible ASCII, without spaces around it",
        ),
        (texts.parse_method, "get", '"get" is not a method, they are case-sensitive; write "GET"'),
        (texts.parse_method, "TRACE", '"TRACE" is never forwarded; remove it'),
        (texts.parse_host, "a:80", '"a:80" is not a host; write a name without port, such as "api.example.com"'),
        (texts.parse_template, "a", 'is not a path; write one that begins with "/", such as "/updates"'),
        (
            texts.parse_template,
            "/**/a",
            f'"**" {NO_PART}',
        ),
        (
            texts.parse_template,
            "/a/../b",
            f'".." {NO_PART}',
        ),
        (
            texts.parse_template,
            "/bot{token",
            f'"bot{{token" {NO_PART}',
        ),
        (
            texts.parse_template,
            "/a;{x}",
            f'"a;{{x}}" {NO_PART}',
        ),
        (
            texts.parse_template,
            "/{a}-{b}",
            '"{a}-{b}" has more than one {x} in one part; write one, with "/" before the next',
        ),
        (
            texts.parse_template,
            "/bot{to ken}/x",
            '"to ken" is no name for what a path captures; write letters, digits and \'_\', at most 32, such as "{id}"',
        ),
        (texts.parse_template, "/a{x}/{x}b", "uses one name for two parts; give each {part} its own name"),
        (texts.parse_template, "/{a}/{a}", "uses one name for two parts; give each {part} its own name"),
        (
            token_place,
            "body:x",
            'is not a place in a request; write "header:NAME" or "cookie:NAME" or "query:NAME" or "path:NAME"',
        ),
        (body_place, "json:a", 'is not a place in a request; write "form:NAME" or "json:/POINTER"'),
        (secret, "env:", 'names no environment variable; write "env:NAME"'),
        (secret, "file:", 'names no file; write "file:PATH"'),
        (secret, 5, 'is not a secret; write "env:NAME" or "file:PATH"'),
    ],
)
def test_what_is_written_wrong_is_told_what_to_write(
    parse: Callable[[object], object], value: object, message: str
) -> None:
    assert refusal(parse, value) == message


PARSERS = (listen, secret, header_value, token_place, addresses.parse_network, addresses.parse_endpoint,
           addresses.parse_origin, texts.parse_name, texts.parse_header_name, texts.parse_method, texts.parse_host,
           texts.parse_template, body_place)  # fmt: skip


@given(st.one_of(st.text(), st.text(alphabet="/:.[]*{}@?#%0a1htps"), st.integers(), st.none()))
def test_anything_is_read_or_refused_with_a_remedy(value: object) -> None:
    for parse in PARSERS:
        said = refusal(parse, value)
        assert said is None or "; " in said


def test_a_secret_is_not_shown_when_it_is_printed() -> None:
    assert "hunter2" not in repr(secret("hunter2"))


def test_a_secret_is_read_from_a_variable() -> None:
    assert references.read_secret(references.Secret("env", "A"), {"A": "x"}) == "x"


def test_a_secret_is_read_from_a_file_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("x y\n")
    assert references.read_secret(references.parse_secret("file:key", tmp_path), {}) == "x y"


@pytest.mark.parametrize(
    ("written", "content", "message"),
    [
        ("env:GONE", None, "the environment variable GONE is not set; set it before the gateway starts"),
        ("env:EMPTY", None, "the environment variable EMPTY is empty; put the secret there"),
        ("file:key", None, "cannot read {path} (no such file or directory); check the path and who may read it"),
        ("file:key", b"", "the file is empty; put the secret there"),
        ("file:key", b"\xff\xfe", "{path} is not text; name a text file (PEM or JSON for keys)"),
        ("file:key", b"x" * (1 << 20) + b"x", "{path} is larger than 1MiB; name a key or secret file"),
    ],
)
def test_a_secret_that_cannot_be_read_is_explained(
    tmp_path: Path, written: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    secret = references.parse_secret(written, tmp_path)
    assert refusal(references.read_secret, secret, {"EMPTY": ""}) == message.replace("{path}", str(tmp_path / "key"))


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1:1", True), ("127.9.9.9:1", True), ("[::1]:1", True), ("localhost:1", True), ("unix:/a", True),
     ("0.0.0.0:1", False), ("[::]:1", False), ("10.0.0.1:1", False), ("admin.internal:1", False)],
)  # fmt: skip
def test_only_addresses_of_this_machine_are_loopback(address: str, expected: bool) -> None:
    assert addresses.is_loopback(addresses.parse_listen(address, BASE)) is expected
