"""A Redis server for the tests of stores: one for each worker of a test run, and a prefix of its own for each test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.kit.redis_server import RedisServer, common_server, redis_server

_prefixes = itertools.count()


@pytest.fixture(scope="session")
def redis() -> RedisServer:
    return common_server()


@pytest.fixture
def prefix() -> str:
    return f"test{next(_prefixes)}"


@pytest.fixture
def own() -> Iterator[RedisServer]:
    """A server that the test may break."""
    with redis_server() as server:
        yield server
