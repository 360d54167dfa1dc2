"""The command `gateway calls`: reads what was typed, asks, prints the calls."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.options import ConfigCommand
from gateway.past.place import Memory, log_options, log_path, note, now, refusals, until_option

F = TypeVar("F", bound=Callable[..., Any])

EXAMPLES = """\b
Examples:
  gateway calls --since 1h --outcome upstream_timeout
  gateway calls --consumer alice --where 'held > 20s and status is null'
  gateway calls --since 2d --where 'path ~ "^/jobs/"' --format csv"""

_EXACT = {
    "route": "Calls of this route.",
    "outcome": "That ended so; see docs/record.md.",
    "consumer": "Of this consumer.",
    "tenant": "Of this tenant.",
    "endpoint": "That this endpoint was asked for.",
    "status": "That were answered with this status.",
    "id": "The call with this id.",
}


def _exact_options(command: F) -> F:
    for name, what in reversed(_EXACT.items()):
        command = click.option(f"--{name}", multiple=True, metavar=name.upper(), help=what)(command)
    return command


@click.command("calls", cls=ConfigCommand, epilog=EXAMPLES, short_help="Show calls that are over, by any filter.")
@log_options
@click.option(
    "--since", metavar="TIME", help='Calls that began then or later: "1h" or "2d" ago, "2025-01-15T09:30:00Z".'
)
@until_option
@_exact_options
@click.option("--where", metavar="FILTER", help="A condition on fields of the record; see docs/past.md.")
@click.option("--sort", default="-time", show_default=True, metavar="FIELD", help="By this field; with - downwards.")
@click.option("--limit", type=click.IntRange(0), default=100, show_default=True, metavar="N", help="So many; 0: all.")
@click.option("--fields", metavar="NAME,..", help="Which fields, in which order.")
@click.option("--format", "layout", type=click.Choice(("table", "json", "jsonl", "csv")), default="table",
              show_default=True)  # fmt: skip
@click.option("--memory", type=Memory(), default="1GiB", show_default=True, help="What the database may take.")
def calls_command(path: Path | None, log: Path | None, since: str | None, until: str | None, where: str | None,
                  sort: str, limit: int, fields: str | None, layout: str, memory: int,
                  **exact: tuple[str, ...]) -> None:  # fmt: skip
    """Show calls that are over, the newest first, from the files of the call log: live, closed and compacted ones.

    Several values of one option count as "or", several options as "and". Times without a zone are UTC.
    """
    from gateway.past.calls import make_query, records
    from gateway.past.progress import shown_while
    from gateway.past.shown import TABLE, lines
    from gateway.past.source import Means, Past, asked
    from gateway.past.when import parse_window

    named = [name.strip() for name in (fields or "").split(",") if name.strip()]

    def ask(past: Past) -> None:
        found = records(past, query)
        with shown_while(past):
            first = list(islice(found, 1))  # all of the work is done for the first one
        there = chain(first, found)
        for line in lines(islice(there, limit) if limit else there, layout, query.fields):
            click.echo(line)
        if not first:
            note("no calls")
        if limit and next(there, None) is not None:
            note(f"there are more than {limit}; --limit 0 shows all")
        for sentence in past.notes:
            note(sentence)

    with refusals():
        window = parse_window(since, until, now())
        query = make_query(exact, where, sort, limit, named or (TABLE if layout == "table" else ()))
        asked(log_path(path, log), window, ask, Means(memory))
