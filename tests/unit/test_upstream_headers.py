"""The request as the upstream sees it and the answer as the client sees it: what ends here, what the gateway says
itself, and that nobody outside can say it in its place.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.call import Call
from gateway.head import RequestHead
from gateway.holds.rewrite import Rewrite
from gateway.identity.claims import Identity
from gateway.shapes import RequestShape
from gateway.upstream.balance import Upstream
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.headers import (
    FORWARDED,
    HOP_BY_HOP,
    OURS,
    compile_drops,
    header_value,
    named_by_connection,
    request_bytes,
    response_head,
)
from tests.kit.calls import call_of, head_of
from tests.kit.heads import response
from tests.kit.plans import plan_of

DROPS = compile_drops(HOP_BY_HOP | OURS, (FORWARDED,))
Fields = list[tuple[str, str]]


def forwarded(*headers: tuple[str, str], target: str = "/a", query: str = "", call: Call | None = None,
    prefix: str = "",
              params: dict[str, str] | None = None, wish: Any = None, hold: float | None = None,
              head: RequestHead | None = None, **shape: Any) -> tuple[str, Fields]:  # fmt: skip
    """The request line and the fields as the endpoint gets them."""
    upstream = Upstream("up")
    endpoint = Endpoint(upstream, "up.example", 5000, prefix=prefix)
    plan = plan_of(upstream, request=RequestShape(**{"drops": DROPS, **shape}))
    head = head or head_of(target, *headers)
    call = call or call_of(head, params=params)
    raw = request_bytes(call, plan, head, endpoint, Rewrite(query, wish), hold).decode("latin-1")
    assert raw.endswith("\r\n\r\n") and raw.count("\r\n\r\n") == 1 and "\n" not in raw.replace("\r\n", "")
    line, *fields = raw[:-4].split("\r\n")
    return line, [(name, value) for name, _, value in (field.partition(": ") for field in fields)]


def of_client(*headers: tuple[str, str], **more: Any) -> Fields:
    """The fields that are the client's: those that stand between our Host and what we say at the end."""
    fields = forwarded(*headers, **more)[1]
    assert fields[0] == ("Host", "up.example:5000")
    return fields[1 : fields.index(("X-Request-Id", "call-1"))]


def test_the_gateway_says_who_asked_and_which_call_it_is() -> None:
    line, fields = forwarded(query="x=1&y=%20", hold=24.5)
    assert line == "GET /a?x=1&y=%20 HTTP/1.1"
    assert fields == [
        ("Host", "up.example:5000"),
        ("X-Request-Id", "call-1"),
        ("traceparent", "00-call-1-call-101-02"),
        ("Gateway-Hold", "24.500"),
        ("Forwarded", 'for=192.0.2.7;proto=http;host="gateway.test"'),
        ("X-Forwarded-For", "192.0.2.7"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "gateway.test"),
    ]


@pytest.mark.parametrize(
    ("peer", "node"), [("2001:db8::1", '"[2001:db8::1]"'), ("", "unknown"), ("10.0.0.1", "10.0.0.1")]
)
def test_the_node_of_forwarded_is_quoted_where_rfc_7239_wants_it(peer: str, node: str) -> None:
    head = head_of("/a")
    fields = dict(forwarded(head=head, call=call_of(head, peer))[1])
    assert fields["Forwarded"].startswith(f"for={node};") and fields["X-Forwarded-For"] == (peer or "unknown")


@pytest.mark.parametrize("name", sorted(name.decode() for name in HOP_BY_HOP | OURS))
def test_what_ends_here_or_is_ours_to_say_is_not_passed_on_in_any_spelling(name: str) -> None:
    for spelled in {name, name.upper(), name.title(), name.replace("-", "_"), name.title().replace("-", "_", 1)}:
        assert of_client((spelled, "forged"), ("X-Kept", "1")) == [("X-Kept", "1")]


@pytest.mark.parametrize(
    ("connection", "gone"),
    [("X-Hop", {"X-Hop"}), ("close, x-hop ,X-Other", {"X-Hop", "X-Other"}), ("x_hop", {"x_hop"}), (",,\tX-Hop",
     {"X-Hop"}), ("X-Hopp", set()),
     ("keep-alive", set()), ("content-type, content-length, host", set()),
     ("X-Request-Id, X-Forwarded-For, traceparent", set())],
)  # fmt: skip
def test_what_connection_names_is_for_this_hop_only(connection: str, gone: set[str]) -> None:
    sent = [("X-Hop", "1"), ("x_hop", "2"), ("X-Other", "3"), ("Content-Type", "a/b")]
    assert of_client(("Connection", connection), *sent) == [field for field in sent if field[0] not in gone]
    assert ("X-Forwarded-For", "192.0.2.7") in forwarded(("Connection", connection), *sent)[1]


def test_several_connection_fields_count_together() -> None:
    raw = ((b"Connection", b"a"), (b"X", b"y"), (b"CONNECTION", b"b, \t c,Host"))
    assert named_by_connection(raw) == {b"a", b"b", b"c"}


def test_other_fields_keep_order_spelling_and_repetition() -> None:
    sent = [("x-B", "1"), ("X-A", "2"), ("x-b", "3"), ("Accept", "*/*"), ("Content-Length", "0")]
    assert of_client(*sent) == sent


@pytest.mark.parametrize("name", ["X_Debug", "x-debug", "X-Debug", "x_debug"])
@pytest.mark.parametrize("rule", [b"x-debug", b"x_debug"])
def test_a_name_that_was_configured_with_an_underscore_is_dropped_too(rule: bytes, name: str) -> None:
    """An identity header named Gateway_Consumer must not be the one header that a client can forge."""
    assert of_client((name, "forged"), drops=compile_drops(HOP_BY_HOP | OURS | {rule})) == []


def test_a_chunked_body_is_announced_by_us() -> None:
    head = head_of("/a", ("Transfer-Encoding", "Chunked"), method="POST", chunked=True)
    assert of_client(head=head) == [("Transfer-Encoding", "chunked")]


def test_the_wish_replaces_every_header_it_was_read_from() -> None:
    fields = of_client(("Prefer", "wait=90"), ("prefer", "respond-async"), ("X", "y"), wish=(b"Prefer", b"wait=25"))
    assert fields == [("X", "y"), ("Prefer", "wait=25")]


@pytest.mark.parametrize(
    ("cookie", "left"),
    [("token=s", None), ("a=1; token=s; b=2", "a=1; b=2"), ("token=s;token=t", None), ("a=1;token=s", "a=1"),
     ("Token=s", "Token=s"),
     ("xtoken=s", "xtoken=s"), ("token", None), (" token =s; a=1", "a=1"), ("a=token=s", "a=token=s")],
)  # fmt: skip
def test_a_cookie_that_was_a_credential_stays_here(cookie: str, left: str | None) -> None:
    fields = of_client(("Cookie", cookie), drop_cookies=(b"token",))
    assert fields == ([("Cookie", left)] if left else [])


IDENTITY = ((b"Gateway-Consumer", "consumer"), (b"Gateway-Tenant", "tenant"), (b"Gateway-Scope", "claims.scope"))


@pytest.mark.parametrize(
    ("identity", "told"),
    [
        (Identity("p", "alice", "acme", claims={"scope": "a b"}), ["alice", "acme", "a b"]),
        (Identity("p", "alice"), ["alice"]),
        (Identity("p", "ålice", "a\u2028b"), ["%C3%A5lice", "a%E2%80%A8b"]),
        (Identity("p", "a", claims={"scope": ["x", "y", 3]}), ["a", "x y 3"]),
        (Identity("p", "a", claims={"scope": "x\r\nEvil: 1"}), ["a", "x%0D%0AEvil: 1"]),
        (Identity("p", "a", claims={"scope": True}), ["a", "true"]),  # as rules on claims read it
        (Identity("p", "a", claims={"scope": 0}), ["a", "0"]),
        (Identity("p", "a", claims={"scope": None}), ["a"]),
    ],
)
def test_the_upstream_is_told_who_it_is(identity: Identity, told: list[str]) -> None:
    call = call_of(head_of("/a"))
    call.identity = identity
    assert [value for _, value in of_client(call=call, identity=IDENTITY)] == told


@pytest.mark.parametrize(
    ("certificate", "told"),
    [("CN=alice,O=Acme", ["CN=alice,O=Acme"]), ("CN=Zoë", ["CN=Zo%C3%AB"]), ("CN=a%b", ["CN=a%25b"]),
     ("CN=a\r\nX: y", ["CN=a%0D%0AX: y"]), ("", []), (None, [])],
)  # fmt: skip
def test_the_upstream_is_told_whose_certificate_the_client_showed(certificate: str | None, told: list[str]) -> None:
    """Whether or not it also came with a token; a copy of the client's own never."""
    head = head_of("/a", ("X-Cert", "forged"), ("x_cert", "forged"))
    fields = forwarded(
        head=head, call=call_of(head, certificate=certificate), identity=((b"X-Cert", "certificate"),),
        drops=compile_drops(HOP_BY_HOP | OURS | {b"x-cert"}),
    )[1]  # fmt: skip
    assert [value for name, value in fields if name.lower().replace("_", "-") == "x-cert"] == told


def test_a_stranger_is_not_introduced() -> None:
    assert of_client(identity=IDENTITY) == []


@given(
    st.text(max_size=20).filter(lambda text: text == text.strip()),
    st.text(max_size=20).filter(lambda text: text == text.strip()),
)
def test_two_callers_never_have_one_name_upstream(one: str, other: str) -> None:
    values = {header_value(text) for text in (one, other, "".join(f"%{byte:02X}" for byte in one.encode()))}
    assert all(b" " <= bytes([byte]) <= b"~" for value in values for byte in value)
    assert len(values) == len({one, other, "".join(f"%{byte:02X}" for byte in one.encode())})


@pytest.mark.parametrize(
    ("path", "prefix", "rewrite", "params", "target"),
    [
        ("/a/b", "", None, None, "/a/b"),
        ("/a/b", "/v2", None, None, "/v2/a/b"),
        ("/a", "", "/v2/updates", None, "/v2/updates"),
        ("/a", "/p", "/v2", None, "/p/v2"),
        ("/u/7/x", "", "/{kind}/{id}", {"id": "7", "kind": "x"}, "/x/7"),
        ("/u/7", "", "/{id}/{id}", {"id": "7"}, "/7/7"),
        ("/f/a/b/", "", "/files/**", {"**": "a/b/"}, "/files/a/b/"),
        ("/f/", "", "/files/**", {"**": ""}, "/files/"),
        ("/f/%20/x", "", "/{x}/**", {"x": "%20", "**": "x"}, "/%20/x"),
        ("/f/**/x", "", "/v2/{x}/**", {"x": "**", "**": "x"}, "/v2/**/x"),  # a value is a value, not a template
        ("/f/**a/x", "", "/v2/{x}/**", {"x": "**a", "**": "x"}, "/v2/**a/x"),
    ],
)
def test_a_path_is_rewritten_by_its_template(
    path: str, prefix: str, rewrite: str | None, params: dict[str, str] | None, target: str
) -> None:
    assert forwarded(target=path, prefix=prefix, rewrite=rewrite, params=params)[0] == f"GET {target} HTTP/1.1"


@pytest.mark.parametrize(
    ("headers", "left"),
    [({"Content-Type": "a", "Keep-Alive": "timeout=5", "Transfer-Encoding": "chunked"}, "Content-Type: a\r\n"),
     ({"Connection": "X-Hop", "X-Hop": "1", "X-Kept": "2"}, "X-Kept: 2\r\n"), ({"Upgrade": "h2c", "Trailer": "X",
     "Server": "s"}, "Server: s\r\n"),
     ([("Set-Cookie", "a"), ("Set-Cookie", "b")], "Set-Cookie: a\r\nSet-Cookie: b\r\n"),
     ({"Proxy-Authenticate": "Basic", "X": "\udcff"}, "X: \xff\r\n")],
)  # fmt: skip
def test_an_answer_loses_what_was_for_the_hop_between_us(headers: Any, left: str) -> None:
    raw = response_head(response(200, headers), compile_drops(HOP_BY_HOP), b"Ours: 1\r\n")
    assert raw == f"HTTP/1.1 200 \r\n{left}Ours: 1\r\n\r\n".encode("latin-1")


def test_a_reason_of_any_bytes_is_relayed_as_it_came() -> None:
    head = response(299)
    head.reason = "caf\udce9 \u00e9"
    assert response_head(head, compile_drops(frozenset()), b"").startswith(b"HTTP/1.1 299 caf\xe9 \xc3\xa9\r\n")
