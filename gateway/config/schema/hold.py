"""A `hold` table: how one protocol asks to be held, waits and says "no news". Times are seconds.
Every default is the careful one: nothing is held, changed, cut or repeated unless the dialect says so.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, WithJsonSchema

from gateway.config.durations import parse_duration
from gateway.config.fields import (
    Duration,
    Flag,
    LiteralValue,
    Ratio,
    RuleHeader,
    Size,
    Text,
    Timeout,
    default,
    one_or_list,
    place,
)
from gateway.config.schema.base import Table
from gateway.config.texts import Place

_WHEN_DEPTH = 8
_POINTER = r"json:(/[^\s()]*)?"
_RESPONSE_PLACE = re.compile(rf"header:[!#$%&'*+.^_`|~0-9A-Za-z-]+|{_POINTER}|(max|min|last)\({_POINTER}\)( ?\+ ?1)?")


def _when(value: object, depth: int = 0) -> Any:
    """The shape of a `when`: predicates in a list or in any, all and not tables. Their text is compiled later."""
    if depth > _WHEN_DEPTH:
        raise ValueError(f"nests deeper than {_WHEN_DEPTH}; write fewer any/all tables")
    if isinstance(value, str) and depth:
        return value
    if isinstance(value, (list, tuple)) and depth == 0:
        return [_when(item, 1) for item in value]
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in ("any", "all", "not"):
        name, items = next(iter(value.items()))
        if name == "not":
            return {name: _when(items, depth + 1)}
        if isinstance(items, list) and items:
            return {name: [_when(item, depth + 1) for item in items]}
    raise ValueError('is not a condition; write a list such as ["query:since present"], or { any = [..] }')


def _idle(value: object) -> Any:
    """The shape of `idle`: tests of an answer, nested as those of requests are."""
    try:
        return _when(value)
    except ValueError:
        raise ValueError(
            'is not a list of tests; write one such as ["status == 204"], or { all = [..] } in it'
        ) from None


def _key_place(value: object) -> str:
    """Only the shape; what the place is called is looked at when it is compiled."""
    if value == "consumer" or (isinstance(value, str) and re.fullmatch(r"[a-z-]+:[^\s]+", value)):
        return value
    raise ValueError(
        'names no poller; write "consumer", or a place such as "query:sid", "path:token", "json:/clientId"'
    )


def _answer_place(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"(json:/|header:|xml:@)[^\s]+", value):
        raise ValueError('is not a place in an answer; write "json:/sid", "header:X-Session" or "xml:@sid"')
    return value


_NESTED = WithJsonSchema({"anyOf": [{"type": "array"}, {"type": "object", "maxProperties": 1}]})
_When = Annotated[Any, PlainValidator(_when), _NESTED]
_Idle = Annotated[Any, PlainValidator(_idle), _NESTED]
_KeyPlace = Annotated[str, PlainValidator(_key_place), WithJsonSchema({"type": "string", "examples": ["consumer"]})]


def _absent(value: object) -> float | None:
    if value == "none":
        return None
    return float("inf") if value == "unbounded" else parse_duration(value)


def _response_place(value: object) -> str:
    if not isinstance(value, str) or not _RESPONSE_PLACE.fullmatch(value):
        raise ValueError('is not a place in an answer; write "json:/version", "max(json:/*/id)" or "header:ETag"')
    return value


class Ask(Table):
    """One place where a client may state its wish: a header item is written `"Prefer/wait"`, a JSON value as a pointer
    `"/timeout"`, an attribute of an XML root `"@wait"`. Of "session" the name is a place in the answer that began the
    session, such as `"json:/pingInterval"`. `unit` "duration" is 1m30s, "iso" is PT1M30S (ISO 8601)."""

    in_: Literal["query", "header", "header-item", "form", "json", "xml", "path", "session"] = Field(
        alias="in", examples=["query"]
    )
    name: Text = Field(examples=["timeout"])
    unit: Literal["s", "ms", "duration", "iso"] = "s"


class JitterSettings(Table):
    """What the upstream adds to a hold (a ratio of it, up to a span) or takes off it (`early`)."""

    ratio: Ratio = 0.0
    span: Duration = default("0s")
    early: Duration = default("0s")


class Empty(Table):
    """The "no news" answer. `answer` says who may give it: "template" (the gateway), "origin" or "never"."""

    answer: Literal["template", "origin", "never"] = "origin"
    status: Annotated[int, Field(strict=True, ge=200, le=599)] = 200
    headers: dict[RuleHeader, LiteralValue] = Field(default_factory=dict)
    body: str = ""
    needs: tuple[Text, ...] = ()


class CursorSettings(Table):
    """Where a poll says how far it has read, and where an answer says how far it goes."""

    request: Annotated[tuple[Text, ...], one_or_list(Text)] = ()
    response: Annotated[str, PlainValidator(_response_place), WithJsonSchema({"type": "string"})] | None = None
    acknowledges: Flag = False


class OwnWords(Table):
    """A refusal in a protocol's own words instead of problem+json. `status` replaces the one it stands for. The body
    may hold {status}, {detail}, {retry_after} (seconds) and {retry_after_ms}."""

    status: Annotated[int, Field(strict=True, ge=200, le=599)] | None = None
    headers: dict[RuleHeader, LiteralValue] = Field(default_factory=dict)
    body: str = ""


class Loser(Table):
    """What that poll is told which has to give way to another of the same poller."""

    status: Annotated[int, Field(strict=True, ge=200, le=599)] = 409
    headers: dict[RuleHeader, LiteralValue] = Field(default_factory=dict)
    body: str = ""


class Session(Table):
    """Where a hold is learnt that is agreed once per session: from the answer to a request of which `when` holds. `id`
    is where that answer names the session, `key` where later polls do. `skip` (a regular expression) is what stands
    before the JSON of the answer. `keep` is how long a session is remembered that nobody polls."""

    key: _KeyPlace
    when: _When
    id: Annotated[str, PlainValidator(_answer_place), WithJsonSchema({"type": "string"})]
    skip: str = ""
    keep: Timeout = default("1h")


_SecretPlace = Annotated[
    Place,
    PlainValidator(place("path", "query", "header", "cookie", "form", "json")),
    WithJsonSchema({"type": "string", "pattern": "^((path|query|header|cookie|form):.|json:(/|$))"}),
]


class Hold(Table):
    """A hold dialect. `when` [] means every request is a poll; all of a list must hold.

    `absent` is the hold of a poll that states none: seconds, None ("none": an ordinary call) or infinity
    ("unbounded"). `unbounded` are conditions under which a poll has no end of its own, `signed` those under which no
    byte of the request may be changed. `body_limit` is how much of a body is read where the dialect looks into it.
    `client_timeout` is what clients of this protocol wait. `early_headers`: the upstream begins to answer before it has
    news.
    """

    when: _When = default((), examples=[["query:since present"]])
    ask: tuple[Ask, ...] = ()
    absent: Annotated[
        float | None, PlainValidator(_absent), WithJsonSchema({"type": "string", "examples": ["25s", "unbounded"]})
    ] = default("none", examples=["25s"])
    zero: Literal["none", "default"] = "none"
    negative: Literal["none", "default"] = "none"
    min: Duration = default("0s")
    max: Duration = default("60s")
    over_max: Literal["clamp", "reject", "pass"] = "clamp"
    rewrite: Flag = False
    jitter: JitterSettings = Field(default_factory=JitterSettings)
    margin: Duration = default("5s")
    client_timeout: Duration | None = None
    empty: Empty = Field(default_factory=Empty)
    idle: _Idle = default(("status == 204",), examples=[["status == 204"]])
    cursor: CursorSettings = Field(default_factory=CursorSettings)
    replay: Literal[
        "cursor", "cursor-exclusive", "lease", "until-ack", "destructive", "session", "never"
    ] = "never"  # fmt: skip
    key: _KeyPlace = "consumer"
    concurrency: Literal["many", "newest-wins", "oldest-wins", "session-fatal"] = "many"
    loser: Loser = Field(default_factory=Loser)
    refusals: dict[
        Literal["400", "401", "403", "405", "413", "429", "500", "502", "503", "504"], OwnWords
    ] = Field(default_factory=dict)  # fmt: skip
    min_repoll: Duration = default("0s")
    early_headers: Flag = False
    unbounded: _When | None = None
    signed: _When | None = None
    session: Session | None = None
    body_limit: Size = default("64KiB")
    secret: tuple[_SecretPlace, ...] = ()
