"""`python -m tests.chaos.prober PORT PATH`: probes from a process of their own, so that a crowd that is just being
answered in another one delays none. Until SIGTERM; then it prints what became of each, as one line of JSON.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle

import orjson
import uvloop

from tests.bench.process import MeasureError, Process, spawn
from tests.bench.proxies import tokens, wires

from .probes import Probe, probing
from .stage import Chaos

CONSUMERS = 64  # as many as no rate of a case minds


async def _probe(port: int, path: str) -> list[Probe]:
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    wire = cycle(wires(path, CONSUMERS, tokens()))
    async with probing(port, lambda: next(wire)) as probes:
        print("probing", flush=True)
        await over.wait()
    return probes.done


@asynccontextmanager
async def apart(on: Chaos, path: str) -> AsyncIterator[list[Probe]]:
    """Probes while the block runs, one every 10 ms; the list is filled when it is left."""
    found: list[Probe] = []
    argv = [sys.executable, "-m", "tests.chaos.prober", str(on.port), path]
    with spawn("prober", argv, None, on.folder) as process:
        await _printed(process, "probing")
        yield found
        process.terminate()
        await process.ended(15)
        found += [Probe(at, said, b"", took) for at, said, took in orjson.loads(process.printed()[-1])]


async def _printed(process: Process, word: str) -> None:
    while word not in process.printed():
        if process.exit_code() is not None:
            raise MeasureError(f"the prober ended: {process.last_words()}")
        await asyncio.sleep(0.01)


def main() -> None:
    found = uvloop.run(_probe(int(sys.argv[1]), sys.argv[2]))
    print(orjson.dumps([(probe.at, probe.said, probe.took) for probe in found]).decode())


if __name__ == "__main__":
    main()
