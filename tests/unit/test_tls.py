"""TLS towards clients, as handshakes in memory: which certificate is shown to whom, who must show one, and what is told
of it.
"""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import pytest

from gateway.config.certificates import names_of, read_shown
from gateway.config.schema.server import Tls
from gateway.edge.tls import server_context
from tests.kit.certificates import Certificate, make_certificate

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
NAMES = {
    "first": ("localhost", "shared.example"),
    "second": ("b.example", "shared.example", "*.c.example"),
    "third": ("x.c.example", "*.b.example"),
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Certificate]:
    return {name: make_certificate(tmp_path_factory.mktemp(name), *names) for name, names in NAMES.items()}


def table(pair: Certificate, **more: object) -> Tls:
    return Tls.model_construct(cert=pair.cert, key=pair.key, client_ca=None, client_auth="require").model_copy(
        update=more
    )


def greeted(
    listener: ssl.SSLContext, version: ssl.TLSVersion, name: str | None, protocols: tuple[str, ...] = ("h2", "http/1.1")
) -> ssl.SSLObject:
    """The client's side of a finished handshake; the client names the host, or does not."""
    wanted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    wanted.check_hostname, wanted.verify_mode = False, ssl.CERT_NONE
    wanted.minimum_version = wanted.maximum_version = version
    wanted.set_alpn_protocols(list(protocols))
    return handshake(wanted, listener, name)[0]


def handshake(
    wanted: ssl.SSLContext, listener: ssl.SSLContext, name: str | None
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both sides of a finished handshake. Raises ssl.SSLError of whoever ends it."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = wanted.wrap_bio(back, there, server_hostname=name)
    server = listener.wrap_bio(there, back, server_side=True)
    for side in (client, server, client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass
    return client, server


def shown(listener: ssl.SSLContext, version: ssl.TLSVersion, name: str | None) -> str:
    found = greeted(listener, version, name).getpeercert(binary_form=True)
    assert found is not None
    return ssl.DER_cert_to_PEM_cert(found)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("name", "which"),
    [
        (None, "first"), ("elsewhere.example", "first"), ("localhost", "first"), ("b.example", "second"),
        ("B.Example", "second"), ("b.example.", "second"), ("y.c.example", "second"), ("x.c.example", "third"),
        ("c.example", "first"), ("x.y.c.example", "first"), ("x.b.example", "third"), ("example", "first"),
        ("shared.example", "first"), ("z.c.example", "second"),
    ],
)  # fmt: skip
def test_the_certificate_is_that_of_the_name_asked_for_or_the_first(
    pairs: dict[str, Certificate], version: ssl.TLSVersion, name: str | None, which: str
) -> None:
    context = server_context([table(pair) for pair in pairs.values()])
    assert shown(context, version, name) == pairs[which].cert.read_text()


@pytest.mark.parametrize("name", [None, "localhost", "elsewhere.example"])
def test_a_single_certificate_is_shown_to_everybody_and_nothing_is_called_for_it(
    pairs: dict[str, Certificate], name: str | None
) -> None:
    context = server_context([table(pairs["first"])])
    assert shown(context, VERSIONS[1], name) == pairs["first"].cert.read_text()
    assert context.sni_callback is None


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["localhost", "b.example"])
def test_only_what_is_served_is_agreed_on(pairs: dict[str, Certificate], version: ssl.TLSVersion, name: str) -> None:
    context = server_context([table(pair) for pair in pairs.values()])
    assert greeted(context, version, name).selected_alpn_protocol() == "http/1.1"


def test_nothing_older_than_tls_1_2(pairs: dict[str, Certificate]) -> None:
    assert server_context([table(pairs["first"])]).minimum_version == ssl.TLSVersion.TLSv1_2


def client_of(version: ssl.TLSVersion, own: Certificate | None) -> ssl.SSLContext:
    wanted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    wanted.check_hostname, wanted.verify_mode = False, ssl.CERT_NONE
    wanted.minimum_version = wanted.maximum_version = version
    if own is not None:
        wanted.load_cert_chain(own.cert, own.key)
    return wanted


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["localhost", "b.example"])
@pytest.mark.parametrize("auth", ["require", "ask"])
@pytest.mark.parametrize("shows", ["good", "nothing", "of a stranger", "expired"])
def test_who_is_asked_for_a_certificate_is_let_in_with_a_good_one_or_where_none_is_needed(
    pairs: dict[str, Certificate], tmp_path: Path, version: ssl.TLSVersion, name: str, auth: str, shows: str
) -> None:
    """Whatever host the client asks for: the certificates of all hosts ask alike."""
    authority = make_certificate(tmp_path / "ca", "ca")
    own = {
        "good": make_certificate(tmp_path / "good", "alice", by=authority),
        "nothing": None,
        "of a stranger": make_certificate(tmp_path / "stranger", "alice"),
        "expired": make_certificate(tmp_path / "expired", "alice", by=authority, days=-1),
    }[shows]
    context = server_context([table(pair, client_ca=authority.cert, client_auth=auth) for pair in pairs.values()])
    if shows == "good" or (shows == "nothing" and auth == "ask"):
        seen = handshake(client_of(version, own), context, name)[1].getpeercert(True)
        assert (seen and read_shown(seen).subject) == ("CN=alice" if own is not None else None)
    else:
        with pytest.raises(ssl.SSLError):
            handshake(client_of(version, own), context, name)


@pytest.mark.parametrize("broken", ["missing", "not PEM", "the key of another"])
def test_what_cannot_be_used_is_a_sentence_with_a_remedy(
    tmp_path: Path, pairs: dict[str, Certificate], broken: str
) -> None:
    cert, key = tmp_path / "cert.pem", pairs["first"].key
    if broken == "the key of another":
        cert, key = pairs["first"].cert, pairs["second"].key
    elif broken == "not PEM":
        cert.write_text("garbage")
    with pytest.raises(ValueError, match=r"; write a PEM chain and its own PEM key$"):
        server_context([table(Certificate(cert, key))])
    with pytest.raises(ValueError, match=r"; write a PEM file of certificates$"):
        server_context([table(pairs["first"], client_ca=pairs["first"].key if broken == "not PEM" else tmp_path / "x")])


@pytest.mark.parametrize(
    ("subject", "names", "told"),
    [
        ("CN=alice", ("a.example",), "CN=alice"),
        ("CN=alice,OU=ops,O=Acme", ("a.example",), "CN=alice,OU=ops,O=Acme"),
        ("CN=a\\,b \\+ c", ("a.example",), "CN=a\\,b \\+ c"),
        ("CN=Zoë", ("a.example",), "CN=Zoë"),
        ("", ("spiffe://acme/alice", "a.example"), "URI:spiffe://acme/alice"),
        ("", ("a.example", "b.example"), "DNS:a.example"),
        ("", ("192.0.2.7",), ""),
    ],
)
def test_a_certificate_is_told_by_its_subject(tmp_path: Path, subject: str, names: tuple[str, ...], told: str) -> None:
    made = make_certificate(tmp_path, *names, subject=subject)
    found = read_shown(ssl.PEM_cert_to_DER_cert(made.cert.read_text()))
    assert found.subject == told
    assert 0 < found.ends - time.time() <= 86400


def test_what_is_no_certificate_has_no_subject_and_has_ended() -> None:
    assert read_shown(b"garbage") == ("", 0.0)


def test_the_names_of_a_chain_are_those_of_its_first(tmp_path: Path, pairs: dict[str, Certificate]) -> None:
    chain = tmp_path / "chain.pem"
    chain.write_text(
        pairs["second"].key.read_text() + pairs["second"].cert.read_text() + pairs["first"].cert.read_text()
    )
    assert names_of(chain) == NAMES["second"]
    with pytest.raises(ValueError, match="cannot tell which hosts"):
        names_of(pairs["first"].key)
