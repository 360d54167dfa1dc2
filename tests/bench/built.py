"""Which gateway is measured: the compiled copy, where `make compiled` has made it of these very sources, else the
sources. A command of its own finds the copy: from the project's root Python would find the sources first.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COPY = ROOT / ".venv" / "compiled"
INTERPRETED = "BENCH_INTERPRETED"  # in the environment: the sources are measured, whatever there is


@cache
def missing() -> str | None:
    """Why there is no compiled copy that could be measured; None where there is one."""
    if not any(COPY.glob("*__mypyc.*")):
        return "there is no compiled copy; make compiled"
    sources = {path.relative_to(ROOT): path for path in (ROOT / "gateway").rglob("*.py")}
    changed = [name for name, path in sources.items()
               if not (COPY / name).is_file() or (COPY / name).read_bytes() != path.read_bytes()]  # fmt: skip
    return f"the compiled copy is older than {changed[0]}; make compiled" if changed else None


def use_sources() -> None:
    """From now on, whatever there is."""
    os.environ[INTERPRETED] = "1"


def compiled() -> bool:
    """Whether `gateway` starts the compiled copy."""
    return INTERPRETED not in os.environ and missing() is None


def said() -> str:
    """One sentence for the end of a report."""
    if compiled():
        return "The gateway is compiled (make compiled)."
    return "The gateway is interpreted." if INTERPRETED in os.environ else f"The gateway is interpreted: {missing()}."


def paths(*more: Path) -> dict[str, str]:
    """The environment in which `-m gateway` is the copy, wherever it is started."""
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(map(str, (COPY, *more)))}


def gateway(*arguments: str) -> list[str]:
    """The command."""
    if not compiled():
        return interpreted(*arguments)
    return ["env", *(f"{name}={value}" for name, value in paths().items()), *interpreted(*arguments)]


def interpreted(*arguments: str) -> list[str]:
    """The command that takes the sources."""
    return [sys.executable, "-m", "gateway", *arguments]
