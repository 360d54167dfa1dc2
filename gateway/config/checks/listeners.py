"""What the process itself opens, and whom it believes: an address can be listened on once, and a network that is
everybody is no proxy.
"""

from __future__ import annotations

from gateway.config.addresses import Listen
from gateway.config.checks.finding import Findings, Notice, View


def check_listeners(view: View) -> Findings:
    """Addresses named twice, between `server.listen` and `admin.listen` too."""
    taken: dict[Listen, str] = {}
    for number, address in enumerate(view.config.server.listen):
        yield from _once(view, taken, address, f"server.listen[{number}]")
    if view.config.admin is not None:
        yield from _once(view, taken, view.config.admin.listen, "admin.listen")
    yield from _announced(view)
    for number, network in enumerate(view.config.server.trusted_proxies):
        if network.endswith("/0"):
            text = (
                f"{network} is everybody: whoever calls may choose the address that limits, allow lists and the log "
                "see; write the networks of your proxies"
            )
            yield Notice(view.main(f"server.trusted_proxies[{number}]", text))


def _announced(view: View) -> Findings:
    """Behind `proxy_protocol` a connection is whose the other side says: that side must be known."""
    server = view.config.server
    if not server.proxy_protocol:
        return
    local = [(number, listen) for number, listen in enumerate(server.listen) if listen.path is not None]
    if not server.trusted_proxies and len(local) < len(server.listen):
        text = 'nobody may connect without trusted_proxies; write those that send the header, such as ["10.0.0.0/8"]'
        yield view.main("server.proxy_protocol", text)
    for number, listen in local:
        text = (
            f"whoever can open {listen} may say who the client is (proxy_protocol); let only the proxy's user reach it"
        )
        yield Notice(view.main(f"server.listen[{number}]", text))


def _once(view: View, taken: dict[Listen, str], address: Listen, key: str) -> Findings:
    first = taken.setdefault(address, key)
    if first != key and (address.path is not None or address.port):
        yield view.main(key, f"{address} is taken by {first}; write another port")
