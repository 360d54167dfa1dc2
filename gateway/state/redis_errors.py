"""What goes wrong with a Redis server, in few words for counters and in sentences for the operator: what it is, where,
and what to do about it.
"""

from __future__ import annotations

import re
import socket
import ssl
from typing import TYPE_CHECKING

from hiredis import ProtocolError
from redis.exceptions import AuthenticationError, InvalidResponse
from redis.exceptions import TimeoutError as RedisTimeout

if TYPE_CHECKING:
    from gateway.state.condition import Condition
    from gateway.state.redis import OnFailure
    from gateway.state.redis_session import Where

_CODES = """WRONGTYPE OOM READONLY MISCONF NOREPLICAS MOVED ASK CROSSSLOT CLUSTERDOWN NOSCRIPT LOADING BUSY NOAUTH
WRONGPASS NOPERM NOPROTO MASTERDOWN TRYAGAIN"""
_CODE = re.compile(rf"\b({'|'.join(_CODES.split())})\b")
_SAME = {"ASK": "moved", "TRYAGAIN": "moved", "CROSSSLOT": "moved", "NOPROTO": "old"}

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
    "loading": "it is still reading its data from disk; it is asked again until it is done",
    "busy": "a script of somebody else runs on it; end that by SCRIPT KILL",
    "wrongtype": "something else wrote to keys of this gateway; give it a state.prefix of its own",
    "noscript": "it was made to forget its scripts; it is told them again",
    "masterdown": "it is a replica without its primary; name the primary in state.url",
    "forgotten": "it has forgotten this node; it is told again what is lent",
    "garbage": "what it answers makes no sense; see whether something between changes it",
    "lost": "it closed the connection; see what its log says",
    "slow": "it did not answer in time; see how busy it is, and what stands between",
    "full": "it takes in nothing any more; see how busy it is, and what stands between",
    "clients": "it has as many connections as it takes; raise maxclients there, or see who holds them",
    "protected": "it only takes connections of its own machine; give it a password, or turn protected-mode off there",
    "other": "it refuses for a reason that is not known here; see what its log says",
}  # fmt: skip


class LostError(ConnectionError):
    """The connection is gone; the text says why."""


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
    for words, kind in _WORDS.items():
        if words in text.lower():
            return kind
    return "other"


def _of_type(error: BaseException, text: str) -> str:
    """Of what redis-py or the system raised: it leaves the code out, and wraps one in another."""
    for one in (error, error.__cause__, error.__context__):
        for kinds, kind in _TYPES.items():
            if isinstance(one, kinds):
                return kind
    found = _of_text(text)
    if found == "other" and isinstance(error, AuthenticationError):
        return "wrongpass"
    return "timeout" if found == "other" and isinstance(error, (TimeoutError, RedisTimeout)) else found


_TYPES: dict[type[BaseException], str] = {
    ssl.SSLCertVerificationError: "certificate",
    ssl.SSLError: "tls",
    ConnectionRefusedError: "refused",
    FileNotFoundError: "refused",
    socket.gaierror: "name",
    InvalidResponse: "not redis",
    ProtocolError: "not redis",
    ValueError: "garbage",
    TypeError: "garbage",
    LookupError: "garbage",
    AttributeError: "garbage",
}
_WORDS = {
    "certificate_verify_failed": "certificate",
    "ssl": "tls",
    "already authenticated": "noauth",
    "authentication required": "noauth",
    "without any password": "wrongpass",
    "db index": "database",
    "unknown command": "old",
    "the user executing the script": "noperm",
    "acl failure": "noperm",
    "loading the dataset": "loading",
    "max number of clients": "clients",
    "protected mode": "protected",
    "cluster mode": "moved",
    "forgotten": "forgotten",
    "connect call failed": "refused",
    "unreachable": "unreachable",
    "no route": "unreachable",
    "closed by server": "plain",
    "reset by peer": "plain",
    "connection lost": "lost",
    "closed the connection": "lost",
    "takes in nothing": "full",
    "broken pipe": "plain",
    "timeout": "timeout",
    "timed out": "timeout",
}


def sentence(where: Where, kind: str, error: BaseException | str = "") -> str:
    """What is wrong; what to do about it."""
    url, said = where.url, ""
    if kind == "timeout" and url.tls:
        said = "; if it speaks no TLS, write redis://"
    if kind == "plain" and url.tls:
        kind = "lost"
    if kind == "other" and str(error):
        said = f" ({_shown(str(error), where.password)})"
    return f"state.url: {url}: {REMEDIES[kind]}{said}"


def _shown(text: str, password: str | None) -> str:
    """The words of a server that may be anybody's: on one line, not at length, and never what we told it."""
    if password:
        text = text.replace(password, "***")
    return "".join(letter if letter.isprintable() else " " for letter in text[:200])


def standing(condition: Condition, on_failure: OnFailure) -> str:
    """How the server is now."""
    if condition.answers:
        return f"state.url: {condition.url}: it answers again"
    return f"{condition.why}; {_MEANWHILE[on_failure]} until it answers"


_MEANWHILE = {
    "local": "each node decides alone within its share of each limit",
    "closed": "what has a limit is refused",
    "open": "nothing is limited",
}
