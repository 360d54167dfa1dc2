"""Starts the process that keeps the files of the call log in order (`compact`), one at a time, from a thread of its own
that lives only meanwhile. Whatever becomes of it, the serving process goes on; the next closed file is another try.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import gateway
from gateway.config.durations import format_duration, format_size

logger = logging.getLogger("gateway")

MAX_SAID = 10  # lines of one run that are passed on
OUTPUT = 64 * 1024


class Keeper:
    """For the log whose live file is `path`."""

    def __init__(self, path: Path, keep: float, disk: int, parquet: bool) -> None:
        self._command = [sys.executable, "-P", "-m", "gateway.telemetry.compact", str(path)]
        self._command += ["--keep", format_duration(keep), "--disk", format_size(disk), "--queue"]
        self._command += [] if parquet else ["--no-parquet"]
        self._lock = threading.Lock()
        self._wanted = self._running = False

    def wake(self) -> None:
        """There is something to do. Returns at once."""
        with self._lock:
            self._wanted = True
            if self._running:
                return
            self._running = True
        threading.Thread(target=self._run_while_wanted, name="call-log-keeper", daemon=True).start()

    def _run_while_wanted(self) -> None:
        while self._take():
            try:
                self._run()
            except OSError as error:
                logger.warning("call log: its files could not be compacted: %s", error)

    def _take(self) -> bool:
        with self._lock:
            self._running, self._wanted = self._wanted, False
            return self._running

    def _run(self) -> None:
        """Its session is its own: a Ctrl-C for the gateway is none for it."""
        done = subprocess.run(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
            start_new_session=True, env={**os.environ, "PYTHONPATH": _python_path()},
        )  # fmt: skip
        said = done.stderr[-OUTPUT:].decode("utf-8", "replace").splitlines()
        for line in said[-MAX_SAID:]:
            logger.warning("%s", line)
        if done.returncode and not said:
            text = "call log: compacting ended with %s; it is tried again when a file is closed"
            logger.warning(text, done.returncode)


def _python_path() -> str:
    """Where this gateway comes from, wherever the process was started."""
    home = str(Path(gateway.__file__).parent.parent)
    return os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
