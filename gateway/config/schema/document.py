"""A whole file: the main one, and what an included or shipped one may hold. Its JSON Schema is what editors get."""

from __future__ import annotations

from pydantic import Field

from gateway.config.fields import Later, Name, Text
from gateway.config.schema.base import Table
from gateway.config.schema.identity import JwtProvider
from gateway.config.schema.route import Policy, Route
from gateway.config.schema.server import Admin, Log, Server, State
from gateway.config.schema.upstream import Upstream


class Part(Table):
    """What any file may hold."""

    jwt: dict[Name, JwtProvider] = Field(default_factory=dict)
    upstream: dict[Name, Upstream] = Field(default_factory=dict)
    route: tuple[Route, ...] = ()
    policy: dict[Name, Policy] = Field(default_factory=dict)


class Document(Part):
    """The main file."""

    include: tuple[Text, ...] = ()
    server: Server = Field(default_factory=Server)
    admin: Admin | None = None
    state: State = Field(default_factory=State)
    log: Log = Field(default_factory=Log)
    telemetry: Later = None
