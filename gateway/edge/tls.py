"""TLS towards clients: one certificate, HTTP/1.1 only, nothing older than TLS 1.2."""

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
