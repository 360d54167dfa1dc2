"""What holds for one route: its policies merged, its own tables merged over them key by key, and for every value
where it came from. Pure; expects a configuration that check let pass.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from gateway.config.schema import (
    AllowList,
    ConcurrencyCap,
    Cors,
    Headers,
    Hold,
    HoldCap,
    Jwt,
    RateLimit,
    Retry,
    Route,
    Sse,
    Table,
    Upstream,
    WebSocket,
)  # fmt: skip
from gateway.config.settings import Config

CLOCKS = ("connect_timeout", "response_timeout", "body_idle_timeout")
DEFAULT = ("default", "")
Writer = tuple[str, str]  # ("policy", NAME), ("route", NAME), ("upstream", NAME) or DEFAULT
T = TypeVar("T", bound=Table)


class LimitName(NamedTuple):
    """Where a limit was written, which is also what it counts under: a policy's limit is one limit wherever the policy
    is attached, a route's own is the route's. `number` counts within its table, `nth` among those that count the same
    callers (`per`): another limit written before it must not hand its counts to this one at a reload."""

    table: str
    name: str
    kind: str
    number: int
    per: str
    nth: int

    @property
    def key(self) -> str:
        return f"{self.table}.{self.name}.{self.kind}.{self.per}.{self.nth}"


@dataclass(frozen=True, slots=True)
class Merged:
    """The effective settings of a route. Times in seconds, sizes in bytes.

    `dialect` names the policy the hold came from (the route, when it is its own). `allow_lists` must all admit;
    `headers` apply in order, policies before the route. Limits and caps come with the name they count under.
    `max_body` None means the server's.
    `origins` says for people where each value came from, by dotted key; `writers` says it for code.
    """

    route: Route
    upstream: Upstream
    hold: Hold | None
    dialect: str
    jwt: Jwt | None
    cors: Cors | None
    websocket: WebSocket | None
    sse: Sse | None
    retry: Retry | None
    allow_lists: tuple[AllowList, ...]
    headers: tuple[Headers, ...]
    rate_limits: tuple[tuple[LimitName, RateLimit], ...]
    hold_caps: tuple[tuple[LimitName, HoldCap], ...]
    concurrency_caps: tuple[tuple[LimitName, ConcurrencyCap], ...]
    max_body: int | None
    connect_timeout: float
    response_timeout: float
    body_idle_timeout: float
    origins: dict[str, str]
    writers: dict[str, Writer]


def merge_route(config: Config, route: Route) -> Merged:
    """Merges a route's policies and its inline tables.

    Where two policies bring a kind that may come once, the first counts here: check has refused them.
    """
    writers: dict[str, Writer] = {}
    upstream = config.upstreams[route.upstream]
    allow_lists: tuple[AllowList, ...] = _all_of(config, route, "allow_list", writers)
    headers: tuple[Headers, ...] = _all_of(config, route, "headers", writers)
    return Merged(
        route=route,
        upstream=upstream,
        hold=_one_of(config, route, "hold", writers),
        dialect=_giver(config, route, "hold") or route.name,
        jwt=_one_of(config, route, "jwt", writers),
        cors=_one_of(config, route, "cors", writers),
        websocket=_one_of(config, route, "websocket", writers),
        sse=_one_of(config, route, "sse", writers),
        retry=_one_of(config, route, "retry", writers),
        allow_lists=allow_lists,
        headers=headers,
        rate_limits=_limits_of(config, route, "rate_limit", writers),
        hold_caps=_limits_of(config, route, "hold_cap", writers),
        concurrency_caps=_limits_of(config, route, "concurrency_cap", writers),
        max_body=_max_body(config, route, writers),
        connect_timeout=_clock(route, upstream, "connect_timeout", writers),
        response_timeout=_clock(route, upstream, "response_timeout", writers),
        body_idle_timeout=_clock(route, upstream, "body_idle_timeout", writers),
        origins={key: describe(config, writer) for key, writer in writers.items()},
        writers=writers,
    )


def describe(config: Config, writer: Writer) -> str:
    """A writer in words: `policy cursor-updates (FILE)`, `route`, `upstream updates (FILE)` or `default`."""
    table, name = writer
    if table in ("route", "default"):
        return table
    return f"{table} {name} ({config.origins[writer].file})"


def overlay(base: T, over: T) -> T:
    """`base` with every key that was written in `over`; tables inside are merged the same way."""
    update: dict[str, Any] = {}
    for name in over.model_fields_set:
        old, new = getattr(base, name), getattr(over, name)
        update[name] = overlay(old, new) if isinstance(old, Table) and isinstance(new, Table) else new
    return base.model_copy(update=update)


def _giver(config: Config, route: Route, kind: str) -> str | None:
    """The first policy of a route that brings a kind."""
    for name in route.policies:
        if getattr(config.policies[name], kind):
            return name
    return None


def _one_of(config: Config, route: Route, kind: str, writers: dict[str, Writer]) -> Any:
    giver = _giver(config, route, kind)
    base = getattr(config.policies[giver], kind) if giver is not None else None
    over = getattr(route, kind)
    merged = overlay(base, over) if base is not None and over is not None else base or over
    if merged is not None:
        _trace(kind, merged, ((over, ("route", route.name)), (base, ("policy", giver or ""))), writers)
    return merged


def _trace(
    path: str, merged: Table, layers: tuple[tuple[Table | None, Writer], ...], writers: dict[str, Writer]
) -> None:
    """Notes for every value below `path` the first of `layers` in which it was written."""
    for name, info in type(merged).model_fields.items():
        if info.annotation is type(None):
            continue  # a key of a later version
        written = [(layer, who) for layer, who in layers if layer is not None and name in layer.model_fields_set]
        value, key = getattr(merged, name), f"{path}.{info.alias or name}"
        if isinstance(value, Table):
            _trace(key, value, tuple((getattr(layer, name), who) for layer, who in written), writers)
        else:
            writers[key] = written[0][1] if written else DEFAULT


def _all_of(config: Config, route: Route, kind: str, writers: dict[str, Writer]) -> tuple[Any, ...]:
    """Every table of a kind that may come several times, policies first."""
    found: list[Any] = []
    bags = [(("policy", name), config.policies[name]) for name in route.policies]
    for writer, bag in (*bags, (("route", route.name), route)):
        value = getattr(bag, kind)
        for table in value if isinstance(value, tuple) else (value,):
            if table is not None:
                writers[f"{kind}[{len(found)}]"] = writer
                found.append(table)
    return tuple(found)


def _limits_of(
    config: Config, route: Route, kind: str, writers: dict[str, Writer]
) -> tuple[tuple[LimitName, Any], ...]:
    """Every limit of a kind with its name, policies first."""
    found: list[tuple[LimitName, Any]] = []
    bags = [(("policy", name), config.policies[name]) for name in route.policies]
    for writer, bag in (*bags, (("route", route.name), route)):
        nth: Counter[str] = Counter()
        for index, table in enumerate(getattr(bag, kind)):
            writers[f"{kind}[{len(found)}]"] = writer
            found.append((LimitName(*writer, kind, index, table.per, nth[table.per]), table))
            nth[table.per] += 1
    return tuple(found)


def _max_body(config: Config, route: Route, writers: dict[str, Writer]) -> int | None:
    """The route's own bound, else the smallest of its policies'."""
    bounds: list[tuple[int, Writer]] = []
    for name in route.policies:
        bag = config.policies[name].body_size
        if bag is not None and bag.max is not None:
            bounds.append((bag.max, ("policy", name)))
    if route.body_size is not None and route.body_size.max is not None:
        bounds = [(route.body_size.max, ("route", route.name))]
    if not bounds:
        return None
    size, writers["body_size.max"] = min(bounds, key=lambda bound: bound[0])
    return size


def _clock(route: Route, upstream: Upstream, name: str, writers: dict[str, Writer]) -> float:
    own: float | None = getattr(route, name)
    if own is not None:
        writers[name] = ("route", route.name)
        return own
    writers[name] = ("upstream", route.upstream) if name in upstream.model_fields_set else DEFAULT
    value: float = getattr(upstream, name)
    return value
