"""The command line: reads arguments, calls the part that does the work, prints. Each command imports what it needs
when it runs, so that `gateway check` does not wait for the proxy. Nothing here decides anything.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from gateway import __version__
from gateway.config.problems import ConfigError

_LAZY = {"poll": "gateway.poll:poll_command", "explain": "gateway.explain:explain_command"}

config_option = click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=Path("gateway.toml"),
    show_default=True,
    help="The configuration file.",
)


def _exists(command: str) -> bool:
    """Whether the module of a lazy command is there: an installation may leave one out."""
    return importlib.util.find_spec(_LAZY[command].partition(":")[0]) is not None


class LazyGroup(click.Group):
    """A group some of whose commands live in modules of their own, imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted((*super().list_commands(ctx), *filter(_exists, _LAZY)))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _LAZY or not _exists(cmd_name):
            return super().get_command(ctx, cmd_name)
        module, _, name = _LAZY[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gateway", message="%(prog)s %(version)s")
def cli() -> None:
    """An API gateway for long-poll endpoints."""


@cli.command()
@config_option
def run(path: Path) -> None:
    """Serve. SIGTERM drains, a second SIGTERM stops now."""
    from gateway import app

    sys.exit(app.run(path))


@cli.command()
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="The gateway's port.")
@click.option("--admin-port", type=click.IntRange(1, 65535), default=9090, show_default=True, help="The admin API's.")
def demo(port: int, admin_port: int) -> None:
    """Start a demo upstream with the gateway before it."""
    from gateway.demo.run import run_demo

    sys.exit(run_demo(port, admin_port))


@cli.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
def check(path: Path) -> None:
    """Print every problem of a configuration; exit 1 if there is one."""
    from gateway.config.check import check as check_all
    from gateway.config.load import load

    config, problems, notices = check_all(load(path))
    for problem in problems:
        click.echo(str(problem))
    for notice in notices:
        click.echo(f"notice: {notice}")
    if config is None:
        sys.exit(1)
    counted = (("route", len(config.routes)), ("upstream", len(config.upstreams)), ("provider", len(config.jwt)))
    parts = (f"{count} {noun}{'' if count == 1 else 's'}" for noun, count in counted)
    click.echo(f"{path}: ok, {', '.join(parts)}")


@cli.command()
@config_option
def routes(path: Path) -> None:
    """Print the routes as a table."""
    from gateway.config import read_config
    from gateway.config.table import route_table

    config, _ = read_config(path)
    click.echo(route_table(config))


@cli.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    import json

    from gateway.config.jsonschema import document_schema

    click.echo(json.dumps(document_schema(), indent=2))


@cli.command()
@config_option
@click.option("--provider", metavar="NAME", help="The [jwt.NAME] to sign for; the only one if left out.")
@click.option("--sub", "subject", required=True, metavar="TEXT", help="Who the token is for.")
@click.option("--ttl", default="1h", show_default=True, metavar="DURATION", help="How long it counts.")
@click.option("--claim", "claims", multiple=True, metavar="NAME=TEXT", help="A further claim; NAME:=JSON for JSON.")
def token(path: Path, provider: str | None, subject: str, ttl: str, claims: tuple[str, ...]) -> None:
    """Print a token for a provider whose key is a local secret or private key."""
    from gateway.tokens import make_token

    click.echo(make_token(path, provider, subject, ttl, claims))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The console entry. Whatever a person can put right ends in a sentence, not a traceback.

    Exit codes: 0 done, 1 a configuration or an operation failed, 2 wrong usage or a file that cannot be read.
    """
    try:
        cli.main(arguments, prog_name="gateway")
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"gateway: {where}{(error.strerror or str(error)).lower()}", err=True)
        sys.exit(2)
    sys.exit(0)
