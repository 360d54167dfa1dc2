"""References: every upstream, policy and provider that is named must exist, and names in a path must be there."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.checks.finding import Findings, Notice, View
from gateway.config.load import shipped_dir
from gateway.config.merge import Merged
from gateway.config.problems import did_you_mean
from gateway.config.schema import Jwt, Route
from gateway.config.texts import template_names


def check_names(view: View) -> Findings:
    """Unknown upstreams, policies and providers; a policy twice on a route; `rewrite` with unknown names."""
    for route in view.config.routes:
        yield from _route(view, route)
    for merged in view.merged:
        yield from _secret_parts(view, merged)
    for table, name, settings in _jwt_tables(view):
        for number, provider in enumerate(settings.provider):
            if provider not in view.known["jwt"]:
                key = f"jwt.provider[{number}]"
                yield view.at(table, name, key, _unknown("provider", provider, view.known["jwt"]))


def _jwt_tables(view: View) -> Iterator[tuple[str, str, Jwt]]:
    for name, policy in view.config.policies.items():
        if policy.jwt is not None:
            yield "policy", name, policy.jwt
    for route in view.config.routes:
        if route.jwt is not None:
            yield "route", route.name, route.jwt


def _secret_parts(view: View, merged: Merged) -> Findings:
    """A part of the path that is to be kept secret and is not there: a slip would show it in every log."""
    parts = template_names(merged.route.match.path)
    for place in merged.hold.secret if merged.hold is not None else ():
        if place.where == "path" and place.name not in parts:
            remedy = did_you_mean(place.name, parts) if parts else "write it in match.path, or remove it here"
            text = f"route '{merged.route.name}' has no {{{place.name}}} in its path; {remedy}"
            yield Notice(view.of(merged, "hold.secret", text))


def _unknown(kind: str, name: str, known: set[str]) -> str:
    return f"there is no {kind} '{name}'; {did_you_mean(name, known)}"


def _route(view: View, route: Route) -> Findings:
    if route.upstream not in view.known["upstream"]:
        yield view.at("route", route.name, "upstream", _unknown("upstream", route.upstream, view.known["upstream"]))
    for number, name in enumerate(route.policies):
        if name not in view.known["policy"]:
            known = view.known["policy"] | {path.stem for path in shipped_dir().glob("*.toml")}
            yield view.at("route", route.name, f"policies[{number}]", _unknown("policy", name, known))
        elif name in route.policies[:number]:
            yield view.at("route", route.name, f"policies[{number}]", f"'{name}' is named twice; name it once")
    if route.rewrite is not None:
        yield from _rewrite(view, route, route.rewrite)


def _rewrite(view: View, route: Route, rewrite: str) -> Findings:
    for name in template_names(rewrite):
        if name not in template_names(route.match.path):
            text = f"{{{name}}} is no part of match.path; write it there too, or leave it out"
            yield view.at("route", route.name, "rewrite", text)
    if rewrite.endswith("/**") and not route.match.path.endswith("/**"):
        text = 'ends in "/**" but match.path does not; write "/**" at the end of both'
        yield view.at("route", route.name, "rewrite", text)
