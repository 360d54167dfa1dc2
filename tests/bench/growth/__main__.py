"""`python -m tests.bench.growth`: measures what a request costs while something grows, and prints or writes the tables.
Exit 0 when everything was measured, whatever the figures; 1 when measuring itself failed.
"""

from __future__ import annotations

import asyncio
import gc
import os
import platform
import sys

import click
import uvloop

from tests.bench import built
from tests.bench.process import ROOT, MeasureError, core_speed, pin
from tests.bench.proxies import LOAD_CORE, PROXY_CORE
from tests.bench.wire import raise_descriptors

from .axes import AXES
from .report import Found, table, write
from .turns import curves


def _say(text: str) -> None:
    click.echo(text, err=True)


async def run(names: list[str], sittings: int, rounds: int, seconds: float, small: bool, found: Found) -> None:
    for name in names:
        axis = AXES[name]
        found[name] = await curves(axis, axis.small if small else axis.levels, sittings, rounds, seconds, _say)
        click.echo("\n".join(table(name, found[name])))


def machine() -> str:
    return (
        f"Python {platform.python_version()}, {os.cpu_count()} cores, one for the gateway, one for load and upstream;"
        f" plain TCP, uvloop.\nA fixed piece of Python took {core_speed(PROXY_CORE):.0f} ms on the gateway's core. "
        f"{built.said()}"
    )


def _chosen(only: str | None) -> list[str]:
    names = [part.strip() for part in only.split(",")] if only else list(AXES)
    for name in names:
        if name not in AXES:
            raise click.BadParameter(f"nothing that grows is called {name!r}; there are {', '.join(AXES)}")
    return names


@click.command()
@click.option("--only", help=f"What grows, separated by commas: {', '.join(AXES)}.")
@click.option("--sittings", type=click.IntRange(1), default=5, show_default=True, help="Each in fresh processes.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="In each sitting.")
@click.option("--seconds", type=float, default=0.5, show_default=True, help="Of each figure in each round.")
@click.option("--quick", is_flag=True, help="Two small sizes of each.")
@click.option("--interpreted", is_flag=True, help="Measure the sources, not their compiled copy.")
@click.option("--docs", is_flag=True, help="Write docs/growth.md and its plots; only with everything that grows.")
def main(
    only: str | None, sittings: int, rounds: int, seconds: float, quick: bool, interpreted: bool, docs: bool
) -> None:
    """Measure whether a request costs the same with little as with much."""
    if sys.platform != "linux":
        raise click.ClickException("the bench reads /proc: run it on Linux")
    names = _chosen(only)
    if docs and (only or quick):
        raise click.UsageError("--docs wants everything at full size; leave out --only and --quick")
    if interpreted:
        built.use_sources()
    raise_descriptors()
    pin(LOAD_CORE)
    gc.disable()  # a pause of the load would be measured as the gateway's
    found: Found = {}
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(names, sittings, rounds, seconds, quick, found))
    except (MeasureError, OSError) as error:
        raise click.ClickException(f"measuring failed: {error}") from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise click.ClickException("interrupted; every process was stopped") from None
    if docs:
        write(ROOT / "docs", found, sittings, rounds, machine())


if __name__ == "__main__":
    main()
