"""A Redis server for the tests of stores: one for each worker of a test run, and a prefix of its own for each test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.kit.redis_server import RedisServer, redis_server

_prefixes = itertools.count()


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
def prefix() -> str:
    return f"test{next(_prefixes)}"
