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
from dataclasses import replace
from pathlib import Path

import click
import orjson
import uvloop

from .asks import asks
from .choosing import choosing
from .measure import MEASURES as OF_CALLS
from .measure import Figures, Scale
from .pages import pages
from .process import MeasureError, core_speed, pin
from .proxies import LOAD_CORE, PROXIES, PROXY_CORE, stage
from .shelf import shelf
from .stores import CREWS, STORES, compared, state, workers
from .streams import chunks, slow
from .table import added, lay_out, median, render
from .tunnels import tunnels
from .wire import raise_descriptors

Samples = dict[str, list[Figures]]

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
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
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
        names = [name for name in known if name.startswith(part.strip())]
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
{speed_before:.0f} ms on the proxy's core before and {speed_after:.0f} ms after: runs compare where these do.\
"""


def _report(scale: Scale, samples: Samples, machine: dict[str, float | str], path: Path | None) -> None:
    figures = {kind: median(samples.get(kind, [])) for kind in PROXIES}
    alone = samples.get("gateway", [])
    figures["gateway"] |= added("limits", alone, samples.get("limited", []))
    figures["gateway"] |= added("telemetry", alone, samples.get("watched", []))
    figures["gateway"] |= compared(samples)
    click.echo(render(scale, figures["gateway"], figures["naive"]))
    click.echo(NOTE.format(patience=scale.patience, **machine))
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
@click.option("--only", help=f"Measures, separated by commas: {', '.join(MEASURES)}.")
@click.option("--proxies", help=f"Proxies, separated by commas: {', '.join(PROXIES)}; all by default.")
@click.option("--polls", type=int, default=5000, show_default=True, help="Held polls.")
@click.option("--repeat", type=int, default=1, show_default=True, help="Runs; the table shows medians.")
@click.option("--quick", is_flag=True, help="5 s of idling instead of 30 s, fewer requests, one wake.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write every figure to this file.")
def main(only: str | None, proxies: str | None, polls: int, repeat: int, quick: bool, path: Path | None) -> None:
    """Measure the gateway and a naive aiohttp proxy."""
    if sys.platform != "linux":
        raise click.ClickException("the bench reads /proc: run it on Linux")
    scale = replace(Scale(), polls=polls)
    scale = scale.quick() if quick else scale
    measures, kinds = _chosen(list(MEASURES), only, "measure"), _chosen(list(PROXIES), proxies, "proxy")
    samples: Samples = {kind: [] for kind in kinds}
    machine = _machine()
    raise_descriptors()
    pin(LOAD_CORE)
    gc.disable()  # a pause of the load would be measured as the proxy's
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(measures, kinds, scale, repeat, samples))
    except (MeasureError, OSError) as error:
        raise click.ClickException(f"measuring failed: {error}") from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise click.ClickException("interrupted; every process was stopped") from None
    machine["speed_after"] = core_speed(PROXY_CORE)
    _report(scale, samples, machine, path)


if __name__ == "__main__":
    main()
