"""TLS towards clients, as handshakes in memory: which certificate is shown to whom, before and after a reload."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from gateway.edge.tls import Certificates, server_context
from tests.kit.certificates import Certificate, make_certificate

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("old"), "localhost")


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("new"), "localhost")


def context_of(one: Certificate) -> ssl.SSLContext:
    return server_context(one.cert, one.key)


def greeted(
    listener: ssl.SSLContext, version: ssl.TLSVersion, name: str | None, protocols: tuple[str, ...] = ("h2", "http/1.1")
) -> ssl.SSLObject:
    """The client's side of a finished handshake; the client names the host, or does not."""
    wanted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    wanted.check_hostname, wanted.verify_mode = False, ssl.CERT_NONE
    wanted.minimum_version = wanted.maximum_version = version
    wanted.set_alpn_protocols(list(protocols))
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = wanted.wrap_bio(back, there, server_hostname=name)
    server = listener.wrap_bio(there, back, server_side=True)
    for side in (client, server, client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass
    return client


def shown(listener: ssl.SSLContext, version: ssl.TLSVersion, name: str | None) -> str:
    found = greeted(listener, version, name).getpeercert(binary_form=True)
    assert found is not None
    return ssl.DER_cert_to_PEM_cert(found)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", [None, "localhost", "elsewhere.example"])
def test_everybody_is_shown_what_was_used_last(
    old: Certificate, new: Certificate, version: ssl.TLSVersion, name: str | None
) -> None:
    certificates = Certificates(context_of(old))
    assert shown(certificates.context, version, name) == old.cert.read_text()
    for one in (new, old):
        certificates.use(context_of(one))
        assert shown(certificates.context, version, name) == one.cert.read_text()


def test_the_first_context_can_be_used_again(old: Certificate, new: Certificate) -> None:
    certificates = Certificates(first := context_of(old))
    certificates.use(context_of(new))
    certificates.use(first)
    assert shown(certificates.context, VERSIONS[0], None) == old.cert.read_text()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("replaced", [False, True])
def test_only_what_is_served_is_agreed_on(
    old: Certificate, new: Certificate, version: ssl.TLSVersion, replaced: bool
) -> None:
    certificates = Certificates(context_of(old))
    if replaced:
        certificates.use(context_of(new))
    assert greeted(certificates.context, version, "localhost").selected_alpn_protocol() == "http/1.1"


def test_nothing_older_than_tls_1_2(old: Certificate) -> None:
    assert context_of(old).minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("broken", ["missing", "not PEM", "the key of another"])
def test_what_cannot_be_used_is_a_sentence_with_a_remedy(
    tmp_path: Path, old: Certificate, new: Certificate, broken: str
) -> None:
    cert, key = tmp_path / "cert.pem", old.key
    if broken == "the key of another":
        cert, key = old.cert, new.key
    elif broken == "not PEM":
        cert.write_text("garbage")
    with pytest.raises(ValueError, match=r"; write a PEM chain and its own PEM key$"):
        server_context(cert, key)
