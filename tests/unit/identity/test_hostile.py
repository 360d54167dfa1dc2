"""Tokens made to get in: none does, none raises, and no reason repeats what the token said."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.identity.claims import Rejected
from gateway.identity.jws import MAX_TOKEN, unverified_issuer
from gateway.identity.keys import KeySet
from tests.unit.identity.forge import (
    CLAIMS,
    NOW,
    SECRET,
    b64,
    jwk_of,
    jwks_of,
    key_for,
    pem_of,
    private_key,
    provider,
    sign,
    token,
)  # fmt: skip

PEM = pem_of(private_key("RS"))
RSA = provider(KeySet.from_public_key(PEM, ("RS256",), "key.pem"), algorithms=("RS256",))
HMAC = provider()


def reason(who: Any, text: str) -> str:
    found = who.verify(text, NOW)
    return found.slug if isinstance(found, Rejected) else "accepted"


def unsigned(head: object, body: object = CLAIMS, signature: str = "") -> str:
    return f"{b64(head)}.{b64(body)}.{signature}"


def hmac_with(secret: bytes, head: dict[str, Any]) -> str:
    """HS256 by hand: the library refuses to sign with a public key."""
    signing_input = f"{b64(head)}.{b64(CLAIMS)}"
    return f"{signing_input}.{b64(hmac.digest(secret, signing_input.encode(), hashlib.sha256))}"


def test_the_honest_tokens_these_are_bent_from_are_good() -> None:
    assert reason(HMAC, token()) == "accepted"
    assert reason(RSA, token("RS256")) == "accepted"


@pytest.mark.parametrize("name", ["none", "None", "nOnE", "NONE", "", "hs256", "HS256 ", "HS512", "RS256", "ES521"])
@pytest.mark.parametrize("signature", ["", "AAAA"])
def test_other_algorithms(name: str, signature: str) -> None:
    assert reason(HMAC, unsigned({"alg": name}, signature=signature)) == "algorithm_not_allowed"


@pytest.mark.parametrize("value", [None, 5, True, ["HS256"], {"HS256": 1}])
def test_an_algorithm_that_is_no_text(value: object) -> None:
    assert reason(HMAC, unsigned({"alg": value})) == "token_malformed"


@pytest.mark.parametrize("secret", [PEM, PEM.strip(), json.dumps(jwk_of("RS256")).encode(), b""])
def test_a_public_key_as_hmac_secret(secret: bytes) -> None:
    assert reason(RSA, hmac_with(secret, {"alg": "HS256"})) == "algorithm_not_allowed"
    keys = KeySet.from_jwks(jwks_of(jwk_of("RS256", kid="a")), ("RS256",), "keys.json")
    assert reason(provider(keys, algorithms=("RS256",)), hmac_with(secret, {"alg": "HS256", "kid": "a"})) == (
        "algorithm_not_allowed"
    )


def test_a_key_of_one_curve_or_type_is_not_used_for_another() -> None:
    keys = KeySet.from_jwks(jwks_of(jwk_of("ES256", kid="a")), ("ES256", "ES384", "RS256", "EdDSA"), "keys.json")
    who = provider(keys, algorithms=("ES256", "ES384", "RS256", "EdDSA"))
    assert reason(who, token("ES256", head={"kid": "a"})) == "accepted"
    for algorithm in ("ES384", "RS256", "EdDSA"):
        assert reason(who, token(algorithm, head={"kid": "a"})) == "key_unknown"


KIDS = [
    "../../../../dev/null",
    "/etc/passwd\x00",
    "' UNION SELECT 'key' --",
    "| sleep 10",
    "http://127.0.0.1/keys",
    "\r\nX-Injected: 1",
    "",
    "k" * 5000,
]


@pytest.mark.parametrize("kid", KIDS)
def test_a_kid_is_only_compared(kid: str) -> None:
    keys = KeySet.from_jwks(jwks_of(jwk_of("HS256", kid="real")), ("HS256",), "keys.json")
    assert reason(provider(keys), token(head={"kid": kid})) == "key_unknown"


@pytest.mark.parametrize("kid", [5, None, True, ["real"], {}])
def test_a_kid_that_is_no_text(kid: object) -> None:
    assert reason(HMAC, token(head={"kid": kid})) == "token_malformed"


def test_keys_in_the_header_are_ignored() -> None:
    mine = private_key("RS", 1)
    for head in (
        {"jwk": jwk_of("RS256", mine)},
        {"jku": "https://evil.test/keys"},
        {"x5u": "https://evil.test/cert"},
        {"x5c": ["MIIB"]},
    ):
        assert reason(RSA, token("RS256", mine, head=head)) == "bad_signature"
        assert reason(RSA, token("RS256", head=head)) == "accepted"


@pytest.mark.parametrize(
    "head",
    [
        {"crit": ["exp"], "exp": 1},
        {"crit": ["b64"], "b64": True},
        {"crit": ["b64"], "b64": False},
        {"crit": []},
        {"crit": None},
        {"crit": "b64"},
        {"b64": False},
        {"b64": 0},
        {"b64": 1},
        {"b64": "false"},
        {"b64": None},
    ],
)
def test_extensions_are_not_understood(head: dict[str, Any]) -> None:
    assert reason(HMAC, token(head=head)) == "token_malformed"


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/JWT"])
def test_types_of_access_tokens(typ: str) -> None:
    assert reason(HMAC, token(head={"typ": typ})) == "accepted"


@pytest.mark.parametrize("typ", ["", "JWE", "logout+jwt", "secevent+jwt", "dpop+jwt", "JWT ", 5, None, ["JWT"]])
def test_other_types(typ: object) -> None:
    assert reason(HMAC, token(head={"typ": typ})) == "wrong_type"


BODY = json.dumps(CLAIMS)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ('{"alg":"HS256","alg":"none"}', BODY),
        ('{"alg":"none","alg":"HS256"}', BODY),
        ('{"alg":"HS256"}', BODY[:-1] + ',"sub":"root"}'),
        ('{"alg":"HS256"}', BODY[:-1] + ',"exp":99999999999}'),
        ('{"alg":"HS256"}', BODY[:-1] + ',"s\\u0075b":"root"}'),
        ('{"alg":"HS256"}', BODY[:-1] + ',"deep":' + "[" * 2000 + "]" * 2000 + "}"),
        ('{"alg":"HS256","deep":' + "[" * 2000 + "]" * 2000 + "}", BODY),
        ('{"alg":"HS256","deep":' + '{"a":' * 500 + "1" + "}" * 500 + "}", BODY),
        ('{"alg":"HS256"}', BODY[:-1] + ',"x":NaN}'),
        ('{"alg":"HS256"}', BODY[:-1] + ',"x":"\\ud800"}'),
        ('{"alg":"HS256"}', BODY.encode() + b"\xff"),
        ('{"alg":"HS256"}', b"\xef\xbb\xbf" + BODY.encode()),
        ('{"alg":"HS256"}', BODY + " {}"),
        ('{"alg":"HS256"}', "[]"),
        ('{"alg":"HS256"}', "null"),
        ('{"alg":"HS256"}', ""),
        ("[]", BODY),
        ("", BODY),
    ],
)
def test_json_that_can_be_read_in_two_ways(head: str, body: str | bytes) -> None:
    assert reason(HMAC, sign(head, body)) == "token_malformed"


def test_ten_thousand_levels_are_too_long_to_be_read() -> None:
    assert reason(HMAC, sign('{"alg":"HS256"}', "[" * 10_000 + "]" * 10_000)) == "token_too_long"


def bent(text: str) -> list[str]:
    head, body, signature = text.split(".")
    return [
        f"{head}.{body}.{signature}=",
        f"{head}=.{body}.{signature}",
        f"{head}.{body}==.{signature}",
        f" {text}",
        f"{text} ",
        f"{text}\n",
        f"{head}.{body} .{signature}",
        f"{head}\n.{body}.{signature}",
        f"{head}.{body}.{signature}.",
        f".{text}",
        f"{text}.{signature}",
        f"{head}.{body}",
        head,
        f"{head}..{body}.{signature}",
        f".{body}.{signature}",
        "..",
        "",
        ".",
        "a",
        f"{head}.{body}.{signature[:-1]}{chr(ord(signature[-1]) + 1)}",  # stray bits of the last character
        f"{head}.{body}.{signature}\x00",
        f"{head}.{body}.é{signature}",
        f"{head}.{body}.\ud800",
        f"Bearer {text}",
        text.replace(".", ","),
        json.dumps({"protected": head, "payload": body, "signature": signature}),
    ]


@pytest.mark.parametrize("text", bent(token()), ids=itertools.count())
def test_other_spellings_of_a_good_token(text: str) -> None:
    assert reason(HMAC, text) == "token_malformed"


@pytest.mark.parametrize("signature", ["", "AA", b64(b"\x00" * 32), b64(b"\x00" * 1000)])
def test_other_signatures(signature: str) -> None:
    for who, text in ((HMAC, token()), (RSA, token("RS256"))):
        assert reason(who, text.rpartition(".")[0] + "." + signature) == "bad_signature"


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512", "EdDSA", "PS256"])
@pytest.mark.parametrize(
    "signature", [b"", b"\x00", b"\x00" * 64, b"\xff" * 64, b"\x00" * 132, b"\x30\x06\x02\x01\x00"]
)
def test_signatures_of_odd_sizes(algorithm: str, signature: bytes) -> None:
    keys = KeySet.from_public_key(pem_of(key_for(algorithm)), (algorithm,), "key.pem")
    text = token(algorithm).rpartition(".")[0] + "." + b64(signature)
    assert reason(provider(keys, algorithms=(algorithm,)), text) == "bad_signature"


def test_a_signature_over_another_number_of_parts() -> None:
    for signing_input in (b64({"alg": "HS256"}), f"{b64({'alg': 'HS256'})}.{b64(CLAIMS)}.{b64(CLAIMS)}"):
        signature = hmac.digest(SECRET, signing_input.encode(), hashlib.sha256)
        assert reason(HMAC, f"{signing_input}.{b64(signature)}") == "token_malformed"


def test_a_huge_token_is_not_parsed() -> None:
    assert reason(HMAC, "a" * (MAX_TOKEN + 1)) == "token_too_long"
    assert reason(HMAC, token(head={"kid": "k" * 1_000_000})) == "token_too_long"
    padding = MAX_TOKEN - len(token(pad=""))
    assert reason(HMAC, token(pad="x" * (padding * 3 // 4 - 2))) == "accepted"


def test_no_reason_repeats_the_token() -> None:
    marker = "zq" * 8
    texts = [
        token(head={"kid": marker, "alg": marker}),
        token(head={"crit": [marker]}),
        token(head={"typ": marker}),
        token(iss=marker),
        token(aud=marker),
        token(sub={marker: marker}),
        token(exp=marker),
        f"{marker}.{marker}.{marker}",
    ]
    for text in texts:
        found = HMAC.verify(text, NOW)
        assert isinstance(found, Rejected)
        assert marker not in found.detail + found.slug


GOOD = token("HS256")


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
@example("\ud800.\ud800.\ud800")
def test_no_text_is_a_token_and_none_raises(text: str) -> None:
    assert isinstance(HMAC.verify(text, NOW), Rejected)
    unverified_issuer(text)


@given(st.integers(0, len(GOOD) - 1), st.characters(codec="latin-1"))
def test_no_change_of_a_character_leaves_a_token_good(place: int, char: str) -> None:
    changed = GOOD[:place] + char + GOOD[place + 1 :]
    assert isinstance(HMAC.verify(changed, NOW), Rejected) == (changed != GOOD)


@given(st.binary(max_size=60), st.binary(max_size=200))
def test_a_good_signature_over_rubbish_is_rejected(head: bytes, body: bytes) -> None:
    assert isinstance(HMAC.verify(sign(head, body), NOW), Rejected)
    found = HMAC.verify(sign({"alg": "HS256"}, body), NOW)
    assert isinstance(found, Rejected)
    unverified_issuer(sign(head, body))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["iss", "aud", "sub", "exp", "nbf", "iat", "scope", "scp", "t"]), VALUES))
def test_signed_claims_of_any_type_never_raise(claims: dict[str, object]) -> None:
    who = provider(tenant="t", keep_claims=frozenset({"scope", "t.u"}))
    who.verify(sign({"alg": "HS256"}, CLAIMS | claims), NOW)


@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "cty"]), VALUES))
def test_headers_of_any_type_never_raise(head: dict[str, object]) -> None:
    HMAC.verify(sign({"alg": "HS256"} | head, CLAIMS), NOW)


def test_a_secret_signs_for_no_other_secret() -> None:
    assert reason(HMAC, token(key=SECRET[::-1])) == "bad_signature"
