"""Upstreams: endpoints that agree with each other, and the certificates they are reached with."""

from __future__ import annotations

from gateway.config.addresses import is_name
from gateway.config.checks.finding import Findings, Notice, View
from gateway.config.checks.reading import check_authority, check_chain, said
from gateway.config.durations import parse_duration
from gateway.config.schema import Upstream


def check_upstreams(view: View) -> Findings:
    """The TLS files and the URLs of every upstream."""
    for name, upstream in view.config.upstreams.items():
        yield from _upstream(view, name, upstream)


def _upstream(view: View, name: str, upstream: Upstream) -> Findings:
    tls = upstream.tls
    at = view.at("upstream", name, "tls", "")
    if (tls.cert is None) != (tls.key is None):
        yield said(at, "cert and key belong together; write both or none")
    elif tls.cert is not None and tls.key is not None:
        yield from check_chain(at, tls.cert, tls.key)
    if tls.ca is not None:
        yield from check_authority(view.at("upstream", name, "tls.ca", ""), tls.ca)
    if any(vars(tls).values()) and not any(each.url.scheme == "https" for each in upstream.endpoints):
        yield said(at, "no endpoint uses https; write https:// in endpoints, or remove tls")
    usual = parse_duration(Upstream.model_fields["dns_refresh"].default)
    if upstream.dns_refresh != usual and not any(is_name(each.url.host) for each in upstream.endpoints):
        text = "no endpoint is a name that is looked up; remove it, or write names in endpoints"
        yield Notice(view.at("upstream", name, "dns_refresh", text))
    if len({each.url.path for each in upstream.endpoints}) > 1:
        yield view.at("upstream", name, "endpoints", "have different paths; write the same path in all of them")
