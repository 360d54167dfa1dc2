"""The places that `log.calls` names, opened. What only one of them needs is imported when it is named."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.machine.part import ALONE, Part
from gateway.telemetry.files import LogFile, Stream
from gateway.telemetry.keeper import Keeper
from gateway.telemetry.naming import Names
from gateway.telemetry.turns import Turns

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from gateway.config.schema import Log
    from gateway.config.settings import Config
    from gateway.telemetry.writer import Sink

TURNS = "lines"  # in the machine's directory: whose turn it is to write to what all workers write to


def open_places(
    config: Config, resource: Resource | None, wall: Callable[[], float] = time.time, part: Part = ALONE
) -> list[Sink]:
    """`resource` is who sends, where there is a collector. Raises OSError for a file that cannot be written."""
    sinks: list[Sink] = []
    turns = Turns(part.directory / TURNS) if part.directory is not None else None
    for place in config.log.calls:
        if place == "stdout":
            sinks.append(Stream(turns=turns))
        elif place == "otlp":
            assert resource is not None  # `checks.log`
            from gateway.telemetry.otlp_logs import Collector

            sinks.append(Collector(config.telemetry, resource))
        else:
            sinks.append(_file(place, config.log, wall, part, turns))
    return sinks


def log_file(log: Log) -> Path | None:
    """The file among the places: where past calls can be read."""
    return next((place for place in log.calls if isinstance(place, Path)), None)


def _file(path: Path, log: Log, wall: Callable[[], float], part: Part, turns: Turns | None) -> LogFile:
    rotate, names = log.rotate, Names.of(path)
    if rotate is None:
        return LogFile(path, None, wall=wall, number=part.number, workers=part.workers, turns=turns)
    keeper = Keeper(path, rotate.keep, rotate.disk, rotate.parquet)
    file = LogFile(path, rotate.size, keeper.wake, wall, part.number, part.workers, turns)
    if part.number == 0 and _left_over(names, part.workers):
        keeper.wake()
    return file


def _left_over(names: Names, workers: int) -> bool:
    """Whether processes before these have left something to compact."""
    try:
        there = os.listdir(names.live.parent)
    except OSError:  # a directory that may not be read
        return False
    more = any((names.number_of(name) or 0) >= workers for name in there)
    return more or names.journal.exists() or any(names.is_closed(name) for name in there)
