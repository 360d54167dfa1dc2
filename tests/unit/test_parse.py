"""The contract with aiohttp 3.14's C parsers, rule by rule (DESIGN.md section 6): what they let through, what they
refuse, and what the gateway refuses beyond that. A new aiohttp has to pass this file before the pin in pyproject.toml
moves.
"""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from aiohttp import __version__, http_parser
from hypothesis import given
from hypothesis import strategies as st

from gateway import parse
from gateway.bodies import CloseBody, LengthBody
from gateway.head import RequestHead, ResponseHead
from gateway.parse import Parsers
from gateway.pipeline import Refusal
from tests.kit.serving import HandLoop

PARSERS = Parsers(cast(asyncio.AbstractEventLoop, HandLoop()))
HOST = "Host: h.example"


def raw(*lines: str) -> bytes:
    return "".join(line + "\r\n" for line in (*lines, "")).encode("latin-1")


def read(*lines: str) -> RequestHead | Refusal:
    found = PARSERS.request(raw(*lines), "http")
    return found if isinstance(found, Refusal) else found[0]


def status_of(*lines: str) -> int:
    found = read(*lines)
    return found.status if isinstance(found, Refusal) else 0


def test_these_are_the_parsers_this_contract_was_written_for() -> None:
    assert __version__.startswith("3.14.")
    major, minor, patch = __version__.split(".")[:3]
    assert int(patch) >= 5 and (major, minor) == ("3", "14")


GET, POST = f"GET /a HTTP/1.1|{HOST}", f"POST /a HTTP/1.1|{HOST}"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (GET, 0),
        (f"GET /a HTTP/1.0|{HOST}", 0),
        ("GET /a HTTP/1.0", 0),  # no Host was needed then
        ("GET /a HTTP/1.1", 400),
        (f"GET /a HTTP/1.2|{HOST}", 505),
        (f"GET /a HTTP/2.0|{HOST}", 505),
        (f"GET /a HTTP/0.9|{HOST}", 505),
        (f"PRI * HTTP/2.0|{HOST}", 505),
        (f"GET /a HTTP/1.10|{HOST}", 400),
        (f"GET /a HTTP/1|{HOST}", 400),
        (f"GET /a http/1.1|{HOST}", 400),
        (f"GET /a HTTP/1.1 |{HOST}", 400),
        (f"GET  /a HTTP/1.1|{HOST}", 400),
        (f"GET /a  HTTP/1.1|{HOST}", 400),
        (f"GET /a b HTTP/1.1|{HOST}", 400),
        (f" GET /a HTTP/1.1|{HOST}", 400),
        ("GET /a", 400),
        (f"get /a HTTP/1.1|{HOST}", 501),
        (f"BREW /a HTTP/1.1|{HOST}", 501),
        (f"G@T /a HTTP/1.1|{HOST}", 400),
        (f"GET /a#b HTTP/1.1|{HOST}", 400),
        (f"GET /a?b#c HTTP/1.1|{HOST}", 400),
        (f"GET /a/../b HTTP/1.1|{HOST}", 400),
        (f"GET a HTTP/1.1|{HOST}", 400),
        (f"GET * HTTP/1.1|{HOST}", 400),
        (f"OPTIONS * HTTP/1.1|{HOST}", 0),
        (f"GET http://h.example/a HTTP/1.1|{HOST}", 0),
        (f"GET HTTP://H.EXAMPLE/a HTTP/1.1|{HOST}", 0),
        (f"GET http://other/a HTTP/1.1|{HOST}", 400),
        (f"GET http://h.example:80/a HTTP/1.1|{HOST}", 400),
        (f"GET http://u@h.example/a HTTP/1.1|{HOST}", 400),
        ("GET http://h.example/a HTTP/1.1", 400),
        ("GET http://h.example/a HTTP/1.0", 0),
        (f"{GET}|{HOST}", 400),
        (f"{GET}|Host: other", 400),
        ("GET /a HTTP/1.0|Host: a|Host: b", 400),
        ("GET /a HTTP/1.1|Host:", 400),
        ("GET /a HTTP/1.1|Host: a b", 400),
        ("GET /a HTTP/1.1|Host: a,b", 400),
        ("GET /a HTTP/1.1|Host: a@b", 400),
        ("GET /a HTTP/1.1|Host : a", 400),
        ("GET /a HTTP/1.1| Host: a", 400),
        (f"{POST}|Content-Length: 5", 0),
        (f"{POST}|Content-Length: 005", 0),
        (f"{POST}|Content-Length: 5|Content-Length: 5", 400),
        (f"{POST}|Content-Length: 5|Content-Length: 6", 400),
        (f"{POST}|Content-Length: 5, 5", 400),
        (f"{POST}|Content-Length: +5", 400),
        (f"{POST}|Content-Length: -5", 400),
        (f"{POST}|Content-Length: 5 5", 400),
        (f"{POST}|Content-Length: 0x5", 400),
        (f"{POST}|Content-Length:", 400),
        (f"{POST}|Content-Length: \xb2", 400),
        (f"{POST}|Content-Length: {2**64 + 5}", 400),
        (f"{POST}|Transfer-Encoding: chunked", 0),
        (f"{POST}|Transfer-Encoding: Chunked", 0),
        (f"{POST}|Transfer-Encoding: chunked|Content-Length: 5", 400),
        (f"{POST}|Content-Length: 5|Transfer-Encoding: chunked", 400),
        (f"{POST}|Transfer-Encoding: gzip, chunked", 501),
        (f"{POST}|Transfer-Encoding: chunked|Transfer-Encoding: chunked", 400),
        (f"{POST}|Transfer-Encoding: gzip|Transfer-Encoding: chunked", 400),
        (f"POST /a HTTP/1.0|{HOST}|Transfer-Encoding: chunked", 400),
        (f"{GET}|Authorization: a|Authorization: b", 400),
        (f"{GET}|Authorization: a|authorization: a", 400),
        (f"{GET}|Authorization: a", 0),
        (f"{GET}|Expect: 100-continue", 0),
        (f"{GET}|Expect: 100-Continue", 0),
        (f"{GET}|Expect: 200-ok", 417),
        (f"{GET}|X: a\x00b", 400),
        (f"{GET}|X: a\x01b", 400),
        (f"{GET}|X: a\x7fb", 400),
        (f"{GET}|X: a\rb", 400),
        (f"{GET}|X: a\nb", 400),
        (f"{GET}|X: y| folded", 400),
        (f"{GET}|X: y|\tfolded", 400),
        (f"{GET}|no colon", 400),
        (f"{GET}|: nameless", 400),
        (f"{GET}|X y: z", 400),
        (f"{GET}|X\xff: y", 400),
        (f"{GET}|X: \xff\xfe", 0),
        (f"{GET}|X: ", 0),
        (f"{GET}|X:\ty\t", 0),
        ("CONNECT h:80 HTTP/1.1|Host: h:80", 0),  # 405 by its method, once it is routed
        (f"TRACE /a HTTP/1.1|{HOST}", 0),
        (f"{GET}|Upgrade: websocket|Connection: upgrade", 0),
        (f"{GET}|Upgrade: h2c|HTTP2-Settings: AAMAAABk|Connection: Upgrade, HTTP2-Settings", 0),
    ],
)
def test_a_request_head_is_read_or_refused_with_a_status(head: str, status: int) -> None:
    assert status_of(*head.split("|")) == status


@pytest.mark.parametrize("change", [(b"\r\n", b"\n"), (b"HTTP/1.1\r\n", b"HTTP/1.1\n"), (b"h.example\r\n",
    b"h.example\n"), (b"\r\n", b"\r"), (b"\r\n", b"\n\r")])  # fmt: skip
def test_lines_end_in_crlf_and_in_nothing_else(change: tuple[bytes, bytes]) -> None:
    good = raw("GET /a HTTP/1.1", HOST, "X: y")
    assert isinstance(PARSERS.request(good.replace(*change), "http"), Refusal)


def test_every_refusal_closes_the_connection_and_echoes_nothing() -> None:
    found = read("GET /sec#ret HTTP/1.1", HOST)
    assert isinstance(found, Refusal) and found.close and "sec" not in found.detail + found.slug


@pytest.mark.parametrize(
    ("version", "connection", "keep"),
    [("1.1", "", True), ("1.1", "close", False), ("1.1", "Close", False), ("1.1", "keep-alive", True), ("1.0", "",
     False),
     ("1.0", "keep-alive", True), ("1.0", "close", False), ("1.1", "x, close", False), ("1.1", "close, keep-alive",
     False),
     ("1.0", "Keep-Alive", True)],
)  # fmt: skip
def test_whether_a_connection_stays_open_is_the_versions_default_or_what_was_said(
    version: str, connection: str, keep: bool
) -> None:
    head = read(f"GET /a HTTP/{version}", HOST, *([f"Connection: {connection}"] if connection else []))
    assert isinstance(head, RequestHead) and head.keep_alive is keep and head.version == int(version[2])


def test_the_fields_keep_their_order_and_spelling() -> None:
    head = read("GET /a HTTP/1.1", HOST, "x-B: 1", "X-a:  two words \t", "x-b: 3")
    assert isinstance(head, RequestHead)
    assert head.raw_headers[1:] == ((b"x-B", b"1"), (b"X-a", b"two words"), (b"x-b", b"3"))
    assert head.headers.getall("X-B") == ["1", "3"] and head.host == "h.example"


@pytest.mark.parametrize("upgrade", ["h2c", "websocket", "h2c, websocket", "foo/1"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_upgrade_never_swallows_a_body(upgrade: str, method: str) -> None:
    fields = (f"{method} /a HTTP/1.1", HOST, f"Upgrade: {upgrade}", "Connection: Upgrade")
    found = PARSERS.request(raw(*fields, "Content-Length: 3"), "http")
    assert isinstance(found, tuple) and isinstance(found[1], LengthBody)
    assert found[1].feed(b"abcGET /") == (b"abc", 3) and found[1].ended
    found = PARSERS.request(raw(*fields, "Transfer-Encoding: chunked"), "http")
    assert isinstance(found, tuple) and found[1] is not None
    assert found[1].feed(b"3\r\nabc\r\n0\r\n\r\nGET /") == (b"abc", 13) and found[1].ended


@given(st.binary(max_size=80) | st.lists(st.sampled_from([b"GET ", b"/a", b" HTTP/1.1\r\n", b"Host: h\r\n",
    b"X: y\r\n", b"\r\n", b"\n", b"\x00", b" ", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 1\r\n"]),
    max_size=8).map(b"".join))  # fmt: skip
def test_no_bytes_make_a_request_parser_raise(data: bytes) -> None:
    found = PARSERS.request(data + b"\r\n\r\n", "http")
    if isinstance(found, tuple):
        assert found[0].path.startswith(("/", "*")) and (found[1] is None) == (found[0].framing is None)


def answer(*lines: str, method: str = "GET") -> tuple[ResponseHead, object] | str:
    head = PARSERS.response(raw(*lines))
    return head if isinstance(head, str) else (head, PARSERS.body(head, raw(*lines), method))


OK = "HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    "head",
    [f"{OK}|Content-Length: 5|Transfer-Encoding: chunked", f"{OK}|Content-Length: 5|Content-Length: 5",
     f"{OK}|Content-Length: 5|Content-Length: 6", f"{OK}|Content-Length: 5, 5", f"{OK}|Content-Length: +5",
     f"{OK}|Content-Length: -1",
     f"{OK}|Content-Length: ", f"{OK}|Content-Length: 5x", f"{OK}|Content-Length: {2**70}",
     f"{OK}|Transfer-Encoding: gzip",
     f"{OK}|Transfer-Encoding: gzip, chunked", f"{OK}|Transfer-Encoding: chunked|Transfer-Encoding: chunked",
     "HTTP/1.0 200 OK|Transfer-Encoding: chunked", f"{OK}|X: a\x00b", f"{OK}|X: a\x01b", f"{OK}|X: a\x7fb",
     f"{OK}|X: y| folded",
     f"{OK}|X: y|\tfolded", f"{OK}| X: y", f"{OK}|X : y", f"{OK}|X y: z", f"{OK}|no colon", f"{OK}|: nameless",
     f"{OK}|X\xff: y",
     f"{OK}|X: a\rb", f"{OK}|X: a\nb", f"{OK}\nX: y", "HTTP/1.1 20 OK", "HTTP/1.1 2000 OK", "HTTP/1.1 abc OK",
     "HTTP/1.1 -20 OK",
     "HTTP/2.0 200 OK", "HTTP/1.2 200 OK", "HTTP/1.1  200 OK", "HTTP/1.1 200 O\x00K", "HTTP/1.1 000 OK", "ICY 200 OK",
     " HTTP/1.1 200 OK",
     "http/1.1 200 OK", "GET / HTTP/1.1", "", "<html>", f"{OK}|X[]: y"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_answer_that_is_no_strict_http_is_not_relayed(head: str, method: str) -> None:
    assert isinstance(answer(*head.split("|"), method=method), str)


@pytest.mark.parametrize(
    "change", [(b"\r\n", b"\n"), (b"OK\r\n", b"OK\n"), (b"y\r\n", b"y\n"), (b"X", b"\nX"), (b"X", b"\rX")]
)
def test_a_bare_lf_or_cr_in_an_answer_is_not_relayed(change: tuple[bytes, bytes]) -> None:
    assert isinstance(PARSERS.response(raw(OK, "X: y").replace(*change)), str)


@pytest.mark.parametrize(
    ("head", "method", "body"),
    [(f"{OK}|Content-Length: 5", "GET", "LengthBody"), (f"{OK}|Content-Length: 0", "GET", "NoneType"),
     (f"{OK}|Transfer-Encoding: chunked", "GET", "ChunkedBody"), (f"{OK}|Transfer-Encoding: Chunked", "GET",
     "ChunkedBody"),
     (OK, "GET", "CloseBody"), ("HTTP/1.0 200 OK", "GET", "CloseBody"), ("HTTP/1.0 200 OK|Content-Length: 5", "GET",
     "LengthBody"),
     (f"{OK}|Content-Length: 5", "HEAD", "NoneType"), (OK, "HEAD", "NoneType"), (f"{OK}|Transfer-Encoding: chunked",
     "HEAD", "NoneType"),
     ("HTTP/1.1 204 No Content", "GET", "NoneType"), ("HTTP/1.1 204 x|Content-Length: 5", "GET", "NoneType"),
     ("HTTP/1.1 204 x|Transfer-Encoding: chunked", "GET", "NoneType"), ("HTTP/1.1 304 x|Content-Length: 5", "GET",
     "NoneType"),
     ("HTTP/1.1 100 Continue", "GET", "NoneType"), ("HTTP/1.1 103 Early Hints|Link: x", "GET", "NoneType"),
     ("HTTP/1.1 101 x|Upgrade: websocket|Connection: upgrade", "GET", "NoneType"), ("HTTP/1.1 200", "GET", "CloseBody"),
     ("HTTP/1.1 200 ", "GET", "CloseBody"), ("HTTP/1.1 299 \xfc", "GET", "CloseBody"),
     ("HTTP/1.1 999 x|Content-Length: 1", "GET", "LengthBody"),
     (f"{OK}|Upgrade: h2c|Connection: upgrade|Content-Length: 5", "GET", "LengthBody"),
     (f"{OK}|Upgrade: h2c|Connection: upgrade|Transfer-Encoding: chunked", "GET", "ChunkedBody")],
)  # fmt: skip
def test_the_body_of_an_answer_is_framed_as_rfc_9112_6_3_says(head: str, method: str, body: str) -> None:
    found = answer(*head.split("|"), method=method)
    assert not isinstance(found, str) and type(found[1]).__name__ == body


@pytest.mark.parametrize(("head", "keep"), [(OK, True), (f"{OK}|Connection: close", False),
    ("HTTP/1.0 200 OK|Content-Length: 1", False),
                                            ("HTTP/1.0 200 OK|Connection: keep-alive|Content-Length: 1",
                                            True)])  # fmt: skip
def test_an_upstream_says_whether_its_connection_stays(head: str, keep: bool) -> None:
    found = answer(*head.split("|"))
    assert not isinstance(found, str)
    assert (found[0].keep_alive and not isinstance(found[1], CloseBody)) == (keep and "Content-Length" in head)


@given(st.binary(max_size=80).map(lambda data: b"HTTP/1.1 200 OK\r\n" + data))
def test_no_bytes_make_a_response_parser_raise(data: bytes) -> None:
    PARSERS.response(data + b"\r\n\r\n")


def test_a_missing_c_parser_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse, "HttpRequestParser", http_parser.HttpRequestParserPy)
    with pytest.raises(parse.MissingParserError, match=r"C parser is missing.*; install"):
        Parsers(cast(asyncio.AbstractEventLoop, HandLoop()))
