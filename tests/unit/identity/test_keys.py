"""Which keys are taken, which are left out and why, and which are tried for a token."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.identity.algorithms import KEY_TYPES
from gateway.identity.claims import Rejected
from gateway.identity.jws import Opened, open_token
from gateway.identity.keys import FEW, KeySet
from tests.unit.identity.forge import SECRET, jwk_of, jwks_of, key_for, pem_of, private_key, sign

PUBLIC = tuple(name for name, kind in KEY_TYPES.items() if kind != "oct")


def outcome(keys: KeySet, token: str, *algorithms: str) -> str:
    found = open_token(token, keys, algorithms or tuple(KEY_TYPES))
    return found.slug if isinstance(found, Rejected) else "good"


@pytest.mark.parametrize("algorithm", PUBLIC)
def test_a_pem_key_verifies_its_algorithm(algorithm: str) -> None:
    keys = KeySet.from_public_key(pem_of(key_for(algorithm)), (algorithm,), "key.pem")
    good = sign({"alg": algorithm}, "hello", algorithm)
    assert open_token(good, keys, (algorithm,)) == Opened({"alg": algorithm}, b"hello")
    assert outcome(keys, good[:-8] + "AAAAAAAA") == "bad_signature"


@pytest.mark.parametrize("algorithm", KEY_TYPES)
def test_a_jwk_verifies_its_algorithm(algorithm: str) -> None:
    keys = KeySet.from_jwks(jwks_of(jwk_of(algorithm, kid="k", alg=algorithm)), (algorithm,), "keys.json")
    assert keys.notices == ()
    assert outcome(keys, sign({"alg": algorithm, "kid": "k"}, "hello", algorithm)) == "good"


def test_ed448_keys_are_taken_from_pem_and_jwk() -> None:
    key = private_key("Ed448")
    good = sign({"alg": "EdDSA"}, "hello", "EdDSA", key)
    for keys in (
        KeySet.from_public_key(pem_of(key), ("EdDSA",), "key.pem"),
        KeySet.from_jwks(jwks_of(jwk_of("EdDSA", key)), ("EdDSA",), "keys.json"),
    ):
        assert outcome(keys, good) == "good"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_secret_must_be_as_long_as_the_hash(algorithm: str) -> None:
    floor = int(algorithm[2:]) // 8
    KeySet.from_secret(b"k" * floor, (algorithm,), "secret")
    with pytest.raises(ValueError, match=f"^secret: .*too short for {algorithm}.*{floor}.*openssl rand"):
        KeySet.from_secret(b"k" * (floor - 1), (algorithm,), "secret")


def test_a_secret_must_be_long_enough_for_every_algorithm_listed() -> None:
    with pytest.raises(ValueError, match="too short for HS512"):
        KeySet.from_secret(b"k" * 32, ("HS256", "HS512"), "secret")


@pytest.mark.parametrize("secret", [pem_of(private_key("RS")), json.dumps(jwk_of("RS256")).encode()])
def test_a_public_key_is_no_secret(secret: bytes) -> None:
    with pytest.raises(ValueError, match=r"^secret: the secret cannot be used"):
        KeySet.from_secret(secret, ("HS256",), "secret")


@pytest.mark.parametrize(
    ("algorithms", "words"),
    [
        ((), "algorithms is empty"),
        (("none",), "not available"),
        (("RS256", "None"), "not available"),
        (("ES521",), "not available"),
        (("HS256", "RS256"), "two providers"),
    ],
)
def test_algorithms_that_must_not_be_listed(algorithms: tuple[str, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        KeySet.from_jwks(jwks_of(jwk_of("RS256")), algorithms, "keys.json")


def private_pem() -> bytes:
    pem: bytes = private_key("RS").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem


@pytest.mark.parametrize(
    ("pem", "algorithm", "words"),
    [
        (b"", "RS256", "not a PEM public key"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "RS256", "not a PEM public key"),
        (private_pem(), "RS256", "private key; use its public half"),
        (b"-----BEGIN CERTIFICATE-----\n", "RS256", "certificate; use its key"),
        (pem_of(private_key("weak")), "RS256", "2048 bits or more"),
        (pem_of(private_key("RS")), "ES256", "type RSA; it takes RS256 or"),
        (pem_of(private_key("ES256")), "ES384", "curve"),
        (pem_of(private_key("ES256")), "EdDSA", "type EC"),
    ],
)
def test_a_pem_key_that_cannot_be_used_is_one_sentence(pem: bytes, algorithm: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"^key.pem: .*{words}") as error:
        KeySet.from_public_key(pem, (algorithm,), "key.pem")
    assert "\n" not in str(error.value)


GOOD = jwk_of("RS256", kid="good")


@pytest.mark.parametrize(
    ("member", "words"),
    [
        ("text", "not a JSON object"),
        ({}, "kty"),
        ({"kty": "XYZ"}, "kty"),
        ({"kty": ["RSA"]}, "kty"),
        (jwk_of("RS256", kid=7), "kid"),
        (jwk_of("RS256", use="enc"), "use is not sig"),
        (jwk_of("RS256", use=["sig"]), "use is not sig"),
        (jwk_of("RS256", key_ops=["encrypt"]), "key_ops"),
        (jwk_of("RS256", key_ops=["sign"]), "key_ops"),
        (jwk_of("RS256", key_ops="verify"), "key_ops"),
        (jwk_of("RS256", key_ops=[]), "key_ops"),
        (jwk_of("RS256", key_ops=["verify", "verify"]), "key_ops"),
        (jwk_of("RS256", key_ops=["verify", 1]), "key_ops"),
        (jwk_of("RS256", alg="RSA-OAEP"), "alg"),
        (jwk_of("RS256", alg="HS256"), "alg"),
        (jwk_of("RS256", alg="none"), "alg"),
        (jwk_of("RS256", alg=5), "alg"),
        (jwk_of("RS256", alg="RS512"), "does not list"),
        (jwk_of("RS256", n=None), "n is missing"),
        (jwk_of("RS256", e=65537), "e is missing or not text"),
        (jwk_of("RS256", e="AQAB=="), "e is not base64url"),
        (jwk_of("RS256", n=GOOD["n"] + "="), "n is not base64url"),
        (jwk_of("RS256", n="+" + GOOD["n"][1:]), "n is not base64url"),
        (jwk_of("RS256", e="AA"), "valid key"),
        (jwk_of("RS256", private_key("weak")), "2048 bits"),
        (jwk_of("ES256", crv="P-384"), "valid key"),
        (jwk_of("ES256", crv="P-999"), "valid key"),
        (jwk_of("ES256", y=jwk_of("ES256")["x"]), "valid key"),
        (jwk_of("ES256", x="AAAA"), "valid key"),
        (jwk_of("ES384"), "curve"),
        (jwk_of("EdDSA", crv="Ed448"), "valid key"),
        (jwk_of("EdDSA", crv="X25519"), "valid key"),
        (jwk_of("HS256"), "type oct"),
        (jwk_of("HS256", kty="RSA"), "n is missing"),
    ],
)
def test_members_that_cannot_be_used_are_left_out_with_a_notice(member: Any, words: str) -> None:
    algorithms = ("RS256", "ES256", "EdDSA")
    keys = KeySet.from_jwks(jwks_of(member, GOOD), algorithms, "keys.json")
    assert len(keys.notices) == 1
    assert keys.notices[0].startswith("keys.json: keys[0] is not used: ")
    assert words in keys.notices[0]
    assert outcome(keys, sign({"alg": "RS256", "kid": "good"}, "x", "RS256")) == "good"
    with pytest.raises(ValueError, match=r"^keys.json: no key could check a token \(keys\[0\]"):
        KeySet.from_jwks(jwks_of(member), algorithms, "keys.json")


@pytest.mark.parametrize("member", [jwk_of("HS256", b"k" * 31), jwk_of("HS256", pem_of(private_key("RS")))])
def test_a_jwk_secret_has_the_same_floors(member: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no key could check a token"):
        KeySet.from_jwks(jwks_of(member), ("HS256",), "keys.json")


def test_a_jwk_secret_serves_the_algorithms_it_is_long_enough_for() -> None:
    keys = KeySet.from_jwks(jwks_of(jwk_of("HS256", b"k" * 32)), ("HS256", "HS512"), "keys.json")
    assert len(keys.candidates(None, "HS256")) == 1
    assert keys.candidates(None, "HS512") == ()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"keys":{}}', '{"keys":[],"keys":[]}', json.dumps(GOOD), "\ud800", b"\xff", "[" * 5000],
)
def test_what_is_no_jwk_set_is_one_sentence(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"^keys\.json: this is not a JWK set; write"):
        KeySet.from_jwks(text, ("RS256",), "keys.json")


def test_an_empty_set_is_refused() -> None:
    with pytest.raises(ValueError, match="the set is empty"):
        KeySet.from_jwks(jwks_of(), ("RS256",), "keys.json")


def test_of_a_private_key_only_the_public_members_are_read() -> None:
    member = jwk_of("RS256") | {"d": "not base64url!", "p": 5}
    keys = KeySet.from_jwks(jwks_of(member), ("RS256",), "keys.json")
    assert keys.notices == ("keys.json: keys[0] holds a private key; keep only its public members here",)
    assert outcome(keys, sign({"alg": "RS256"}, "x", "RS256")) == "good"


def test_alg_of_a_key_binds() -> None:
    keys = KeySet.from_jwks(jwks_of(jwk_of("RS256", alg="RS256")), ("RS256", "PS256"), "keys.json")
    assert outcome(keys, sign({"alg": "PS256"}, "x", "PS256")) == "key_unknown"


def ed(number: int, **members: object) -> dict[str, Any]:
    return jwk_of("EdDSA", private_key("Ed25519", number), **members)


def signed(number: int, **head: object) -> str:
    return sign({"alg": "EdDSA", **head}, "x", "EdDSA", private_key("Ed25519", number))


def test_keys_are_found_by_kid() -> None:
    keys = KeySet.from_jwks(jwks_of(ed(1, kid="a"), ed(2, kid="b")), ("EdDSA",), "keys.json")
    assert outcome(keys, signed(1, kid="a")) == "good"
    assert outcome(keys, signed(1, kid="b")) == "bad_signature"
    assert outcome(keys, signed(1, kid="c")) == "key_unknown"
    assert outcome(keys, signed(2)) == "good"


def test_all_keys_that_share_a_kid_are_tried() -> None:
    keys = KeySet.from_jwks(jwks_of(ed(1, kid="a"), ed(2, kid="a")), ("EdDSA",), "keys.json")
    assert outcome(keys, signed(1, kid="a")) == outcome(keys, signed(2, kid="a")) == "good"


def test_a_key_without_kid_serves_any() -> None:
    keys = KeySet.from_jwks(jwks_of(ed(1), ed(2, kid="b")), ("EdDSA",), "keys.json")
    assert outcome(keys, signed(1, kid="whatever")) == "good"
    assert outcome(keys, signed(2, kid="whatever")) == "bad_signature"


def test_a_token_that_names_no_key_is_not_tried_against_many() -> None:
    members = [ed(number, kid=str(number)) for number in range(FEW + 1)]
    few = KeySet.from_jwks(jwks_of(*members[:FEW]), ("EdDSA",), "keys.json")
    many = KeySet.from_jwks(jwks_of(*members), ("EdDSA",), "keys.json")
    assert outcome(few, signed(0)) == "good"
    assert outcome(many, signed(0)) == "key_unknown"
    assert outcome(many, signed(0, kid="0")) == "good"


def test_a_secret_ignores_kid() -> None:
    keys = KeySet.from_secret(SECRET, ("HS256",), "secret")
    assert outcome(keys, sign({"alg": "HS256", "kid": "../../etc/passwd"}, "x")) == "good"
