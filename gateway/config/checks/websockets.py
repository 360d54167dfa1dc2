"""Routes that let connections change their protocol: what could never be one, and which web pages may, where a mistake
gives a user's session away or keeps every browser out.
"""

from __future__ import annotations

from gateway.config.checks.finding import Findings, Notice, View
from gateway.config.clocks import front_name
from gateway.config.merge import DEFAULT, Merged
from gateway.config.schema import WebSocket
from gateway.policies.websocket import ANY, WEBSOCKET, protocols_of, subprotocols_of


def check_websockets(view: View) -> Findings:
    """The websocket table of every route."""
    for merged in view.merged:
        if merged.websocket is not None:
            yield from _names(view, merged, merged.websocket)
            yield from _method(view, merged, merged.websocket)
            yield from _pages(view, merged, merged.websocket)
            yield from _silence(view, merged, merged.websocket)


def _names(view: View, merged: Merged, table: WebSocket) -> Findings:
    try:
        protocols = protocols_of(table.upgrades)
    except ValueError as error:
        yield view.of(merged, "websocket.upgrades", str(error))
        return
    try:
        subprotocols_of(table.subprotocols, protocols)
    except ValueError as error:
        yield view.of(merged, "websocket.subprotocols", str(error))


def _method(view: View, merged: Merged, table: WebSocket) -> Findings:
    methods = merged.route.match.methods
    if methods and "GET" not in methods and {name.lower() for name in table.upgrades} == {WEBSOCKET}:
        text = "has no GET, with which every WebSocket begins; add it, or take the policy with websocket out"
        yield view.at("route", merged.route.name, "match.methods", text)


def _pages(view: View, merged: Merged, table: WebSocket) -> Findings:
    """A browser sends a user's cookies with every handshake, whoever's page asked for it (RFC 6455 10.2)."""
    if ANY in table.origins and _by_cookie(view, merged):
        text = 'lets every web page connect with its user\'s cookie; name the origins instead of "*"'
        yield view.of(merged, "websocket.origins", text)
    elif not table.origins and merged.writers.get("websocket.origins", DEFAULT) == DEFAULT:
        text = 'lets no web page connect; write origins = ["https://app.example.com"], or [] if none shall'
        yield Notice(view.of(merged, "websocket.origins", text))


def _by_cookie(view: View, merged: Merged) -> bool:
    names = merged.jwt.provider if merged.jwt is not None else ()
    known = (view.config.jwt[name] for name in names if name in view.config.jwt)
    return any(place.where == "cookie" for table in known for place in table.from_)


def _silence(view: View, merged: Merged, table: WebSocket) -> Findings:
    front = view.config.server.front
    if front is not None and front.idle_timeout < table.idle_timeout:
        name = front_name(view.config.server)
        text = (
            f"{table.idle_timeout:g}s never comes: {name} ends a connection in which nothing passes for "
            f"{front.idle_timeout:g}s; let one side ping more often than that, and write a shorter time"
        )
        yield Notice(view.of(merged, "websocket.idle_timeout", text))
