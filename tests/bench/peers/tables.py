"""The figures as tables, for a terminal and for a page: what each peer costs, what it does, and which bars hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..measure import Figures
from .bars import BARS
from .comparing import Comparison
from .judging import by_turn, reached
from .known import OURS


class Column(NamedTuple):
    """One figure of a row: where it is, its title, and how it is written."""

    key: str
    title: str
    form: str


HOLDS = (
    Column("hold_kib", "KiB per held poll", ".2f"),
    Column("wake_us", "CPU us per wake", ".1f"),
    Column("wake_p50", "ms until half are answered", ".0f"),
    Column("wake_all", "ms until the last is", ".0f"),
    Column("idle_ms", "idle: CPU ms per s and 1,000 held", ".2f"),
)
SHORTS = (
    Column("short_us", "CPU us per short request", ".1f"),
    Column("short_rps", "requests per s", ",.0f"),
    Column("mixed_us", "us, connections shared by clients", ".1f"),
    Column("unseen_us", "us, 0 % cached tokens", ".1f"),
    Column("answer_us", "us, answer of 100 KiB", ".1f"),
    Column("upload_us", "us, request of 100 KiB", ".1f"),
)
Table = list[list[str]]  # the first row is its head


def costs(done: Comparison, columns: Sequence[Column], ours: bool = False) -> Table:
    """A row for each proxy, or for each way to run the gateway; a column for what was measured."""
    names = [name for name in done.peers if (name in OURS if ours else name not in OURS[1:])]
    figures = {name: done.figures(name) for name in names}
    shown = [column for column in columns if any(column.key in one for one in figures.values())]
    head = ["", *(column.title for column in shown)]
    return [head, *([name, *(_cell(one, column) for column in shown)] for name, one in figures.items())]


def _cell(figures: Figures, column: Column) -> str:
    if column.key not in figures:
        return "-"
    value = figures[column.key]
    return "never" if value is None else format(value, column.form)


def duties(done: Comparison) -> Table:
    """What each does of the work, and by what."""
    table = [["", "JWT", "two rate limits", "held polls of a client", "JSON log", ""]]
    for name, peer in done.peers.items():
        if name not in OURS[1:]:
            table.append([name, *(each or "no" for each in (peer.jwt, peer.rates, peer.held, peer.log)), peer.remark])
    return table


def bars(done: Comparison) -> Table:
    table = [["the gateway beside", "reached", "bar", "", "aimed at", "turn by turn"]]
    for bar in BARS:
        ratio = reached(bar, done)
        figure = "-" if ratio is None else f"{ratio:.2f}{bar.unit()}"
        aim = "" if bar.stretch is None else f"{bar.stretch:g}x"
        turns = ", ".join(f"{one:.2f}" for one in by_turn(bar, done))
        table.append([bar.title, figure, bar.text(), bar.verdict(ratio), aim, turns])
    return table


def as_text(table: Table) -> str:
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table)
    return "\n".join(lines)


def as_markdown(table: Table) -> str:
    head, *rows = ([cell.replace("|", "\\|") for cell in row] for row in table)
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))
