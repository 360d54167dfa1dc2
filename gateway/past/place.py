"""What both commands about the past have in common: where the log is, from when to when, and how they say no."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.config.durations import format_size, parse_size
from gateway.options import DEFAULT_CONFIG

F = TypeVar("F", bound=Callable[..., Any])

LEAST_MEMORY = 64 << 20  # bytes
_LIVE = "calls.jsonl"  # what a directory is taken for


def log_options(command: F) -> F:
    """-c and --log."""
    for option in (
        click.option("--log", type=click.Path(path_type=Path), metavar="PATH",
                     help="The log itself, as in log.calls, or one Parquet file; instead of -c."),
        click.option("-c", "--config", "path", type=click.Path(path_type=Path), metavar="FILE",
                     help=f"The configuration whose log.calls is read.  [default: {DEFAULT_CONFIG}]"),
    ):  # fmt: skip
        command = option(command)
    return command


until_option = click.option("--until", metavar="TIME", help="Calls that began before it; now if left out.")


def log_path(config: Path | None, log: Path | None) -> Path:
    """The live file of the log. Raises a sentence for people when there is none to read."""
    if config is not None and log is not None:
        raise click.UsageError("-c and --log both say where the log is; write one of them")
    if log is not None:
        return log / _LIVE if log.is_dir() else log
    from gateway.config import read_config
    from gateway.telemetry.places import log_file

    path = config or DEFAULT_CONFIG
    if config is None and not path.exists():
        raise click.UsageError(f"there is no {path} here; name a configuration by -c, or the log itself by --log")
    found, _ = read_config(path)
    file = log_file(found.log)
    if file is None:
        raise click.ClickException(
            f'{path}: log.calls names no file, so no call is kept here; write log.calls = "file:var/calls.jsonl" and '
            "restart the gateway, or save what it prints in a file and name that by --log"
        )
    return file


class Memory(click.ParamType[int]):
    """A size, in bytes."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            size = parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if size < LEAST_MEMORY:
            self.fail(f"is less than {format_size(LEAST_MEMORY)}, with which nothing can be asked", param, ctx)
        return size


def now() -> datetime:
    return datetime.now(UTC)


class _Failure(click.ClickException):
    exit_code = 2


@contextmanager
def refusals() -> Iterator[None]:
    """What a person can put right ends in a sentence and exit code 2."""
    import duckdb

    from gateway.past.files import NoLogError
    from gateway.past.source import damaged

    try:
        yield
    except NoLogError as error:
        raise _Failure(str(error)) from None
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except duckdb.OutOfMemoryException:
        raise _Failure(
            "the answer needs more memory than it may take; ask for a shorter time, or raise --memory"
        ) from None
    except (duckdb.InterruptException, RuntimeError) as error:
        if "interrupted" in str(error).lower():  # so does DuckDB tell of a Ctrl-C
            raise KeyboardInterrupt from None
        raise
    except duckdb.Error as error:
        raise _Failure(damaged(error)) from None


def note(sentence: str) -> None:
    """A sentence beside the answer, where it is in no program's way."""
    click.echo(f"note: {sentence}", err=True)
