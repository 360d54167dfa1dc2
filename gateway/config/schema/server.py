"""The tables of the process itself: `[server]`, `[admin]`, `[state]`. Times are seconds, sizes bytes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PlainValidator, WithJsonSchema

from gateway.config.durations import format_size
from gateway.config.fields import (
    Count,
    Duration,
    FileRef,
    Flag,
    Host,
    Later,
    ListenAddress,
    Network,
    Rate,
    SecretRef,
    Size,
    SocketAddress,
    StateAddress,
    Text,
    Timeout,
    default,
    one_or_list,
)  # fmt: skip
from gateway.config.fronts import complete
from gateway.config.schema.base import Table

MOST_WORKERS = 256
LEAST_STATE = 1 << 20  # bytes


class Tls(Table):
    """One certificate chain and its key, as PEM files. With `client_ca` clients are asked for certificates, and with
    `client_auth` "require" turned away without one."""

    cert: FileRef = Field(examples=["file:tls/cert.pem"])
    key: FileRef = Field(examples=["file:tls/key.pem"])
    client_ca: FileRef | None = None
    client_auth: Literal["require", "ask"] = "require"


class Front(Table):
    """The edge in front of this gateway, if any. No hold is granted that ends at or after `idle_timeout`; an edge
    that is known by name (docs/clocks.md) brings its own."""

    model_config = ConfigDict(json_schema_extra={"required": []})
    name: Text = Field(default="front", examples=["aws-alb"])
    idle_timeout: Timeout = Field(examples=["60s"])


class PerAddress(Table):
    """What one client address may take before anybody is identified; of IPv6 its /64."""

    connections: Count = Field(default=1000, examples=[1000])


def _whole(value: object) -> int | None:
    if value == "auto":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError('is not a number of connections; write "auto", or a number such as 20000')
    return value


def _some_workers(value: object) -> int | None:
    if value == "auto":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_WORKERS:
        raise ValueError(f'is not a number of workers; write "auto", or a number from 1 to {MOST_WORKERS}')
    return value


def _probed(value: float) -> float:
    if not 2 <= value <= 7200:  # in between, every probe falls on a whole second, as kernels want it
        raise ValueError('is not from 2s to 2h; write a duration such as "90s"')
    return value


class Server(Table):
    """`[server]`: where to listen and the clocks and limits of the downstream side."""

    listen: Annotated[tuple[ListenAddress, ...], one_or_list(ListenAddress)] = default(
        ("127.0.0.1:8080",), min_length=1, examples=[["127.0.0.1:8080"]]
    )
    tls: Annotated[tuple[Tls, ...], one_or_list(Tls)] = ()
    trusted_proxies: tuple[Network, ...] = ()
    shutdown_delay: Duration = default("0s")
    drain: Duration = default("25s")
    stop_grace: Timeout = default("30s")
    header_timeout: Timeout = default("10s")
    body_idle_timeout: Timeout = default("15s")
    write_idle_timeout: Timeout = default("30s")
    keepalive_timeout: Timeout = default("75s")
    vanished_after: Annotated[Timeout, AfterValidator(_probed)] = default("90s")
    max_head: Size = default("16KiB")
    max_body: Size = default("10MiB")
    half_close: Literal["gone", "answer"] = "gone"
    front: Annotated[Front | None, BeforeValidator(complete, json_schema_input_type=Text | Front)] = None
    workers: Annotated[
        int | None,
        PlainValidator(_some_workers),
        WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": MOST_WORKERS}]}),
    ] = default(1, examples=[2])
    control: SocketAddress | None = None
    proxy_protocol: Flag = False
    max_connections: Annotated[
        int | None,
        PlainValidator(_whole),
        WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1}]}),
    ] = default("auto")
    per_address: PerAddress = PerAddress()
    ramp: Rate | None = None
    fair_share: Later = None


class Admin(Table):
    """`[admin]`: the operator's listener. Without the table there is none. Other than loopback needs a token.

    `hosts` are names it may be called by, beside its addresses.
    """

    listen: ListenAddress = default("127.0.0.1:9090")
    token: SecretRef | None = None
    hosts: tuple[Host, ...] = Field(default=(), examples=[["gateway.internal"]])


def _room(value: int) -> int:
    if value < LEAST_STATE:
        raise ValueError(f'holds next to nothing; write {format_size(LEAST_STATE)} or more, such as "64MiB"')
    return value


class State(Table):
    """`[state]`: where rates, caps and leases live. `on_failure` decides where that cannot be asked: "local" lets each
    process decide alone within its share, "closed" refuses, "open" lets everybody in.

    `size` is the memory that `shared://` reserves. A Redis server may ask for `user` and `password`, and show a
    certificate of `ca`; `prefix` begins the names of all keys there, and those who share limits share it.
    """

    url: StateAddress = default("memory://")
    on_failure: Literal["local", "closed", "open"] = "local"
    size: Annotated[Size, AfterValidator(_room)] = default("64MiB")
    prefix: Text = Field(default="gateway", examples=["gateway"])
    user: Text | None = None
    password: SecretRef | None = None
    ca: FileRef | None = None
