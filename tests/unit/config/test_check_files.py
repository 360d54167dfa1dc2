"""Keys, secrets and certificates that stand outside the configuration, with real ones made for the test."""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501, ISC004

from __future__ import annotations

import datetime
import json
from pathlib import Path

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from .kit import ROUTE, SIGNED, UPSTREAM, checked, sound

PROVIDER = '[jwt.main]\nissuer = "i"\naudience = "a"\n'
KEYS = "gateway.toml: jwt.main.keys"


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes | None = None) -> str:
    secret = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret).decode()


def public(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


@pytest.fixture(scope="module")
def curve() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(key: ec.EllipticCurvePrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    start = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + datetime.timedelta(days=9999))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def config(algorithms: str, keys: str) -> str:
    return f"{UPSTREAM}{SIGNED}{ROUTE}{PROVIDER}algorithms = {algorithms}\nkeys = {{ {keys} }}\n"


@pytest.mark.parametrize(
    ("algorithms", "keys", "line"),
    [
        ('["HS256"]', "", f"{KEYS}: names no key to verify with; write exactly one of secret, public_key and jwks"),
        (
            '["HS256"]',
            'private_key = "file:private.pem"',
            f"{KEYS}: names no key to verify with; write exactly one of secret, public_key and jwks",
        ),
        (
            '["RS256"]',
            'jwks = "file:keys.json", public_key = "file:public.pem"',
            f"{KEYS}: names public_key and jwks; write exactly one of secret, public_key and jwks",
        ),
        (
            '["RS256"]',
            'secret = "env:SECRET"',
            f"{KEYS}.secret: does not fit algorithms; write algorithms with HS256, or another kind of key",
        ),
        (
            '["HS256"]',
            'public_key = "file:public.pem"',
            f"{KEYS}.public_key: does not fit algorithms; write algorithms with RS256, ES256 or EdDSA, or another kind of key",
        ),
        (
            '["HS256"]',
            'secret = "env:GONE"',
            f"{KEYS}.secret: the environment variable GONE is not set; set it before the gateway starts",
        ),
        (
            '["HS256"]',
            'secret = "env:SHORT"',
            f"{KEYS}.secret: the secret cannot be used: 5 bytes are too short for HS256, which needs 32 or more; make one "
            "with: openssl rand -base64 64",
        ),
        (
            '["ES256"]',
            'public_key = "file:gone.pem"',
            f"{KEYS}.public_key: cannot read gone.pem (no such file or directory); check the path and who may read it",
        ),
        (
            '["ES256"]',
            'public_key = "file:."',
            f"{KEYS}.public_key: cannot read {{folder}} (is a directory); check the path and who may read it",
        ),
        (
            '["ES256"]',
            'public_key = "file:private.pem"',
            f"{KEYS}.public_key: this is a private key; use its public half: openssl pkey -pubout -in FILE",
        ),
        (
            '["ES256"]',
            'public_key = "file:gateway.toml"',
            f"{KEYS}.public_key: this is not a PEM public key; it begins with BEGIN PUBLIC KEY",
        ),
        (
            '["ES256"]',
            'jwks = "file:private.pem"',
            f'{KEYS}.jwks: this is not a JWK set; write {{"keys": [..]}}, a list of public keys',
        ),
        (
            '["ES256"]',
            'public_key = "file:public.pem", private_key = "file:public.pem"',
            f"{KEYS}.private_key: is not a PEM private key; name one",
        ),
        (
            '["ES256"]',
            'public_key = "file:public.pem", private_key = "file:locked.pem"',
            f"{KEYS}.private_key: is encrypted or of an unknown kind; name a plain PEM private key",
        ),
        (
            '["ES256"]',
            'public_key = "file:public.pem", private_key = "file:gone.pem"',
            f"{KEYS}.private_key: cannot read gone.pem (no such file or directory); check the path and who may read it",
        ),
    ],
)
def test_keys_that_cannot_verify_are_refused(
    tmp_path: Path, curve: ec.EllipticCurvePrivateKey, algorithms: str, keys: str, line: str
) -> None:
    files = {"private_pem": pem(curve), "public_pem": public(curve), "locked_pem": pem(curve, b"x"), "keys_json": "{}"}
    problems = checked(tmp_path, config(algorithms, keys), **files).problems
    assert line.replace("{folder}", str(tmp_path)) in problems


def test_good_keys_of_every_kind_pass(tmp_path: Path, curve: ec.EllipticCurvePrivateKey) -> None:
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(curve.public_key(), as_dict=True)
    (tmp_path / "private.pem").write_text(pem(curve))
    (tmp_path / "public.pem").write_text(public(curve))
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [jwk]}))
    for algorithms, keys in (
        ('["HS256"]', 'secret = "env:SECRET"'),
        ('["ES256"]', 'public_key = "file:public.pem"'),
        ('["ES256"]', 'jwks = "file:keys.json", private_key = "file:private.pem"'),
    ):
        sound(tmp_path, config(algorithms, keys))


def test_a_jwk_that_cannot_be_used_is_a_notice(tmp_path: Path, curve: ec.EllipticCurvePrivateKey) -> None:
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(curve.public_key(), as_dict=True)
    keys = json.dumps({"keys": [jwk, {"kty": "oct", "k": "c2hvcnQ"}]})
    result = checked(tmp_path, config('["ES256"]', 'jwks = "file:keys.json"'), keys_json=keys)
    assert result.problems == []
    assert result.notices[0].startswith("gateway.toml: jwt.main.keys.jwks: keys[1] is not used: ")


def test_a_certificate_goes_with_its_key(tmp_path: Path, curve: ec.EllipticCurvePrivateKey) -> None:
    other = pem(ec.generate_private_key(ec.SECP256R1()))
    files = {"cert_pem": certificate(curve), "key_pem": pem(curve), "other_pem": other, "locked_pem": pem(curve, b"x")}
    server = "[server]\ntls = {{ cert = 'file:cert.pem', key = 'file:{}' }}\n"
    mixed = "cert and key do not belong together, or are no PEM files; name a chain and its plain key"
    gone = "cannot read gone.pem (no such file or directory); check the path and who may read it"
    for key, problems in (("key.pem", []), ("other.pem", [mixed]), ("locked.pem", [mixed]), ("gone.pem", [gone])):
        found = checked(tmp_path, UPSTREAM + server.format(key), **files).problems
        assert found == [f"gateway.toml: server.tls: {each}" for each in problems]


def test_the_authority_of_an_upstream_is_a_file_of_certificates(
    tmp_path: Path, curve: ec.EllipticCurvePrivateKey
) -> None:
    text = "[upstream.x]\nendpoints = 'https://a'\ntls = {{ ca = 'file:{}' }}\n"
    files = {"ca_pem": certificate(curve), "key_pem": pem(curve)}
    assert checked(tmp_path, text.format("ca.pem"), **files).problems == []
    assert checked(tmp_path, text.format("key.pem"), **files).problems == [
        "gateway.toml: upstream.x.tls.ca: is not a PEM file of certificates; name one"
    ]


def test_no_secret_is_ever_shown(tmp_path: Path) -> None:
    text = (
        config('["HS256"]', 'secret = "hunter2"')
        + "[admin]\ntoken = 'hunter2'\n[policy.p.headers]\nrequest = { set = { X = \"hunter2\\u0000\" } }\n"
    )
    result = checked(tmp_path, text)
    assert result.problems
    assert "hunter2" not in "".join(result.problems + result.notices)
