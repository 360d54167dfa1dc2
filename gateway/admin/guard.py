"""Who may ask the admin listener anything. Decisions only, on a request's headers: the Host, against a web page that
found a name for this address (DNS rebinding); the Origin, against other pages; the token; what only a program sends.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from gateway.config.addresses import is_loopback

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

    from gateway.config.schema import Admin

WRITES = "Gateway-Admin"  # no form can send it, and no page of elsewhere without being asked about it first
PAGES = {"/": "overview", "/held": "held", "/trends": "trends"}  # of the dashboard: there is no data in them
OPEN = frozenset({"/healthz", "/readyz"})
_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::[0-9]{0,5})?")


class No(NamedTuple):
    """Why a request is not answered: a status and a sentence for whoever sent it."""

    status: int
    error: str


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of one listener. `hosts` are the names it may be called by, None when nobody asks (a unix socket);
    `token` is the digest of the secret, None when there is none."""

    hosts: frozenset[str] | None
    loopback: bool
    token: bytes | None


def access(admin: Admin, token: str | None) -> Access:
    """The rules of `[admin]`; `token` is the secret it names."""
    listen = admin.listen
    hosts = None if listen.path is not None else frozenset({"localhost", listen.host.lower(), *admin.hosts})
    return Access(hosts, is_loopback(listen), _digest(token) if token is not None else None)


def refuse(rules: Access, headers: CIMultiDictProxy[str], scheme: str, path: str) -> No | None:
    """Why this request goes no further, whatever it asks for. Without a Host it is HTTP/1.0, and from no browser."""
    hosts = [host.lower() for host in headers.getall("Host", [])]
    if not all(_is_own(rules, host) for host in hosts):
        return No(421, "this Host is none of the admin listener's; use its address, or list the name in admin.hosts")
    if not all(_is_own_page(origin.lower(), scheme, hosts) for origin in headers.getall("Origin", [])):
        return No(403, "the request comes from a web page of another origin")
    if "cross-site" in headers.getall("Sec-Fetch-Site", []) and not _follows_a_link(headers, path):
        return No(403, "the request comes from a web page of another site")
    if rules.token is not None and not is_open(path) and not _has_token(rules.token, headers):
        return No(401, "the admin token is needed: Authorization: Bearer ..")
    return None


def refuse_write(rules: Access, headers: CIMultiDictProxy[str]) -> No | None:
    """Why a request that passed may still change nothing: without a token anybody's web page could have sent it."""
    if rules.token is None and WRITES not in headers:
        return No(403, f"a request that changes something needs the header {WRITES}: 1")
    return None


def is_open(path: str) -> bool:
    """Whether a path is answered without the token: there is nothing to know from it."""
    return path in OPEN or path in PAGES or path.startswith("/static/")


def _follows_a_link(headers: CIMultiDictProxy[str], path: str) -> bool:
    """From a wiki or a chat to a page of the dashboard: the page has no data, and nobody may frame it."""
    return path in PAGES and headers.getall("Sec-Fetch-Mode", []) == ["navigate"]


def _is_own_page(origin: str, scheme: str, hosts: list[str]) -> bool:
    """Also when an edge before this listener speaks TLS: nobody else has a page of this name and port."""
    return len(hosts) == 1 and origin in (f"{scheme}://{hosts[0]}", f"https://{hosts[0]}")


def _is_own(rules: Access, host: str) -> bool:
    """An address cannot be rebound: a page that was loaded from it has it for its origin. A name can."""
    match = _AUTHORITY.fullmatch(host)
    name = (match[1] or match[2]) if match is not None else ""
    if rules.hosts is None or name in rules.hosts:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback or not rules.loopback
    except ValueError:
        return False


def _has_token(token: bytes, headers: CIMultiDictProxy[str]) -> bool:
    given = headers.getall("Authorization", [])
    scheme, _, secret = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    return hmac.compare_digest(_digest(secret.strip(" ")), token) and scheme.lower() == "bearer"


def _digest(secret: str) -> bytes:
    """Of one length, so that a comparison tells nothing of the other's."""
    return sha256(secret.encode("utf-8", "surrogateescape")).digest()
