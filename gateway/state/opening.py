"""The store that the configuration names. What others share has to be started, and closed at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from gateway.config.references import read_secret
from gateway.state.memory import MemoryStore
from gateway.state.redis import RedisStore
from gateway.state.redis_session import Where

if TYPE_CHECKING:
    from gateway.config.schema.server import State
    from gateway.machine.part import Part

Opened: TypeAlias = MemoryStore | RedisStore


def open_store(state: State, part: Part, wall: Callable[[], float], environ: Mapping[str, str]) -> Opened:
    """Not started yet. Raises ValueError with a sentence for the operator."""
    if state.url.kind == "memory":
        return MemoryStore()
    if state.url.kind == "redis":
        password = read_secret(state.password, environ) if state.password is not None else None
        return RedisStore(Where(state.url, state.user, password, state.ca), state.prefix, state.on_failure, wall)
    raise ValueError(f"state.url: {state.url} needs workers that share it; write workers = 2, or more")
