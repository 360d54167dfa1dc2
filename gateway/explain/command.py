"""The command `gateway explain`: reads what was typed, has it explained, prints it, and says by its exit code whether
the request would pass.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path
from typing import BinaryIO

import click

from gateway.clock import Clock
from gateway.config.durations import format_size
from gateway.options import ConfigCommand, config_option
from gateway.poll import read_header

EXIT_REFUSED = 1
LONGEST = 16 << 20  # bytes of a body


@click.command("explain", cls=ConfigCommand, short_help="Say what would happen to one request, and why.")
@config_option
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'",
              help="Request header; may be repeated.")  # fmt: skip
@click.option("--data", metavar="TEXT", help="The request's body, as it is; a file of it is for --data-file.")
@click.option("--data-file", metavar="FILE", help="A file with the body; - is standard input.")
@click.option("--from", "peer", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="The client's address.")
@click.option("--all", "every", is_flag=True, help="List settings that are defaults, too.")
@click.option("--no-live", is_flag=True, help="Do not ask the running gateway for the counts of limits.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.argument("method")
@click.argument("url")
def explain_command(path: Path, headers: tuple[str, ...], data: str | None, data_file: str | None,
                    peer: str, every: bool, no_live: bool, as_json: bool, method: str, url: str) -> None:  # fmt: skip
    """Explain what would happen to METHOD URL: route, policies, identity, hold and deadline, the request as it would
    be forwarded, its limits, every clock, and what a drain or a lost upstream would do. Nothing is sent; only the
    counts of the limits are asked for at the [admin] listener of the gateway that runs here, if one does.

    Exit code 0: it would be forwarded, or answered. 1: it would be refused. 2: wrong usage.
    """
    from gateway.config import read_config
    from gateway.explain.gather import explain
    from gateway.explain.live import ask
    from gateway.explain.request import describe
    from gateway.explain.text import render
    from gateway.parse import MissingParserError

    try:
        body = _body(data, data_file)
        request = describe(method, url, tuple(map(read_header, headers)), body, _address(peer))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    config, _ = read_config(path)
    try:
        asking = None if no_live else lambda pairs: ask(config, pairs, os.environ)
        story = explain(config, request, Clock().wall(), every, asking=asking)
    except (ValueError, MissingParserError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(_json(story) if as_json else render(story))
    if not story.passes:
        sys.exit(EXIT_REFUSED)


def _body(data: str | None, file: str | None) -> bytes | None:
    if file is None:
        if data is not None and data.startswith("@"):  # which other tools take for the name of a file
            name = data[1:] or "-"
            raise ValueError(f"--data is the body itself, not the name of a file; write --data-file {name}")
        return data.encode("utf-8", "surrogateescape") if data is not None else None
    if data is not None:
        raise ValueError("--data and --data-file both give the body; write one of them")
    try:
        found = _read(sys.stdin.buffer) if file == "-" else _open(file)
    except OSError as error:
        raise ValueError(f"--data-file: {file}: {(error.strerror or str(error)).lower()}; check the path") from None
    except ValueError:  # a zero byte
        raise ValueError("--data-file is no path; name a file, or - for standard input") from None
    if len(found) > LONGEST:
        raise ValueError(f"--data-file: {file}: is larger than {format_size(LONGEST)}; name the body of one request")
    return found


def _open(file: str) -> bytes:
    with Path(file).open("rb") as source:
        return _read(source)


def _read(source: BinaryIO) -> bytes:
    return source.read(LONGEST + 1)


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("--from is not an address; write one such as 192.0.2.7") from None


def _json(story: object) -> str:
    import orjson

    return orjson.dumps(story, option=orjson.OPT_INDENT_2).decode()
