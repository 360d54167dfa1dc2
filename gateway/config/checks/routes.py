"""Routes against each other: two that match the same requests equally well are an error, not a matter of order."""

from __future__ import annotations

import re

from gateway.config.checks.finding import Findings, View
from gateway.config.schema import Route

_PARAM = re.compile(r"\{[^{}/]*\}")


def check_routes(view: View) -> Findings:
    """Ties: the same host, the same path but for the names of its parts, and a method in common."""
    taken: dict[tuple[str | None, str], list[Route]] = {}
    for route in view.config.routes:
        shape = (route.match.host, _PARAM.sub("{}", route.match.path))
        for other in taken.setdefault(shape, []):
            if _methods(route) & _methods(other):
                text = f"matches the same requests as route '{other.name}'; change host, path or methods of one"
                yield view.at("route", route.name, "match", text)
                break
        taken[shape].append(route)


def _methods(route: Route) -> set[str]:
    """What a route claims in the routing table: HEAD comes with GET, "" is every method not claimed by name."""
    methods = set(route.match.methods) or {""}
    return methods | {"HEAD"} if "GET" in methods else methods
