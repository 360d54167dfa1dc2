"""A look at the stack of a running process many times a second, from outside: py-spy reads its memory and stops it for
nothing, so what is measured is what runs without it. cProfile would double the price of a small function.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from tests.bench.process import MeasureError, Process, spawn
from tests.bench.proxies import LOAD_CORE

from .stacks import Stacks

RATE = 997  # a second: no multiple of anything that is due regularly
ALLOWED = [sys.executable, "-m", "tests.bench.profile.allowed"]  # before the command of what is looked at


def program() -> str | None:
    """Where py-spy is: beside this Python, or anywhere on the path."""
    return shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")


@asynccontextmanager
async def sampling(process: Process, stacks: Stacks, directory: Path) -> AsyncIterator[None]:
    """Adds to `stacks` what the process does while the block runs."""
    found = program()
    if found is None:
        raise MeasureError("py-spy is not installed; pip install py-spy, or make profile, which does that")
    path = directory / "stacks.txt"
    with _recording(found, process.pid, path, directory) as spy:
        await _begun(spy)
        yield
        spy.tell(signal.SIGINT)
        if await spy.ended(20) is None or not path.exists():
            raise MeasureError(f"py-spy wrote nothing: {spy.last_words()}")
        stacks.add(path.read_text().splitlines())
        path.unlink()


@contextmanager
def _recording(found: str, pid: int, path: Path, directory: Path) -> Iterator[Process]:
    argv = [found, "record", "--pid", str(pid), "--rate", str(RATE), "--nonblocking", "--threads", "--function",
            "--format", "raw", "--output", str(path)]  # fmt: skip
    with spawn("py-spy", argv, LOAD_CORE, directory) as spy:
        yield spy


async def _begun(spy: Process) -> None:
    for _ in range(500):
        if spy.exit_code() is not None:
            raise MeasureError(f"py-spy may not look at the gateway: {spy.last_words()}")
        if any("Sampling process" in line for line in spy.printed()):
            return
        await asyncio.sleep(0.02)
    raise MeasureError(f"py-spy did not begin within 10 s: {spy.last_words()}")
