"""The request target and the Host: from the bytes a client sent to one canonical value that is routed, logged and
forwarded alike. What two servers could read in two ways is refused, never repaired. Pure functions.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

# The usual case: nothing to decode, no empty or dot segment, no parameter. One match and the path is its own canon.
_SEGMENTS: Final = r"(?:/[A-Za-z0-9\-_~!$&'()*+,=:@][A-Za-z0-9\-._~!$&'()*+,=:@]*)*/?"
_PLAIN: Final = re.compile(_SEGMENTS)
USUAL: Final = rf"({_SEGMENTS})(?:\?([!$-~]*))?"  # a whole target that is its own canon, if its path is not empty
_USUAL: Final = re.compile(USUAL)
_PATH: Final = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,=:@/]|%[0-9A-Fa-f]{2})+")
_ESCAPE: Final = re.compile("%([0-9A-Fa-f]{2})")
_AMBIGUOUS: Final = re.compile("%(?:2f|5c|3b|0[0-9a-f]|1[0-9a-f]|7f|25[0-9a-f]{2})", re.IGNORECASE)
_QUERY: Final = re.compile(r"[!$-~]*")  # visible ASCII without " and #; what a browser leaves raw is let through
_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_HOST: Final = re.compile(r"(?:\[[0-9a-f:.]{2,45}\]|[a-z0-9](?:[a-z0-9._\-]{0,252}))(?::[0-9]{1,5})?", re.IGNORECASE)
_ABSOLUTE: Final = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)


class Target(NamedTuple):
    """A canonical path, the raw query, and the authority of an absolute-form target (None otherwise)."""

    path: str
    query: str
    authority: str | None


def parse_target(target: str) -> Target | None:
    """Splits and canonicalises a request target (RFC 9112 3.2); None where it is malformed or ambiguous.

    A target that begins with `/` is origin-form; `http://` or `https://` is absolute-form; `*` stands for itself.
    """
    usual = _USUAL.fullmatch(target)
    if usual is not None and usual.start(1) != usual.end(1):
        return Target(usual.group(1), usual.group(2) or "", None)
    authority = None
    if not target.startswith("/"):
        if target == "*":
            return Target("*", "", None)
        match = _ABSOLUTE.fullmatch(target)
        if match is None:
            return None
        authority, target = match.group(1).lower(), match.group(2) or "/"
        if target[0] == "?":
            target = "/" + target
    raw, _, query = target.partition("?")
    path = canonical_path(raw)
    if path is None or not _QUERY.fullmatch(query):
        return None
    return Target(path, query, authority)


def canonical_path(raw: str) -> str | None:
    """The one spelling of a path, or None where it is ambiguous (RFC 3986 6.2.2, and stricter).

    Escaped unreserved characters are decoded, the hex of other escapes is upper case. Refused are dot segments,
    empty segments, `;`, a backslash, NUL and other controls, their escapes, escaped slashes, escapes of escapes,
    and bytes that are not UTF-8: proxies and servers disagree on all of them.
    """
    if not raw.startswith("/"):
        return None
    if _PLAIN.fullmatch(raw):
        return raw
    if not _PATH.fullmatch(raw) or _AMBIGUOUS.search(raw):
        return None
    try:
        unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        return None
    path = _ESCAPE.sub(_normal_escape, raw)
    if _AMBIGUOUS.search(path):
        return None  # decoding made an escape that was not there
    segments = path.split("/")[1:]
    if any(segment in (".", "..") for segment in segments) or "" in segments[:-1]:
        return None
    return path


def _normal_escape(match: re.Match[str]) -> str:
    code = int(match.group(1), 16)
    return chr(code) if code in _UNRESERVED else f"%{code:02X}"


@lru_cache(maxsize=1024)
def canonical_host(value: str) -> str | None:
    """The Host field in lower case, or None where it is no `uri-host [":" port]` (RFC 9110 7.2)."""
    if _HOST.fullmatch(value) and ".." not in value:
        return value.lower()
    return None


@lru_cache(maxsize=1024)
def without_port(host: str) -> str:
    """The name or bracketed address of a canonical host."""
    if host.startswith("["):
        return host[: host.index("]") + 1]
    return host.partition(":")[0].rstrip(".")
