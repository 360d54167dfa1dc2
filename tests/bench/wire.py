"""The bytes of the bench: requests written once, just enough reading of answers to see where one ends."""

from __future__ import annotations

import resource


def raise_descriptors() -> None:
    """Lifts the soft limit of open files to the hard one."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def request(path: str, token: str, method: str = "GET", body: bytes = b"") -> bytes:
    """One request with a bearer token, ready for the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench.local", "User-Agent: bench", "Accept: application/json",
             f"Authorization: Bearer {token}"]  # fmt: skip
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


LARGE_BODY = 100 * 1024
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 1.3
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
MESSAGE = b"m" * 100
ASKED = b"\x82\xe4" + bytes(4) + MESSAGE  # one message from a client: masked, with zeros
ECHOED = b"\x82\x64" + MESSAGE  # and from a server


def handshake(token: str) -> bytes:
    """One WebSocket handshake with a bearer token."""
    lines = ("GET /echo HTTP/1.1", "Host: bench.local", "Connection: Upgrade", "Upgrade: websocket",
             "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}", f"Authorization: Bearer {token}")  # fmt: skip
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer_end(data: bytes) -> int:
    """Where the first answer in `data` ends; 0 while it is incomplete (RFC 9112 section 6, no trailers)."""
    end = data.find(b"\r\n\r\n") + 4
    if end == 3:
        return 0
    if data[9:12] in (b"204", b"304"):
        return end
    head = data[:end].lower()
    at = head.find(b"\r\ncontent-length:")
    if at >= 0:
        length = int(head[at + 17 : head.index(b"\r\n", at + 17)])
        return end + length if len(data) >= end + length else 0
    if data.startswith(b"0\r\n\r\n", end):
        return end + 5
    at = data.find(b"\r\n0\r\n\r\n", end)
    return at + 7 if at >= 0 else 0


def status(answer: bytes) -> int:
    return int(answer[9:12])


def body(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]
