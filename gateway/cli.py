"""The command line: reads arguments, calls the part that does the work, prints. Each command imports what it needs
when it runs, so that `gateway check` does not wait for the proxy. Nothing here decides anything.
"""

from __future__ import annotations

import errno
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from gateway.built import VERSION
from gateway.config.problems import ConfigError
from gateway.options import DEFAULT_CONFIG, ConfigCommand, Port, config_option

EXIT_CODES = """Exit codes: 0 done; 1 a configuration has problems, or what was asked for failed or would be refused;
2 wrong usage, or the system has it not: a file cannot be read, an address cannot be listened on."""

_LAZY = {"poll": "gateway.poll:poll_command", "explain": "gateway.explain:explain_command",
         "health": "gateway.health:health_command", "top": "gateway.top:top_command",
         "calls": "gateway.past.command:calls_command",
         "report": "gateway.past.report_command:report_command"}  # fmt: skip
_LATER = frozenset(("init", "plan", "tenants", "keys", "subscriptions"))
_REMEDIES = {
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "name a file",
    errno.EACCES: "check who may use it",
    errno.EPERM: "check who may use it",
    errno.ENOSPC: "make room there",
}


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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] in _LATER:
            ctx.fail(f"'{args[0]}' is not available in this version; 'gateway --help' lists what is")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.version_option(VERSION, prog_name="gateway", message="%(prog)s %(version)s")
def cli() -> None:
    """An API gateway for long-poll endpoints. Begin with: gateway demo"""


@cli.command(cls=ConfigCommand, short_help="Serve, until SIGTERM or Ctrl-C.")
@config_option
@click.option("--replace", is_flag=True, help="Take over from the gateway that runs with this configuration.")
def run(path: Path, replace: bool) -> None:
    """Serve. SIGTERM or Ctrl-C drains: held polls end in "no news" within server.drain. A second one stops now.
    SIGHUP reads the configuration again.

    With --replace the gateway that runs hands its listening sockets on and drains once this one serves: no connection
    is refused. Where none runs, this one just starts.

    Records of calls go where log.calls says, everything else to standard error.
    """
    from gateway import process
    from gateway.parse import MissingParserError

    try:
        sys.exit(process.run(path, replace))
    except (ValueError, MissingParserError) as error:
        raise click.ClickException(str(error)) from None


@cli.command(short_help="Start a demo upstream with the gateway before it.")
@click.option("--port", type=Port(), default=8080, show_default=True, metavar="PORT", help="The gateway's port.")
@click.option("--admin-port", type=Port(), default=9090, show_default=True, metavar="PORT", help="The admin API's.")
def demo(port: int, admin_port: int) -> None:
    """Start a demo upstream with the gateway before it, on loopback, and print lines to paste. Ctrl-C ends it."""
    from gateway.demo.run import run_demo

    sys.exit(run_demo(port, admin_port))


@cli.command(short_help="Print every problem of a configuration.")
@click.argument("path", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
@click.option("-c", "--config", "option", metavar="FILE", type=click.Path(path_type=Path), help="The same as FILE.")
def check(path: Path | None, option: Path | None) -> None:
    """Print every problem of the configuration FILE (gateway.toml), with the key and what to write instead.

    A notice is something to know that stops nothing. Exit code 1 when there is a problem.
    """
    from gateway.checking import check_file

    if path is not None and option is not None:
        raise click.UsageError("FILE is named twice; name it once")
    lines, sound = check_file(path or option or DEFAULT_CONFIG)
    for line in lines:
        click.echo(line)
    if not sound:
        sys.exit(1)


@cli.command(cls=ConfigCommand)
@config_option
def routes(path: Path) -> None:
    """Print the routes as a table."""
    from gateway.config import read_config
    from gateway.config.table import route_table

    config, _ = read_config(path)
    click.echo(route_table(config))


@cli.command(cls=ConfigCommand, short_help="List the hold policies that come with the gateway.")
@click.option("-c", "--config", "path", type=click.Path(path_type=Path), metavar="FILE",
              help="The configuration file.  [default: gateway.toml, if it is there]")  # fmt: skip
@click.argument("name", required=False)
def policies(path: Path | None, name: str | None) -> None:
    """List the hold policies that come with the gateway, and say which of them the configuration replaces by one of its
    own. With a NAME print that policy's file, to read or to copy."""
    from gateway.config.shelf import policy_text, shelf

    if path is None and DEFAULT_CONFIG.is_file():
        path = DEFAULT_CONFIG
    try:
        click.echo(policy_text(name) if name is not None else shelf(path))
    except ValueError as error:
        raise click.UsageError(str(error)) from None


@cli.command()
@click.option("--record", is_flag=True, help="That of a line of the call log instead.")
def schema(record: bool) -> None:
    """Print the JSON Schema of the configuration, for editors."""
    import json

    from gateway.config.jsonschema import document_schema
    from gateway.telemetry.schema import record_schema

    click.echo(json.dumps(record_schema() if record else document_schema(), indent=2))


@cli.command(cls=ConfigCommand, short_help="Print a token for a provider whose signing key is here.")
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
    """The console entry. Whatever a person can put right ends in a sentence, not a traceback; see EXIT_CODES."""
    try:
        cli.main(arguments, prog_name="gateway")
    except (ConfigError, OSError) as error:
        code, text = explained(error)
        click.echo(text, err=True)
        sys.exit(code)
    sys.exit(0)


def explained(error: Exception) -> tuple[int, str]:
    """The exit code and the sentences for what a person can put right. What nobody can is raised again."""
    match error:
        case ConfigError():
            return 1, str(error)
        case OSError():
            return 2, f"gateway: {_said(error)}"
        case ValueError():
            return 1, f"Error: {error}"
    raise error


def _said(error: OSError) -> str:
    """One sentence: the system's own words with a remedy, or those of an error of ours, which have theirs."""
    if error.filename is None:
        return error.strerror or str(error)
    remedy = _REMEDIES.get(error.errno or 0)
    reason = (error.strerror or "unknown error").lower()
    return f"{error.filename}: {reason}" + (f"; {remedy}" if remedy else "")
