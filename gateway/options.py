"""What the commands of the command line share: the option that names the configuration, numbers with their own words
for what is wrong, and a hint for a configuration given where no argument is taken.
"""

from __future__ import annotations

from pathlib import Path

import click

DEFAULT_CONFIG = Path("gateway.toml")

config_option = click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    show_default=True,
    metavar="FILE",
    help="The configuration file.",
)


class Port(click.IntRange):
    """A TCP port."""

    name = "port number"

    def __init__(self) -> None:
        super().__init__(1, 65535)


class Seconds(click.FloatRange):
    """A time in seconds, up to an hour."""

    name = "number of seconds"

    def __init__(self) -> None:
        super().__init__(0, 3600)


class ConfigCommand(click.Command):
    """A command that takes its configuration by -c: a file named without it is told so."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        files = [each for each in args if each.endswith(".toml")]
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if error.message.startswith("Got unexpected extra argument") and files:
                raise click.UsageError(f"{error.message}; write -c {files[0]}", ctx) from None
            raise
