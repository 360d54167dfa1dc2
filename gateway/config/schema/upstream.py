"""`[upstream.NAME]`: a service, its endpoints and the clocks of the upstream side. Times are seconds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gateway.config.fields import (
    Balance,
    Count,
    Duration,
    FileRef,
    Flag,
    HeaderValue,
    RuleHeader,
    Share,
    Status,
    Text,
    Timeout,
    Url,
    as_list,
    default,
)  # fmt: skip
from gateway.config.schema.base import Table


def _endpoint(value: object) -> object:
    return {"url": value} if isinstance(value, str) else value


class Endpoint(Table):
    """One address of an upstream, or a name with all it has; `weight` is the share of each against the others."""

    url: Url = Field(examples=["http://127.0.0.1:5000"])
    weight: Annotated[int, Field(strict=True, ge=1, le=1000)] = 1


class HeaderEdit(Table):
    """Header fields to set (replacing those of that name) and to remove."""

    set: dict[RuleHeader, HeaderValue] = Field(default_factory=dict)
    remove: tuple[RuleHeader, ...] = ()


class IdentityHeaders(Table):
    """Header names that tell the upstream who calls; the client's own copies are removed. `certificate`: whose
    certificate the client showed, where `server.tls` asks for one."""

    consumer: RuleHeader | None = None
    tenant: RuleHeader | None = None
    certificate: RuleHeader | None = None
    claims: dict[Text, RuleHeader] = Field(default_factory=dict)


class UpstreamTls(Table):
    """How endpoints with https are verified, and the certificate shown to them."""

    ca: FileRef | None = None
    cert: FileRef | None = None
    key: FileRef | None = None
    server_name: Text | None = None


class Sticky(Table):
    """Where the answer that begins a session names it, for `balance = "sticky:.."`. `skip` is a regular expression of
    what stands before the JSON; a session that nobody used for `keep` is forgotten."""

    id: Text | None = Field(default=None, examples=["json:/sid"])
    skip: str = ""
    keep: Timeout = default("10m")


class Health(Table):
    """Active probes of every endpoint: `unhealthy` failed ones in a row take it out, `healthy` good ones bring it
    back."""

    path: Text = Field(examples=["/healthz"])
    interval: Timeout = default("5s")
    timeout: Timeout = default("1s")
    healthy: Count = 2
    unhealthy: Count = 3
    status: tuple[Status, ...] = Field(default=(), examples=[[200, 204]])
    host: Text | None = None


class Ejection(Table):
    """Outlier ejection: an endpoint with so many `strikes` in a row `within` a time takes no calls `for` a while. Never
    more than `max_share` of them at once. `status`: answers that are strikes too."""

    strikes: Count = 5
    within: Timeout = default("10s")
    for_: Timeout = default("30s", alias="for")
    max_share: Share = 0.5
    status: tuple[Status, ...] = Field(default=(), examples=[[502, 503]])


def _ejection(value: object) -> object:
    return None if value is False else value


class Upstream(Table):
    """A service behind the gateway. More than `max_held` calls at once are refused, never queued. `keep_host`: it is
    told the Host that the client wrote, which may be signed or choose a site, and not its own."""

    endpoints: Annotated[
        tuple[Annotated[Endpoint, BeforeValidator(_endpoint, json_schema_input_type=Url | Endpoint)], ...],
        BeforeValidator(as_list, json_schema_input_type=Url | list[Url | Endpoint]),
    ] = Field(min_length=1, examples=[["http://127.0.0.1:5000"]])  # fmt: skip
    balance: Balance = default("least-held")
    sticky: Sticky = Field(default_factory=Sticky)
    slow_start: Duration = default("0s")
    dns_refresh: Timeout = default("30s")
    health: Health | None = None
    ejection: Annotated[
        Ejection | None, BeforeValidator(_ejection, json_schema_input_type=Literal[False] | Ejection)
    ] = Field(default_factory=Ejection)
    connect_timeout: Timeout = default("2s")
    response_timeout: Timeout = default("30s")
    body_idle_timeout: Timeout = default("60s")
    keepalive: Duration = default("4s")
    max_held: Count = 20000
    forward_authorization: Flag = False
    keep_host: Flag = False
    identity: IdentityHeaders = Field(default_factory=IdentityHeaders)
    tls: UpstreamTls = Field(default_factory=UpstreamTls)
    headers: HeaderEdit = Field(default_factory=HeaderEdit)
