"""What a provider asks of a good signature's claims, and what it remembers."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.identity.cache import digest_of
from gateway.identity.claims import Identity, Rejected
from gateway.identity.keys import KeySet
from tests.unit.identity.forge import NOW, SECRET, jwk_of, jwks_of, provider, sign, token

END = NOW + 100
LEEWAY = 30.0


def reason(text: str, wall: float = NOW, **changes: Any) -> str:
    found = provider(**changes).verify(text, wall)
    return found.slug if isinstance(found, Rejected) else "accepted"


def identity(text: str, **changes: Any) -> Identity:
    found = provider(**changes).verify(text, NOW)
    assert isinstance(found, Identity), found
    return found


def test_an_identity_holds_what_was_asked_for() -> None:
    text = token(
        sub="alice", realm={"tenant": "acme"}, scope="read write", tier="gold", roles=["a"], email="a@b.test", exp=END
    )
    found = identity(text, tenant="realm.tenant", keep_claims=frozenset({"tier", "realm.tenant", "roles", "none"}))
    claims: dict[str, object] = {"tier": "gold", "realm.tenant": "acme", "roles": ["a"]}
    assert found == Identity("main", "alice", "acme", END + LEEWAY, frozenset({"read", "write"}), claims)


@pytest.mark.parametrize(
    ("wall", "expected"),
    [
        (END - 1, "accepted"),
        (END, "accepted"),
        (END + LEEWAY - 0.001, "accepted"),
        (END + LEEWAY, "token_expired"),
        (END + LEEWAY + 1, "token_expired"),
    ],
)
def test_exp_with_leeway(wall: float, expected: str) -> None:
    assert reason(token(exp=END), wall) == expected


@pytest.mark.parametrize("claim", ["nbf", "iat"])
@pytest.mark.parametrize(
    ("offset", "expected"),
    [(-5, "accepted"), (LEEWAY, "accepted"), (LEEWAY + 0.001, "token_not_yet_valid"), (1e6, "token_not_yet_valid")],
)
def test_nbf_and_iat_with_leeway(claim: str, offset: float, expected: str) -> None:
    times: dict[str, Any] = {claim: NOW + offset}
    assert reason(token(**times)) == expected


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", ["NaN", "1e400", "-1e400", '"1900000000"', "true", "[]", "{}", "1" * 40])
def test_times_must_be_finite_numbers(claim: str, value: str) -> None:
    parts = {"iss": '"https://id.test/"', "aud": '"updates"', "sub": '"alice"', "exp": str(END), claim: value}
    body = "{" + ",".join(f'"{name}":{text}' for name, text in parts.items()) + "}"
    assert reason(sign({"alg": "HS256"}, body)) == ("token_malformed" if value == "NaN" else "bad_claim")


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        ("https://id.test/", "accepted"),
        ("https://id.test", "wrong_issuer"),
        ("https://id.test/x", "wrong_issuer"),
        ("HTTPS://id.test/", "wrong_issuer"),
        ("", "wrong_issuer"),
        (None, "wrong_issuer"),
        (["https://id.test/"], "wrong_issuer"),
        (5, "wrong_issuer"),
    ],
)
def test_the_issuer_must_match_exactly(issuer: object, expected: str) -> None:
    assert reason(token(iss=issuer)) == expected
    assert reason(token(iss=issuer), issuer=None) == "accepted"


@pytest.mark.parametrize(
    ("audience", "expected"),
    [
        ("updates", "accepted"),
        ("chat", "accepted"),
        (["other", "updates"], "accepted"),
        ("update", "wrong_audience"),
        ("updates2", "wrong_audience"),
        ("UPDATES", "wrong_audience"),
        ("updates chat", "wrong_audience"),
        ([], "wrong_audience"),
        (["updates", 5], "wrong_audience"),
        ([["updates"]], "wrong_audience"),
        ({"updates": 1}, "wrong_audience"),
        (None, "wrong_audience"),
        (5, "wrong_audience"),
    ],
)
def test_one_audience_must_match_exactly(audience: object, expected: str) -> None:
    assert reason(token(aud=audience), audience=("updates", "chat")) == expected
    assert reason(token(aud=audience), audience=()) == "accepted"


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"jti": "1"}, "accepted"),
        ({"jti": 0}, "accepted"),
        ({}, "missing_claim"),
        ({"jti": None}, "missing_claim"),
    ],
)
def test_required_claims(claims: dict[str, Any], expected: str) -> None:
    assert reason(token(**claims), required=("exp", "jti")) == expected


@pytest.mark.parametrize("required", [(), ("exp",)])
def test_a_token_without_end_is_refused_whatever_is_required(required: tuple[str, ...]) -> None:
    assert reason(token(exp=None), required=required) == "missing_claim"


@pytest.mark.parametrize(
    ("value", "consumer"), [("alice", "alice"), (42, "42"), ("", None), (" a", None), (True, None), (["a"], None)]
)
def test_the_consumer_is_a_name(value: object, consumer: str | None) -> None:
    if consumer is None:
        assert reason(token(sub=value)) == "bad_claim"
    else:
        assert identity(token(sub=value)).consumer == consumer


def test_a_consumer_may_be_anywhere_and_must_be_there() -> None:
    assert identity(token(user={"id": 7}), consumer="user.id").consumer == "7"
    assert reason(token(), consumer="user.id") == "missing_claim"
    assert reason(token(sub=None)) == "missing_claim"


def test_a_tenant_may_be_absent_but_not_broken() -> None:
    assert identity(token(), tenant="tenant").tenant is None
    assert identity(token(tenant="acme"), tenant="tenant").tenant == "acme"
    assert identity(token(tenant="acme")).tenant is None
    assert reason(token(tenant=["acme"]), tenant="tenant") == "bad_claim"


def test_rejections_say_whether_the_signature_was_good() -> None:
    who = provider()
    for text, authentic in ((token(exp=0), True), (token(iss="x"), True), (token(key=SECRET[::-1]), False)):
        found = who.verify(text, NOW)
        assert isinstance(found, Rejected)
        assert found.authentic is authentic


def test_algorithms_are_checked_when_the_provider_is_made() -> None:
    keys = KeySet.from_secret(SECRET, ("HS256",), "secret")
    for algorithms in ((), ("none",), ("HS256", "ES256")):
        with pytest.raises(ValueError, match="algorithm"):
            provider(keys, algorithms=algorithms)


def test_an_algorithm_of_the_key_that_the_provider_does_not_list_is_refused() -> None:
    keys = KeySet.from_secret(SECRET, ("HS256", "HS512"), "secret")
    assert reason(token("HS512"), keys=keys) == "algorithm_not_allowed"


def test_a_token_is_verified_once_and_its_identity_shared() -> None:
    who = provider()
    text = token()
    first = who.verify(text, NOW)
    assert who.recall(digest_of(text), NOW) is who.verify(text, NOW) is first
    assert who.remembered == 1


def test_a_remembered_token_is_refused_once_it_has_ended() -> None:
    who = provider()
    text = token(exp=END)
    assert isinstance(who.verify(text, END), Identity)
    for wall in (END + LEEWAY, END + LEEWAY + 1e6):
        found = who.verify(text, wall)
        assert isinstance(found, Rejected)
        assert found.slug == "token_expired"
        assert who.recall(digest_of(text), wall) is None


def test_only_good_tokens_are_remembered() -> None:
    who = provider()
    for text in (token(exp=0), token(key=SECRET[::-1]), token(iss="x"), "x", "é", "a" * 10_000):
        assert who.recall(digest_of(text), NOW) is None
        who.verify(text, NOW)
        assert who.recall(digest_of(text), NOW) is None
    assert who.remembered == 0


def test_a_token_good_for_one_provider_is_not_good_for_another() -> None:
    text = token()
    here, there = provider(name="here"), provider(name="there", issuer="https://other.test/")
    assert isinstance(here.verify(text, NOW), Identity)
    assert there.recall(digest_of(text), NOW) is None
    assert isinstance(there.verify(text, NOW), Rejected)


def test_memory_is_bounded_and_the_oldest_go_first() -> None:
    who = provider(cache_size=3)
    texts = [token(sub=str(number)) for number in range(5)]
    for text in texts:
        who.verify(text, NOW)
        assert who.remembered <= 3
    assert [who.recall(digest_of(text), NOW) is not None for text in texts] == [False, False, True, True, True]


def test_a_memory_of_no_size_remembers_nothing() -> None:
    who = provider(cache_size=0)
    assert isinstance(who.verify(token(), NOW), Identity)
    assert who.remembered == 0


def test_what_was_remembered_can_be_forgotten() -> None:
    who = provider()
    who.verify(token(), NOW)
    who.forget()
    assert who.remembered == 0
    assert isinstance(who.verify(token(), NOW), Identity)


def test_tokens_share_their_scopes_and_tenant() -> None:
    who = provider(tenant="tenant")
    found = [who.verify(token(sub=name, scope="a b", tenant="acme"), NOW) for name in ("alice", "bob")]
    assert isinstance(found[0], Identity)
    assert isinstance(found[1], Identity)
    assert found[0].scopes is found[1].scopes
    assert found[0].tenant is found[1].tenant


def test_a_large_memory_evicts_in_batches_and_stays_bounded() -> None:
    who = provider(cache_size=2000, keys=KeySet.from_jwks(jwks_of(jwk_of("HS256")), ("HS256",), "keys.json"))
    for number in range(2100):
        who.verify(token(sub=str(number)), NOW)
    assert 1990 <= who.remembered <= 2000
