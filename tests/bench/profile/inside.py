"""`python -m tests.bench.profile.inside HOW FIFO ARGUMENTS ...` runs `gateway ARGUMENTS` and, for every line "PATH"
that comes through the FIFO, writes to that file what there is in this process: by type, or by the line that asked.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
import tracemalloc
from pathlib import Path

import orjson

from .census import Census, Tally
from .stacks import short

ROOT = f"{Path(__file__).resolve().parents[3]}/"


def types() -> Tally:
    return Census().take()


def sites() -> Tally:
    snapshot = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(False, tracemalloc.__file__)])
    tally: Tally = {}
    for each in snapshot.statistics("lineno"):
        frame = each.traceback[0]
        entry = tally.setdefault(f"{short(frame.filename).removeprefix(ROOT)}:{frame.lineno}", [0, 0])
        entry[0] += each.count
        entry[1] += each.size
    return tally


HOW = {"types": types, "sites": sites}


def _answer(how: str, fifo: str) -> None:
    while True:
        with open(fifo, encoding="utf-8") as asked:
            for line in asked:
                path = Path(line.rstrip("\n"))
                path.with_suffix(".part").write_bytes(orjson.dumps(HOW[how]()))
                os.replace(path.with_suffix(".part"), path)


def main() -> None:
    how, fifo, *arguments = sys.argv[1:]
    if how == "sites":
        tracemalloc.start()
    threading.Thread(target=_answer, args=(how, fifo), name="profile", daemon=True).start()
    sys.argv = ["gateway", *arguments]
    runpy.run_module("gateway", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
