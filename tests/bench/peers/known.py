"""Every proxy of the comparison, in the order in which they take their turns."""

from __future__ import annotations

from .caddy import CADDY
from .gateway import GATEWAY, INTERPRETED, NAIVE, OVER_TLS, SHARED
from .haproxy import HAPROXY
from .nginx import NGINX
from .peer import Peer
from .traefik import TRAEFIK
from .varnish import VARNISH

PEERS: dict[str, Peer] = {
    peer.name: peer for peer in (GATEWAY, HAPROXY, NGINX, NAIVE, TRAEFIK, CADDY, VARNISH, OVER_TLS, SHARED, INTERPRETED)
}
OURS = ("gateway", "gateway-tls", "gateway-shared", "gateway-interpreted")
