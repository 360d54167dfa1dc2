"""`python -m tests.bench`: runs the chosen measures on each proxy in turn and prints the table.
Exit 0 when everything was measured, whatever the figures; 1 when measuring itself failed.
"""

from __future__ import annotations

import asyncio
import gc
import os
import platform
import signal
import sys
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import click
import orjson
import uvloop

from . import built
from .asks import asks
from .choosing import choosing
from .measure import MEASURES as OF_CALLS
from .measure import Figures, Scale
from .pages import pages
from .peers.comparing import MEASURES as OF_PEERS
from .peers.comparing import compare
from .peers.known import PEERS
from .peers.machine import Machine
from .peers.report import report
from .process import MeasureError, core_speed, pin
from .proxies import LOAD_CORE, PROXIES, PROXY_CORE, stage
from .shelf import shelf
from .stores import CREWS, STORES, compared, state, workers
from .streams import chunks, slow
from .table import added, lay_out, median, render
from .tunnels import tunnels
from .wire import raise_descriptors

Samples = dict[str, list[Figures]]
T = TypeVar("T")

VARIANTS = ("limited", "watched")  # the gateway with more of it in use: measured by what that adds
ADDED = ("hold", "short")
OWN = ("chunks", "slow-readers", "pages", "asks", "tunnels", "choosing", "shelf")  # what the naive proxy has none of
AMONG = {"state": STORES, "workers": CREWS}  # measures that compare gateways with each other
MEASURES = {
    **OF_CALLS, "chunks": chunks, "slow-readers": slow, "pages": pages, "asks": asks, "tunnels": tunnels,
    "choosing": choosing, "shelf": shelf, "state": state, "workers": workers,
}  # fmt: skip


def _plays(kind: str, measure: str) -> bool:
    """Whether that proxy is measured so."""
    if measure in AMONG:
        return kind in AMONG[measure]
    if kind in VARIANTS:
        return measure in ADDED
    return kind == "gateway" or (kind == "naive" and measure not in OWN)


def _say(text: str) -> None:
    click.echo(text, err=True)


async def run(measures: list[str], proxies: list[str], scale: Scale, repeat: int, samples: Samples) -> None:
    """Fills `samples`; the proxies take turns, each time in a fresh process."""
    for measure in measures:
        turns = repeat * (scale.short_turns if measure in ("short", *AMONG) else 1)
        for turn in range(turns):
            for kind in proxies if turn % 2 == 0 else proxies[::-1]:
                if not _plays(kind, measure):
                    continue
                _say(f"{measure} {turn + 1}/{turns}: {kind}")
                async with stage(kind) as on:
                    samples[kind].append({"listening": on.listening * 1e3})
                    samples[kind] += await MEASURES[measure](on, scale)


def _chosen(known: list[str], text: str | None, what: str) -> list[str]:
    """The names of `a,b`, all when it is empty; `storm` stands for every name that begins so."""
    if not text:
        return known
    chosen: list[str] = []
    for part in text.split(","):
        part = part.strip()
        names = [part] if part in known else [name for name in known if name.startswith(part)]
        if not names:
            raise click.BadParameter(f"no {what} is called {part!r}; there are {', '.join(known)}")
        chosen += names
    return chosen


NOTE = """
One core for the proxy, one for load and upstream; plain TCP, uvloop. The gateway checks a JWT (HS256) and
writes one JSON line per call, the naive proxy does neither. "limits:" is what two rate limits and a cap add to it,
with a consumer for each token; "telemetry:" what traces (1 % of news) and metrics by consumer add.
"never": not within {patience:g} s.
Python {python}, {cores} cores; load average at the start {load_average:.2f}; a fixed piece of Python took
{speed_before:.0f} ms on the proxy's core before and {speed_after:.0f} ms after: runs compare where these do.
{built}\
"""


def _report(scale: Scale, samples: Samples, machine: dict[str, float | str], path: Path | None) -> None:
    figures = {kind: median(samples.get(kind, [])) for kind in PROXIES}
    alone = samples.get("gateway", [])
    figures["gateway"] |= added("limits", alone, samples.get("limited", []))
    figures["gateway"] |= added("telemetry", alone, samples.get("watched", []))
    figures["gateway"] |= compared(samples)
    click.echo(render(scale, figures["gateway"], figures["naive"]))
    click.echo(NOTE.format(patience=scale.patience, built=built.said(), **machine))
    if path is not None:
        table = lay_out(scale, figures["gateway"], figures["naive"])
        data = {"table": table, "samples": samples, "machine": machine}
        path.write_bytes(orjson.dumps(data, option=orjson.OPT_INDENT_2))


def _machine() -> dict[str, float | str]:
    load, cores, speed = os.getloadavg()[0], os.cpu_count() or 1, core_speed(PROXY_CORE)
    return {
        "python": platform.python_version(), "cores": cores, "load_average": load, "speed_before": speed
    }  # fmt: skip


@click.command()
@click.option(
    "--only", help=f"Measures, separated by commas: {', '.join(MEASURES)}; with --peers {', '.join(OF_PEERS)}."
)
@click.option("--proxies", help=f"Proxies, separated by commas: {', '.join(PROXIES)}; with --peers {', '.join(PEERS)}.")
@click.option("--polls", type=int, default=5000, show_default=True, help="Held polls.")
@click.option("--repeat", type=int, help="Runs, 1 by default, 3 with --peers; the tables show medians.")
@click.option("--quick", is_flag=True, help="5 s of idling instead of 30 s, fewer requests and wakes.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write every figure to this file.")
@click.option("--interpreted", is_flag=True, help="Measure the sources, not their compiled copy.")
@click.option("--peers", is_flag=True, help="Compare with nginx, HAProxy and others that are installed.")
@click.option("--docs", type=click.Path(path_type=Path), help="With --peers: write the page, and a plot beside it.")
def main(
    only: str | None, proxies: str | None, polls: int, repeat: int | None, quick: bool, path: Path | None,
    interpreted: bool, peers: bool, docs: Path | None,
) -> None:  # fmt: skip
    """Measure the gateway and a naive aiohttp proxy, or with --peers everything that people run in its place."""
    if sys.platform != "linux":
        raise click.ClickException("the bench reads /proc: run it on Linux")
    if docs is not None and not peers:
        raise click.BadParameter("--docs is the page of a comparison: add --peers")
    if interpreted:
        built.use_sources()
    scale = replace(Scale(), polls=polls)
    scale = scale.quick() if quick else scale
    if peers:
        _compare(_chosen(list(OF_PEERS), only, "measure"), _chosen(list(PEERS), proxies, "proxy"), scale, repeat or 3,
                 quick, path, docs)  # fmt: skip
        return
    measures, kinds = _chosen(list(MEASURES), only, "measure"), _chosen(list(PROXIES), proxies, "proxy")
    samples: Samples = {kind: [] for kind in kinds}
    machine = _machine()
    _undisturbed(run(measures, kinds, scale, repeat or 1, samples))
    machine["speed_after"] = core_speed(PROXY_CORE)
    _report(scale, samples, machine, path)


def _compare(measures: list[str], names: list[str], scale: Scale, repeat: int, quick: bool, data: Path | None,
             docs: Path | None) -> None:  # fmt: skip
    load, before = os.getloadavg()[0], core_speed(PROXY_CORE)
    done = _undisturbed(compare(names, measures, scale, repeat, quick))
    report(done, scale, repeat, Machine(load, (before, core_speed(PROXY_CORE))), data, docs)


def _undisturbed(work: Coroutine[None, None, T]) -> T:
    """Runs it on the load's core without pauses; what ends it early is one sentence."""
    raise_descriptors()
    pin(LOAD_CORE)
    gc.disable()  # a pause of the load would be measured as the proxy's
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_until_told(work))
    except (MeasureError, OSError) as error:
        raise click.ClickException(f"measuring failed: {error}") from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise click.ClickException("interrupted; every process was stopped") from None


async def _until_told(work: Coroutine[None, None, T]) -> T:
    """SIGTERM ends it as Ctrl-C does."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


if __name__ == "__main__":
    main()
