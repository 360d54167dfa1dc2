"""Policy kinds on a route: what may come once must not come from two policies, and what a kind cannot do without
must be there once everything is merged.
"""

from __future__ import annotations

from gateway.config.assemble import policies_of
from gateway.config.checks.finding import Findings, Notice, View
from gateway.config.merge import Merged
from gateway.config.schema import Route

_ONCE = ("hold", "jwt", "cors", "websocket", "sse", "retry")


def check_kinds(view: View) -> Findings:
    """Kinds given twice, kinds that lack what they are for, routes that anyone may call."""
    for route in view.config.routes:
        yield from _once(view, route)
    for merged in view.merged:
        yield from _complete(view, merged)
        if merged.jwt is None:
            text = "anyone may call it; add a policy with jwt if that is not meant"
            yield Notice(view.at("route", merged.route.name, "policies", text))
    for name, policy in view.config.policies.items():
        if policy.allow_list is not None and not policy.allow_list.addresses:
            text = 'admits nobody; write addresses = ["10.0.0.0/8"]'
            yield view.at("policy", name, "allow_list", text)


def _once(view: View, route: Route) -> Findings:
    for kind in _ONCE:
        bags = dict(policies_of(view.config, route))  # a policy named twice is another problem
        givers = [name for name, policy in bags.items() if getattr(policy, kind) is not None]
        if len(givers) > 1:
            names = " and ".join(f"'{name}'" for name in givers)
            text = f"{kind} comes from {names}; name only one of them, or write [route.{kind}] for what differs"
            yield view.at("route", route.name, "policies", text)


def _complete(view: View, merged: Merged) -> Findings:
    if merged.jwt is not None and not merged.jwt.provider:
        yield view.of(merged, "jwt.provider", f"is missing; write provider = {_a_provider(view)}")
    if merged.cors is not None and not merged.cors.origins:
        yield view.of(merged, "cors.origins", 'is missing; write origins = ["https://app.example.com"]')
    if merged.cors is not None and merged.cors.credentials and "*" in merged.cors.origins:
        text = 'lets every web page call with credentials; name the origins instead of "*"'
        yield view.of(merged, "cors.credentials", text)
    if merged.route.allow_list is not None and not merged.route.allow_list.addresses:
        yield view.at("route", merged.route.name, "allow_list", 'admits nobody; write addresses = ["10.0.0.0/8"]')


def _a_provider(view: View) -> str:
    return f'"{min(view.known["jwt"])}"' if view.known["jwt"] else '"main" and a table [jwt.main]'
