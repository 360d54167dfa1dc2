"""What `gateway check` says: every problem, every notice, and one line that all is well. A configuration without a
problem is compiled as well, so that whatever would stop the start is said here.
"""

from __future__ import annotations

import time
from pathlib import Path

from gateway.config.check import check
from gateway.config.load import load
from gateway.config.problems import problem


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
    return [*lines, f"{path}: ok, {', '.join(parts)}"], True
