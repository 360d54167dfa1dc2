"""What a reader has to know of the machine and the programs to compare his figures with these."""

from __future__ import annotations

import datetime
import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from .. import built


@dataclass(frozen=True, slots=True)
class Machine:
    """As it was during the run. `speeds`: ms for a fixed piece of Python on the proxy's core, before and after."""

    load_average: float
    speeds: tuple[float, float]

    def described(self) -> str:
        """In Markdown."""
        cores, memory = os.cpu_count() or 1, _field("/proc/meminfo", "MemTotal")
        libraries = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "uvloop", "longpoll-gateway"))
        before, after = self.speeds
        return (
            f"{_field('/proc/cpuinfo', 'model name')}, {cores} cores, {memory} of memory, Linux {platform.release()}; "
            f"Python {platform.python_version()}, {libraries}; {datetime.date.today().isoformat()}. "
            f"{built.said()} "
            f"Load average at the start {self.load_average:.2f}; a fixed piece of Python took {before:.0f} ms on the "
            f"proxy's core before and {after:.0f} ms after: a run in which these differ says little."
        )


def _field(path: str, name: str) -> str:
    lines = Path(path).read_text().splitlines()
    found = next((line for line in lines if line.startswith(name)), ":an unknown amount")
    return found.partition(":")[2].strip()
