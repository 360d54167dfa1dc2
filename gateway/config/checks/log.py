"""Where records of calls go: a file that can be one and has room for what rotation leaves, a collector that has an
address.
"""

from __future__ import annotations

import os
from pathlib import Path

from gateway.config.checks.finding import Findings, Notice, View
from gateway.config.durations import format_size


def check_log(view: View) -> Findings:
    """`log.calls`, and `log.rotate` against it."""
    log = view.config.log
    paths = [place for place in log.calls if isinstance(place, Path)]
    for path in paths:
        if path.is_dir():
            yield view.main("log.calls", f"{path} is a directory; name a file in it")
    if "otlp" in log.calls and view.config.telemetry.otlp is None:
        text = 'records are to go to a collector, which has no address; write telemetry.otlp = "http://127.0.0.1:4318"'
        yield view.main("log.calls", text)
    if "rotate" in log.model_fields_set and not paths:
        text = 'only a file is rotated, and records go nowhere else; write log.calls = "file:PATH", or remove it'
        yield Notice(view.main("log.rotate", text.replace("nowhere else", f"to {' and '.join(map(str, log.calls))}")))
    files = 1 + (view.config.server.workers or len(os.sched_getaffinity(0)))  # what each writes, and one that is read
    if log.rotate is not None and log.rotate.disk < files * log.rotate.size:
        said = "two files" if files == 2 else f"{files} files (each worker writes one)"
        text = f"has no room for {said} of log.rotate.size; write {format_size(files * log.rotate.size)} or more"
        yield view.main("log.rotate.disk", text)
