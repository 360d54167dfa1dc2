"""`[jwt.NAME]`: an identity provider, its keys and where its tokens stand. Times are seconds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, WithJsonSchema

from gateway.config.durations import parse_duration
from gateway.config.fields import FileRef, Later, SecretRef, Text, default, one_or_list, place
from gateway.config.schema.base import Table
from gateway.config.texts import Place

Algorithm = Literal[
    "HS256",
    "HS384",
    "HS512",
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "ES256K",
    "EdDSA",
]


class Keys(Table):
    """Where the keys of a provider stand. Exactly one of the first three verifies; `private_key` only signs
    (for `gateway token`)."""

    secret: SecretRef | None = None
    public_key: FileRef | None = None
    jwks: FileRef | None = None
    private_key: FileRef | None = None
    discovery: Later = None
    jwks_url: Later = None


def _leeway(value: object) -> float:
    seconds = parse_duration(value)
    if seconds > 60:
        raise ValueError('is more than a minute; write at most "60s"')
    return seconds


def _no_none(value: object) -> object:
    if isinstance(value, str) and value.lower() == "none":
        raise ValueError('"none" would accept tokens nobody signed; remove it')
    return value


def _one_family(value: tuple[str, ...]) -> tuple[str, ...]:
    if len({each.startswith("HS") for each in value}) > 1:
        raise ValueError(
            "mixes a shared secret (HS..) with public keys, which lets a public key pass for the secret; "
            "write two providers"
        )
    return value


class JwtProvider(Table):
    """An issuer of JSON Web Tokens. `issuer` None and an empty `audience` are not checked.

    `consumer` and `tenant` name the claims that identify the caller and its account; dotted paths reach inside.
    `require` names claims a token must have. The token is taken from the first place of `from` that has one.
    """

    algorithms: Annotated[
        tuple[Annotated[Algorithm, BeforeValidator(_no_none)], ...], AfterValidator(_one_family)
    ] = Field(min_length=1, examples=[["RS256"]])  # fmt: skip
    keys: Keys = Field(examples=[{"jwks": "file:keys.json"}])
    issuer: Text | None = None
    audience: Annotated[tuple[Text, ...], one_or_list(Text)] = ()
    leeway: Annotated[
        float, PlainValidator(_leeway), WithJsonSchema({"type": "string", "examples": ["30s"]})
    ] = default("30s")  # fmt: skip
    consumer: Text = "sub"
    tenant: Text | None = None
    from_: tuple[
        Annotated[
            Place,
            PlainValidator(place("header", "cookie", "query", "path")),
            WithJsonSchema({"type": "string", "pattern": "^(header|cookie|query|path):"}),
        ],
        ...,
    ] = default(("header:Authorization",), alias="from", min_length=1)
    require: tuple[Text, ...] = ("exp",)
