"""The places that `log.calls` names, opened. What only one of them needs is imported when it is named."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.telemetry.files import LogFile, Stream
from gateway.telemetry.keeper import Keeper
from gateway.telemetry.naming import Names

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from gateway.config.schema import Log
    from gateway.config.settings import Config
    from gateway.telemetry.writer import Sink


def open_places(config: Config, resource: Resource | None, wall: Callable[[], float] = time.time) -> list[Sink]:
    """`resource` is who sends, where there is a collector. Raises OSError for a file that cannot be written."""
    sinks: list[Sink] = []
    for place in config.log.calls:
        if place == "stdout":
            sinks.append(Stream())
        elif place == "otlp":
            assert resource is not None  # `checks.log`
            from gateway.telemetry.otlp_logs import Collector

            sinks.append(Collector(config.telemetry, resource))
        else:
            sinks.append(_file(place, config.log, wall))
    return sinks


def log_file(log: Log) -> Path | None:
    """The file among the places: where past calls can be read."""
    return next((place for place in log.calls if isinstance(place, Path)), None)


def _file(path: Path, log: Log, wall: Callable[[], float]) -> LogFile:
    rotate, names = log.rotate, Names.of(path)
    if rotate is None:
        return LogFile(path, None, wall=wall)
    keeper = Keeper(path, rotate.keep, rotate.disk, rotate.parquet)
    file = LogFile(path, rotate.size, keeper.wake, wall)
    if _left_over(names):
        keeper.wake()
    return file


def _left_over(names: Names) -> bool:
    """Whether a process before this one has left something to compact."""
    try:
        return names.journal.exists() or any(names.is_closed(name) for name in os.listdir(names.live.parent))
    except OSError:  # a directory that may not be read
        return False
