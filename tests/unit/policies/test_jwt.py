"""The step that identifies a call: which token counts, what a refusal says, what is taken out of the call."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.call import Call
from gateway.outcome import Outcome
from gateway.pipeline import Refusal, Reply
from gateway.policies.jwt import compile_jwt
from tests.kit.calls import call_of, head_of
from tests.unit.identity.forge import NOW, SECRET, provider, token

HEADER = ("header:Authorization",)
OTHER = "https://other.test/"


def call_with(text: str | None = None, target: str = "/updates", route: str = "updates", **kwargs: Any) -> Call:
    headers = [] if text is None else [("Authorization", f"Bearer {text}")]
    call = call_of(head_of(target, *headers), **kwargs)
    call.plan = cast(Any, SimpleNamespace(route=route))
    return call


def refused(call: Call, *providers: Any, sources: Any = None, **rules: Any) -> Refusal | None:
    providers = providers or (provider(keep_claims=frozenset(rules.get("claims", ()))),)
    step = compile_jwt(
        providers,
        sources or [HEADER] * len(providers),
        rules.get("scopes", ()),
        rules.get("claims", {}),
        lambda: NOW,
    )
    verdict = step.identify(call)
    assert verdict is None or isinstance(verdict, Refusal)
    assert not isinstance(verdict, Reply)
    return verdict


def challenge(refusal: Refusal | None) -> str:
    assert refusal is not None
    assert [name for name, _ in refusal.headers] == [b"WWW-Authenticate"]
    return refusal.headers[0][1].decode()


def consumer(call: Call) -> str | None:
    return call.identity.consumer if call.identity is not None else None


def test_a_good_token_identifies_the_call() -> None:
    call = call_with(token())
    assert refused(call) is None
    assert consumer(call) == "alice"


def test_without_a_token_the_challenge_names_no_error() -> None:
    call = call_with()
    refusal = refused(call)
    assert challenge(refusal) == 'Bearer realm="updates"'
    assert refusal is not None
    assert (refusal.outcome, refusal.status, refusal.slug) == (Outcome.UNAUTHENTICATED, 401, "token_missing")
    assert call.identity is None


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        (token(exp=0), "token_expired"),
        (token(iss="x"), "wrong_issuer"),
        (token(aud="x"), "wrong_audience"),
        (token(key=SECRET[::-1]), "bad_signature"),
        ("x", "token_malformed"),
        ("a" * 9000, "token_too_long"),
        ("a b", "token_malformed"),
    ],
)
def test_a_bad_token_is_told_why(text: str, slug: str) -> None:
    call = call_with(text)
    refusal = refused(call)
    assert refusal is not None
    assert (refusal.outcome, refusal.status, refusal.slug) == (Outcome.UNAUTHENTICATED, 401, slug)
    expected = f'Bearer realm="updates", error="invalid_token", error_description="{refusal.detail}"'
    assert challenge(refusal) == expected
    assert call.identity is None


def test_two_credentials_of_one_kind_are_a_bad_request() -> None:
    good = token()
    twice = call_of(head_of("/", ("Authorization", f"Bearer {good}"), ("Authorization", "Basic x")))
    refusal = refused(twice)
    assert refusal is not None
    assert (refusal.outcome, refusal.status) == (Outcome.BAD_REQUEST, 400)
    assert 'error="invalid_request"' in challenge(refusal)
    in_query = call_with(target=f"/?t={good}&t={good}")
    assert refused(in_query, provider(), sources=[("query:t",)]) is not None
    assert in_query.query == ""


def test_a_realm_cannot_leave_its_quotes() -> None:
    assert challenge(refused(call_with(route='a"b\\c\r\nü'))) == "Bearer realm=\"a'b'c'''\""


@pytest.mark.parametrize(
    ("claims", "allowed"),
    [
        ({"scope": "read write"}, True),
        ({"scp": ["write", "read", "admin"]}, True),
        ({"scope": "read"}, False),
        ({"scope": "READ WRITE"}, False),
        ({}, False),
    ],
)
def test_all_scopes_are_needed(claims: dict[str, Any], allowed: bool) -> None:
    call = call_with(token(**claims))
    refusal = refused(call, scopes=("read", "write"))
    assert (refusal is None) is allowed
    assert consumer(call) == "alice"
    if refusal is not None:
        assert (refusal.outcome, refusal.status, refusal.slug) == (Outcome.FORBIDDEN, 403, "insufficient_scope")
        assert challenge(refusal).endswith('scope="read write"')
        assert 'error="insufficient_scope"' in challenge(refusal)


@pytest.mark.parametrize(
    ("wanted", "claims", "allowed"),
    [
        ({"tier": ["gold", "silver"]}, {"tier": "silver"}, True),
        ({"tier": "gold"}, {"tier": ["iron", "gold"]}, True),
        ({"tier": "gold"}, {"tier": "g"}, False),
        ({"tier": "gold"}, {}, False),
        ({"tier": "gold"}, {"tier": None}, False),
        ({"tier": "gold"}, {"tier": {"gold": 1}}, False),
        ({"level": [3]}, {"level": 3}, True),
        ({"admin": True}, {"admin": True}, True),
        ({"admin": True}, {"admin": False}, False),
        ({"realm.tier": ["gold"]}, {"realm": {"tier": "gold"}}, True),
        ({"tier": "gold", "level": "3"}, {"tier": "gold"}, False),
        ({"tier": []}, {"tier": "gold"}, False),
    ],
)
def test_each_claim_needs_one_of_its_values(wanted: Any, claims: dict[str, Any], allowed: bool) -> None:
    refusal = refused(call_with(token(**claims)), claims=wanted)
    assert (refusal is None) is allowed
    if refusal is not None:
        assert (refusal.outcome, refusal.status, refusal.slug) == (Outcome.FORBIDDEN, 403, "claim_not_allowed")


def test_a_claim_that_is_not_kept_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="main does not keep the claim tier"):
        refused(call_with(), provider(), claims={"tier": "gold"})


def test_a_provider_without_a_place_is_an_error() -> None:
    with pytest.raises(ValueError, match="place for its tokens"):
        refused(call_with(), provider(), sources=[()])


def test_the_first_place_with_a_token_wins() -> None:
    places = ("cookie:t", "header:Authorization", "query:t", "path:t")
    alice, bob, carol = token(), token(sub="bob"), token(sub="carol")
    everywhere = call_of(head_of(f"/?t={carol}", ("Authorization", f"Bearer {bob}"), ("Cookie", f"t={alice}")))
    assert refused(everywhere, provider(), sources=[places]) is None
    assert consumer(everywhere) == "alice"
    in_path = call_of(head_of(), params={"t": bob})
    assert refused(in_path, provider(), sources=[places]) is None
    assert consumer(in_path) == "bob"
    bad_first = call_of(head_of("/", ("Authorization", f"Bearer {bob}"), ("Cookie", "t=x")))
    assert refused(bad_first, provider(), sources=[places]) is not None
    assert bad_first.identity is None


def test_another_scheme_leaves_room_for_the_next_place() -> None:
    call = call_of(head_of(f"/?t={token()}", ("Authorization", "Basic QQ==")))
    assert refused(call, provider(), sources=[("header:Authorization", "query:t")]) is None


@pytest.mark.parametrize("text", [token(), token(exp=0), "x"])
def test_query_tokens_are_taken_out_whatever_becomes_of_the_call(text: str) -> None:
    call = call_with(target=f"/u?since=5&t={text}&%74={text}&x=1")
    refused(call, provider(), sources=[("query:t",)])
    assert call.head is not None
    assert call.query == call.head.query == "since=5&x=1"
    assert call.head.arg("t") is None


def test_query_tokens_are_taken_out_when_another_place_was_used() -> None:
    call = call_with(token(), target="/u?t=secret&a=1")
    assert refused(call, provider(), sources=[("header:Authorization", "query:t")]) is None
    assert call.query == "a=1"


def test_a_query_without_a_token_is_left_as_it_was() -> None:
    call = call_with(token(), target="/u?&a=%7e&&b")
    assert refused(call, provider(), sources=[("header:Authorization", "query:t")]) is None
    assert call.query == "&a=%7e&&b"


def two() -> tuple[Any, Any]:
    return provider(name="here"), provider(name="there", issuer=OTHER)


@pytest.mark.parametrize(
    ("text", "name"),
    [(token(), "here"), (token(iss=OTHER), "there"), (token(iss="x"), None), ("x", None), (token(iss=None), None)],
)
def test_the_issuer_chooses_the_provider(text: str, name: str | None) -> None:
    call = call_with(text)
    providers = two()
    refusal = refused(call, *providers)
    if name is None:
        assert refusal is not None
        assert (refusal.status, refusal.slug) == (401, "wrong_issuer")
    else:
        assert call.identity is not None
        assert call.identity.provider == name
        assert [each.remembered for each in providers] == [int(each.name == name) for each in providers]


def test_providers_of_one_issuer_are_tried_in_order() -> None:
    first = provider(name="first", audience=("chat",))
    second = provider(name="second")
    call = call_with(token())
    assert refused(call, first, second) is None
    assert call.identity is not None
    assert call.identity.provider == "second"


def test_the_reason_told_is_the_last_one_after_a_good_signature() -> None:
    good_signature = provider(name="first", audience=("chat",))
    other_secret = provider(name="second", algorithms=("HS512",))
    for providers in ((good_signature, other_secret), (other_secret, good_signature)):
        refusal = refused(call_with(token()), *providers)
        assert refusal is not None
        assert refusal.slug == "wrong_audience"


def test_a_token_remembered_by_one_provider_is_found_among_several() -> None:
    providers = two()
    text = token(iss=OTHER)
    first, second = call_with(text), call_with(text)
    refused(first, *providers)
    refused(second, *providers)
    assert second.identity is first.identity
    assert second.identity is not None


def test_a_provider_is_only_asked_about_tokens_in_its_own_places() -> None:
    here, there = two()
    call = call_with(token(iss=OTHER))
    refusal = refused(call, here, there, sources=[HEADER, ("cookie:t",)])
    assert refusal is not None
    assert refusal.slug == "wrong_issuer"


def test_no_refusal_repeats_the_token() -> None:
    marker = "zq" * 8
    for text in (marker, f"{marker}.{marker}.{marker}", token(iss=marker), token(sub=[marker]), token(scope=marker)):
        refusal = refused(call_with(text), scopes=("read",))
        assert refusal is not None
        assert marker not in repr(refusal)
