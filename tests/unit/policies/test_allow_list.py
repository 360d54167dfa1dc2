"""Who may call by address."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.outcome import Outcome
from gateway.pipeline import Refusal
from gateway.policies.allow_list import compile_allow_list
from tests.kit.calls import call_of, head_of

HEAD = head_of()


def admitted(peer: str, *addresses: str) -> bool:
    return compile_allow_list(addresses)(call_of(HEAD, peer)) is None


@pytest.mark.parametrize(
    ("peer", "addresses", "allowed"),
    [
        ("10.1.2.3", ["10.0.0.0/8"], True),
        ("11.1.2.3", ["10.0.0.0/8"], False),
        ("192.0.2.7", ["192.0.2.7"], True),
        ("192.0.2.8", ["192.0.2.7"], False),
        ("192.0.2.8", ["10.0.0.0/8", "192.0.2.8/31"], True),
        ("8.8.8.8", ["0.0.0.0/0"], True),
        ("2001:db8::1", ["0.0.0.0/0"], False),
        ("8.8.8.8", ["::/0"], False),
        ("2001:db8::1", ["2001:db8::/32"], True),
        ("2001:DB8:0:0::1", ["2001:db8::1"], True),
        ("2001:db9::1", ["2001:db8::/32"], False),
        ("::ffff:10.1.2.3", ["10.0.0.0/8"], True),
        ("::ffff:a01:203", ["10.0.0.0/8"], True),
        ("::ffff:11.1.2.3", ["10.0.0.0/8"], False),
        ("10.1.2.3", ["::ffff:10.0.0.0/104"], True),
        ("::ffff:10.1.2.3", ["::ffff:10.1.2.3"], True),
        ("fe80::1%eth0", ["fe80::/10"], True),
        ("::1", ["127.0.0.1"], False),
        ("", ["unix"], True),
        ("", ["0.0.0.0/0", "::/0"], False),
        ("10.1.2.3", ["unix"], False),
        ("10.1.2.3", [], False),
        ("unix", ["unix"], False),
        ("010.1.2.3", ["10.0.0.0/8"], False),
        ("10.1.2", ["10.0.0.0/8"], False),
        ("10.1.2.3:80", ["10.0.0.0/8"], False),
        ("gateway.test", ["0.0.0.0/0"], False),
        ("10.1.2.3\x00", ["10.0.0.0/8"], False),
        ("é", ["0.0.0.0/0"], False),
    ],
)
def test_who_may_call(peer: str, addresses: list[str], allowed: bool) -> None:
    assert admitted(peer, *addresses) is allowed


def test_an_address_is_asked_of_every_list_anew_whatever_another_has_said_of_it() -> None:
    """What was decided of an address is remembered, by the list that decided."""
    open_here, open_there = compile_allow_list(["192.0.2.0/24"]), compile_allow_list(["198.51.100.0/24"])
    for _ in range(3):
        told = [step(call_of(HEAD, "192.0.2.7")) is None for step in (open_here, open_there)]
        assert told == [True, False]


def test_the_refusal() -> None:
    refusal = compile_allow_list(["10.0.0.0/8"])(call_of(HEAD, "192.0.2.7"))
    assert isinstance(refusal, Refusal)
    assert (refusal.outcome, refusal.status, refusal.slug) == (Outcome.FORBIDDEN, 403, "address_not_allowed")
    assert "192.0.2.7" not in repr(refusal)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("10.0.0.1/8", "write 10.0.0.0/8"),
        ("2001:db8::1/32", "write 2001:db8::/32"),
        ("10.0.0.0/33", "no address"),
        ("example.com", "no address"),
        ("", "no address"),
        ("10.0.0.0/8 ", "no address"),
    ],
)
def test_an_entry_that_is_no_network_says_what_to_write(entry: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        compile_allow_list([entry])


NETWORKS = st.one_of(
    st.builds(lambda a, p: str(ip_network((a, p), strict=False)), st.integers(0, 2**32 - 1), st.integers(0, 32)),
    st.builds(lambda a, p: str(ip_network((a, p), strict=False)), st.integers(2**100, 2**128 - 1), st.integers(0, 128)),
)
PEERS = st.integers(0, 2**32 - 1).map(IPv4Address) | st.integers(2**100, 2**128 - 1).map(IPv6Address)


@given(st.lists(NETWORKS, max_size=5), PEERS)
def test_it_agrees_with_the_standard_library(networks: list[str], peer: IPv4Address | IPv6Address) -> None:
    assert admitted(str(peer), *networks) is any(peer in ip_network(text) for text in networks)


@given(st.text(max_size=40))
def test_no_peer_text_raises(peer: str) -> None:
    admitted(peer, "10.0.0.0/8", "2001:db8::/32")
