"""What a certificate says of itself: the names it is for, and whose it is. Read from PEM files and from handshakes;
whether it is to be trusted is decided elsewhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.x509.oid import NameOID

from gateway.config import disk


def names_of(path: Path) -> tuple[str, ...]:
    """The host names of the first certificate in a PEM file, in lower case; wildcards as they are written. Raises
    ValueError ("what; remedy")."""
    try:
        return _names(x509.load_pem_x509_certificate(disk.at(path).read_bytes()))
    except (OSError, ValueError):
        raise ValueError(f"cannot tell which hosts {path} is for; write a PEM chain that begins with its own") from None


def _names(found: x509.Certificate) -> tuple[str, ...]:
    try:
        alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        common = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return tuple(str(each.value).lower() for each in common)
    return tuple(name.lower() for name in alternatives.get_values_for_type(x509.DNSName))


class Shown(NamedTuple):
    """A client's certificate. `subject` is whose it is, as RFC 4514 writes it: `CN=alice,O=Acme`; where it has none,
    its first alternative name: `URI:spiffe://acme/alice`. `ends` is Unix seconds."""

    subject: str
    ends: float


def read_shown(der: bytes) -> Shown:
    """What cannot be read ended long ago."""
    try:
        found = x509.load_der_x509_certificate(der)
        return Shown(_subject(found), found.not_valid_after_utc.timestamp())
    except ValueError:
        return Shown("", 0.0)


def _subject(found: x509.Certificate) -> str:
    if subject := found.subject.rfc4514_string():
        return subject
    try:
        alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ""
    kinds = ((x509.UniformResourceIdentifier, "URI"), (x509.DNSName, "DNS"), (x509.RFC822Name, "email"))
    said = (f"{word}:{value}" for kind, word in kinds for value in alternatives.get_values_for_type(kind))
    return next(said, "")
