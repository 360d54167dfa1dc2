"""`gateway health`: asks a running gateway's admin listener how it is and says so in one sentence, for the health
checks of Docker and the like. A configuration that is being edited is no illness.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import sys
from pathlib import Path

import click

from gateway.config.addresses import Listen, parse_listen
from gateway.options import ConfigCommand, config_option
from gateway.reaching import admin_listen, near, with_port

TIMEOUT = 5.0  # seconds for the connection, and again for the answer
_MAX_ANSWER = 1 << 16
_WORDS = ("status", "detail", "error")  # keys under which the listener says what it has to say
_UNSEEN = re.compile(r"[^\x20-\x7e]")


class _Connection(http.client.HTTPConnection):
    """A connection to where the gateway listens: over a unix socket where that is one."""

    def __init__(self, listen: Listen) -> None:
        host = near(listen).host if listen.path is None else "localhost"
        super().__init__(host, listen.port, timeout=TIMEOUT)
        self._path = listen.path

    def connect(self) -> None:
        if self._path is None:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(self._path)


def ask(listen: Listen, page: str) -> tuple[bool, str]:
    """Whether the gateway whose admin listener is at `listen` says that all is well, and the sentence to print."""
    connection = _Connection(listen)
    try:
        connection.request("GET", page)
        answer = connection.getresponse()
        said = _said(answer.read(_MAX_ANSWER))
    except OSError as error:
        return False, f"{listen} does not answer ({_reason(error)}); is the gateway running?"
    except http.client.HTTPException:
        return False, f"{listen} does not answer in HTTP; is that the admin listener?"
    finally:
        connection.close()
    if said is None:
        return False, f"{listen} is not a gateway's admin listener ({page}: {answer.status}); name that one"
    return answer.status == 200, f"{listen}: {said}"


def _said(body: bytes) -> str | None:
    """The gateway's own word for how it is; None if this is no answer of a gateway."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    said = next((found[key] for key in _WORDS if key in found), None) if isinstance(found, dict) else None
    return _UNSEEN.sub(" ", said) if isinstance(said, str) else None


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing within {TIMEOUT:g} s"
    return (error.strerror or str(error)).lower()


def _address(_: click.Context, __: click.Parameter, value: str | None) -> Listen | None:
    try:
        return None if value is None else with_port(parse_listen(value, Path.cwd()))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("health", cls=ConfigCommand, short_help="Ask a running gateway whether it is well.")
@config_option
@click.option("--admin", callback=_address, metavar="ADDRESS", help="Its admin.listen, instead of a file's.")
@click.option("--ready", is_flag=True, help="Ask whether it takes calls (/readyz), not whether it lives (/healthz).")
def health_command(path: Path, admin: Listen | None, ready: bool) -> None:
    """Ask the admin listener of a running gateway how it is.

    Exit code 0 when all is well, 1 when it is not or nobody answers. No token is needed.
    """
    well, sentence = ask(admin or admin_listen(path), "/readyz" if ready else "/healthz")
    click.echo(sentence, err=not well)
    if not well:
        sys.exit(1)
