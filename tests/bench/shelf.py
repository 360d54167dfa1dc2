"""The measure of the shelf: what it takes to load, check and compile every shipped policy, each on a route of its own,
for the first time in a process. Run as a module it does that once and prints the milliseconds.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from .measure import Figures, Scale
from .process import MeasureError
from .proxies import Stage

RUNS = 3


async def shelf(stage: Stage, scale: Scale) -> list[Figures]:
    """Milliseconds, in fresh processes; the median run counts."""
    return [{"shelf_ms": median([await _in_a_process() for _ in range(RUNS)])}]


async def _in_a_process() -> float:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.shelf", stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    if process.returncode:
        raise MeasureError("the shipped policies could not be loaded")
    return float(printed)


def once() -> float:
    """Everything from the files to the plans; the modules that do it are imported before."""
    from gateway.config.check import check
    from gateway.config.compile import compile_config
    from gateway.config.load import load
    from tests.golden.policies.shelf import everything

    with tempfile.TemporaryDirectory() as folder:
        main = Path(folder) / "gateway.toml"
        main.write_text(everything(), "utf-8")
        begun = time.perf_counter()
        config, problems, _ = check(load(main))
        if config is None:
            raise MeasureError("; ".join(map(str, problems)))
        compile_config(config, time.time)
        return (time.perf_counter() - begun) * 1e3


if __name__ == "__main__":
    print(once())
