"""The page of the docs: figures, what they mean, which peer cannot do what, the machine, and every configuration in the
words in which it was given to its proxy. All of it is written by the run.
"""

from __future__ import annotations

from pathlib import Path

from ..built import ROOT
from ..measure import Scale
from .comparing import Comparison
from .known import OURS
from .machine import Machine
from .playing import Told
from .plot import plot
from .tables import HOLDS, SHORTS, as_markdown, bars, costs, duties

PAGE = """\
# Benchmarks

Written by `make bench ARGS='--peers --docs docs/{name}'`, which does the same on your machine. One run: each proxy is
started alone on one core, {polls:,} clients with a token each are held and woken, then short requests are asked over 32
connections; the proxies take turns, and a figure is the median of {repeat}. Load and upstream have another core.

A ratio says more than a figure: all were taken on one machine in one run, and yours is another.

![what each proxy costs]({picture})

## Held polls

{holds}

Memory is what the proxy's processes grow by (PSS, in a fresh process) from the first request to the last poll held, by
poll. CPU is what they use, user and system. A wake is one publication that answers everybody.

## Short requests

{shorts}

Known tokens where nothing else is said, each on a connection of its own; "shared by clients": 32 tokens in turn on each
connection; "0 % cached": each request has a token that was never seen.

## What has to hold

{bars}

The ratio of the medians, and that of each turn. "MISS" is a bar that was missed in this run.

The bars about wakes do not come from the table of held polls but from pairs: the gateway and the peer are up at once,
each before an upstream of its own, and are woken in turn, {pair_wakes} times each, because a shared machine drifts
within seconds and two wakes next to each other drift alike. A turn's figure is the median of the ratios of its pairs,
and what is reached is the median of the turns.

## What each proxy does

Each has the nearest it has to the gateway's work; its upstream connections are kept alive and one worker, thread or
processor serves. Before it was measured, each had to prove this table with the same configuration and low limits: calls
beyond a rate and a second poll of a client got 429, or did not where it says "no"; a token that was forged, expired or
for somebody else got 401, or did not; its log held a line of JSON for each call; ten requests in turn shared upstream
connections; and it held a poll for {held_for:g} s and then
gave the answer. In the measure no limit refuses anything, and each
request asks every one.

{duties}

{absent}
## The gateway, less favoured

{gateway}

{less}

`gateway-tls`: clients speak TLS 1.3, so a held poll has a TLS session too. `gateway-shared`: two workers on the one
core, whose limits are counted in `shared://`, the memory of the machine ([state.md](state.md)). `gateway-interpreted`:
from its sources, as `pip install` has it ([compiled.md](compiled.md)); every other gateway of this page is compiled.

## The machine

{machine}

{versions}

## Configurations

As they were written for the measure; directories and ports are others in each turn. {tokens}

{configurations}"""
TOKENS = """\
Clients send `Authorization: Bearer ..`, HS256 tokens of some 285 bytes."""
ONE = """\
<details><summary>{name}: <code>{command}</code></summary>

{files}
</details>
"""


def write(path: Path, done: Comparison, scale: Scale, repeat: int, machine: Machine) -> None:
    """The page, and beside it the picture."""
    picture = path.with_suffix(".svg")
    picture.write_text(plot(done))
    absent = "".join(f"Not compared: {reason}.\n\n" for reason in done.absent)
    page = PAGE.format(
        name=path.name, polls=scale.polls, pair_wakes=scale.pair_wakes, repeat=repeat, picture=picture.name,
        held_for=done.held_for, absent=absent,
        holds=as_markdown(costs(done, HOLDS)), shorts=as_markdown(costs(done, SHORTS)), bars=as_markdown(bars(done)),
        duties=as_markdown(duties(done)), gateway=as_markdown(costs(done, HOLDS[:-1], ours=True)),
        less=as_markdown(costs(done, SHORTS, ours=True)), machine=machine.described(),
        versions="\n".join(f"- {line}" for line in versions(done)), tokens=TOKENS,
        configurations="\n".join(_configured(done, name) for name in done.peers if name in done.told),
    )  # fmt: skip
    path.write_text(page)


def versions(done: Comparison) -> list[str]:
    """A line for each peer that tells its version."""
    said = {name: peer.told_version() for name, peer in done.peers.items()}
    return [f"{name}: {text}" for name, text in said.items() if text and name not in OURS]


def _configured(done: Comparison, name: str) -> str:
    told = done.told[name]
    # a program's name is enough: where things are on that machine is nobody's business
    words = [
        Path(word).name if word.startswith("/") else word for word in (_there(told, each) for each in told.command)
    ]
    files = "\n".join(f"`{file}`\n\n```\n{_there(told, text).rstrip()}\n```\n" for file, text in told.files.items())
    return ONE.format(name=name, command=" ".join(words), files=files)


def _there(told: Told, text: str) -> str:
    return text.replace(str(told.directory), ".").replace(str(ROOT), ".")
