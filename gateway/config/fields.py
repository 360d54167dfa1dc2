"""The pydantic types that settings are made of: what a person writes as text, models carry as numbers and values.
Each is a parser from this package and the JSON Schema of what is written; no type has behaviour of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, Strict, ValidationInfo, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from gateway.config import addresses, balances, durations, references, states, texts

_DURATION = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)$", "examples": ["25s"]}
_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}


def _base(info: ValidationInfo) -> Path:
    """The directory relative paths count from: that of the file being read, handed in as validation context."""
    base = info.context.get("base") if isinstance(info.context, dict) else None
    return base if isinstance(base, Path) else Path()


def _refuse_later(value: object) -> None:
    if value is not None:
        raise PydanticCustomError("later", "not available in this version")


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError('must be longer than nothing; write a duration such as "25s"')
    return value


def _some(value: int) -> int:
    if value <= 0:
        raise ValueError('must be more than nothing; write a size such as "16KiB"')
    return value


def _ratio(value: object) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not math.isfinite(value)
        or not 0 <= value <= 10
    ):
        raise ValueError("is not a ratio; write a number from 0 to 10, such as 0.0625")
    return float(value)


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError("is not a share; write a number from 0 to 1, such as 0.5")
    return float(value)


def _non_empty(value: str) -> str:
    if not value:
        raise ValueError("is empty; write a text")
    return value


def _scalar(value: object) -> str | int | bool:
    if not isinstance(value, (str, int)):
        raise ValueError("is not a claim's value; write text, a whole number, true or false")
    return value


def as_list(value: object) -> object:
    """One item written without its list, as a list."""
    return value if isinstance(value, (list, tuple)) else [value]


def one_or_list(item: Any) -> BeforeValidator:
    """A list whose only item may be written without it; `item` is the type of one, for the JSON Schema."""
    return BeforeValidator(as_list, json_schema_input_type=item | list[item])


def default(text: object, **options: Any) -> Any:
    """A field's default written as a person would write it; it is parsed like everything else."""
    return Field(default=text, **options)


def place(*allowed: str) -> Callable[[object], texts.Place]:
    """A parser of places in a request, such as `"query:token"`."""
    return lambda value: texts.parse_place(value, allowed)


Later: TypeAlias = Annotated[SkipJsonSchema[None], PlainValidator(_refuse_later)]
"""A key whose feature a later version builds."""

Duration = Annotated[float, PlainValidator(durations.parse_duration), WithJsonSchema(_DURATION)]
Timeout = Annotated[
    float, PlainValidator(durations.parse_duration), AfterValidator(_positive), WithJsonSchema(_DURATION)
]
Size = Annotated[
    int,
    PlainValidator(durations.parse_size),
    AfterValidator(_some),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB|[kK]B|MB|GB)$", "examples": ["16KiB"]}),
]
Ratio = Annotated[float, PlainValidator(_ratio), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 10})]
Rate = Annotated[
    tuple[float, float],
    PlainValidator(durations.parse_rate),
    WithJsonSchema({"type": "string", "examples": ["60/min"]}),
]
Per = Annotated[
    str, PlainValidator(texts.parse_per), WithJsonSchema({"type": "string", "examples": ["consumer", "claim:tier"]})
]
Flag = Annotated[bool, Strict()]
Count = Annotated[int, Strict(), Field(ge=1, le=10_000_000)]
Text = Annotated[str, AfterValidator(_non_empty), Field(json_schema_extra={"minLength": 1})]
Scalar = Annotated[
    Any, PlainValidator(_scalar), WithJsonSchema({"type": ["string", "integer", "boolean"]})
]  # a union would put pydantic's own words into the place of an error

Name = Annotated[str, PlainValidator(texts.parse_name), WithJsonSchema(_TEXT)]
HeaderName = Annotated[str, PlainValidator(texts.parse_token), WithJsonSchema(_TEXT)]
RuleHeader = Annotated[str, PlainValidator(texts.parse_header_name), WithJsonSchema(_TEXT)]
Method = Annotated[str, PlainValidator(texts.parse_method), WithJsonSchema({"type": "string", "examples": ["GET"]})]
Host = Annotated[str, PlainValidator(texts.parse_host), WithJsonSchema(_TEXT)]
_TEMPLATE = r"^(/[^{}/]*(\{[A-Za-z_][A-Za-z0-9_]*\}[^{}/]*)?)+$"  # one {x} a part at most
Template = Annotated[
    str, PlainValidator(texts.parse_template), WithJsonSchema({"type": "string", "pattern": _TEMPLATE})
]
Network = Annotated[str, PlainValidator(addresses.parse_network), WithJsonSchema(_TEXT)]
Origin = Annotated[str, PlainValidator(addresses.parse_origin), WithJsonSchema(_TEXT)]
Balance = Annotated[
    balances.Balance,
    PlainValidator(balances.parse_balance),
    WithJsonSchema({"type": "string", "examples": [*balances.PLAIN, "hash:consumer", "sticky:query.sid"]}),
]
Share = Annotated[float, PlainValidator(_share), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1})]
Status = Annotated[int, Strict(), Field(ge=100, le=599)]
Url = Annotated[addresses.EndpointUrl, PlainValidator(addresses.parse_endpoint), WithJsonSchema(_TEXT)]
CollectorUrl = Annotated[addresses.EndpointUrl, PlainValidator(addresses.parse_collector), WithJsonSchema(_TEXT)]
ListenAddress = Annotated[
    addresses.Listen,
    PlainValidator(lambda value, info: addresses.parse_listen(value, _base(info))),
    WithJsonSchema({"type": "string", "examples": ["127.0.0.1:8080", "unix:/run/gateway.sock"]}),
]
SocketAddress = Annotated[
    addresses.Listen,
    PlainValidator(lambda value, info: addresses.parse_socket(value, _base(info))),
    WithJsonSchema({"type": "string", "pattern": "^unix:", "examples": ["unix:/run/gateway/control.sock"]}),
]
StateAddress = Annotated[
    states.StateUrl,
    PlainValidator(states.parse_state),
    WithJsonSchema({"type": "string", "examples": ["memory://", "shared://", "redis://localhost:6379/0"]}),
]
SecretRef = Annotated[
    references.Secret,
    PlainValidator(lambda value, info: references.parse_secret(value, _base(info))),
    WithJsonSchema({"type": "string", "examples": ["env:NAME", "file:PATH"]}),
]
LiteralValue = Annotated[str, PlainValidator(texts.parse_literal), WithJsonSchema({"type": "string"})]
HeaderValue = Annotated[
    references.Secret,
    PlainValidator(lambda value, info: texts.parse_header_value(value, _base(info))),
    WithJsonSchema({"type": "string"}),
]
FileRef = Annotated[
    Path,
    PlainValidator(lambda value, info: references.parse_file(value, _base(info))),
    WithJsonSchema({"type": "string", "pattern": "^file:"}),
]
