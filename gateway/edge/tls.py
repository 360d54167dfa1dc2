"""TLS towards clients: certificates chosen by the host a client asks for, certificates that clients show, HTTP/1.1
only, nothing older than TLS 1.2. A context is never changed: a reload makes another.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.config import disk
from gateway.config.certificates import names_of, read_shown
from gateway.edge.http1 import Downstream
from gateway.edge.room import Shed

if TYPE_CHECKING:
    from gateway.config.schema.server import Tls


def server_context(tables: Sequence[Tls]) -> ssl.SSLContext:
    """The context of a listener. Whoever asks for no host, or for one that no certificate names, is shown the first.
    Raises ValueError ("what; remedy") when a file cannot be used."""
    contexts = [_context(table) for table in tables]
    if len(contexts) > 1:
        contexts[0].sni_callback = Chooser(_by_name(tables, contexts))
    return contexts[0]


def _context(table: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(
            disk.at(table.cert), disk.at(table.key), password=lambda: b""
        )  # asks nobody on a terminal
    except (OSError, ssl.SSLError) as error:
        raise ValueError(
            f"cannot use {table.cert} with {table.key} ({_reason(error)}); write a PEM chain and its own PEM key"
        ) from None
    if table.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED if table.client_auth == "require" else ssl.CERT_OPTIONAL
        try:
            context.load_verify_locations(disk.at(table.client_ca))
        except (OSError, ssl.SSLError) as error:
            raise ValueError(
                f"cannot use {table.client_ca} ({_reason(error)}); write a PEM file of certificates"
            ) from None
    return context


def _reason(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or "not usable"


def _by_name(tables: Sequence[Tls], contexts: Sequence[ssl.SSLContext]) -> dict[str, ssl.SSLContext]:
    """Where several certificates are for one name, the first of them counts."""
    found: dict[str, ssl.SSLContext] = {}
    for table, context in zip(tables, contexts, strict=True):
        for name in names_of(table.cert):
            found.setdefault(name, context)
    return found


class Chooser:
    """Called in every handshake of a listener with several certificates (RFC 6066 3)."""

    def __init__(self, by_name: dict[str, ssl.SSLContext]) -> None:
        self._by_name = by_name

    def __call__(self, connection: ssl.SSLObject, name: str | None, first: ssl.SSLContext) -> None:
        chosen = self.of(name) if name is not None else None
        if chosen is not None and chosen is not first:
            connection.context = chosen

    def of(self, name: str) -> ssl.SSLContext | None:
        """By the name itself, else by the wildcard of its domain, which stands for one label (RFC 6125 6.4.3)."""
        plain = name.lower().removesuffix(".")
        return self._by_name.get(plain) or self._by_name.get(f"*.{plain.partition('.')[2]}")


class Introduced(Downstream):
    """A connection whose client was asked for a certificate."""

    __slots__ = ("certificate",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A session that is gone on with is not verified again, and may outlast its certificate: that is seen here."""
        der = transport.get_extra_info("ssl_object").getpeercert(True)
        shown = read_shown(der) if der else None
        self.certificate = shown.subject if shown is not None else None
        super().connection_made(transport)
        if shown is not None and shown.ends < self._edge.wall():
            self._edge.turned_away(Shed.CERTIFICATE, self.peer, "certificate has expired")
            self.abort(reset=True)
