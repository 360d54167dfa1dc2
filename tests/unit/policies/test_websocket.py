"""Which requests may change the protocol of their connection, and which 101 agrees, decided on heads alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.policies import websocket
from gateway.policies.websocket import Offer, accept_of, asks, compile_upgrades, wrong
from tests.kit.heads import head, response

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
SHAKE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": KEY}
PAGE = "https://app.example.com"
RULES = compile_upgrades(["websocket", "tcp"], [PAGE], [], 75.0, 3600.0)
CHAT = replace(RULES, subprotocols=frozenset({"chat.v2", "chat.v3"}))


def changed(**fields: str | None) -> list[tuple[str, str]]:
    """SHAKE with other fields (`_` for `-`); None: without."""
    given = {name.replace("_", "-"): value for name, value in fields.items()}
    return [(name, value) for name, value in {**SHAKE, **given}.items() if value is not None]


def test_the_accept_of_the_standard() -> None:
    assert accept_of(KEY) == ACCEPT


@pytest.mark.parametrize(
    "fields",
    [
        changed(),
        changed(Connection="keep-alive, Upgrade"),
        changed(Connection="UPGRADE", Upgrade="WebSocket"),
        changed(Upgrade="h2c, websocket"),
        changed(Origin=PAGE),
    ],
)
def test_a_handshake_is_offered(fields: list[tuple[str, str]]) -> None:
    offer = asks(RULES, head("GET", "/", fields))
    assert offer == Offer("websocket", b"Connection: Upgrade\r\nUpgrade: websocket\r\n", ACCEPT)


@pytest.mark.parametrize(
    "fields",
    [
        changed(Connection="keep-alive"),
        changed(Connection=None),
        changed(Connection="X-Upgrade"),
        changed(Upgrade="h2c"),
        changed(Upgrade="websocket/13"),
        changed(Upgrade=""),
    ],
)
def test_what_asks_for_nothing_that_is_let_through_is_served_as_if_it_had_not_asked(
    fields: list[tuple[str, str]],
) -> None:
    assert asks(RULES, head("GET", "/", fields)) is None


def test_a_request_with_a_body_of_another_method_or_version_changes_nothing() -> None:
    assert asks(RULES, head("POST", "/", changed())) is None
    old, long = head("GET", "/", changed()), head("GET", "/", changed())
    old.version, long.framing = 0, "length"
    assert asks(RULES, old) is None
    assert asks(RULES, long) is None


@pytest.mark.parametrize(
    "origin",
    ["http://app.example.com", "https://app.example.com:8443", "https://app.example.com.evil.test", "null", "",
     "https://APP.example.com", "https://evil.test"],
)  # fmt: skip
def test_a_page_of_another_origin_may_not(origin: str) -> None:
    assert asks(RULES, head("GET", "/", changed(Origin=origin))) is websocket.BAD_ORIGIN


def test_an_origin_that_is_written_twice_is_none() -> None:
    twice = [*changed(Origin=PAGE), ("Origin", "https://evil.test")]
    assert asks(RULES, head("GET", "/", twice)) is websocket.BAD_ORIGIN


def test_every_page_may_where_the_route_says_so_and_none_where_it_names_none() -> None:
    anyone, nobody = replace(RULES, origins=frozenset({"*"})), replace(RULES, origins=frozenset())
    asked = head("GET", "/", changed(Origin="https://evil.test"))
    assert isinstance(asks(anyone, asked), Offer)
    assert asks(nobody, asked) is websocket.BAD_ORIGIN
    assert isinstance(asks(nobody, head("GET", "/", changed())), Offer)


@pytest.mark.parametrize(
    "fields",
    [
        changed(Sec_WebSocket_Key=None),
        changed(Sec_WebSocket_Key="short"),
        changed(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ"),
        changed(Sec_WebSocket_Key="dGhl IHNhbXBsZSBub25jZQ=="),
        changed(Sec_WebSocket_Key="\udcff" * 24),
        [*changed(), ("Sec-WebSocket-Key", KEY)],
        changed(Sec_WebSocket_Version=None),
        [*changed(), ("Sec-WebSocket-Version", "8")],
        changed(Sec_WebSocket_Protocol="chat v2"),
        changed(Sec_WebSocket_Protocol=""),
    ],
)
def test_a_malformed_handshake_is_refused(fields: list[tuple[str, str]]) -> None:
    assert asks(RULES, head("GET", "/", fields)) is websocket.BAD_HANDSHAKE


def test_another_version_is_told_which_one_is_spoken() -> None:
    refusal = asks(RULES, head("GET", "/", changed(Sec_WebSocket_Version="8")))
    assert refusal is websocket.BAD_VERSION
    assert (b"Sec-WebSocket-Version", b"13") in refusal.headers


@pytest.mark.parametrize(
    ("offered", "left"),
    [("chat.v2", ("chat.v2",)), ("chat.v1, chat.v3 ,chat.v2", ("chat.v3", "chat.v2")), (None, ())],
)
def test_subprotocols_that_are_not_spoken_here_are_left_out(offered: str | None, left: tuple[str, ...]) -> None:
    offer = asks(CHAT, head("GET", "/", changed(Sec_WebSocket_Protocol=offered)))
    assert isinstance(offer, Offer)
    assert offer.subprotocols == left
    assert (b"Sec-WebSocket-Protocol: " + ", ".join(left).encode() in offer.lines) == bool(left)


def test_who_offers_only_subprotocols_that_are_not_spoken_is_refused() -> None:
    assert asks(CHAT, head("GET", "/", changed(Sec_WebSocket_Protocol="chat.v1"))) is websocket.BAD_SUBPROTOCOL


AGREES = {"Connection": "upgrade", "Upgrade": "WebSocket", "Sec-WebSocket-Accept": ACCEPT}
OFFER = Offer("websocket", b"", ACCEPT, ("chat.v2",))


@pytest.mark.parametrize("more", [{}, {"Sec-WebSocket-Protocol": "chat.v2"}, {"Connection": "keep-alive, Upgrade"}])
def test_a_101_that_agrees_to_the_offer(more: dict[str, str]) -> None:
    assert wrong(OFFER, response(101, {**AGREES, **more})) is None


@pytest.mark.parametrize(
    "more",
    [
        {"Connection": "close"},
        {"Upgrade": "h2c"},
        {"Upgrade": "websocket, tcp"},
        {"Sec-WebSocket-Accept": KEY},
        {"Sec-WebSocket-Accept": ACCEPT.lower()},
        {"Sec-WebSocket-Protocol": "chat.v1"},
        {"Sec-WebSocket-Protocol": "chat.v2, chat.v2"},
    ],
)
def test_a_101_that_agrees_to_something_else(more: dict[str, str]) -> None:
    assert wrong(OFFER, response(101, {**AGREES, **more})) is not None


def test_a_101_that_chooses_a_subprotocol_twice() -> None:
    once = ("Sec-WebSocket-Protocol", "chat.v2")
    assert wrong(OFFER, response(101, [*AGREES.items(), once])) is None
    assert wrong(OFFER, response(101, [*AGREES.items(), once, once])) is not None


@pytest.mark.parametrize("missing", AGREES)
def test_a_101_that_lacks_what_it_must_say(missing: str) -> None:
    assert wrong(OFFER, response(101, {name: each for name, each in AGREES.items() if name != missing})) is not None


def test_another_protocol_needs_no_key() -> None:
    offer = asks(RULES, head("POST", "/", {"Connection": "Upgrade", "Upgrade": "TCP"}))
    assert offer == Offer("tcp", b"Connection: Upgrade\r\nUpgrade: tcp\r\n")
    assert isinstance(offer, Offer)
    assert not offer.framed
    assert wrong(offer, response(101, {"Connection": "Upgrade", "Upgrade": "tcp"})) is None


@pytest.mark.parametrize(
    ("protocols", "subprotocols", "said"),
    [
        ([], [], "is empty, so nothing"),
        (["h2c"], [], "h2c would lead past"),
        (["HTTP/2.0"], [], "http/2.0 would lead past"),
        (["TLS/1.0"], [], "tls/1.0 would lead past"),
        (["web socket"], [], "'web socket' is no protocol"),
        (["websocket"], ["chat v2"], "'chat v2' is no subprotocol"),
        (["tcp"], ["chat.v2"], 'add "websocket" to upgrades'),
    ],
)
def test_rules_that_cannot_be_meant_are_refused(protocols: list[str], subprotocols: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        compile_upgrades(protocols, [], subprotocols, 75.0, 3600.0)
