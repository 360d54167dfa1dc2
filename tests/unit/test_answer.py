"""Answers as bytes for one client: framing, persistence and date, for every version, method and status."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any

import h11
import pytest

from gateway.edge.answer import answer_bytes, http_date, persistence, relay_bytes
from gateway.head import END
from gateway.upstream.headers import HOP_BY_HOP, compile_drops
from tests.kit.heads import response

DROPS = compile_drops(HOP_BY_HOP)
JSON = ((b"Content-Type", b"application/json"),)


def read(raw: bytes, method: str = "GET") -> tuple[int, dict[str, str], bytes, bool]:
    """Status, fields, body and whether the connection stays, as h11 reads them."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "h")]))
    client.send(h11.EndOfMessage())
    client.receive_data(raw)
    head, body = client.next_event(), b""
    assert isinstance(head, h11.Response)
    while isinstance(event := client.next_event(), h11.Data):
        body += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage), event
    assert not client.trailing_data[0]
    fields = {name.decode(): value.decode() for name, value in head.headers}
    assert len(fields) == len(head.headers)
    return head.status_code, fields, body, client.their_state is h11.DONE


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("status", [200, 204, 304, 404, 503])
@pytest.mark.parametrize("keep", [True, False])
def test_an_own_answer_is_whole_and_framed(status: int, method: str, keep: bool) -> None:
    raw = answer_bytes(status, JSON, b'{"a":1}', method, 1, keep)
    found, fields, body, stays = read(raw, method)
    assert (found, stays) == (status, keep)
    assert body == (b"" if method == "HEAD" or status in (204, 304) else b'{"a":1}')
    assert fields.get("content-length") == (None if status in (204, 304) else "7")
    assert fields["content-type"] == "application/json" and parsedate_to_datetime(fields["date"])


@pytest.mark.parametrize(
    ("version", "keep", "line"),
    [
        (1, True, b""),
        (1, False, b"Connection: close\r\n"),
        (0, True, b"Connection: keep-alive\r\n"),
        (0, False, b"Connection: close\r\n"),
    ],
)
def test_only_what_the_version_does_not_mean_is_said_about_the_connection(
    version: int, keep: bool, line: bytes
) -> None:
    assert persistence(version, keep) == line
    assert line in answer_bytes(200, (), b"", "GET", version, keep)


@pytest.mark.parametrize(
    ("status", "headers", "length", "method", "version", "chunked", "stays"),
    [
        (200, {"Content-Length": "3"}, 3, "GET", 1, False, True),
        (200, {"Content-Length": "0"}, 0, "GET", 1, False, True),
        (200, {}, None, "GET", 1, True, True),
        (200, {"Transfer-Encoding": "chunked"}, None, "GET", 1, True, True),
        (200, {}, None, "GET", 0, False, False),
        (200, {"Content-Length": "3"}, 3, "GET", 0, False, True),
        (200, {}, None, "HEAD", 1, False, True),
        (200, {"Content-Length": "3"}, 3, "HEAD", 1, False, True),
        (204, {}, None, "GET", 1, False, True),
        (204, {"Content-Length": "3"}, 3, "GET", 1, False, True),
        (304, {"Content-Length": "3"}, 3, "GET", 1, False, True),
        (304, {}, None, "GET", 0, False, True),
    ],
)
def test_a_relayed_answer_is_framed_for_this_client(
    status: int, headers: Any, length: int | None, method: str, version: int, chunked: bool, stays: bool
) -> None:
    raw, is_chunked, keeps = relay_bytes(
        response(status, headers, length), DROPS, b"Ours: 1\r\n", method, version, True
    )
    assert (is_chunked, keeps) == (chunked, stays)
    assert raw.count(b"Transfer-Encoding: chunked\r\n") == chunked and b"Ours: 1\r\n" in raw
    assert raw.endswith(b"\r\n") and not raw.endswith(b"\r\n\r\n"), "lines of the call may follow"
    assert (b"Content-Length" in raw) == ("Content-Length" in headers and status != 204)
    body = (
        b""
        if method == "HEAD" or status in (204, 304)
        else b"3\r\nabc\r\n0\r\n\r\n"
        if chunked
        else b"x" * (length or 0)
    )
    if stays and version == 1:
        assert read(raw + END + body, method)[0] == status


def test_a_connection_that_is_not_kept_is_never_kept() -> None:
    for version in (0, 1):
        raw, _, keeps = relay_bytes(response(200, {"Content-Length": "0"}, 0), DROPS, b"", "GET", version, False)
        assert not keeps and b"Connection: close\r\n" in raw


def test_nothing_an_upstream_says_about_its_connection_reaches_the_client() -> None:
    head = response(
        200, {"Connection": "keep-alive, X-Hop", "Keep-Alive": "timeout=5", "X-Hop": "1", "Upgrade": "h2c"}, 0
    )
    raw = relay_bytes(head, DROPS, b"", "GET", 1, True)[0]
    assert [line for line in raw.split(b"\r\n") if line and not line.startswith(b"Date: ")] == [b"HTTP/1.1 200 "]


def test_a_date_is_that_of_its_second() -> None:
    assert http_date(784_111_777) == b"Sun, 06 Nov 1994 08:49:37 GMT"
