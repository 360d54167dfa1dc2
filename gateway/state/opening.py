"""The store that the configuration names. What others share has to be started, and closed at the end."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from gateway.config.references import read_secret
from gateway.state.memory import MemoryStore
from gateway.state.redis import RedisStore
from gateway.state.redis_session import Where

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config.schema.server import State
    from gateway.machine.part import Part

Opened: TypeAlias = MemoryStore | RedisStore


def open_store(state: State, part: Part, wall: Callable[[], float], environ: Mapping[str, str]) -> Opened:
    """Not started yet. Raises ValueError with a sentence for the operator."""
    if state.url.kind == "memory":
        return MemoryStore()
    if state.url.kind == "redis":
        return RedisStore(_where(state, environ), state.prefix, state.on_failure, wall)
    raise ValueError(f"state.url: {state.url} needs workers that share it; write workers = 2, or more")


def _where(state: State, environ: Mapping[str, str]) -> Where:
    try:
        password = read_secret(state.password, environ) if state.password is not None else None
    except ValueError as error:
        raise ValueError(f"state.password: {error}") from None
    return Where(state.url, state.user, password, _context(state.ca) if state.url.tls else None)


def _context(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        reason = "it holds no certificate" if isinstance(error, ssl.SSLError) else str(error.strerror).lower()
        raise ValueError(f"state.ca: {ca}: {reason}; name a PEM file with the authority's certificate") from None
