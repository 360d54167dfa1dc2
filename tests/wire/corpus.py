"""Requests that two servers might read in two ways, made by hand and by a small grammar. Each case is the bytes of an
attack, its name, and whether it has to be refused. NNNN in a target stands for the number the test gives to a case.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

SMUGGLED = b"GET /smuggled-NNNN HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = "POST /case-NNNN HTTP/1.1"
HOST = "Host: localhost"
CHUNKED = "Transfer-Encoding: chunked"


@dataclass(frozen=True)
class Case:
    """`refused`: no byte of it may reach the upstream as a whole request. Otherwise it may be served, if harmlessly."""

    name: str
    data: bytes
    refused: bool = True


def head(*lines: str, end: str = "\r\n") -> bytes:
    return (end.join(lines) + end + end).encode("latin-1")


def show(text: str) -> str:
    return text.encode("unicode_escape").decode()[:50]


BAD_LENGTHS = [
    "+5", "-5", "--5", "0x5", "5,5", "5, 5", "5,6", "5;", "5.0", "5e0", "5_0", "5 5", "5\x0b", "\x0b5", "5\x00",
    "5\x0c", "NaN", "", "five", "\xb2", "\xd9\xa5", "99999999999999999999", "18446744073709551621", "9" * 300, "0b101",
    "05h", "5\x85", "\xa05", "(5)", "'5'", "5\\r\\n",
]  # fmt: skip
GOOD_LENGTHS = ["5 ", " 5", "5\t", "005"]
BAD_CODINGS = [
    "chunked, chunked", "chunked,chunked", "identity", "identity, chunked", "chunked, identity", "gzip, chunked",
    "chunked, gzip", "xchunked", "chunkedx", "chunke", "x-chunked", "\"chunked\"", "'chunked'", "chunked;q=1",
    "chunked; foo=bar", "chunked,", ",chunked", ", chunked", "\x0bchunked", "chunked\x0b", "\x0cchunked",
    "chunked\x00", "\x00chunked", "chu nked", "chunk\x00ed", "\xa0chunked", "chunked\x85", "cow", "", "*", "trailers",
    "deflate", "compress", "chunked\x08", "\\chunked", "ch\xfcnked", "chunked chunked", "[chunked]",
]  # fmt: skip
GOOD_CODINGS = ["Chunked", "CHUNKED", " chunked", "chunked ", "\tchunked", "chunked\t"]
BAD_NAMES = [
    "{} ", "{}\t", "{}\x0b", "{}\x00", " {}", "\t{}", "{}\xa0", "\x0b{}", "{}\r", "\r{}", "X:\n{}", "X: y\r{}",
    "\x00{}", "{}\x7f", "({})", "\"{}\"", "{},", "\xff{}",
]  # fmt: skip
BAD_SIZES = [
    "0x5", "+5", "-5", " 5", "\t5", "5 ", "5\t", "5 ;a", "", "g", "5g", "5_", "5\x0b", "\x005", "5\x00", "5.0", "5,5",
    "100000000000000005", "FFFFFFFFFFFFFFFFF5", "0" * 300 + "5", "\xb2", "5;\x00", "5;a=\x0b", "5;a\rb", "5\r\r",
]  # fmt: skip
BAD_SIZE_ENDS = ["\n", "\r", "\n\r", "\r\r\n", " \n", ";a=b\n"]
EXTENSIONS = ["5;a", "5;a=b", '5;a="b c"', "5;;", "5; a = b", "5;" + "x" * 200, "05", "00000005"]
BAD_TRAILERS = [
    "Content-Length: 5", "Transfer-Encoding: chunked", "Host: evil.test", "Authorization: Bearer x",
    "Content-Length : 5", " folded", "no colon", "X: a\x00b", "\x00",
]  # fmt: skip
BAD_LINES = [
    "POST  /case-NNNN HTTP/1.1", "POST /case-NNNN  HTTP/1.1", "POST\t/case-NNNN HTTP/1.1", "POST /case-NNNN\tHTTP/1.1",
    " POST /case-NNNN HTTP/1.1", "POST /case-NNNN HTTP/1.1 ", "POST /case-NNNN HTTP/1.1\t", "POST /case-NNNN",
    "POST /case-NNNN HTTP/1.1 x", "POST /case-NNNN http/1.1", "POST /case-NNNN HTTP/01.1", "POST /case-NNNN HTTP/1.10",
    "POST /case-NNNN HTTP/1,1", "POST /case-NNNN HTTP/1.", "POST /case-NNNN HTTP /1.1", "POST /case-NNNN HTTPS/1.1",
    "POST /case-NNNN ICY/1.1", "POST /case-NNNN HTTP/1.1\x00", "PO\x00ST /case-NNNN HTTP/1.1",
    "POST /ca\x00se-NNNN HTTP/1.1", "POST /ca se HTTP/1.1", "POST /ca\rse HTTP/1.1", "\x0bPOST /case-NNNN HTTP/1.1",
    "POST\x0b/case-NNNN HTTP/1.1", "POST /case-NNNN HTTP/+1.1", "POST /case-NNNN HTTP/1.1\r",
    "(POST) /case-NNNN HTTP/1.1", "POST /case-NNNN HTTP/1.1\r\n", "HTTP/1.1 200 OK", "POST", "/case-NNNN HTTP/1.1",
    "POST /case-NNNN HTTP/2.0", "POST /case-NNNN HTTP/3", "POST /case-NNNN HTTP/0.9", "POST /case-NNNN HTTP/1.\xb2",
]  # fmt: skip
BAD_FIELDS = [
    "no colon", ": empty name", "Na me: x", "N\x00: x", "X: a\x00b", "X: a\rb", "X: a\nb", "X: a\x0bb\x7f\x01",
    "X\xff: y", "X: y\r\n folded", "X: y\r\n\tfolded", "X:\r\n folded", "X: a\x1bb", "{X}: y", "X: y\n\tz: 1", "X;: y",
    "X@y: z",
]  # fmt: skip


def lengths() -> Iterator[Case]:
    for value in BAD_LENGTHS:
        yield Case(f"CL {show(value)}", head(POST, HOST, f"Content-Length: {value}") + b"AAAAA" + SMUGGLED)
    for value in GOOD_LENGTHS:
        yield Case(f"CL good {show(value)}", head(POST, HOST, f"Content-Length: {value}") + b"AAAAA", refused=False)
    for one, two in (("5", "5"), ("5", "6"), ("0", "48"), ("5", "05"), ("5", ""), ("", "5"), ("5", "+5"), ("-1", "5")):
        for name in ("Content-Length", "content-length", "CONTENT-LENGTH"):
            lines = head(POST, HOST, f"Content-Length: {one}", "X: y", f"{name}: {two}")
            yield Case(f"CL twice {one} {two} {name}", lines + b"AAAAA" + SMUGGLED)


def codings() -> Iterator[Case]:
    body = b"5\r\nAAAAA\r\n0\r\n\r\n"
    for value in BAD_CODINGS:
        yield Case(f"TE {show(value)}", head(POST, HOST, f"Transfer-Encoding: {value}") + body)
        lines = head(POST, HOST, f"Transfer-Encoding: {value}", "Content-Length: 5")
        yield Case(f"TE {show(value)} and CL", lines + b"0\r\n\r\n" + SMUGGLED)
        yield Case(f"TE twice chunked {show(value)}", head(POST, HOST, CHUNKED, f"Transfer-Encoding: {value}") + body)
    for value in GOOD_CODINGS:
        yield Case(f"TE good {show(value)}", head(POST, HOST, f"Transfer-Encoding: {value}") + body, refused=False)
        lines = head(POST, HOST, "Content-Length: 5", f"Transfer-Encoding: {value}")
        yield Case(f"CL and TE {show(value)}", lines + b"0\r\n\r\n" + SMUGGLED)
    yield Case("TE and CL 0", head(POST, HOST, CHUNKED, "Content-Length: 0") + body)
    yield Case("TE twice", head(POST, HOST, CHUNKED, CHUNKED) + body)
    yield Case("TE twice around", head(POST, CHUNKED, HOST, "transfer-encoding: chunked") + body)
    for version in ("1.0",):
        line = f"POST /case-NNNN HTTP/{version}"
        yield Case("TE on 1.0", head(line, HOST, CHUNKED, "Connection: keep-alive") + body)
        yield Case("TE and CL on 1.0", head(line, HOST, CHUNKED, "Content-Length: 5") + b"0\r\n\r\n" + SMUGGLED)


def names() -> Iterator[Case]:
    body = b"5\r\nAAAAA\r\n0\r\n\r\n"
    for form in BAD_NAMES:
        yield Case(
            f"CL name {show(form)}", head(POST, HOST, f"{form.format('Content-Length')}: 5") + b"AAAAA" + SMUGGLED
        )
        yield Case(f"TE name {show(form)}", head(POST, HOST, f"{form.format('Transfer-Encoding')}: chunked") + body)
        lines = head(POST, HOST, "Content-Length: 5", f"{form.format('Transfer-Encoding')}: chunked")
        yield Case(f"TE name {show(form)} and CL", lines + b"0\r\n\r\n" + SMUGGLED)
    for name in ("Content_Length", "Transfer_Encoding", "Content-Length-X", "X-Content-Length"):
        value = "chunked" if name.startswith("T") else "5"
        yield Case(f"not a framing field {name}", head(POST, HOST, f"{name}: {value}"), refused=False)
    yield Case("TE folded", head(POST, HOST, "Transfer-Encoding:\r\n chunked") + body)
    yield Case("TE folded tab", head(POST, HOST, "Transfer-Encoding: \r\n\tchunked") + body)
    yield Case("CL folded", head(POST, HOST, "Content-Length: 5\r\n 5") + b"A" * 55)
    yield Case(
        "TE hidden by a fold", head(POST, HOST, "Content-Length: 5", "X: y\r\n Transfer-Encoding: chunked") + b"AAAAA"
    )


def chunks() -> Iterator[Case]:
    start = head(POST, HOST, CHUNKED)
    for size in BAD_SIZES:
        text = size.encode("latin-1")
        yield Case(f"chunk {show(size)}", start + text + b"\r\nAAAAA\r\n0\r\n\r\n" + SMUGGLED)
    for end in BAD_SIZE_ENDS:
        yield Case(f"chunk end {show(end)}", start + b"5" + end.encode() + b"AAAAA\r\n0\r\n\r\n" + SMUGGLED)
        yield Case(f"chunk data end {show(end)}", start + b"5\r\nAAAAA" + end.encode() + b"0\r\n\r\n" + SMUGGLED)
        yield Case(f"last chunk end {show(end)}", start + b"5\r\nAAAAA\r\n0" + end.encode() + b"\r\n" + SMUGGLED)
    for size in EXTENSIONS:
        data = size.encode() + b"\r\nAAAAA\r\n0;last\r\n\r\n"
        yield Case(f"chunk extension {show(size)}", start + data, refused=False)
    yield Case("chunk extension with a newline", start + b"5;a=\n\r\nAAAAA\r\n0\r\n\r\n" + SMUGGLED)
    yield Case("chunk longer than said", start + b"5\r\nAAAAAA\r\n0\r\n\r\n" + SMUGGLED)
    yield Case("chunk shorter than said", start + b"5\r\nAAAA\r\n0\r\n\r\n" + SMUGGLED)
    yield Case("chunk without CRLF", start + b"5\r\nAAAAA0\r\n\r\n" + SMUGGLED)
    yield Case("last chunk then LF", start + b"0\r\n\n" + SMUGGLED)
    yield Case("last chunk then CR", start + b"0\r\n\rX" + SMUGGLED)
    for zero in ("00", "000", "0" * 16):
        yield Case(f"last chunk {zero}", start + zero.encode() + b"\r\n\r\n", refused=False)
    for line in BAD_TRAILERS:
        yield Case(f"trailer {show(line)}", start + b"0\r\n" + line.encode("latin-1") + b"\r\n\r\n", refused=False)
    yield Case("trailer ended by LF", start + b"0\r\nX: y\n\r\n" + SMUGGLED)
    yield Case("trailer without end", start + b"0\r\nX: y\r\n" + SMUGGLED, refused=False)


def lines() -> Iterator[Case]:
    for line in BAD_LINES:
        yield Case(f"line {show(line)}", head(line, HOST, "Content-Length: 5") + b"AAAAA" + SMUGGLED)
    for field in BAD_FIELDS:
        yield Case(f"field {show(field)}", head(POST, HOST, field, "Content-Length: 5") + b"AAAAA" + SMUGGLED)
    yield Case("bare LF everywhere", head(POST, HOST, "Content-Length: 5", end="\n") + b"AAAAA" + SMUGGLED)
    yield Case("bare CR everywhere", head(POST, HOST, "Content-Length: 5", end="\r") + b"AAAAA" + SMUGGLED)
    yield Case("bare LF at the end", head(POST, HOST, "Content-Length: 5")[:-2] + b"\nAAAAA" + SMUGGLED)
    yield Case("bare LF after the line", POST.encode() + b"\n" + head(HOST, "Content-Length: 5") + b"AAAAA" + SMUGGLED)
    yield Case("CRLF before the line", b"\r\n" + head(POST, HOST, "Content-Length: 5") + b"AAAAA", refused=False)
    yield Case("LF before the line", b"\n" + head(POST, HOST, "Content-Length: 5") + b"AAAAA", refused=False)
    yield Case("field before Host folded", head(POST, " X: y", HOST, "Content-Length: 5") + b"AAAAA" + SMUGGLED)
    yield Case("obs-text value", head(POST, HOST, "X: \xe9\xff", "Content-Length: 5") + b"AAAAA", refused=False)
    yield Case("two hosts", head(POST, HOST, "Host: evil.test", "Content-Length: 5") + b"AAAAA" + SMUGGLED)
    yield Case("host folded", head(POST, "Host: localhost\r\n .evil.test", "Content-Length: 5") + b"AAAAA" + SMUGGLED)


def odd_but_legal() -> Iterator[Case]:
    for method in ("GET", "HEAD", "DELETE", "OPTIONS"):
        line = f"{method} /case-NNNN HTTP/1.1"
        yield Case(f"{method} with a body", head(line, HOST, "Content-Length: 5") + b"AAAAA", refused=False)
        data = head(line, HOST, CHUNKED) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
        yield Case(f"{method} with a request inside", data, refused=False)
    inside = head(POST, HOST, f"Content-Length: {len(SMUGGLED)}") + SMUGGLED
    yield Case("a request inside a body", inside, refused=False)
    upgrade = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    yield Case("h2c with a body", head(POST, HOST, *upgrade, "Content-Length: 5") + b"AAAAA", refused=False)
    websocket = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    yield Case("websocket", head("GET /case-NNNN HTTP/1.1", HOST, *websocket), refused=False)
    hidden = head(POST, HOST, "Connection: Content-Length", "Content-Length: 5") + b"AAAAA"
    yield Case("Connection names Content-Length", hidden, refused=False)
    hidden = head(POST, HOST, "Connection: Transfer-Encoding", CHUNKED) + b"0\r\n\r\n"
    yield Case("Connection names Transfer-Encoding", hidden, refused=False)
    yield Case("expects something else", head(POST, HOST, "Expect: 200-ok", "Content-Length: 5") + b"AAAAA")
    yield Case(
        "expects twice", head(POST, HOST, "Expect: 100-continue", "Expect: x", "Content-Length: 0"), refused=False
    )


def corpus() -> list[Case]:
    """Every case, by unique name."""
    cases = [*lengths(), *codings(), *names(), *chunks(), *lines(), *odd_but_legal()]
    found = {case.name: case for case in cases}
    assert len(found) == len(cases), [case.name for case in cases if found[case.name] is not case]
    return cases
