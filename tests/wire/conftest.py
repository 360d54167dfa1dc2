"""Wire tests run on both event loops: what a transport does with FIN, RST and buffers differs between them.
A test that need not says `@pytest.mark.asyncio(loop_factories=["asyncio"])`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping

import pytest
import uvloop

from gateway.telemetry import log, otlp_traces
from tests.kit.certificates import Certificate, make_certificate


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A self-signed certificate for localhost and 127.0.0.1."""
    return make_certificate(tmp_path_factory.mktemp("tls"), "localhost", "127.0.0.1")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records and spans of gateways on a test's own loop are handed over when they are made: what a test looks at
    is what they say. Gateways in a process of their own gather them as ever."""
    monkeypatch.setattr(log, "FLUSH_EVERY", 0.002)
    monkeypatch.setattr(otlp_traces, "FLUSH_EVERY", 0.002)


@pytest.fixture
def halfway(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever draws an instant of a drain draws the middle: one who draws its very beginning is not held at all."""
    monkeypatch.setattr(random, "random", lambda: 0.5)
