"""TLS towards clients: one certificate, which a reload may change, HTTP/1.1 only, nothing older than TLS 1.2."""

from __future__ import annotations

import ssl
from pathlib import Path


def server_context(cert: Path, key: Path) -> ssl.SSLContext:
    """The context of a listener. Raises ValueError ("what; remedy") when certificate and key cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error.strerror or "not a usable pair"
        raise ValueError(f"cannot use {cert} with {key} ({reason}); write a PEM chain and its own PEM key") from None
    return context


class Certificates:
    """What listeners show. They keep `context` for good; whom they greet from now on is shown what was `use`d last."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self._now = context
        context.sni_callback = self._choose

    def use(self, context: ssl.SSLContext) -> None:
        self._now = context

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """Called in every handshake, whether the client names a host or not (RFC 6066 3)."""
        if self._now is not self.context:
            connection.context = self._now
