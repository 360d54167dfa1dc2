"""`python -m tests.bench.profile`: runs the gateway under the load of the bench and prints where its time and its bytes
go. Exit 0 when everything was seen, 1 when looking itself failed.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import uvloop

from tests.bench.process import MeasureError, pin
from tests.bench.proxies import LOAD_CORE
from tests.bench.wire import raise_descriptors

from . import cpu, held

PARTS = ("cpu", "bytes")


async def run(folder: Path, parts: list[str], polls: int, seconds: float, turns: int, most: int) -> None:
    if "cpu" in parts:
        for work in await cpu.cpu(folder, polls, seconds, turns):
            click.echo("\n".join(cpu.table(work, most)))
    if "bytes" in parts:
        click.echo("\n".join(held.table(await held.held(folder, polls), most)))


@click.command()
@click.option("--only", type=click.Choice(PARTS), help="Only where time goes, or only where bytes go.")
@click.option("--polls", type=int, default=5000, show_default=True, help="Held polls.")
@click.option("--seconds", type=float, default=10, show_default=True, help="Of short requests.")
@click.option("--turns", type=int, default=5, show_default=True, help="How often all polls are held and woken.")
@click.option("--rows", "most", type=int, default=40, show_default=True, help="Of each table.")
def main(only: str | None, polls: int, seconds: float, turns: int, most: int) -> None:
    """Show where time and bytes of the gateway go: CPU by function, bytes of a held poll by type and by line."""
    if sys.platform != "linux":
        raise click.ClickException("the profile reads /proc: run it on Linux")
    raise_descriptors()
    pin(LOAD_CORE)
    gc.disable()
    try:
        with (
            TemporaryDirectory(prefix="profile-") as name,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(run(Path(name), [only] if only else list(PARTS), polls, seconds, turns, most))
    except (MeasureError, OSError) as error:
        raise click.ClickException(f"profiling failed: {error}") from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise click.ClickException("interrupted; every process was stopped") from None


if __name__ == "__main__":
    main()
