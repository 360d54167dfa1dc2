"""Who the client of a request is, and who says so: the address that limits, allow lists and the log go by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.explain.model import ClientStory
from gateway.networks import within
from gateway.upstream.hops import client_of

if TYPE_CHECKING:
    from gateway.config.settings import Config
    from gateway.head import RequestHead
    from gateway.plan import Snapshot

_FIELDS = ("X-Forwarded-For", "Forwarded", "X-Forwarded-Proto")


def client_story(config: Config, snapshot: Snapshot, peer: str, head: RequestHead) -> ClientStory | None:
    """None where there is nothing to tell: nobody is trusted, asked for a certificate, or claims anything."""
    said = [name for name in _FIELDS if name in head.headers]
    certificate = next((table.client_auth for table in config.server.tls if table.client_ca is not None), None)
    announced = config.server.proxy_protocol
    if not (said or snapshot.trusted or certificate or announced):
        return None
    address, scheme = client_of(peer, head, snapshot.trusted)
    return ClientStory(
        address, scheme, _why(peer, address, said, within(peer, snapshot.trusted)), announced, certificate
    )


def _why(peer: str, address: str, said: list[str], trusted: bool) -> str:
    if not trusted:
        if not said:
            return "it speaks for itself: it is not in server.trusted_proxies"
        return f"{', '.join(said)}: not believed, for {peer} is not in server.trusted_proxies"
    if address != peer:
        return f"{peer} says so in {said[0]}, and is in server.trusted_proxies"
    if not said:
        return "it is in server.trusted_proxies, and names no client in X-Forwarded-For or Forwarded"
    return f"it is in server.trusted_proxies; the last address in {said[0]} is its own, or none that can be read"
