"""The collector: where it is, what it wants to be told with every export, and who sends. Also what exporters only log:
why an export failed. Imported only where `telemetry.otlp` is set.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import Resource

from gateway import __version__
from gateway.config.references import read_secret
from gateway.telemetry.record import clean

if TYPE_CHECKING:
    from gateway.config import schema

TIMEOUT = 5.0  # seconds one export may take, repetitions included
MAX_REASON = 300  # characters
SILENT = logging.NullHandler()  # stays when nobody listens any more: or the last words of a thread would go to stderr


def endpoint(table: schema.Telemetry, signal: str) -> str:
    """The URL for `traces`, `metrics` or `logs`."""
    return f"{table.otlp}/v1/{signal}"


def headers(table: schema.Telemetry, environ: Mapping[str, str]) -> dict[str, str]:
    """What goes along with every export. Raises ValueError ("what; remedy") for a secret that is not there."""
    return {name: read_secret(value, environ).strip(" \t") for name, value in table.headers.items()}


def resource(table: schema.Telemetry, worker: int | None = None) -> Resource:
    """Who sends: one per process, and which worker of its machine that is. `OTEL_RESOURCE_ATTRIBUTES` may add to it."""
    who: dict[str, str | int] = {
        "service.name": table.service_name,
        "service.version": __version__,
        "service.instance.id": str(uuid.uuid4()),
    }
    return Resource.create(who if worker is None else who | {"gateway.worker": worker})


class Reasons(logging.Handler):
    """Takes what the exporters of one thread would have logged, which is a line for every export that fails, and keeps
    the first of it until it is asked for."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._thread = 0
        self._first = ""
        self._logger = logging.getLogger("opentelemetry")
        self._logger.propagate = False
        self._logger.addHandler(SILENT)
        self._logger.addHandler(self)

    def listen(self) -> None:
        """From now on what this thread does counts."""
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if threading.get_ident() == self._thread and not self._first:
            self._first = clean(record.getMessage()[:MAX_REASON])

    def take(self) -> str:
        """The first reason since the last time."""
        first, self._first = self._first, ""
        return first

    def close(self) -> None:
        self._logger.removeHandler(self)
        super().close()
