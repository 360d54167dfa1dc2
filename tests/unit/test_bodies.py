"""Message bodies, fed in any pieces: what they hold and where they end does not depend on how they were cut, and the
scanner that finds the end of a chunked body agrees with the C parser that decodes it, and with h11.
"""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import cast

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.bodies import BadBodyError, Body, ChunkedBody, ChunkScanner, CloseBody, LengthBody, Whole
from gateway.parse import Parsers
from tests.kit.serving import HandLoop

PARSERS = Parsers(cast(asyncio.AbstractEventLoop, HandLoop()))
REQUEST = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n"


def chunked(side: str = "request") -> Body:
    if side == "request":
        found = PARSERS.request(REQUEST, "http")
        body = found[1] if isinstance(found, tuple) else None
    else:
        head = PARSERS.response(ANSWER)
        body = PARSERS.body(head, ANSWER, "GET") if not isinstance(head, str) else None
    assert isinstance(body, ChunkedBody)
    return body


def feed(body: Body, data: bytes, cuts: list[int]) -> tuple[bytes, int]:
    """Everything the body gave, and how many bytes it took; pieces end at the cuts."""
    content, taken = b"", 0
    marks = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    for start, stop in zip([0, *marks[:-1]], marks, strict=True):
        if body.ended:
            break
        piece, took = body.feed(data[start:stop])
        assert took <= stop - start and (took == stop - start or body.ended)
        content += piece
        taken += took
    return content, taken


def outcome(data: bytes, cuts: list[int], side: str = "request") -> tuple[bytes, int, bool] | None:
    body = chunked(side)
    try:
        return (*feed(body, data, cuts), body.ended)
    except BadBodyError:
        return None


def decoded_by_h11(data: bytes) -> tuple[bytes, int]:
    """What h11 makes of it: content, and bytes that belong to the body."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(REQUEST + data)
    content = b""
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        assert event is not h11.NEED_DATA
        content += bytes(event.data) if isinstance(event, h11.Data) else b""
    return content, len(data) - len(connection.trailing_data[0])


EXTENSIONS = st.sampled_from([b"", b"", b";a", b";a=b", b';a="b c"', b";" + b"x" * 300])
CHUNKS = st.tuples(st.binary(min_size=1, max_size=40), EXTENSIONS, st.sampled_from(["%x", "%X", "%04x"])).map(
    lambda one: (one[2] % len(one[0])).encode() + one[1] + b"\r\n" + one[0] + b"\r\n"
)
TRAILERS = st.sampled_from([b"", b"", b"X: y\r\n", b"A: b\r\nC:\r\n", b"X: " + b"y" * 500 + b"\r\n"])
BODIES = st.tuples(st.lists(CHUNKS, max_size=5).map(b"".join), st.sampled_from([b"0", b"000", b"0;x"]), TRAILERS).map(
    lambda parts: parts[0] + parts[1] + b"\r\n" + parts[2] + b"\r\n"
)
CUTS = st.lists(st.integers(0, 400), max_size=12)


@given(BODIES, CUTS, st.sampled_from([b"", NEXT, b"\r\n", b"0\r\n\r\n"]), st.sampled_from(["request", "response"]))
def test_a_body_ends_where_h11_says_and_takes_nothing_of_what_follows(
    data: bytes, cuts: list[int], after: bytes, side: str
) -> None:
    content, size = decoded_by_h11(data)
    assert size == len(data)
    assert outcome(data + after, cuts, side) == (content, len(data), True)


def test_a_body_may_be_split_at_every_byte() -> None:
    data = b"3;a=b\r\nabc\r\nA\r\n\r\n0\r\n\r\n012\r\n0\r\nX: y\r\n\r\n"
    whole = (b"abc\r\n0\r\n\r\n012", len(data), True)
    for cut in range(len(data) + 1):
        assert outcome(data + NEXT, [cut]) == whole
    assert outcome(data + NEXT, list(range(len(data)))) == whole


@given(BODIES, CUTS)
def test_a_body_that_is_not_all_there_has_not_ended(data: bytes, cuts: list[int]) -> None:
    found = outcome(data[:-1], cuts)
    assert found is not None and found[1:] == (len(data) - 1, False)


NOISE = st.sampled_from(
    [b"\r", b"\n", b"\r\n", b"0", b"5", b"a", b";", b" ", b"\t", b"\x00", b"-", b"+", b"x", b"\xff", b":"]
)


@given(BODIES, st.integers(0, 200), NOISE, CUTS, st.booleans())
@example(b"5\r\nabcde\r\n0\r\n\r\n", 1, b"\r", [], False)
def test_a_damaged_body_is_refused_or_read_alike_however_it_is_cut(
    data: bytes, at: int, noise: bytes, cuts: list[int], insert: bool
) -> None:
    at = min(at, len(data))
    damaged = data[:at] + noise + data[at if insert else at + len(noise) :]
    once, again = outcome(damaged, []), outcome(damaged, cuts)
    byte_by_byte = outcome(damaged, list(range(len(damaged))))
    if once is not None or again is not None or byte_by_byte is not None:
        # a fault after the end of the body is nobody's; one before it is found at the latest with the last piece
        assert once == again == byte_by_byte


@pytest.mark.parametrize("side", ["request", "response"])
@pytest.mark.parametrize(
    "data",
    [b"0x5\r\nabcde\r\n", b"+5\r\nabcde\r\n", b"-5\r\n", b" 5\r\nabcde\r\n", b"5 \r\nabcde\r\n", b"5\t\r\nabcde\r\n",
     b"5\nabcde\r\n",
     b"5\r\nabcde\n0\r\n\r\n", b"5\r\nabcdeX\r\n0\r\n\r\n", b"5\r\nabcdef\r\n0\r\n\r\n", b"5\r\nabcd\r\n0\r\n\r\n",
     b"\r\n", b"g\r\n",
     b"5_0\r\n", b"5;a\nabcde\r\n", b"5;\x00\r\nabcde\r\n", b"5;a\rb\r\nabcde\r\n", b"10000000000000005\r\n",
     b"0\n\n", b"0\r\n\n",
     b"0\r\nX: y\n\r\n", b"0\r\n" + b"x" * 2000, b"5;" + b"x" * 2000, b"0\r\n" + b"X: y\r\n" * 3000 + b"\r\n",
     b"5\r\nabcde\r\r\n",
     b"\xb2\r\n", b"5,5\r\n", b"5.0\r\n", b"0\r\nno colon\r\n\r\n", b"0\r\n folded\r\n\r\n"],
    ids=lambda data: ascii(data[:12]),
)  # fmt: skip
def test_broken_framing_is_refused(data: bytes, side: str) -> None:
    assert outcome(data + b"\r\n" * 3, [], side) is None
    assert outcome(data + b"\r\n" * 3, list(range(60)), side) is None


def test_controls_in_trailers_are_refused_from_clients_and_dropped_from_upstreams() -> None:
    data = b"0\r\nX: a\x00b\r\n\r\n"
    assert outcome(data, [], "request") is None
    assert outcome(data, [], "response") == (b"", len(data), True)


def test_a_large_chunk_is_passed_on_as_it_comes() -> None:
    body = chunked()
    assert body.feed(b"fffffff\r\n") == (b"", 9)
    for _ in range(8):
        assert body.feed(b"x" * 200_000) == (b"x" * 200_000, 200_000)
    assert not body.ended


def test_a_feed_as_large_as_a_socket_gives_is_taken_whole() -> None:
    data = b"x" * (256 * 1024)
    body = chunked()
    content, taken = body.feed(b"40000\r\n" + data + b"\r\n0\r\n\r\n" + NEXT)
    assert content == data and taken == len(data) + 14 and body.ended


def test_the_scanner_takes_nothing_after_the_end() -> None:
    scanner = ChunkScanner()
    assert scanner.scan(b"0\r\n\r\n" + NEXT) == 5 and scanner.ended
    assert scanner.scan(NEXT) == 0


@given(st.binary(max_size=50), st.integers(0, 60), CUTS)
def test_a_counted_body_ends_after_its_length(data: bytes, length: int, cuts: list[int]) -> None:
    body = LengthBody(length)
    content, taken = feed(body, data, cuts)
    assert content == data[:length] and taken == len(content)
    assert body.ended is (len(data) >= length)


@given(st.binary(max_size=50), CUTS)
def test_a_body_until_close_takes_everything_and_does_not_end(data: bytes, cuts: list[int]) -> None:
    body = CloseBody()
    assert feed(body, data, cuts) == (data, len(data)) and not body.ended


def test_a_body_read_whole_costs_little_more_than_its_length_in_however_small_pieces() -> None:
    whole, pieces = Whole(65_536), [b"%02d" % (number % 100) for number in range(30_000)]
    tracemalloc.start()
    for piece in pieces:
        whole.add(bytes(bytearray(piece)))
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert whole.take() == b"".join(pieces)
    assert taken < 1.5 * whole.size


def again(data: bytes) -> bytes:
    """The same chunks without extensions and trailers."""
    lines, rest = [], data
    while True:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        if not length:
            return b"".join([*lines, b"0\r\n\r\n"])
        lines.append(size.partition(b";")[0] + b"\r\n" + rest[: length + 2])
        rest = rest[length + 2 :]


@given(BODIES, CUTS, st.sampled_from([b"", NEXT]))
def test_the_chunks_of_an_answer_are_passed_on_as_they_were_however_they_were_cut(
    data: bytes, cuts: list[int], after: bytes
) -> None:
    body, passed, content = chunked("response"), b"", b""
    marks = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    for start, stop in zip([0, *marks[:-1]], marks, strict=True):
        piece, _ = body.feed(data[start:stop] + (after if stop == len(data) else b""))
        assert body.framed is not None
        passed += body.framed
        content += piece
    assert passed == again(data)
    assert decoded_by_h11(passed) == (content, len(passed))


def test_a_size_is_passed_on_once_it_is_known_and_a_client_waits_for_no_end_of_a_chunk() -> None:
    body = chunked("response")
    assert isinstance(body, ChunkedBody)
    shown = []
    for piece in (b"1", b"0;x", b"\r\n", b"0123", b"456789abcdef", b"\r", b"\n", b"0", b"\r\n", b"X: y\r\n", b"\r\n"):
        body.feed(piece)
        shown.append((body.framed, body.between))
    assert shown == [(b"", True), (b"", True), (b"10\r\n", False), (b"0123", False), (b"456789abcdef", False),
                     (b"\r", False), (b"\n", True), (b"", True), (b"", True), (b"", True),
                     (b"0\r\n\r\n", True)]  # fmt: skip


def test_the_chunks_of_a_request_are_nobodys_business() -> None:
    body = chunked("request")
    body.feed(b"3\r\nabc\r\n")
    assert body.framed is None
