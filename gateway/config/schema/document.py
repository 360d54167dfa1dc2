"""A whole file: the main one, and what an included or shipped one may hold. Its JSON Schema is what editors get."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from gateway.config.fields import Name, Text
from gateway.config.schema.base import Table
from gateway.config.schema.identity import JwtProvider
from gateway.config.schema.log import Log
from gateway.config.schema.route import Policy, Route
from gateway.config.schema.server import Admin, Server, State
from gateway.config.schema.telemetry import Telemetry
from gateway.config.schema.upstream import Upstream


def _named(table: str, model: type[Table], example: str) -> BeforeValidator:
    """Catches keys written under `[jwt]` where `[jwt.NAME]` is meant."""
    keys = {info.alias or name for name, info in model.model_fields.items()}

    def check(value: object) -> object:
        for key, item in value.items() if isinstance(value, dict) else ():
            if not isinstance(item, dict) and (key in keys or not isinstance(item, list)):
                raise ValueError(
                    f"the key {key[:64]!a} stands under [{table}]; write a name there, [{table}.{example}]"
                )
        return value

    return BeforeValidator(check)


class Part(Table):
    """What any file may hold."""

    jwt: Annotated[dict[Name, JwtProvider], _named("jwt", JwtProvider, "main")] = Field(default_factory=dict)
    upstream: Annotated[dict[Name, Upstream], _named("upstream", Upstream, "updates")] = Field(default_factory=dict)
    route: tuple[Route, ...] = ()
    policy: Annotated[dict[Name, Policy], _named("policy", Policy, "signed-in")] = Field(default_factory=dict)


class Document(Part):
    """The main file."""

    include: tuple[Text, ...] = ()
    server: Server = Field(default_factory=Server)
    admin: Admin | None = None
    state: State = Field(default_factory=State)
    log: Log = Field(default_factory=Log)
    telemetry: Telemetry = Field(default_factory=Telemetry)
