"""What a person sees while a question takes long: one line on a terminal, gone when the answer is there. Programs that
read standard error see nothing of it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.config.durations import format_size
from gateway.past.source import Past

AFTER = 0.5  # seconds before anything is shown
EVERY = 0.2
_MIB = 1 << 20


@contextmanager
def shown_while(past: Past) -> Iterator[None]:
    """Shows how much is asked and for how long, if standard error is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_show, args=(past, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _show(past: Past, over: threading.Event) -> None:
    began, wait, written = time.monotonic(), AFTER, False
    while not over.wait(wait):
        seconds = f"{time.monotonic() - began:.0f} s"
        files = f"{past.files} file{'s' * (past.files != 1)}"
        sys.stderr.write(f"\r\x1b[Kasking {files}, {format_size(max(past.size // _MIB, 1) * _MIB)} .. {seconds}")
        sys.stderr.flush()
        wait, written = EVERY, True
    if written:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
