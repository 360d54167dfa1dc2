"""What a connection keeps of the request before: whoever repeats its header fields is read as if he had sent them for
the first time.
"""

from __future__ import annotations

import asyncio
from typing import cast

from hypothesis import example, given
from hypothesis import strategies as st

from gateway import parse
from gateway.head import Fields
from gateway.parse import Parsers
from gateway.pipeline import Refusal
from tests.kit.serving import HandLoop

PARSERS = Parsers(cast(asyncio.AbstractEventLoop, HandLoop()))

TARGETS = [
    "/a",
    "/a?x=1",
    "/a/b/?q=%20",
    "/",
    "/%61",
    "/a/../b",
    "/a?\x7f",
    "*",
    "http://h.example/a",
    "/b;c",
    "/a?b?c",
]
LINES = [f"{method} {target} HTTP/1.{minor}" for method in ("GET", "POST", "get", "OPTIONS", "CONNECT", "FOO", "")
         for target in TARGETS for minor in (0, 1, 2)]  # fmt: skip
BLOCKS = [
    "Host: h.example\r\n",
    "Host: h.example\r\nAuthorization: Bearer a.b.c\r\n",
    "Host: h.example\r\nAuthorization: Bearer a.b.d\r\n",
    "Host: other.example\r\n",
    "Host: h.example\r\nConnection: close\r\n",
    "Host: h.example\r\nContent-Length: 3\r\n",
    "Host: h.example\r\nContent-Length: 0\r\n",
    "Host: h.example\r\nTransfer-Encoding: chunked\r\n",
    "Host: h.example\r\nExpect: 100-continue\r\nContent-Length: 3\r\n",
    "Host: h.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
    "Host: h.example\r\nX: " + "x" * 2100 + "\r\n",
    "Host: h.example\r\nbad name: x\r\n",
    "X: no host\r\n",
    "",
]


def shown(found: object) -> object:
    """All that a head says."""
    if isinstance(found, Refusal):
        return found
    head, body = found  # type: ignore[misc]
    names = ("method", "path", "query", "host", "raw_headers", "version", "length", "chunked", "keep_alive", "expect",
             "framing", "scheme")  # fmt: skip
    return [getattr(head, name) for name in names], list(head.headers.items()), type(body)


def read(line: str, block: str, before: Fields | None) -> tuple[object, Fields | None]:
    found = PARSERS.request(f"{line}\r\n{block}\r\n".encode("latin-1"), "http", before)
    return shown(found), None if isinstance(found, Refusal) else found[0].fields


@given(st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from(BLOCKS)), min_size=2, max_size=6))
@example([("GET /a HTTP/1.1", BLOCKS[0]), ("GET /a HTTP/1.0", BLOCKS[0])])
@example([("GET /a HTTP/1.1", BLOCKS[0]), ("CONNECT /a HTTP/1.1", BLOCKS[0])])
def test_a_request_is_read_alike_whatever_came_before_it(requests: list[tuple[str, str]]) -> None:
    before: Fields | None = None
    for line, block in requests:
        alone, _ = read(line, block, None)
        behind, kept = read(line, block, before)
        assert behind == alone
        before = kept or before


def test_who_repeats_his_fields_shares_them_with_his_request_before() -> None:
    _, first = read("GET /a HTTP/1.1", BLOCKS[1], None)
    _, second = read("DELETE /b?c HTTP/1.1", BLOCKS[1], first)
    assert first is not None and second is first


def test_nothing_is_kept_of_a_body_a_last_request_or_long_fields() -> None:
    for block in BLOCKS[4:6] + BLOCKS[7:9] + BLOCKS[10:]:
        assert read("POST /a HTTP/1.1", block, None)[1] is None, block


def test_a_line_that_needs_no_parser_is_one_that_the_parser_would_let_pass_and_read_alike() -> None:
    for form in ("/a%s", "/%s", "/a?%s", "/a?b%sc"):
        for code in range(256):
            raw = b"GET " + form.encode().replace(b"%s", bytes([code])) + b" HTTP/1.1\r\nHost: h.example\r\n\r\n"
            line = parse._USUAL_LINE.match(raw)
            if line is not None and line[2]:
                found = PARSERS._read_request(raw, "http", None)
                assert not isinstance(found, Refusal), raw
                assert (found[0].path.encode(), found[0].query.encode()) == (line[2], line[3] or b"")
