"""Where the admin listener of a running gateway is, and what opens it: read from its configuration for commands that
ask it. Of the file one table is read: one that is being edited must not keep anybody from asking.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from gateway.config.addresses import Listen, parse_listen
from gateway.config.references import parse_secret, read_secret

DEFAULT_LISTEN = "127.0.0.1:9090"  # of admin.listen
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def admin_listen(path: Path) -> Listen:
    """`admin.listen` of a configuration.

    Raises click.ClickException when it cannot be told, OSError when the file cannot be read.
    """
    try:
        return with_port(parse_listen(_admin(path).get("listen", DEFAULT_LISTEN), path.absolute().parent))
    except ValueError as error:
        raise click.ClickException(f"{path}: admin.listen: {error}") from None


def admin_token(path: Path, environ: Mapping[str, str]) -> str | None:
    """The secret that `admin.token` of a configuration names; None when it names none. Raises like `admin_listen`."""
    token = _admin(path).get("token")
    try:
        return None if token is None else read_secret(parse_secret(token, path.absolute().parent), environ)
    except ValueError as error:
        raise click.ClickException(f"{path}: admin.token: {error}") from None


def _admin(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        try:
            data = tomllib.load(file)
        except (ValueError, RecursionError):  # TOML or UTF-8; tables that nest too deep
            raise click.ClickException(f"{path}: is not valid TOML; gateway check {path} says where") from None
    admin = data.get("admin")
    if not isinstance(admin, dict):
        raise click.ClickException(f"{path}: has no admin listener to ask; add [admin]")
    return admin


def with_port(listen: Listen) -> Listen:
    """An address at which somebody can be asked. Raises ValueError for one that is chosen at every start."""
    if listen.path is None and listen.port == 0:
        raise ValueError("port 0 is another one at every start; write a number")
    return listen


def near(listen: Listen) -> Listen:
    """The address to ask at: who listens everywhere is asked on loopback."""
    return replace(listen, host=_EVERYWHERE.get(listen.host, listen.host))


def base_url(listen: Listen) -> str:
    """What stands before the path of a page. Over a unix socket the name is only for the Host field."""
    return "http://localhost" if listen.path is not None else f"http://{near(listen)}"
