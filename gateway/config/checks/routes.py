"""Routes against each other: two that match the same requests equally well are an error, not a matter of order."""

from __future__ import annotations

import difflib
import re

from gateway.config.checks.finding import Findings, Notice, View
from gateway.config.schema import Route

# The methods of RFC 9110, RFC 5789 and RFC 4918; any other is legal, and may be a slip.
_METHODS = (
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE",
    "LOCK", "UNLOCK", "REPORT", "SEARCH",
)  # fmt: skip
_PARAM = re.compile(r"\{[^{}/]*\}")


def check_routes(view: View) -> Findings:
    """Ties: the same host, the same path but for the names of its parts, and a method in common. Methods that look
    like slips, and a configuration that serves nothing."""
    if not view.known["route"] and not view.config.routes:
        text = "nothing is served, every request gets a 404; write [[route]] with name, match and upstream"
        yield Notice(view.main("route", text))
    taken: dict[tuple[str | None, str], list[Route]] = {}
    for route in view.config.routes:
        yield from _slips(view, route)
        shape = (route.match.host, _PARAM.sub("{}", route.match.path))
        for other in taken.setdefault(shape, []):
            if _methods(route) & _methods(other):
                text = f"matches the same requests as route '{other.name}'; change host, path or methods of one"
                yield view.at("route", route.name, "match", text)
                break
        taken[shape].append(route)


def _slips(view: View, route: Route) -> Findings:
    for number, method in enumerate(route.match.methods):
        close = difflib.get_close_matches(method, _METHODS, n=1) if method not in _METHODS else []
        if close:
            text = f"{method} is a method of your own; write {close[0]}, if that is meant"
            yield Notice(view.at("route", route.name, f"match.methods[{number}]", text))


def _methods(route: Route) -> set[str]:
    """What a route claims in the routing table: HEAD comes with GET, "" is every method not claimed by name."""
    methods = set(route.match.methods) or {""}
    return methods | {"HEAD"} if "GET" in methods else methods
