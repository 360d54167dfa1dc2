"""`python -m tests.chaos`: runs the chosen cases in turn, each in a fresh directory, and prints every check.
Exit 0 when all held, 1 when a check failed, 2 when a case itself broke.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
import traceback
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import click

from tests.bench import built
from tests.bench.process import MeasureError
from tests.bench.wire import raise_descriptors

from .cases import CASES
from .sheet import Sheet

PRINTED = 8  # lines of what a process printed, below a case that failed


async def _run(name: str, sheet: Sheet, folder: Path) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await CASES[name][0](sheet, folder)


def _show_output(folder: Path) -> None:
    for path in sorted(folder.rglob("*.out")):
        lines = path.read_text(errors="replace").splitlines()
        for line in lines[:PRINTED]:
            click.echo(f"        {path.name}: {line[:200]}")
        if len(lines) > PRINTED:
            click.echo(f"        {path.name}: .. and {len(lines) - PRINTED} more lines")


def _case(name: str, folder: Path) -> tuple[Sheet, bool]:
    """Runs one case; its sheet, and whether it broke."""
    sheet, began, broke = Sheet(), time.monotonic(), False
    click.echo(f"{name}: {CASES[name][1]}")
    try:
        asyncio.run(_run(name, sheet, folder))
    except MeasureError as error:
        broke = True
        click.echo(f"  BROKE {error}")
    except Exception:
        broke = True
        click.echo(f"  BROKE {traceback.format_exc()}")
    if broke or sheet.failed:
        _show_output(folder)
    click.echo(f"  {sheet.checks - len(sheet.failed)} of {sheet.checks} held, {time.monotonic() - began:.0f} s\n")
    return sheet, broke


def _chosen(only: str | None) -> list[str]:
    """The names of `a,b`, all when it is empty; `drain` stands for every name that begins so."""
    chosen: dict[str, None] = {}
    for part in (only or "").split(","):
        found = [name for name in CASES if name.startswith(part.strip())]
        if not found:
            raise click.BadParameter(f"no case is called {part!r}; --list shows them")
        chosen |= dict.fromkeys(found)
    return list(chosen)


@click.command()
@click.option("--only", help="Names of cases, or how they begin, separated by commas.")
@click.option("--list", "listed", is_flag=True, help="Say which cases there are, and run none.")
@click.option("--interpreted", is_flag=True, help="Break the sources, not their compiled copy.")
@click.option("--keep", is_flag=True, help="Keep each case's directory: configuration, call log, output.")
def main(only: str | None, listed: bool, interpreted: bool, keep: bool) -> None:
    """Break things at full size and check what must hold then."""
    names = _chosen(only)
    if listed:
        for name in names:
            click.echo(f"{name:<18} {CASES[name][1]}")
        return
    if sys.platform != "linux":
        raise click.ClickException("make chaos reads /proc: run it on Linux")
    if interpreted:
        built.use_sources()
    raise_descriptors()
    failed, broken = [], []
    for name in names:
        with ExitStack() as stack:
            if keep:
                folder = mkdtemp(prefix=f"chaos-{name}-")
                click.echo(folder)
            else:
                folder = stack.enter_context(TemporaryDirectory(prefix="chaos-"))
            try:
                sheet, broke = _case(name, Path(folder))
            except (KeyboardInterrupt, asyncio.CancelledError):
                click.echo("interrupted; every process was stopped", err=True)
                sys.exit(130)
        broken += [name] * broke
        failed += [f"{name}: {line}" for line in sheet.failed]
    click.echo(f"{len(names)} cases; {len(failed)} checks failed, {len(broken)} cases broke. {built.said()}")
    for line in [*failed, *(f"{name}: BROKE" for name in broken)]:
        click.echo(f"  {line}")
    sys.exit(2 if broken else 1 if failed else 0)


if __name__ == "__main__":
    main()
