"""The count at the door: who is let in, who is not and why, and that nothing is left behind when all have gone."""

from __future__ import annotations

import ipaddress
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.room import AWAY, Room, Shed

HERE = (ipaddress.ip_network("127.0.0.0/8"),)


def test_as_many_as_there_is_room_for() -> None:
    room = Room(2)
    assert [room.enter(peer) for peer in ("192.0.2.1", "192.0.2.2", "192.0.2.3")] == [None, None, Shed.CONNECTIONS]
    room.leave("192.0.2.1")
    assert room.enter("192.0.2.3") is None


def test_so_many_of_one_address_of_ipv6_of_its_network() -> None:
    room = Room()
    room.allow(100, 1, HERE)
    assert [room.enter(peer) for peer in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")] == [
        None,
        Shed.ADDRESS,
        None,
    ]
    assert [room.enter("192.0.2.1"), room.enter("::ffff:192.0.2.1")] == [None, Shed.ADDRESS]


def test_proxies_and_unix_sockets_are_no_address() -> None:
    room = Room()
    room.allow(100, 1, HERE)
    assert {room.enter(peer) for peer in ["127.0.0.1"] * 5 + [""] * 5} == {None}


def test_the_last_places_are_not_for_holds() -> None:
    room = Room(40)
    seen = []
    for _ in range(40):
        room.enter("")
        seen.append(room.tight)
    assert seen == [False] * 38 + [True] * 2
    few = Room(1)
    few.enter("")
    assert few.tight


def test_a_smaller_room_sends_nobody_away_who_is_inside() -> None:
    room = Room(5)
    for _ in range(5):
        room.enter("")
    room.allow(3, None, ())
    assert (room.open, room.enter("")) == (5, Shed.CONNECTIONS)


def test_it_is_shut_only_while_nobody_more_can_be_told() -> None:
    room, called = Room(1), []
    room.enter("")
    for _ in range(AWAY):
        assert not room.shut
        room.turn_away(ended=False)
    assert room.shut
    room.when_open(lambda: called.append("open"))
    room.turn_away(ended=True)
    room.turn_away(ended=True)
    assert (called, room.shut) == (["open"], False), "once, when somebody left"


LAST = "; the last came from 192.0.2.9"
PROXY = "an address has 3 connections (server.per_address); if it is a proxy, name it in server.trusted_proxies"


@pytest.mark.parametrize(
    ("shed", "words"),
    [
        (Shed.CONNECTIONS, "all 7 connections are taken (server.max_connections; see ulimit -n)"),
        (Shed.ADDRESS, PROXY),
        (Shed.DESCRIPTORS, "the system has no file descriptor left"),
        (Shed.NO_PROXY, "server.proxy_protocol takes connections of server.trusted_proxies only" + LAST),
        (Shed.PROXY_HEADER, "server.proxy_protocol wants a PROXY header (v1 or v2) first" + LAST),
        (Shed.CERTIFICATE, "server.tls.client_ca wants a certificate that it vouches for" + LAST),
        (Shed.HOLD, "the last of 7 connections are not for polls (server.max_connections)"),
    ],
)  # fmt: skip
def test_an_operator_is_told_what_was_full_and_where_to_look(shed: Shed, words: str) -> None:
    room = Room()
    room.allow(7, 3, ())
    room.last[shed] = "192.0.2.9"
    assert room.words(shed, 12) == f"turned away 12: {words}"


def test_who_waits_is_called_as_soon_as_somebody_leaves_or_there_is_more_room() -> None:
    for left in (lambda room: room.leave(""), lambda room: room.allow(2, None, ())):
        room, called = Room(1), list[str]()
        room.enter("")
        room.when_open(lambda called=called: called.append("open"))  # type: ignore[misc]
        left(room)
        assert called == ["open"]


@given(st.lists(st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", ""]), max_size=60))
def test_when_all_have_left_nothing_is_remembered(peers: list[str]) -> None:
    room = Room()
    room.allow(30, 7, ())
    inside = [peer for peer in peers if room.enter(peer) is None]
    assert room.open == len(inside) <= 30
    assert all(count <= 7 for peer, count in Counter(inside).items() if "." in peer)
    for peer in inside:
        room.leave(peer)
    assert (room.open, room._by_address) == (0, {})


def test_behind_a_proxy_a_place_is_the_clients() -> None:
    room = Room()
    room.allow(100, 1, HERE)
    assert [room.enter("127.0.0.1") for _ in range(3)] == [None] * 3
    assert [room.rename("127.0.0.1", "192.0.2.1") for _ in range(2)] == [None, Shed.ADDRESS]
    assert [room.rename("127.0.0.1", "127.0.0.1"), room.rename("", ""), room.open] == [None, None, 3]
    for peer in ("192.0.2.1", "127.0.0.1", "127.0.0.1"):
        room.leave(peer)
    assert (room.open, room._by_address) == (0, {})
