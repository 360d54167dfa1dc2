"""What `gateway token` does: finds the provider in a configuration, reads the claims and has the token signed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.config.durations import parse_duration

if TYPE_CHECKING:
    from gateway.config.schema import JwtProvider


def make_token(path: Path, name: str | None, subject: str, ttl: str, claims: Iterable[str]) -> str:
    """A token for a provider of the configuration at `path`. Raises ClickException with a sentence on any misuse.

    Only the provider is looked at, so a token can be had while the rest of the file is still being written.
    """
    from gateway.identity.issue import issue

    provider = _provider(path, name)
    try:
        seconds = parse_duration(ttl)
        extra = dict(read_claim(claim) for claim in claims)
        return issue(provider, subject, seconds, extra, now=time.time(), environ=os.environ)
    except ValueError as error:
        raise click.ClickException(str(error)) from None


def read_claim(text: str) -> tuple[str, object]:
    """`tenant=acme` as text, `tier:=["gold"]` as JSON. Raises ValueError ("what; remedy")."""
    name, equals, value = text.partition("=")
    if not equals or not name.rstrip(":"):
        raise ValueError(f"--claim '{text}' has no name and value; write --claim tenant=acme")
    if not name.endswith(":"):
        return name, value
    try:
        return name[:-1], json.loads(value)
    except (json.JSONDecodeError, RecursionError):
        raise ValueError(f"--claim '{text}' is not JSON behind ':='; write --claim {name[:-1]}=TEXT") from None


def _provider(path: Path, name: str | None) -> JwtProvider:
    from gateway.config.assemble import assemble
    from gateway.config.load import load
    from gateway.config.problems import ConfigError, did_you_mean

    loaded = load(path)
    if not loaded.sources:
        raise ConfigError(loaded.problems)
    draft = assemble(loaded)
    providers = draft.config.jwt
    if name is None and len(draft.known["jwt"]) == 1:
        name = next(iter(draft.known["jwt"]))
    if name in providers:
        return providers[name]
    broken = [each for each in draft.problems if each.key_path.startswith(f"jwt.{name}")]
    if broken:
        raise ConfigError(broken)
    if name is None:
        raise click.ClickException(f"say which provider; --provider {did_you_mean('', draft.known['jwt'])}")
    raise click.ClickException(f"there is no provider '{name}'; {did_you_mean(name, draft.known['jwt'])}")
