"""What `gateway check` says: every problem, every notice, how long each route may hold, and one line that all is well.
A configuration without a problem is compiled as well, so that whatever would stop the start is said here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from gateway.config.check import check
from gateway.config.clocks import first, largest_hold, outside, passes, quiet
from gateway.config.load import load
from gateway.config.merge import Merged, merge_route
from gateway.config.problems import problem
from gateway.config.settings import Config


def check_file(path: Path) -> tuple[list[str], bool]:
    """The lines to print for the configuration at `path`, and whether it can be used.

    Raises OSError when the file cannot be read.
    """
    config, problems, notices = check(load(path))
    if config is not None:
        from gateway.config.compile import compile_config

        try:
            compile_config(config, time.time)
        except ValueError as error:
            problems = [problem(str(path), "", str(error))]
    lines = [*map(str, problems), *(f"notice: {notice}" for notice in notices)]
    if config is None or problems:
        return lines, False
    counted = (("route", len(config.routes)), ("upstream", len(config.upstreams)), ("provider", len(config.jwt)))
    parts = (f"{count} {noun}{'' if count == 1 else 's'}" for noun, count in counted)
    return [*lines, *_holds(config), f"{path}: ok, {', '.join(parts)}"], True


def _holds(config: Config) -> list[str]:
    """One line for each route with polls: how long they are held, how long they might be, and what comes after that."""
    merged = (merge_route(config, route) for route in config.routes)
    return [_held(config, each) for each in merged if each.hold is not None]


def _held(config: Config, merged: Merged) -> str:
    hold = merged.hold
    assert hold is not None
    end, clock = quiet(hold), first(outside(config.server, merged))
    held = "as long as asked" if passes(hold) else f"up to {end.hold:g}s, over after {_tenths(math.ceil, end.deadline)}"
    if clock is None:
        return f"route {merged.route.name}: holds {held}; no client_timeout and no server.front to compare it with"
    safe, limit = _tenths(math.floor, largest_hold(hold, clock.ends)), f"{clock.seconds:g}s"
    return f"route {merged.route.name}: holds {held}, safe up to {safe}: {clock.name} {limit} fires first after it"


def _tenths(towards: Callable[[float], int], seconds: float) -> str:
    """Seconds to one decimal, rounded to the cautious side."""
    return f"{towards(round(seconds * 10, 6)) / 10:g}s"
