"""What goes wrong with a Redis server, in few words for counters and in sentences for the operator: what it is, where,
and what to do about it.
"""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING

from redis.exceptions import AuthenticationError, InvalidResponse, RedisError

if TYPE_CHECKING:
    from gateway.config.states import StateUrl

Problem = RedisError | OSError | EOFError | TimeoutError | ValueError

_CODES = """WRONGTYPE OOM READONLY MISCONF NOREPLICAS MOVED ASK CROSSSLOT CLUSTERDOWN NOSCRIPT LOADING BUSY NOAUTH
WRONGPASS NOPERM NOPROTO MASTERDOWN"""
_CODE = re.compile(rf"\b({'|'.join(_CODES.split())})\b")
_SAME = {"ASK": "moved", "CROSSSLOT": "moved", "NOPROTO": "old"}

REMEDIES = {
    "refused": "nothing listens there; start the server, or correct the address",
    "timeout": "it does not answer; see whether the address is right, and what stands between",
    "name": "the name is not known; correct the address, or the resolver of this machine",
    "unreachable": "there is no way to it; see whether the address is right, and what stands between",
    "wrongpass": "it refuses the user or the password; correct state.user and state.password",
    "noauth": "it asks for a password; write password = \"env:REDIS_PASSWORD\" in [state]",
    "noperm": "its user may not do what is needed; give it the commands and keys that docs/state.md lists",
    "not redis": "what answers there is no Redis server; correct the address",
    "old": "it is older than Redis 6; take a newer one, or Valkey",
    "tls": "it speaks no TLS; write redis://, or turn TLS on there",
    "plain": "it closes the connection at once, as a server does that wants TLS; write rediss:// if it does",
    "certificate": "its certificate is not to be trusted; name its authority in state.ca, or correct the host name",
    "database": "it has no database of that number; write one that it has",
    "readonly": "it is a read-only replica; name its primary in state.url",
    "oom": "its memory is full; raise maxmemory, or give this gateway a server of its own",
    "misconf": "it cannot save to disk, and so takes no writes; make room, or turn saving off there",
    "moved": "it is a node of a cluster, which is not supported; name a server that stands alone",
    "clusterdown": "it is a node of a cluster, which is not supported; name a server that stands alone",
    "noreplicas": "it takes no writes without its replicas; bring them back, or lower min-replicas-to-write",
    "loading": "it is still reading its data from disk",
    "busy": "a script of somebody else runs on it; end that by SCRIPT KILL",
    "wrongtype": "something else wrote to keys of this gateway; give it a state.prefix of its own",
    "noscript": "it was made to forget its scripts; it is told them again",
    "masterdown": "it is a replica without its primary; name the primary in state.url",
    "forgotten": "it has forgotten this node; it is told again what is lent",
    "garbage": "what it answers makes no sense; see whether something between changes it",
    "lost": "it closed the connection",
    "slow": "it did not answer in time",
    "full": "it takes in nothing any more",
    "other": "see what its log says",
}  # fmt: skip


def kind_of(error: BaseException | str) -> str:
    """One of REMEDIES."""
    text = str(error)
    code = _CODE.search(text)
    if code is not None:
        return _SAME.get(code[1], code[1].lower())
    if isinstance(error, str):
        return _of_text(error)
    return _of_type(error, text)


def _of_text(text: str) -> str:
    if "DB index is out of range" in text or "invalid DB index" in text.lower():
        return "database"
    if "unknown command" in text and "HELLO" in text.upper():
        return "old"
    return "other"


def _of_type(error: BaseException, text: str) -> str:
    chain = [error, error.__cause__, error.__context__]
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in chain) or "CERTIFICATE_VERIFY_FAILED" in text:
        return "certificate"
    if any(isinstance(one, ssl.SSLError) for one in chain) or "SSL" in text:
        return "tls"
    if isinstance(error, AuthenticationError) or "invalid username-password" in text or "invalid password" in text:
        return "wrongpass" if "without any password" not in text else "noauth"
    if isinstance(error, InvalidResponse) or "Protocol error" in text:
        return "not redis"
    if isinstance(error, ValueError):
        return "garbage"
    for found, kind in _WORDS.items():
        if found in text.lower():
            return kind
    if isinstance(error, TimeoutError) or "timeout" in text.lower():
        return "timeout"
    return _of_text(text)


_WORDS = {
    "forgotten": "forgotten",
    "refused": "refused",
    "no such file": "refused",
    "name or service": "name",
    "name resolution": "name",
    "no address": "name",
    "nodename": "name",
    "unreachable": "unreachable",
    "no route": "unreachable",
    "closed by server": "plain",
    "reset by peer": "plain",
    "connection lost": "lost",
    "closed the connection": "lost",
    "takes in nothing": "full",
}


def sentence(url: StateUrl, kind: str, error: BaseException | str = "") -> str:
    """What is wrong; what to do about it."""
    said = f" ({str(error)[:200]})" if kind == "other" and str(error) else ""
    return f"state.url: {url}: {REMEDIES[kind]}{said}"
