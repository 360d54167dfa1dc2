"""From a checked Config to a Snapshot: every name resolved, every predicate bound, every header line ready as bytes, so
that nothing is left to look up while a request runs. Secrets and key files are read here, once.
"""

from __future__ import annotations

import ipaddress
import os
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from gateway.config.dialect import compile_hold
from gateway.config.limits import compile_caps, compile_rates
from gateway.config.merge import Merged, merge_route
from gateway.config.references import read_secret
from gateway.config.sharing import Shared
from gateway.config.steps import Environ, compile_provider, compile_steps
from gateway.config.upstreams import compile_upstream
from gateway.identity.places import credential_cookies, credential_headers
from gateway.identity.verify import Provider
from gateway.networks import Networks
from gateway.plan import Plan, Snapshot
from gateway.policies.cors import OWNED, compile_cors
from gateway.policies.headers import HeaderRules, compile_header_rules
from gateway.policies.rate_limit import Screen, Shown
from gateway.policies.retry import compile_retry
from gateway.policies.sse import compile_sse
from gateway.policies.websocket import Upgrades, compile_upgrades
from gateway.routing import Router, Rule
from gateway.shapes import BUILT_IN, Cors, EdgeLimits, RequestShape, ResponseShape, Retry, Sse
from gateway.state.memory import MemoryStore
from gateway.telemetry.sampling import compile_sample
from gateway.upstream.headers import FORWARDED, HOP_BY_HOP, OURS, compile_drops

if TYPE_CHECKING:
    from gateway.config import schema
    from gateway.config.settings import Config
    from gateway.holds.plan import HoldPlan
    from gateway.upstream.balance import Upstream

LOOPBACK = ("127.0.0.0/8", "::1/128")


def compile_config(
    config: Config, wall: Callable[[], float], environ: Environ = os.environ, screen: Screen | None = None,
    live: Mapping[str, Upstream] = MappingProxyType({}),
) -> Snapshot:  # fmt: skip
    """Compiles a checked configuration. `screen` is where limits that come before identity are asked; `live` are the
    upstreams that run already, which go on under their names and are not touched here.

    Raises ValueError ("what; remedy") for what only reading files can show.
    """
    merged = [merge_route(config, route) for route in config.routes]
    providers = {name: compile_provider(name, table, merged, environ) for name, table in config.jwt.items()}
    fresh = {name: compile_upstream(name, table) for name, table in config.upstreams.items()}
    upstreams = {name: live.get(name, made) for name, made in fresh.items()}
    routes = _Routes(config, providers, wall, environ, screen or Screen(MemoryStore(), time.monotonic))
    plans = [routes.plan(each, upstreams[each.route.upstream]) for each in merged]
    rules = (Rule(each.route.match.host, each.route.match.path, each.route.match.methods) for each in merged)
    return Snapshot(
        router=Router(zip(rules, plans, strict=True)),
        plans=tuple(plans),
        edge=_edge(config),
        upstreams=upstreams,
        fresh=fresh,
        trusted=tuple(ipaddress.ip_network(each) for each in config.server.trusted_proxies),
        log_values=_log_values(config),
        log_peer=config.log.peer,
        log_cursor=config.log.cursor,
        sample=compile_sample(config.telemetry.sample, False),
        secret_prefixes=tuple(sorted({plan.path.partition("{")[0] for plan in plans if plan.secret_params}, key=len)),
    )


def _edge(config: Config) -> EdgeLimits:
    server = config.server
    return EdgeLimits(
        header_timeout=server.header_timeout,
        body_idle_timeout=server.body_idle_timeout,
        write_idle_timeout=server.write_idle_timeout,
        keepalive_timeout=server.keepalive_timeout,
        max_head=server.max_head,
        max_body=server.max_body,
        per_address=server.per_address.connections,
        exempt=_exempt(server),
        proxy_protocol=server.proxy_protocol,
        front_idle_timeout=server.front.idle_timeout if server.front is not None else None,
    )


def _exempt(server: schema.Server) -> Networks:
    """Who may have more connections than one client: proxies, and by default whoever is on this machine."""
    shared = (*server.trusted_proxies, *(LOOPBACK if "per_address" not in server.model_fields_set else ()))
    return tuple(ipaddress.ip_network(each) for each in shared)


def _log_values(config: Config) -> frozenset[str]:
    """The query values that may be logged: those named, less what may hold a token."""
    secret = {place.name for table in config.jwt.values() for place in table.from_ if place.where == "query"}
    bags = (*config.policies.values(), *config.routes)
    secret |= {place.name for bag in bags if bag.hold for place in bag.hold.secret if place.where == "query"}
    return frozenset(config.log.query_values) - secret


class _Routes:
    """Compiles one route after the other. What is no route's own is made once for all of them."""

    def __init__(self, config: Config, providers: Mapping[str, Provider], wall: Callable[[], float], environ: Environ,
                 screen: Screen) -> None:  # fmt: skip
        self._config = config
        self._providers = providers
        self._wall = wall
        self._environ = environ
        self._screen = screen
        self._shared = Shared()

    def plan(self, merged: Merged, upstream: Upstream) -> Plan:
        config, route, shared, store = self._config, merged.route, self._shared, self._screen.store
        places = _credential_places(config, merged)
        secrets = [*places, *(str(place) for place in (merged.hold.secret if merged.hold else ()))]
        rates = shared.same(tuple(sorted(compile_rates(merged, shared), key=lambda rate: not rate.early)))
        caps = shared.same(compile_caps(merged, shared))
        early = shared.same(tuple(rate for rate in rates if rate.early))
        late = shared.same(tuple(rate for rate in rates if not rate.early))
        lasting = merged.hold is not None or merged.websocket is not None
        counting = tuple(cap for cap in caps if lasting or not cap.polls)
        asked = shared(store.prepare, late, counting) if late or counting else None
        return Plan(
            route=route.name,
            path=route.match.path,
            upstream=upstream,
            steps=shared.same(compile_steps(merged, early, self._providers, config, self._wall, self._screen, shared)),
            early=early,
            rates=late,
            shown=shared(Shown, rates, store) if rates else None,
            caps=caps,
            asked=asked,
            at_once=shared(store.prepare, rates, counting) if early else asked,
            hold=_hold(merged, shared),
            request=shared(_request_shape, config, merged.upstream, merged.headers, route.rewrite, self._environ),
            response=shared(_response_shape, merged.headers, merged.cors is not None, self._environ),
            cors=_cors(merged, shared),
            upgrade=_upgrades(merged, shared),
            retry=_retry(merged, shared),
            max_body=merged.max_body if merged.max_body is not None else config.server.max_body,
            bound_to_token=merged.jwt is None or merged.jwt.expiry == "bound",
            secret_params=tuple(place[5:] for place in secrets if place.startswith("path:")),
            connect_timeout=merged.connect_timeout,
            response_timeout=merged.response_timeout,
            body_idle_timeout=merged.body_idle_timeout,
            sse=_sse(merged, shared),
            sample=shared(compile_sample, config.telemetry.sample, merged.hold is not None),
        )


def _hold(merged: Merged, shared: Shared) -> HoldPlan | None:
    """The path of a route is the hold's only where a part of it is a wish."""
    table = merged.hold
    if table is None:
        return None
    in_path = any(place.in_ == "path" for place in table.ask)
    return shared(compile_hold, table, merged.dialect, merged.route.match.path if in_path else "")


def _sse(merged: Merged, shared: Shared) -> Sse | None:
    table = merged.sse
    if table is None:
        return None
    idle = table.idle_timeout if table.idle_timeout is not None else merged.body_idle_timeout
    return shared(compile_sse, table.heartbeat, idle, table.max_time, table.drain == "spread")


def _credential_places(config: Config, merged: Merged) -> list[str]:
    names = merged.jwt.provider if merged.jwt is not None else ()
    return [str(place) for name in names for place in config.jwt[name].from_]


def _request_shape(
    config: Config, upstream: schema.Upstream, headers: tuple[schema.Headers, ...], rewrite: str | None,
    environ: Environ,
) -> RequestShape:  # fmt: skip
    """Cookies and header fields that hold tokens anywhere end here, also on routes that ask for none: browsers send
    them to every path."""
    places = [str(place) for table in config.jwt.values() for place in table.from_]
    secret_set = {name: read_secret(value, environ) for name, value in upstream.headers.set.items()}
    rules = [HeaderRules(secret_set, upstream.headers.remove)]
    rules += [HeaderRules({n: read_secret(v, environ) for n, v in each.request.set.items()}, each.request.remove)
              for each in headers]  # fmt: skip
    drop, add = compile_header_rules(rules)
    identity = upstream.identity
    told = [(identity.consumer, "consumer"), (identity.tenant, "tenant"), (identity.certificate, "certificate")]
    told += [(header, f"claims.{claim}") for claim, header in identity.claims.items()]
    names = tuple((header.encode("ascii"), what) for header, what in told if header is not None)
    forwarded = upstream.forward_authorization
    credentials = frozenset() if forwarded else credential_headers(places) | {b"authorization"}
    return RequestShape(
        drops=compile_drops(HOP_BY_HOP | OURS | drop | credentials | {name.lower() for name, _ in names}, (FORWARDED,)),
        drop_cookies=() if forwarded else tuple(name.encode("ascii") for name in credential_cookies(places)),
        add=add,
        identity=names,
        rewrite=rewrite,
        keep_host=upstream.keep_host,
    )


def _response_shape(headers: tuple[schema.Headers, ...], cors: bool, environ: Environ) -> ResponseShape:
    rules = [HeaderRules({n: read_secret(v, environ) for n, v in each.response.set.items()}, each.response.remove)
             for each in headers]  # fmt: skip
    drop, add = compile_header_rules(rules)
    return ResponseShape(compile_drops(HOP_BY_HOP | drop | (OWNED if cors else frozenset())), add)


def _upgrades(merged: Merged, shared: Shared) -> Upgrades | None:
    table = merged.websocket
    if table is None:
        return None
    return shared(
        compile_upgrades, table.upgrades, table.origins, table.subprotocols, table.idle_timeout, table.max_time
    )


def _cors(merged: Merged, shared: Shared) -> Cors | None:
    table = merged.cors
    if table is None:
        return None
    methods = table.methods or merged.route.match.methods or ("*",)
    return shared(compile_cors, table.origins, methods, table.headers, table.expose, table.credentials, table.max_age)


def _retry(merged: Merged, shared: Shared) -> Retry:
    table = merged.retry
    if table is None:
        return BUILT_IN
    return shared(compile_retry, table.attempts, table.budget, table.backoff, table.methods, table.status)
