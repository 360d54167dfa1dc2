"""Who counts as one: the key of a call under every `per`, and for whom a limit is meant."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.call import Call
from gateway.identity.claims import Identity
from gateway.policies.keys import compile_key, compile_when
from tests.kit.calls import call_of, head_of


def caller(
    consumer: str | None = "alice", tenant: str | None = None, peer: str = "192.0.2.7", **claims: object
) -> Call:
    call = call_of(head_of(), peer)
    call.plan = cast(Any, SimpleNamespace(route="updates"))
    if consumer is not None:
        call.identity = Identity("main", consumer, tenant, claims=dict(claims))
    return call


def key(per: str, *args: Any, **kwargs: Any) -> str:
    return compile_key(per)(caller(*args, **kwargs))


@pytest.mark.parametrize(
    ("per", "call", "expected"),
    [
        ("consumer", caller(), "alice"),
        ("tenant", caller(tenant="acme"), "acme"),
        ("route", caller(), "updates"),
        ("address", caller(), "192.0.2.7"),
        ("claim:plan", caller(plan="gold"), "gold"),
        ("claim:plan", caller(plan=7), "7"),
        ("claim:plan", caller(plan=True), "true"),
        ("claim:plan", caller(plan=["a", "b"]), "a b"),
        ("claim:https://x/plan", caller(**{"https://x/plan": "gold"}), "gold"),
    ],
)
def test_the_key_is_what_per_names(per: str, call: Call, expected: str) -> None:
    assert compile_key(per)(call) == expected


@pytest.mark.parametrize("per", ["consumer", "tenant", "claim:plan"])
def test_strangers_are_told_apart_by_address(per: str) -> None:
    assert key(per, None) == key(per, None) != key(per, None, peer="192.0.2.8")


@pytest.mark.parametrize(("per", "claims"), [("tenant", {}), ("claim:plan", {}), ("claim:plan", {"plan": {"a": 1}})])
def test_who_lacks_the_name_counts_by_consumer(per: str, claims: dict[str, object]) -> None:
    assert key(per, **claims) == key(per, peer="192.0.2.8", **claims) != key(per, "bob", **claims)


@pytest.mark.parametrize(
    ("per", "named", "lacking"),
    [
        ("consumer", caller("192.0.2.7"), caller(None)),
        ("tenant", caller("bob", tenant="alice"), caller("alice")),
        ("claim:plan", caller("bob", plan="alice"), caller("alice")),
        ("claim:plan", caller("bob", plan="\0alice"), caller("alice")),
    ],
)
def test_nobody_can_be_named_like_the_stand_in_of_another(per: str, named: Call, lacking: Call) -> None:
    assert compile_key(per)(named) != compile_key(per)(lacking)


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:ffff:ffff:ffff", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_an_owner_of_many_addresses_counts_once(peer: str, expected: str) -> None:
    assert key("address", None, peer=peer) == expected


@given(st.ip_addresses())
def test_every_address_has_a_key(address: object) -> None:
    assert key("address", None, peer=str(address))


def test_a_long_claim_does_not_fill_a_table() -> None:
    assert len(key("claim:plan", plan="x" * 100_000)) == 256


@pytest.mark.parametrize("per", ["", "nobody", "claim:", "header:", "Consumer"])
def test_a_word_that_names_nobody_is_refused(per: str) -> None:
    with pytest.raises(ValueError, match=r"names nobody to count; write .*consumer"):
        compile_key(per)


@pytest.mark.parametrize(
    ("wanted", "call", "meant"),
    [
        ({"tier": ["gold"]}, caller(tier="gold"), True),
        ({"tier": ["gold", "silver"]}, caller(tier="silver"), True),
        ({"tier": ["gold"]}, caller(tier=["free", "gold"]), True),
        ({"tier": ["gold"]}, caller(tier="Gold"), False),
        ({"tier": ["gold"]}, caller(), False),
        ({"tier": ["gold"]}, caller(None), False),
        ({"seats": [7]}, caller(seats=7), True),
        ({"trial": [True]}, caller(trial=True), True),
        ({"tier": ["gold"], "trial": [True]}, caller(tier="gold"), False),
        ({"tier": ["gold"], "trial": [True]}, caller(tier="gold", trial=True), True),
    ],
)
def test_a_limit_is_meant_for_who_has_one_of_the_values_of_every_claim(
    wanted: dict[str, list[object]], call: Call, meant: bool
) -> None:
    applies = compile_when(wanted)
    assert applies is not None and applies(call) is meant


def test_without_claims_a_limit_is_meant_for_everybody() -> None:
    assert compile_when({}) is None


def sending(*fields: tuple[str, str], consumer: str | None = "alice") -> str:
    call = caller(consumer)
    call.head = head_of("/updates", *fields)
    return compile_key("header:X-Key")(call)


def test_a_header_is_counted_by_a_digest_of_its_values() -> None:
    secret = "s3cret" * 10_000
    assert sending(("X-Key", secret)) == sending(("x-key", secret), consumer="bob") != sending(("X-Key", "other"))
    assert len(sending(("X-Key", secret))) == 32 and "s3cret" not in sending(("X-Key", secret))
    assert sending(("X-Key", "a"), ("X-Key", "b")) != sending(("X-Key", "a"))


def test_who_sends_no_such_header_counts_by_name_or_address() -> None:
    assert sending() == key("tenant") != sending(consumer=None) == key("consumer", None)
