"""Which gateway is watched: its admin listener, as a configuration names it or a person types it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from gateway.config.addresses import Listen, parse_listen
from gateway.reaching import base_url, with_port


@dataclass(frozen=True, slots=True)
class Where:
    """Whom to ask: what stands before the path of a page, the name to show, and the unix socket if it is one."""

    base: str
    name: str
    socket: str | None = None


def at(listen: Listen) -> Where:
    return Where(base_url(listen), str(listen), listen.path)


def parse_url(text: str) -> Where:
    """`"http://HOST:PORT"`, `"https://HOST"` of an edge before it, `"HOST:PORT"` or `"unix:PATH"`; else ValueError."""
    if not text.startswith(("http://", "https://")):
        return at(with_port(parse_listen(text, Path.cwd())))
    try:
        url = urlsplit(text)
        plain = bool(url.hostname) and url.port != 0 and not {"@", "?", "#"} & set(text) and text.isprintable()
    except ValueError:
        plain = False
    if not plain:
        raise ValueError('is not the address of an admin listener; write one such as "http://127.0.0.1:9090"')
    return Where(text.rstrip("/"), text.rstrip("/"))
