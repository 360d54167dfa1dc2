"""Reading what stands outside the files, for the rules: a secret, a certificate chain, an authority. What is read is
never shown; what cannot be used is a finding at the key that names it.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

from gateway.config import disk
from gateway.config.checks.finding import Finding, Notice, View
from gateway.config.problems import Problem
from gateway.config.references import Secret, read_secret, read_text


def said(at: Problem, text: str) -> Problem:
    """A finding at the place of `at`; `text` is "what; remedy"."""
    what, _, remedy = text.partition("; ")
    return Problem(at.file, at.key_path, what, remedy)


def check_secret(view: View, at: Problem, secret: Secret) -> Iterator[Finding]:
    if secret.kind == "literal":
        yield Notice(said(at, 'the secret stands in the file itself; write "env:NAME" or "file:PATH"'))
        return
    try:
        read_secret(secret, view.environ)
    except ValueError as error:
        yield said(at, str(error))


def check_chain(at: Problem, cert: Path, key: Path) -> Iterator[Finding]:
    for path in (cert, key):
        try:
            read_text(path)
        except ValueError as error:
            yield said(at, str(error))
            return
    try:
        # The password is asked for by a function so that an encrypted key never asks on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(disk.at(cert), disk.at(key), password=lambda: b"")
    except ssl.SSLError:
        yield said(at, "cert and key do not belong together, or are no PEM files; name a chain and its plain key")


def check_authority(at: Problem, path: Path) -> Iterator[Finding]:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=read_text(path))
    except ssl.SSLError:
        yield said(at, "is not a PEM file of certificates; name one")
    except ValueError as error:
        yield said(at, str(error))
