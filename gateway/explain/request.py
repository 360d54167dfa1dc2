"""The request that a person describes with METHOD, URL, -H and a body, as the bytes a client would send. Pure; what is
wrong with the request itself is left for the gateway to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ABSOLUTE = re.compile(r"(?:https?)://([^/?#]*)([^#]*)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


@dataclass(frozen=True, slots=True)
class Described:
    """A request. `host` is None when neither the URL nor a header names one; `peer` is the client's address."""

    method: str
    target: str
    host: str | None
    headers: tuple[tuple[str, str], ...] = ()
    data: bytes | None = None
    peer: str = "127.0.0.1"

    def raw(self, host: str) -> bytes:
        """The bytes on the wire, sent to `host` where the description names none."""
        names = {name.lower() for name, _ in self.headers}
        lines = [f"{self.method} {self.target} HTTP/1.1"]
        if "host" not in names:
            lines.append(f"Host: {self.host or host}")
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.data is not None and not names & {"content-length", "transfer-encoding"}:
            lines.append(f"Content-Length: {len(self.data)}")
        head = "\r\n".join((*lines, "", "")).encode("utf-8", "surrogateescape")
        return head + (self.data or b"")


def describe(
    method: str, url: str, headers: tuple[tuple[str, str], ...] = (), data: bytes | None = None, peer: str = "127.0.0.1"
) -> Described:
    """Reads METHOD and URL as typed; the URL is not made canonical, and a fragment is left out as clients do.

    Raises ValueError ("what; remedy") for what no client could send.
    """
    if _METHOD.fullmatch(url) and "/" in method:
        raise ValueError(f"METHOD comes before URL; write {url} {method}")
    if not _METHOD.fullmatch(method):
        raise ValueError("METHOD is not a method; write one such as GET")
    if _CONTROL.search(url):
        raise ValueError("URL holds a space or a control character; write %20 for a space")
    absolute = _ABSOLUTE.match(url)
    host: str | None = None
    if absolute is not None:
        host, target = absolute.groups()
        target = target if target.startswith("/") else "/" + target
    elif url.startswith("/") or url == "*":
        target = url.partition("#")[0]
    else:
        raise ValueError("URL is neither an address nor a path; write http://HOST/PATH or /PATH")
    if host == "":
        raise ValueError("URL names no host; write http://HOST/PATH or /PATH")
    named = next((value for name, value in headers if name.lower() == "host"), host)
    return Described(method, target, named, headers, data, peer)
