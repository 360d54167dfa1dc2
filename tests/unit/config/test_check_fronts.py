"""What `check` says of certificates that listeners show and ask for, and of proxies that say who the client is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.certificates import make_certificate

from .kit import BASE, ROUTE, checked

ONE, TWO, CA = (
    "cert = 'file:one/cert.pem', key = 'file:one/key.pem'",
    "cert = 'file:two/cert.pem', key = 'file:two/key.pem'",
    "client_ca = 'file:ca/cert.pem'",
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_certificate(tmp_path / "one", "a.example", "*.b.example")
    make_certificate(tmp_path / "two", "c.example", "a.example")
    make_certificate(tmp_path / "ca", "ca")
    return tmp_path


def said(home: Path, *tables: str, more: str = "") -> tuple[list[str], list[str]]:
    """Problems and notices, without the file's name."""
    tls = f"tls = [{', '.join(f'{{ {table} }}' for table in tables)}]\n" if tables else ""
    found = checked(home, f"[server]\n{tls}{more}{BASE}{ROUTE}")
    return [one.removeprefix("gateway.toml: ") for one in found.problems], [
        one.removeprefix("gateway.toml: ") for one in found.notices
    ]


def test_of_two_certificates_for_one_name_the_first_is_shown_and_that_is_told(home: Path) -> None:
    told = "is for a.example as server.tls[{}] is, which comes first and is shown; write one certificate for a name"
    assert said(home, ONE, TWO) == ([], [f"server.tls[1].cert: {told.format(0)}"])
    assert said(home, TWO, ONE) == ([], [f"server.tls[1].cert: {told.format(0)}"])
    assert said(home, ONE) == said(home, TWO) == ([], [])


NO_CA = 'there is nobody to vouch for clients; write client_ca = "file:tls/clients.pem", or remove client_auth'
GONE = "cannot read gone.pem (no such file or directory); check the path and who may read it"
DIFFERS = (
    "clients are asked for certificates before it is known which host they want; write client_ca and client_auth as in "
    "server.tls[0]"
)


@pytest.mark.parametrize(
    ("tables", "problems"),
    [
        ([f"{ONE}, {CA}"], []),
        ([f"{ONE}, {CA}, client_auth = 'ask'"], []),
        ([f"{ONE}, {CA}, client_auth = 'ask'", f"{TWO}, {CA}, client_auth = 'ask'"], []),
        ([f"{ONE}, {CA}", TWO], [f"server.tls[1]: {DIFFERS}"]),
        ([ONE, f"{TWO}, {CA}"], [f"server.tls[1]: {DIFFERS}"]),
        ([f"{ONE}, {CA}", f"{TWO}, {CA}, client_auth = 'ask'"], [f"server.tls[1]: {DIFFERS}"]),
        ([f"{ONE}, client_auth = 'ask'"], [f"server.tls.client_auth: {NO_CA}"]),
        ([f"{ONE}, client_ca = 'file:gone.pem'"], [f"server.tls.client_ca: {GONE}"]),
        ([f"{ONE}, client_ca = 'file:one/key.pem'"],
         ["server.tls.client_ca: is not a PEM file of certificates; name one"]),
        ([f"{ONE}, client_auth = 'no', {CA}"],
         ['server.tls[0].client_auth: is none of the values it can have; write "require" or "ask"']),
    ],
)  # fmt: skip
def test_what_clients_are_asked_for(home: Path, tables: list[str], problems: list[str]) -> None:
    assert said(home, *tables)[0] == problems


def test_an_upstream_that_wants_to_know_certificates_nobody_is_asked_for_is_told(home: Path) -> None:
    more = '[upstream.x]\nendpoints = ["http://a:1"]\nidentity = { certificate = "X-Cert" }\n'
    told = "upstream.x.identity.certificate: no client shows a certificate; write client_ca in server.tls, or remove it"
    assert told in said(home, more=more)[1]
    assert told not in said(home, f"{ONE}, {CA}", more=more)[1]


LOCAL = "whoever can open unix:g.sock may say who the client is (proxy_protocol); let only the proxy's user reach it"
NOBODY = 'nobody may connect without trusted_proxies; write those that send the header, such as ["10.0.0.0/8"]'


@pytest.mark.parametrize(
    ("lines", "problems", "notices"),
    [
        ("proxy_protocol = true\ntrusted_proxies = ['10.0.0.0/8']", [], []),
        ("proxy_protocol = true", [f"server.proxy_protocol: {NOBODY}"], []),
        ("proxy_protocol = true\nlisten = 'unix:g.sock'", [], [f"server.listen[0]: {LOCAL}"]),
        ("proxy_protocol = true\nlisten = ['unix:g.sock', '127.0.0.1:1']", [f"server.proxy_protocol: {NOBODY}"],
         [f"server.listen[0]: {LOCAL}"]),
        ("listen = 'unix:g.sock'", [], []),
    ],
)  # fmt: skip
def test_who_may_say_whose_connection_it_is(home: Path, lines: str, problems: list[str], notices: list[str]) -> None:
    assert said(home, more=lines + "\n") == (problems, notices)


SAYS = "the gateway itself writes {}, in the place of the client's; remove it"
HEADERS = [
    ("headers = { set = { Traceparent = '1' } }", "headers.set.Traceparent: " + SAYS.format("Traceparent")),
    ("headers = { remove = ['Via', 'forwarded'] }", "headers.remove[1]: " + SAYS.format("forwarded")),
    ("headers = { set = { X_Request_Id = 'a' } }", "headers.set.X_Request_Id: " + SAYS.format("X_Request_Id")),
    ("identity = { consumer = 'Gateway-Hold' }", "identity.consumer: " + SAYS.format("Gateway-Hold")),
    ("identity = { consumer = 'X-A', tenant = 'x_a' }",
     "identity.tenant: x_a is written by identity.consumer too; write another name"),
    ("identity = { claims = { a = 'X-A' } }\nheaders = { set = { X-A = '1' } }",
     "identity.claims.a: X-A is written by headers.set.X-A too; write another name"),
    ("headers = { set = { X-Forwarded-Port = '443', X-Real-IP = '::' } }", None),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "problem"), HEADERS)
def test_a_field_of_a_request_has_one_writer(home: Path, lines: str, problem: str | None) -> None:
    found = said(home, more=f'[upstream.x]\nendpoints = ["http://a:1"]\n{lines}\n')[0]
    assert found == ([f"upstream.x.{problem}"] if problem is not None else [])


def test_what_answers_carry_is_the_services_and_may_be_changed(home: Path) -> None:
    more = "[[policy.x.headers]]\n{} = {{ remove = ['X-Request-Id'] }}\n"
    assert said(home, more=more.format("response"))[0] == []
    assert said(home, more=more.format("request"))[0] == [
        f"policy.x.headers[0].request.remove[0]: {SAYS.format('X-Request-Id')}"
    ]
