"""Secrets and certificates of the process and of header rules: the admin token, the server's certificate, header
values that stand in the environment or in a file.
"""

from __future__ import annotations

from gateway.config.addresses import is_loopback
from gateway.config.checks.finding import Findings, View
from gateway.config.checks.reading import check_chain, check_secret
from gateway.config.schema import HeaderEdit


def check_secrets(view: View) -> Findings:
    """The admin token, the server's certificate and the header values of upstreams, policies and routes."""
    yield from _admin(view)
    tls = view.config.server.tls
    if tls is not None:
        yield from check_chain(view.main("server.tls", ""), tls.cert, tls.key)
    for name, upstream in view.config.upstreams.items():
        yield from _headers(view, "upstream", name, "headers", upstream.headers)
    yield from _header_rules(view)


def _admin(view: View) -> Findings:
    admin = view.config.admin
    if admin is None:
        return
    if admin.token is None and not is_loopback(admin.listen):
        text = f'{admin.listen} can be reached from elsewhere; write token = "env:GATEWAY_ADMIN_TOKEN"'
        yield view.main("admin.token", text)
    if admin.token is not None:
        yield from check_secret(view, view.main("admin.token", ""), admin.token)


def _header_rules(view: View) -> Findings:
    pieces = [("policy", name, policy) for name, policy in view.config.policies.items()]
    for table, name, piece in (*pieces, *(("route", route.name, route) for route in view.config.routes)):
        for number, rule in enumerate(piece.headers):
            yield from _headers(view, table, name, f"headers[{number}].request", rule.request)
            yield from _headers(view, table, name, f"headers[{number}].response", rule.response)


def _headers(view: View, table: str, name: str, key: str, edit: HeaderEdit) -> Findings:
    for header, value in edit.set.items():
        if value.kind != "literal":  # plain text is no secret here
            yield from check_secret(view, view.at(table, name, f"{key}.set.{header}", ""), value)
