"""Where rates, caps and leases live, as people write it: a parser of `state.url`. Errors are ValueErrors whose text is
"what is wrong; what to write instead".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from gateway.config.durations import quoted

Kind = Literal["memory", "shared", "redis"]
PORT = 6379


@dataclass(frozen=True, slots=True)
class StateUrl:
    """`memory://` (this process), `shared://` (the workers of this machine) or a Redis server: then `host`, `port` and
    the number of the `database` say which, and with `tls` it is spoken to in TLS (`rediss://`)."""

    kind: Kind
    host: str = ""
    port: int = 0
    database: int = 0
    tls: bool = False

    def __str__(self) -> str:
        if self.kind != "redis":
            return f"{self.kind}://"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"redis{'s' if self.tls else ''}://{host}:{self.port}/{self.database}"


def parse_state(value: object) -> StateUrl:
    """`"memory://"`, `"shared://"`, `"redis://HOST[:PORT][/DATABASE]"` or the same with `rediss://`."""
    if not isinstance(value, str):
        raise ValueError('is no URL; write text in quotes, such as "shared://"')
    if value == "memory://":
        return StateUrl("memory")
    if value == "shared://":
        return StateUrl("shared")
    try:
        url = urlsplit(value)
        host, port = url.hostname, url.port
    except ValueError:
        host, port, url = None, None, urlsplit("")
    if "@" in value:
        raise ValueError('the URL carries a name or a password; write user = ".." and password = "env:.." beside it')
    if url.scheme not in ("redis", "rediss") or not host or port == 0 or "?" in value or "#" in value:
        text = 'is no place for state; write "memory://", "shared://", or "redis://HOST:6379/0"'
        raise ValueError(f"{quoted(value)} {text}")
    database = url.path.removeprefix("/") or "0"
    if not (database.isdecimal() and database.isascii() and len(database) < 5):
        raise ValueError(f'{quoted(database)} is not the number of a database; write "redis://{host}:{port or PORT}/0"')
    return StateUrl("redis", host, port or PORT, int(database), url.scheme == "rediss")
