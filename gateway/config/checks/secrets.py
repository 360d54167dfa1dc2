"""Secrets of the process and of header rules: the admin token and names, header values that stand in the environment or
in a file.
"""

from __future__ import annotations

from gateway.config.addresses import is_loopback
from gateway.config.checks.finding import Findings, View
from gateway.config.checks.reading import check_secret, said
from gateway.config.durations import quoted
from gateway.config.problems import Problem
from gateway.config.references import Secret, read_secret
from gateway.config.schema import HeaderEdit
from gateway.config.texts import parse_literal


def check_secrets(view: View) -> Findings:
    """The admin token and the header values of upstreams, policies, routes and exports."""
    yield from _admin(view)
    for name, upstream in view.config.upstreams.items():
        yield from _headers(view, "upstream", name, "headers", upstream.headers)
    yield from _header_rules(view)
    for header, value in view.config.telemetry.headers.items():
        yield from _value(view, view.main(f"telemetry.headers.{header}", ""), value)


def _admin(view: View) -> Findings:
    admin = view.config.admin
    if admin is None:
        return
    if admin.token is None and not is_loopback(admin.listen):
        text = f'{admin.listen} can be reached from elsewhere; write token = "env:GATEWAY_ADMIN_TOKEN"'
        yield view.main("admin.token", text)
    yield from _names(view, admin.hosts)
    if admin.token is not None:
        yield from check_secret(view, view.main("admin.token", ""), admin.token)


def _names(view: View, hosts: tuple[str, ...]) -> Findings:
    """Only what somebody must have named on purpose: a pattern would let names in that others may give to anything."""
    for number, host in enumerate(hosts):
        at = f"admin.hosts[{number}]"
        if host.startswith("*."):
            yield view.main(at, f'{quoted(host)} is a pattern; write each name, such as "gateway.{host[2:]}"')
        elif host.startswith("[") or host.replace(".", "").isdigit():
            yield view.main(at, f"{quoted(host)} is an address, which needs no entry; remove it")


def _header_rules(view: View) -> Findings:
    pieces = [("policy", name, policy) for name, policy in view.config.policies.items()]
    for table, name, piece in (*pieces, *(("route", route.name, route) for route in view.config.routes)):
        for number, rule in enumerate(piece.headers):
            yield from _headers(view, table, name, f"headers[{number}].request", rule.request)
            yield from _headers(view, table, name, f"headers[{number}].response", rule.response)


def _headers(view: View, table: str, name: str, key: str, edit: HeaderEdit) -> Findings:
    for header, value in edit.set.items():
        yield from _value(view, view.at(table, name, f"{key}.set.{header}", ""), value)


def _value(view: View, at: Problem, value: Secret) -> Findings:
    if value.kind == "literal":  # plain text is no secret here
        return
    found = list(check_secret(view, at, value))
    yield from found
    if not found:
        yield from _fit_for_header(view, at, value)


def _fit_for_header(view: View, at: Problem, secret: Secret) -> Findings:
    """What stands outside the file must be a header's value, too. It is not repeated: it may be a secret."""
    try:
        parse_literal(read_secret(secret, view.environ).strip(" \t"))
    except ValueError as error:
        yield said(at, f"what stands in {secret.kind}:{secret.where} {error}")
