"""Header rules for requests: a field has one writer, be it the gateway, an upstream's identity table, or a rule."""

from __future__ import annotations

from gateway.config.checks.finding import Findings, View
from gateway.config.schema import HeaderEdit
from gateway.policies.headers import SAID


def check_headers(view: View) -> Findings:
    """What upstreams, policies and routes set and remove, and the names of identity headers."""
    for name, upstream in view.config.upstreams.items():
        yield from _edit(view, "upstream", name, "headers", upstream.headers)
        identity = upstream.identity
        told = {"consumer": identity.consumer, "tenant": identity.tenant, "certificate": identity.certificate}
        told |= {f"claims.{claim}": header for claim, header in identity.claims.items()}
        taken: dict[str, str] = {_folded(header): f"headers.set.{header}" for header in upstream.headers.set}
        for key, header in told.items():
            if header is not None:
                yield from _written(view, "upstream", name, f"identity.{key}", header)
                yield from _once(view, name, key, header, taken)
    pieces = [("policy", name, policy) for name, policy in view.config.policies.items()]
    for table, name, piece in (*pieces, *(("route", route.name, route) for route in view.config.routes)):
        for number, rule in enumerate(piece.headers):
            yield from _edit(view, table, name, f"headers[{number}].request", rule.request)


def _once(view: View, name: str, key: str, header: str, taken: dict[str, str]) -> Findings:
    first = taken.setdefault(_folded(header), f"identity.{key}")
    if first != f"identity.{key}":
        yield view.at("upstream", name, f"identity.{key}", f"{header} is written by {first} too; write another name")


def _edit(view: View, table: str, name: str, key: str, edit: HeaderEdit) -> Findings:
    for header in edit.set:
        yield from _written(view, table, name, f"{key}.set.{header}", header)
    for number, header in enumerate(edit.remove):
        yield from _written(view, table, name, f"{key}.remove[{number}]", header)


def _written(view: View, table: str, name: str, key: str, header: str) -> Findings:
    if _folded(header) in SAID:
        text = f"the gateway itself writes {header}, in the place of the client's; remove it"
        yield view.at(table, name, key, text)


def _folded(header: str) -> str:
    return header.lower().replace("_", "-")
