"""The certificates that listeners show and ask for: files that can be used, hosts that one of them is for, and clients
that are asked alike whatever host they want.
"""

from __future__ import annotations

from gateway.config.certificates import names_of
from gateway.config.checks.finding import Findings, Notice, View
from gateway.config.checks.reading import check_authority, check_chain
from gateway.config.schema.server import Tls


def check_certificates(view: View) -> Findings:
    """Every table of `server.tls`, and what upstreams want to be told of clients' certificates."""
    tables = view.config.server.tls
    shown: dict[str, str] = {}
    for number, table in enumerate(tables):
        at = "server.tls" if len(tables) == 1 else f"server.tls[{number}]"
        found = list(check_chain(view.main(at, ""), table.cert, table.key))
        yield from found
        if not found:
            yield from _names(view, at, table, shown)
        yield from _clients(view, at, table, tables[0])
    if not any(table.client_ca for table in tables):
        yield from _told(view)


def _names(view: View, at: str, table: Tls, shown: dict[str, str]) -> Findings:
    """Of several certificates for one name the first is shown."""
    try:
        names = names_of(table.cert)
    except ValueError as error:
        yield view.main(f"{at}.cert", str(error))
        return
    for name in names:
        first = shown.setdefault(name, at)
        if first != at:
            text = f"is for {name} as {first} is, which comes first and is shown; write one certificate for a name"
            yield Notice(view.main(f"{at}.cert", text))


def _clients(view: View, at: str, table: Tls, first: Tls) -> Findings:
    if table.client_ca is not None:
        yield from check_authority(view.main(f"{at}.client_ca", ""), table.client_ca)
    elif "client_auth" in table.model_fields_set:
        text = 'there is nobody to vouch for clients; write client_ca = "file:tls/clients.pem", or remove client_auth'
        yield view.main(f"{at}.client_auth", text)
    if (table.client_ca, table.client_auth) != (first.client_ca, first.client_auth):
        text = "clients are asked for certificates before it is known which host they want; write client_ca and "
        yield view.main(at, f"{text}client_auth as in server.tls[0]")


def _told(view: View) -> Findings:
    for name, upstream in view.config.upstreams.items():
        if upstream.identity.certificate is not None:
            text = "no client shows a certificate; write client_ca in server.tls, or remove it"
            yield Notice(view.at("upstream", name, "identity.certificate", text))
