"""Certificates made for a test: self-signed or by another, good for a day, and for the names a test asks for."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True)
class Certificate:
    """A certificate, its own authority where no other is named, and its key, as PEM files."""

    cert: Path
    key: Path

    def client(self, shown: Certificate | None = None) -> ssl.SSLContext:
        """What a client uses that trusts this certificate alone, and shows another if asked."""
        context = ssl.create_default_context(cafile=str(self.cert))
        if shown is not None:
            context.load_cert_chain(shown.cert, shown.key)
        return context

    def server(self, clients: Certificate | None = None) -> ssl.SSLContext:
        """What a server uses that shows this certificate, and that asks for that of `clients` if given."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.cert, self.key)
        if clients is not None:
            context.load_verify_locations(clients.cert)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def make_certificate(
    folder: Path, *names: str, days: int = 1, by: Certificate | None = None, subject: str | None = None,
    signs: bool | None = None,
) -> Certificate:  # fmt: skip
    """Writes a certificate for those names and addresses; with `days` below 0 it ended that long ago. `by` is who signs
    it, if it is not its own authority; `subject` (RFC 4514) is whose it is, if not that of the first name, and without
    names it is for no host. With `days` above 2 it is not valid yet. `signs`: it is an authority too."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name.from_rfc4514_string(f"CN={names[0]}" if subject is None else subject)
    issuer, signer = (name, key) if by is None else _signer(by)
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - datetime.timedelta(days=2))
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(by is None if signs is None else signs, None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_name(each) for each in names]), critical=False)
    cert = builder.sign(signer, hashes.SHA256())
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    made.cert.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made


def _signer(by: Certificate) -> tuple[x509.Name, ec.EllipticCurvePrivateKey]:
    key = serialization.load_pem_private_key(by.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return x509.load_pem_x509_certificate(by.cert.read_bytes()).subject, key


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.UniformResourceIdentifier(text) if "://" in text else x509.DNSName(text)
