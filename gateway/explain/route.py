"""The route of a request: what it matches, what stands behind it, the policies it names and what each brings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.config.addresses import is_name
from gateway.explain.model import Named, RouteStory
from gateway.explain.watched import watched_by
from gateway.routing import Found
from gateway.target import canonical_host, parse_target

if TYPE_CHECKING:
    from gateway.config.merge import Merged
    from gateway.config.settings import Config
    from gateway.explain.request import Described
    from gateway.plan import Snapshot

_KINDS = ("hold", "jwt", "allow_list", "body_size", "headers", "cors", "rate_limit", "hold_cap", "concurrency_cap")


def route_story(config: Config, merged: Merged) -> RouteStory:
    route = merged.route
    policies = tuple(
        Named(name, config.origins["policy", name].file, _kinds(config.policies[name])) for name in route.policies
    )
    return RouteStory(
        name=route.name,
        file=config.origins["route", route.name].file,
        host=route.match.host,
        path=route.match.path,
        methods=route.match.methods,
        upstream=route.upstream,
        endpoints=tuple(str(each.url) for each in merged.upstream.endpoints),
        names=tuple(dict.fromkeys(each.url.host for each in merged.upstream.endpoints if is_name(each.url.host))),
        dns_refresh=merged.upstream.dns_refresh,
        balance=str(merged.upstream.balance),
        watched=watched_by(merged.upstream),
        rewrite=route.rewrite,
        policies=policies,
        own_kinds=_kinds(route),
    )


def _kinds(bag: object) -> tuple[str, ...]:
    return tuple(kind for kind in _KINDS if getattr(bag, kind))


def host_for(config: Config, snapshot: Snapshot, request: Described) -> str:
    """The host to ask where the description names none: that of the first route which serves the request, else of the
    first route; "localhost" where any host will do."""
    hosts = [(route.match.host or "localhost").replace("*", "any", 1) for route in config.routes]
    target = parse_target(request.target)
    for host in hosts if target is not None else ():
        found = snapshot.router.find(canonical_host(host) or "", target.path if target else "", request.method)
        if isinstance(found, Found):
            return host
    return hosts[0] if hosts else "localhost"
