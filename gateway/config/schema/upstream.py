"""`[upstream.NAME]`: a service, its endpoints and the clocks of the upstream side. Times are seconds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gateway.config.fields import (
    Count,
    Duration,
    FileRef,
    Flag,
    HeaderValue,
    Later,
    RuleHeader,
    Text,
    Timeout,
    Url,
    as_list,
    default,
    later,
)  # fmt: skip
from gateway.config.schema.base import Table


def _endpoint(value: object) -> object:
    return {"url": value} if isinstance(value, str) else value


class Endpoint(Table):
    """One address of an upstream; `weight` is its share against the others."""

    url: Url = Field(examples=["http://127.0.0.1:5000"])
    weight: Annotated[int, Field(strict=True, ge=1, le=1000)] = 1


class HeaderEdit(Table):
    """Header fields to set (replacing those of that name) and to remove."""

    set: dict[RuleHeader, HeaderValue] = Field(default_factory=dict)
    remove: tuple[RuleHeader, ...] = ()


class IdentityHeaders(Table):
    """Header names that tell the upstream who calls; the client's own copies are removed."""

    consumer: RuleHeader | None = None
    tenant: RuleHeader | None = None
    claims: dict[Text, RuleHeader] = Field(default_factory=dict)


class UpstreamTls(Table):
    """How endpoints with https are verified, and the certificate shown to them."""

    ca: FileRef | None = None
    cert: FileRef | None = None
    key: FileRef | None = None
    server_name: Text | None = None


class Upstream(Table):
    """A service behind the gateway. More than `max_held` calls at once are refused, never queued. `keep_host`: it is
    told the Host that the client wrote, which may be signed or choose a site, and not its own."""

    endpoints: Annotated[
        tuple[Annotated[Endpoint, BeforeValidator(_endpoint, json_schema_input_type=Url | Endpoint)], ...],
        BeforeValidator(as_list, json_schema_input_type=Url | list[Url | Endpoint]),
    ] = Field(min_length=1, examples=[["http://127.0.0.1:5000"]])  # fmt: skip
    balance: Annotated[
        Literal["least-held", "round-robin"],
        later("random-two", "hash:", "sticky:", instead='"least-held" or "round-robin"'),
    ] = "least-held"
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
    dns_refresh: Later = None
    slow_start: Later = None
    health: Later = None
    ejection: Later = None
