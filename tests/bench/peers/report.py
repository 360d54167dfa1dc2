"""What is said at the end of a comparison: tables for the terminal, every figure as JSON, and the page of the docs."""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from ..measure import Scale
from .bars import BARS
from .comparing import Comparison
from .judging import by_turn, reached
from .machine import Machine
from .page import versions, write
from .tables import HOLDS, SHORTS, as_text, bars, costs, duties


def report(
    done: Comparison, scale: Scale, repeat: int, machine: Machine, data: Path | None, docs: Path | None
) -> None:  # fmt: skip
    """Prints the tables; the rest where it was asked for."""
    tables = (costs(done, HOLDS), costs(done, SHORTS), costs(done, HOLDS + SHORTS, ours=True), duties(done), bars(done))
    click.echo("\n\n".join(as_text(table) for table in tables if len(table[0]) > 1))
    click.echo(
        "\n" + "\n".join([*versions(done), machine.described(), *(f"NOT COMPARED: {one}" for one in done.absent)])
    )
    if data is not None:
        data.write_bytes(orjson.dumps(_plain(done, machine), option=orjson.OPT_INDENT_2))
    if docs is not None:
        write(docs, done, scale, repeat, machine)


def _plain(done: Comparison, machine: Machine) -> dict[str, object]:
    judged = {
        f"{bar.key} {bar.peer}".strip(): {
            "ratio": (ratio := reached(bar, done)), "bar": bar.text(),
            "verdict": bar.verdict(ratio), "turns": by_turn(bar, done),
        }
        for bar in BARS
    }  # fmt: skip
    medians = {name: done.figures(name) for name in done.peers}
    return {
        "bars": judged, "medians": medians, "turns": done.turns, "pairs": done.pairs, "absent": done.absent,
        "machine": machine,
    }  # fmt: skip
