"""`[[route]]` and `[policy.NAME]`: what is served and under which policies. A policy is a named bag of kinds;
a table of a kind on the route itself is merged over its policies'. Times are seconds.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.config.fields import Host, Later, Method, Name, Template, Timeout, one_or_list
from gateway.config.schema.base import Table
from gateway.config.schema.hold import Hold
from gateway.config.schema.kinds import (
    AllowList,
    BodySize,
    ConcurrencyCap,
    Cors,
    Headers,
    HoldCap,
    Jwt,
    RateLimit,
    Retry,
    Sse,
    WebSocket,
)  # fmt: skip


class Kinds(Table):
    """The policy kinds, as they stand in a policy and on a route."""

    hold: Hold | None = None
    jwt: Jwt | None = None
    allow_list: AllowList | None = None
    body_size: BodySize | None = None
    headers: Annotated[tuple[Headers, ...], one_or_list(Headers)] = ()
    cors: Cors | None = None
    rate_limit: Annotated[tuple[RateLimit, ...], one_or_list(RateLimit)] = ()
    hold_cap: Annotated[tuple[HoldCap, ...], one_or_list(HoldCap)] = ()
    concurrency_cap: Annotated[tuple[ConcurrencyCap, ...], one_or_list(ConcurrencyCap)] = ()
    websocket: WebSocket | None = None
    sse: Sse | None = None
    retry: Retry | None = None
    coalesce: Later = None
    repoll: Later = None
    api_key: Later = None
    subscription: Later = None


class Policy(Kinds):
    """`[policy.NAME]`."""


class Match(Table):
    """Which requests a route answers. No `host` means every host; no `methods` means every method."""

    path: Template = Field(examples=["/updates"])
    host: Host | None = None
    methods: tuple[Method, ...] = ()


class Route(Kinds):
    """`[[route]]`. A clock that is None is the upstream's."""

    name: Name = Field(examples=["updates"])
    match: Match = Field(examples=[{"path": "/updates"}])
    upstream: Name = Field(examples=["updates"])
    rewrite: Template | None = None
    connect_timeout: Timeout | None = None
    response_timeout: Timeout | None = None
    body_idle_timeout: Timeout | None = None
    policies: tuple[Name, ...] = ()
