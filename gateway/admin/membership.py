"""Who the endpoints of an upstream are and where they come from, as plain values: the members as they are written, how
looking up their names went, and those that have left but have not ended all they carry. Reads, never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gateway.config.addresses import is_name

if TYPE_CHECKING:
    from gateway.upstream.balance import Upstream
    from gateway.upstream.endpoint import Endpoint
    from gateway.upstream.member import Member
    from gateway.upstream.resolve import Name


def membership(upstream: Upstream, names: Mapping[str, Name]) -> dict[str, object]:
    return {
        "members": [_member(upstream, each, names) for each in upstream.members],
        "leaving": [_leaving(each) for each in upstream.leaving],
    }


def _member(upstream: Upstream, member: Member, names: Mapping[str, Name]) -> dict[str, object]:
    told: dict[str, object] = {
        "name": member.name,
        "url": member.url,
        "weight": member.weight,
        "from": "operator" if member.by_hand else "file",
        "drained": sorted(filter(member.owns, upstream.drained)),
    }
    name = names.get(member.host)
    return {**told, "dns": _dns(name)} if name is not None and is_name(member.host) else told


def _dns(name: Name) -> dict[str, object]:
    """Times are Unix seconds, null: never. `failure` is of the last look-up, null: it went well."""
    return {
        "addresses": [place[0] for place in name.places],
        "looked_up": round(name.found_at, 3) or None,
        "failure": name.failure,
        "failed": round(name.failed_at, 3) or None,
        "refresh": name.refresh,
    }


def _leaving(endpoint: Endpoint) -> dict[str, object]:
    return {"name": endpoint.name, "address": endpoint.places[0], "held": endpoint.held, "connections": endpoint.open}
