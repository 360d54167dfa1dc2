"""The settings of the small policy kinds: jwt, allow_list, body_size, headers, cors. A route's table of a kind is
merged over its policies' (`config.merge`), so every key has a default and what must be there is checked after.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

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
    Size,
    Text,
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
