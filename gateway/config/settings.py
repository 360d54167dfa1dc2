"""A checked configuration as one value: every table of every file, and the file each came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.config.schema import Admin, JwtProvider, Log, Policy, Route, Server, State, Telemetry, Upstream


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a piece was written: the file as it is named to the person, and the piece's key path in it. What is
    `shipped` comes with the gateway and is changed on the route that uses it."""

    file: str
    key: str
    shipped: bool


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration. `origins` tells where a piece was written, by its key: `("policy", "p")`, `("jwt", "main")`,
    `("upstream", "u")`, `("route", "r")`. Policies hold the shipped ones that some route uses.
    """

    path: Path
    server: Server
    admin: Admin | None
    state: State
    log: Log
    telemetry: Telemetry
    jwt: dict[str, JwtProvider]
    upstreams: dict[str, Upstream]
    policies: dict[str, Policy]
    routes: tuple[Route, ...]
    origins: dict[tuple[str, str], Origin]
