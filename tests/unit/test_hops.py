"""Who a client is behind proxies: whom the trusted ones name, whatever a stranger wrote before them."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.hops import client_of
from tests.kit.heads import head as make_head

TRUSTED = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "fd00::/8", "192.0.2.7/32")))


@pytest.mark.parametrize(
    ("peer", "lines", "address"),
    [
        ("198.51.100.1", ["203.0.113.9"], "198.51.100.1"),  # a stranger may say what he likes
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["1.1.1.1, 203.0.113.9"], "203.0.113.9"),  # what came before the first stranger was written by him
        ("10.0.0.1", ["1.1.1.1, 203.0.113.9, 10.9.9.9"], "203.0.113.9"),
        ("10.0.0.1", ["1.1.1.1", "203.0.113.9", "10.9.9.9"], "203.0.113.9"),
        ("10.0.0.1", ["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        ("10.0.0.1", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("10.0.0.1", ['"[2001:DB8::1]"'], "2001:db8::1"),
        ("10.0.0.1", ["2001:db8:0:0::1"], "2001:db8::1"),
        ("10.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),  # as proxies on sockets for both families write it
        ("10.0.0.1", ["198.51.100.1, [::FFFF:cb00:7109]:4711, ::ffff:10.9.9.9"], "203.0.113.9"),
        ("10.0.0.1", ["::ffff:0.0.0.0"], "0.0.0.0"),
        ("10.0.0.1", [",".join(["198.51.100.1"] * 1000)], "198.51.100.1"),
        ("10.0.0.1", [",".join(["10.9.9.9"] * 1000)], "10.9.9.9"),
        ("10.0.0.1", ["203.0.113.9:banana"], "203.0.113.9"),  # whatever a proxy wrote behind it is no part of it
        ("10.0.0.1", ["203.0.113.9", "203.0.113.9"], "203.0.113.9"),
        ("fd00::1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9, fd00::5"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9, garbage"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9, garbage, 10.2.2.2"], "10.2.2.2"),
        ("10.0.0.1", ["203.0.113.9,"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["_hidden"], "10.0.0.1"),
        ("10.0.0.1", ["010.0.0.9"], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3"], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4.5"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9/32"], "10.0.0.1"),
        ("10.0.0.1", ['fe80::1%";host="evil'], "10.0.0.1"),  # a zone is no part of an address that others gave
        ("10.0.0.1", ["fe80::1%\udcff"], "10.0.0.1"),
        ("", ["203.0.113.9"], ""),  # a unix socket
    ],
)
def test_the_client_is_the_first_stranger_from_the_right(peer: str, lines: list[str], address: str) -> None:
    head = make_head("GET", "/a", [("X-Forwarded-For", line) for line in lines])
    assert client_of(peer, head, TRUSTED) == (address, "http")


@given(st.lists(st.text(max_size=30), max_size=3))
def test_whatever_a_proxy_wrote_the_client_is_an_address(lines: list[str]) -> None:
    found, _ = client_of("10.0.0.1", make_head("GET", "/a", [("X-Forwarded-For", line) for line in lines]), TRUSTED)
    assert str(ipaddress.ip_address(found)) == found and "%" not in found


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        (["for=203.0.113.9"], "203.0.113.9"),
        (['For="[2001:db8::1]:4711";proto=https'], "2001:db8::1"),
        (["for=1.1.1.1, for=203.0.113.9;by=10.0.0.2, for=10.9.9.9"], "203.0.113.9"),
        (["proto=https", "for=_hidden"], "10.0.0.1"),
        (['for=203.0.113.9;host="a,for=1.1.1.1"'], "203.0.113.9"),  # a comma in quotes begins nothing
        (['for="1.1.1.1, for=203.0.113.9;host="h"'], "203.0.113.9"),  # nor does a stranger's quote swallow what follows
        (['for=1.1.1.1;x="y, for="[2001:db8::1]:443";proto=https'], "2001:db8::1"),
        (['for="', 'for="[2001:db8::1]"'], "2001:db8::1"),
        (["for=1.1.1.1;for=203.0.113.9"], "10.0.0.1"),
        (["for=203.0.113.9;by=unknown;;"], "10.0.0.1"),
        (["for=203.0.113.9,"], "10.0.0.1"),
        (["for=2001:db8::1"], "2001:db8::1"),  # as careless proxies write it
        ([",".join(["for=10.9.9.9"] * 1000)], "10.9.9.9"),
        (["," * 8000], "10.0.0.1"),
        (['"' * 8000], "10.0.0.1"),
    ],
)
def test_a_trusted_proxy_may_say_it_in_forwarded_too(lines: list[str], address: str) -> None:
    head = make_head("GET", "/a", [("Forwarded", line) for line in lines])
    assert client_of("10.0.0.1", head, TRUSTED)[0] == address


def test_x_forwarded_for_counts_where_there_are_both() -> None:
    both = [("Forwarded", "for=198.51.100.1;proto=https"), ("X-Forwarded-For", "203.0.113.9")]
    assert client_of("10.0.0.1", make_head("GET", "/a", both), TRUSTED) == ("203.0.113.9", "http")


@pytest.mark.parametrize(
    ("fields", "scheme"),
    [
        ([("X-Forwarded-Proto", "https")], "https"),
        ([("X-Forwarded-Proto", "HTTPS")], "https"),
        ([("X-Forwarded-Proto", "wss")], "https"),
        ([("X-Forwarded-Proto", "http")], "http"),
        ([("X-Forwarded-Proto", "gopher")], "http"),
        ([("X-Forwarded-Proto", "")], "http"),
        ([("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https")], "https"),
        # A stranger said http, the edge https, the balancer behind it http: the client is one hop behind the edge.
        ([("X-Forwarded-For", "1.1.1.1, 203.0.113.9, 10.9.9.9"), ("X-Forwarded-Proto", "http, https, http")], "https"),
        ([("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "http")], "http"),
        ([("X-Forwarded-For", "203.0.113.9, 10.9.9.9"), ("X-Forwarded-Proto", "https")], "https"),
        ([("Forwarded", "for=203.0.113.9;proto=https")], "https"),
        ([("Forwarded", "for=203.0.113.9;proto=https, for=10.9.9.9;proto=http")], "https"),
        ([("Forwarded", "for=1.1.1.1;proto=https, for=203.0.113.9;proto=http")], "http"),
        ([("Forwarded", "for=203.0.113.9"), ("X-Forwarded-Proto", "https")], "https"),
        ([("Forwarded", "for=_hidden;proto=https")], "http"),
    ],
)
def test_the_scheme_is_the_one_that_client_used(fields: list[tuple[str, str]], scheme: str) -> None:
    head = make_head("GET", "/a", fields)
    assert client_of("10.0.0.1", head, TRUSTED)[1] == scheme
    assert client_of("198.51.100.1", head, TRUSTED) == ("198.51.100.1", "http"), "a stranger may say what he likes"


@given(st.lists(st.tuples(st.sampled_from(["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto"]),
                          st.text('for=proto:https"[]\\,; 10.92abc', max_size=60)), max_size=4))  # fmt: skip
def test_whatever_stands_to_the_left_of_what_a_proxy_appended_changes_nothing(fields: list[tuple[str, str]]) -> None:
    stranger = [(name, text) for name, text in fields if name == "Forwarded"]
    appended = [*stranger, ("Forwarded", 'for="[2001:db8::9]:4711";proto=https')]
    joined = [("Forwarded", ", ".join(text for _, text in appended))]
    for one in (appended, joined):
        assert client_of("10.0.0.1", make_head("GET", "/a", one), TRUSTED) == ("2001:db8::9", "https")
    found, scheme = client_of("10.0.0.1", make_head("GET", "/a", fields), TRUSTED)
    assert str(ipaddress.ip_address(found)) == found
    assert scheme in ("http", "https")
