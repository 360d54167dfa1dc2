"""Tokens made for a provider are tokens that provider accepts."""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: ISC004

from __future__ import annotations

import json
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gateway.config.schema import JwtProvider
from gateway.identity.claims import Identity
from gateway.identity.issue import issue
from gateway.identity.keys import KeySet
from gateway.identity.verify import Provider

from ..config.kit import refusal

NOW = 1_700_000_000.0
SECRET = "s" * 64
ENVIRON = {"SECRET": SECRET}


def provider(folder: Path, algorithms: list[str], keys: dict[str, str], **more: object) -> JwtProvider:
    settings = {"algorithms": algorithms, "keys": keys, "issuer": "https://i", "audience": ["a", "b"], **more}
    return JwtProvider.model_validate(settings, context={"base": folder})


def verifier(settings: JwtProvider, keys: KeySet) -> Provider:
    return Provider(
        "main", settings.issuer, settings.audience, settings.algorithms, keys, settings.leeway,
        settings.consumer, settings.tenant, settings.require, frozenset({"tier"}),
    )  # fmt: skip


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def public(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


def test_a_token_of_a_secret_is_accepted_until_it_ends(tmp_path: Path) -> None:
    settings = provider(tmp_path, ["HS512", "HS256"], {"secret": "env:SECRET"}, tenant="org.id", consumer="user.name")
    token = issue(settings, "alice", 60, {"org.id": "acme", "tier": "gold"}, now=NOW, environ=ENVIRON)
    verify = verifier(settings, KeySet.from_secret(SECRET.encode(), settings.algorithms, "k")).verify
    identity = verify(token, NOW)
    assert isinstance(identity, Identity)
    assert (identity.consumer, identity.tenant, identity.claims) == ("alice", "acme", {"tier": "gold"})
    assert not isinstance(verify(token, NOW + 60 + settings.leeway), Identity)
    assert jwt.decode(token, options={"verify_signature": False})["sub"] == "alice"


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [("rsa", "PS256"), ("p256", "ES256"), ("p384", "ES384"), ("ed", "EdDSA")],
)
def test_a_token_of_a_private_key_uses_an_algorithm_that_fits_it(tmp_path: Path, kind: str, algorithm: str) -> None:
    key = {
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "ed": ed25519.Ed25519PrivateKey.generate,
    }[kind]()
    (tmp_path / "key.pem").write_text(pem(key))
    allowed = ["PS256", "ES256", "ES384", "EdDSA"]
    settings = provider(tmp_path, allowed, {"public_key": "file:p", "private_key": "file:key.pem"})
    token = issue(settings, "alice", 60, {}, now=NOW, environ={})
    assert jwt.get_unverified_header(token)["alg"] == algorithm
    keys = KeySet.from_public_key(public(key), [algorithm], "k")
    assert isinstance(verifier(settings, keys).verify(token, NOW), Identity)


def test_a_token_names_its_key_in_the_set(tmp_path: Path) -> None:
    key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    to_jwk = jwt.algorithms.ECAlgorithm.to_jwk
    members = [{**to_jwk(each.public_key(), as_dict=True), "kid": kid} for each, kid in ((other, "x"), (key, "y"))]
    (tmp_path / "keys.json").write_text(json.dumps({"keys": members}))
    (tmp_path / "key.pem").write_text(pem(key))
    settings = provider(tmp_path, ["ES256"], {"jwks": "file:keys.json", "private_key": "file:key.pem"})
    assert jwt.get_unverified_header(issue(settings, "a", 60, {}, now=NOW, environ={}))["kid"] == "y"


@pytest.mark.parametrize(
    ("algorithms", "keys", "claims", "message"),
    [
        (
            ["RS256"],
            {"public_key": "file:p.pem"},
            {},
            "this provider has only public keys, nothing to sign with; add keys = { private_key = .. } beside them, or "
            "get a token from the issuer",
        ),
        (
            ["RS256"],
            {"jwks": "file:keys.json", "private_key": "file:ec.pem"},
            {},
            "the private key fits none of the provider's algorithms; add the one it signs with",
        ),
        (
            ["ES384"],
            {"public_key": "file:p.pem", "private_key": "file:ec.pem"},
            {},
            "the private key fits none of the provider's algorithms; add the one it signs with",
        ),
        (
            ["ES256"],
            {"public_key": "file:p.pem", "private_key": "file:keys.json"},
            {},
            "the private key is not a plain PEM private key; name one",
        ),
        (
            ["HS256"],
            {"secret": "env:GONE"},
            {},
            "the environment variable GONE is not set; set it before the gateway starts",
        ),
        (
            ["HS256"],
            {"secret": "short"},
            {},
            "keys.secret: the secret cannot be used: 5 bytes are too short for HS256, which needs 32 or more; make one "
            "with: openssl rand -base64 64",
        ),
        (
            ["HS256"],
            {"secret": "env:SECRET"},
            {"sub.x": 1},
            "the claim sub is no table, so sub.x has no place; leave one of them out",
        ),
    ],
)
def test_what_cannot_be_signed_is_explained(
    tmp_path: Path, algorithms: list[str], keys: dict[str, str], claims: dict[str, object], message: str
) -> None:
    (tmp_path / "ec.pem").write_text(pem(ec.generate_private_key(ec.SECP256R1())))
    (tmp_path / "keys.json").write_text('{"keys": []}')
    settings = provider(tmp_path, algorithms, keys)
    assert refusal(lambda: issue(settings, "alice", 60, claims, now=NOW, environ=ENVIRON)) == message
