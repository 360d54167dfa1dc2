"""The command `gateway report`: reads what was typed, asks, and writes the report where it is wanted."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.options import ConfigCommand
from gateway.past.place import Memory, log_options, log_path, note, now, refusals, until_option


@click.command("report", cls=ConfigCommand, short_help="Show trends of the past, and what to do about them.")
@log_options
@click.option("--since", default="24h", show_default=True, metavar="TIME", help='"24h" or "7d" ago, or a date.')
@until_option
@click.option("--by", type=click.Choice(("hour", "day")), help="Steps of time; hours up to two days, then days.")
@click.option("--top", type=click.IntRange(1, 1000), default=15, show_default=True, metavar="N",
              help="So many routes, consumers, tenants: those with the most calls.")  # fmt: skip
@click.option("--format", "layout", type=click.Choice(("text", "html", "json")),
              help="html if the name of -o says so, else text.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write to FILE.")
@click.option("--memory", type=Memory(), default="1GiB", show_default=True, help="What the database may take.")
def report_command(path: Path | None, log: Path | None, since: str, until: str | None, by: str | None, top: int,
                   layout: str | None, output: Path | None, memory: int) -> None:  # fmt: skip
    """Show how many calls there were, how empty polls were, how fast news, how long holds, what was evicted, refused
    and went wrong: over time, by route, consumer and tenant, each beside the same time before; and advice where clients
    starve.
    """
    from gateway.past.progress import shown_while
    from gateway.past.report import Report, make_report
    from gateway.past.source import Means, Past, asked
    from gateway.past.trends import aligned, with_before
    from gateway.past.when import parse_window

    made = now()
    with refusals():
        window = parse_window(since, until, made)
        step = by or ("hour" if window.seconds <= 2 * 86400 + 3600 else "day")
        window = aligned(window, step)
        where = log_path(path, log)

        def ask(past: Past) -> Report:
            with shown_while(past):
                return make_report(past, where, made, window, step, top)

        report = asked(where, with_before(window), ask, Means(memory))
    text = _written(report, layout or _layout(output))
    if output is None:
        click.echo(text)
    else:
        try:
            output.write_text(text + "\n", "utf-8")
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(output)) from None  # a full disk is told without a name
        note(f"{output} is written")


def _layout(output: Path | None) -> str:
    return {".html": "html", ".htm": "html", ".json": "json"}.get(output.suffix if output else "", "text")


def _written(report: object, layout: str) -> str:
    from gateway.past.report import Report, report_document

    assert isinstance(report, Report)
    if layout == "html":
        from gateway.past.page import report_page

        return report_page(report)
    if layout == "json":
        import orjson

        return orjson.dumps(report_document(report), option=orjson.OPT_INDENT_2).decode()
    from gateway.past.text import report_lines

    return "\n".join(report_lines(report))
