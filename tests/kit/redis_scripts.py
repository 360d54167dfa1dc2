"""The scripts that run in a Redis server, asked by hand: as any of several owners, at any time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import orjson

from gateway.state.redis_words import Script

from .redis_nodes import at_told_times_text
from .redis_server import RedisServer

EPOCH = 1_767_225_600  # as in decide.lua
START = 1_800_000_000.0
_prefixes = itertools.count()


class Asker:
    """Asks the scripts as any of several owners, at any time."""

    def __init__(self, server: RedisServer) -> None:
        self.redis = server.client()
        self.prefix = f"lua{next(_prefixes)}"
        self._decide, self._node = (Script(name, at_told_times_text) for name in ("decide", "node"))
        for script in (self._decide, self._node):
            self.redis.script_load(script.text)
        self.time = 0.0
        self.at(START)

    def at(self, seconds: float) -> None:
        whole, micro = divmod(round(seconds * 1_000_000), 1_000_000)
        self.redis.delete(f"{self.prefix}:time")
        self.redis.rpush(f"{self.prefix}:time", whole, micro)
        self.time = (whole - EPOCH) + micro / 1e6

    def node(self, owner: str, verb: str, *more: str) -> Any:
        return self.redis.evalsha(self._node.digest, 1, f"{self.prefix}:nodes", owner, verb, *more)

    def join(self, owner: str) -> None:
        self.node(owner, "join", "0", "1000")

    def ask(self, owner: str, *asks: Sequence[Any]) -> list[Any]:
        """The answers to those of them that take something."""
        answers, errors = orjson.loads(
            self.redis.evalsha(self._decide.digest, 1, f"{self.prefix}:nodes", owner, orjson.dumps(asks))
        )
        assert not errors
        return answers or []

    def take(self, owner: str, number: int, tokens: Sequence[Any] = (), places: Sequence[Any] = ()) -> Any:
        (answer,) = self.ask(owner, ("take", number, "call", 0, True, tokens, places))
        return answer
