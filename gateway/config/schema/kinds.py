"""The settings of the small policy kinds: jwt, allow_list, body_size, headers, cors, websocket, sse, retry. A route's
table of a kind is merged over its policies' (`config.merge`), so every key has a default and what must be there is
checked after.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict

from gateway.config.fields import (
    Count,
    Duration,
    Flag,
    HeaderName,
    Later,
    Method,
    Name,
    Network,
    Origin,
    Per,
    Rate,
    Scalar,
    Share,
    Size,
    Status,
    Text,
    Timeout,
    default,
    one_or_list,
)  # fmt: skip
from gateway.config.schema.base import Table
from gateway.config.schema.upstream import HeaderEdit


class Jwt(Table):
    """Who may call: the first of `provider` whose token is found; all `scopes`; one of the values of each claim.

    `expiry` "bound": a hold never outlives its token.
    """

    provider: Annotated[tuple[Name, ...], one_or_list(Name)] = ()
    scopes: tuple[Text, ...] = ()
    claims: dict[Text, Annotated[tuple[Scalar, ...], one_or_list(Scalar), Field(min_length=1)]] = Field(
        default_factory=dict
    )
    expiry: Literal["bound", "ignore"] = "bound"


class AllowList(Table):
    """Networks a caller's address must be in. Several lists must all admit."""

    addresses: tuple[Network, ...] = ()


class BodySize(Table):
    """The largest request body. Of several policies the smallest counts; a route's own table replaces it."""

    max: Size | None = None


class Headers(Table):
    """Header fields to set and remove, on the request to the upstream and on the answer to the client."""

    request: HeaderEdit = Field(default_factory=HeaderEdit)
    response: HeaderEdit = Field(default_factory=HeaderEdit)
    when_claims: Later = None


class _Counted(Table):
    """What limits and caps have in common: who counts as one, and for whom the limit is meant."""

    per: Per = "consumer"
    when_claims: dict[Text, Annotated[tuple[Scalar, ...], one_or_list(Scalar), Field(min_length=1)]] = Field(
        default_factory=dict
    )


class RateLimit(_Counted):
    """How many calls a time. `burst` None is as many as the rate. `refund_empty`: an empty poll that was held for its
    whole time costs nothing. `mode` "delay": a poll waits for its token, out of its own hold."""

    rate: Rate | None = Field(default=None, examples=["60/min"])
    burst: Count | None = None
    mode: Literal["reject", "delay"] = "reject"
    refund_empty: Flag = False


class HoldCap(_Counted):
    """How many polls at once. `on_excess` "wait": the poll waits for a place, out of its own hold, in a line of at most
    `max_waiting` (10 where it is not written)."""

    max: Count | None = Field(default=None, examples=[3])
    on_excess: Literal["reject", "evict-oldest", "wait"] = "reject"
    evict_grace: Duration = default("30s")
    max_waiting: Count | None = None


class ConcurrencyCap(_Counted):
    """How many ordinary calls at once."""

    max: Count | None = Field(default=None, examples=[10])
    on_excess: Literal["reject", "wait"] = "reject"
    max_waiting: Count | None = None


class Cors(Table):
    """Which web pages may call (Fetch Standard, 3.2). `methods` empty means those of the route."""

    origins: tuple[Origin, ...] = ()
    methods: tuple[Method, ...] = ()
    headers: tuple[HeaderName, ...] = ()
    expose: tuple[HeaderName, ...] = ()
    credentials: Flag = False
    max_age: Duration = default("10m")


class WebSocket(Table):
    """Lets requests change the protocol of their connection (RFC 9110 7.8). `origins` are the web pages that may, `[]`
    only those that are no web pages; `subprotocols` empty means any. `upgrades` are the protocols that are let through.
    """

    origins: tuple[Origin, ...] = ()
    subprotocols: tuple[Text, ...] = ()
    upgrades: tuple[Text, ...] = ("websocket",)
    idle_timeout: Timeout = default("75s")
    max_time: Timeout = default("12h")


class Sse(Table):
    """Server-sent events. `heartbeat`: a comment is sent when nothing else was for so long. `idle_timeout`: how long
    the service may say nothing, the route's `body_idle_timeout` where it is not written. `drain` "finish": a stream has
    an end of its own, and a drain lets it come to it."""

    heartbeat: Timeout | None = None
    idle_timeout: Timeout | None = None
    max_time: Timeout | None = None
    drain: Literal["spread", "finish"] = "spread"


class Retry(Table):
    """What may be sent again beyond the built-in rule: ordinary calls of `methods` whose connection died or whose
    answer has one of `status`, at most `attempts` times in all, after a pause that begins at `backoff`. `budget`: no
    more than this share of the upstream's calls, those that the built-in rule sends again included."""

    attempts: Annotated[int, Strict(), Field(ge=1, le=10)] = 2
    budget: Share = 0.2
    backoff: Duration = default("25ms")
    methods: tuple[Method, ...] = ("GET", "HEAD", "OPTIONS")
    status: tuple[Status, ...] = ()
