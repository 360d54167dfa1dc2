"""The command `gateway top`: finds the gateway to ask, and shows what it holds, live or once."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import click

from gateway.config.references import parse_secret, read_secret
from gateway.options import ConfigCommand, config_option
from gateway.reaching import admin_listen, admin_token
from gateway.top.view import COLUMNS
from gateway.top.where import Where, at, parse_url

KEYS = [column.key for column in COLUMNS]


def _where(_: click.Context, __: click.Parameter, value: str | None) -> Where | None:
    try:
        return None if value is None else parse_url(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _secret(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    if not value.startswith(("env:", "file:")):
        raise click.BadParameter("everybody on this machine can read a command line; write env:NAME or file:PATH")
    try:
        return read_secret(parse_secret(value, Path.cwd()), os.environ)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _sort(_: click.Context, __: click.Parameter, value: str) -> str:
    if value.removeprefix("-") not in KEYS:
        raise click.BadParameter(f"is no column; write one of {', '.join(KEYS)}, or -KEY for the other way round")
    return value


@click.command("top", cls=ConfigCommand, short_help="Watch what a running gateway holds.")
@config_option
@click.option("--url", "where", callback=_where, metavar="ADDRESS", help="Its admin listener, instead of a file's.")
@click.option("--token", callback=_secret, metavar="REF", help="The admin token: env:NAME or file:PATH.")
@click.option("--filter", "filtered", default="", metavar="TEXT", help="Only calls with this text in them.")
@click.option("--sort", callback=_sort, default="-since", show_default=True, metavar="KEY", help="The column.")
@click.option("--once", is_flag=True, help="Print everything once as plain text, and exit.")
def top_command(path: Path, where: Where | None, token: str | None, filtered: str, sort: str, once: bool) -> None:
    """Watch what a running gateway holds: who is parked where, since when and until when; end a poll by hand.

    The gateway is the one of the configuration, or that at --url. Keys: / filters, 1 to 7 sort, e ends the selected
    poll, t shows the routes, ? helps, q leaves.

    Exit code 1 with --once when nobody answers.
    """
    if where is None:
        where, token = at(admin_listen(path)), token or admin_token(path, os.environ)
    if once:
        _print(where, token, sort, filtered)
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("this is not a terminal; write --once for plain text")
    from gateway.top.screen import Top

    Top(where, token, sort, filtered).run()


def _print(where: Where, token: str | None, sort: str, filtered: str) -> None:
    from gateway.top.asking import Gateway, UnansweredError
    from gateway.top.plain import everything, render

    async def ask() -> str:
        async with Gateway(where, token) as gateway:
            return render(where.name, await everything(gateway, sort, filtered), sort, filtered)

    try:
        click.echo(asyncio.run(ask()))
    except UnansweredError as error:
        raise click.ClickException(str(error)) from None
