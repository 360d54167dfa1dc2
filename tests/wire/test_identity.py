"""Who calls, end to end: tokens from every place they may stand in, what the upstream is told of their owner, what of
them goes no further than the gateway, and what a caller is told who may not.
"""

from __future__ import annotations

import json
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import RSAAlgorithm

from tests.kit.gateways import SIGNED_IN, bearer, config, gateway, hold, route, token
from tests.kit.raw import client, get, post
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import until

TELL = """identity = { consumer = "Gateway-Consumer", tenant = "Gateway-Tenant", claims = { \
scope = "Gateway-Scope", roles = "Gateway-Roles", staff = "Gateway-Staff", "org.unit" = "Gateway-Unit" } }"""
SIGNED = {"routes": route(policies=["signed-in"])}


def taken_from(*places: str, more: str = "") -> str:
    """SIGNED_IN with other places for its token."""
    return SIGNED_IN.replace("[policy.", f"from = {json.dumps(places)}\n{more}\n[policy.")


async def test_the_upstream_is_told_who_calls(tmp_path: Path) -> None:
    more = SIGNED_IN.replace("[policy.", 'tenant = "org.name"\n[policy.')
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, upstream=TELL, more=more, **SIGNED), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        org = {"name": "acme", "unit": "R & D\u00fc"}
        who = bearer("alice", scope="a b", roles=["x", "y"], staff=True, org=org)
        assert (await raw.ask(get("/", who))).status == 200
        record = await gw.record()
    seen = up.requests[0]
    told = [seen.one(f"Gateway-{name}") for name in ("Consumer", "Tenant", "Scope", "Roles", "Staff", "Unit")]
    assert told == ["alice", "acme", "a b", "x y", "true", "R & D%C3%BC"]
    assert (record["consumer"], record["tenant"]) == ("alice", "acme")


@pytest.mark.parametrize("policies", [["signed-in"], []])
async def test_what_nobody_vouches_for_is_not_told(tmp_path: Path, policies: list[str]) -> None:
    """A claim the token lacks, or a route without identity: the header is absent, also when a client sends it."""
    forged = ["Gateway-Tenant: root", "gateway-scope: root", "Gateway_Roles: root", "Gateway-Staff: true"]
    mine = [bearer("alice")] if policies else []
    async with ScriptedUpstream() as up:
        text = config(up.port, upstream=TELL, more=SIGNED_IN, routes=route(policies=policies))
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            assert (await raw.ask(get("/", *forged, *mine))).status == 200
    received = bytes(up.peers[0].received)
    assert b"root" not in received
    assert b"staff" not in received.lower()


async def test_a_token_in_a_cookie_stays_here_and_the_other_cookies_go_on(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up:
        text = config(up.port, more=taken_from("cookie:session"), **SIGNED)
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            secret = token()
            assert (await raw.ask(get("/", f"Cookie: a=1; session={secret}; b=2"))).status == 200
            assert (await raw.ask(get("/", f"Cookie: session={secret}"))).status == 200
    assert [request.one("Cookie") for request in up.requests] == ["a=1; b=2", None]
    assert secret.encode() not in bytes(up.peers[0].received)


@pytest.mark.parametrize("where", ["first", "middle", "last", "escaped", "refused"])
async def test_a_token_in_the_query_goes_neither_upstream_nor_into_the_record(tmp_path: Path, where: str) -> None:
    secret = token(ttl=-3600 if where == "refused" else 3600)
    name = "access%5Ftoken" if where == "escaped" else "access_token"
    pairs = ["a=1", "b=%202"]
    pairs.insert({"first": 0, "middle": 1}.get(where, 2), f"{name}={secret}")
    log = 'query_values = ["a", "access_token"]'
    async with ScriptedUpstream() as up:
        text = config(up.port, more=taken_from("query:access_token"), log=log, **SIGNED)
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            found = await raw.ask(get("/x?" + "&".join(pairs)))
            record = await gw.record()
    assert found.status == (401 if where == "refused" else 200)
    assert [request.target for request in up.requests] == ([] if where == "refused" else ["/x?a=1&b=%202"])
    assert record["query"] == ["a", "b"]
    assert record["query_values"] == {"a": "1"}
    assert secret not in json.dumps(record)


async def test_a_token_in_the_path_is_hidden_and_can_be_left_behind_by_a_rewrite(tmp_path: Path) -> None:
    secret = token()
    routes = route(path="/bot/{key}/updates", policies=["signed-in", "poll"], extra='rewrite = "/updates"')
    async with HoldingUpstream() as up:
        text = config(up.port, more=taken_from("path:key") + hold(), routes=routes)
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            await raw.send(get(f"/bot/{secret}/updates"))
            await until(lambda: up.held == 1)
            (held,) = await gw.held()
            up.publish()
            assert (await raw.read_answer()).status == 200
            record = await gw.record()
    assert up.requests[0].target == "/updates"
    assert held["path"] == record["path"] == "/bot/***/updates"
    assert record["consumer"] == "alice"


@pytest.mark.parametrize("forward", [False, True])
async def test_the_clients_credentials_go_on_only_where_the_upstream_needs_them(tmp_path: Path, forward: bool) -> None:
    upstream = f"forward_authorization = {str(forward).lower()}"
    more = taken_from("header:Authorization", "header:X-Token", "cookie:session")
    async with ScriptedUpstream() as up:
        text = config(up.port, upstream=upstream, more=more, **SIGNED)
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            fields = (bearer(), "X-Token: abc", "Cookie: session=def; a=1")
            assert (await raw.ask(get("/", *fields))).status == 200
    seen = up.requests[0]
    kept = [seen.one("Authorization") is not None, seen.one("X-Token") is not None, seen.one("Cookie")]
    assert kept == [forward, forward, "session=def; a=1" if forward else "a=1"]


async def test_without_identity_the_authorization_of_a_client_stays_here_too(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, gateway(config(up.port), tmp_path) as gw, client(gw.port) as raw:
        assert (await raw.ask(get("/", "Authorization: Basic eDp5"))).status == 200
    assert up.requests[0].one("Authorization") is None


EVERYWHERE = ("header:Authorization", "header:X-Token", "cookie:session", "query:access_token")
LEAKS = ("X-Token: leak", "x_token: leak", "Cookie: a=1; session=leak", "cookie: session = leak;b=2;session=leak")


async def test_credentials_stay_here_wherever_else_a_client_puts_them(tmp_path: Path) -> None:
    """One of them is looked at; the others are credentials all the same."""
    async with ScriptedUpstream() as up:
        text = config(up.port, more=taken_from(*EVERYWHERE), **SIGNED)
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            target = "/x?a=1&access%5Ftoken=leak&access_token=leak&b=2"
            assert (await raw.ask(get(target, bearer(), *LEAKS))).status == 200
            record = await gw.record()
    assert b"leak" not in bytes(up.peers[0].received)
    assert (up.requests[0].target, up.requests[0].all("Cookie")) == ("/x?a=1&b=2", ["a=1", "b=2"])
    assert "leak" not in json.dumps(record)


@pytest.mark.parametrize("forward", [False, True])
async def test_a_browsers_session_is_not_told_to_services_that_ask_for_none(tmp_path: Path, forward: bool) -> None:
    """Its cookie goes to every path of the host. A query is written for the one it stands in, and is left alone."""
    routes = route(policies=["signed-in"]) + route("open", "/open")
    upstream = f"forward_authorization = {str(forward).lower()}"
    async with ScriptedUpstream() as up:
        text = config(up.port, upstream=upstream, more=taken_from(*EVERYWHERE), routes=routes)
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            assert (await raw.ask(get("/open?access_token=its-own", *LEAKS))).status == 200
    seen = up.requests[0]
    assert (b"leak" in bytes(up.peers[0].received)) == forward
    assert seen.target == "/open?access_token=its-own"
    assert seen.all("Cookie") == (
        ["a=1; session=leak", "session = leak;b=2;session=leak"] if forward else ["a=1", "b=2"]
    )


async def test_the_services_own_credentials_take_the_place_of_the_clients(tmp_path: Path) -> None:
    """Also in the field the client wrote its own in; and they are nowhere in what the client or an operator gets."""
    key = tmp_path / "key"
    key.write_text("Bearer upstream-key-1\n")
    upstream = f'headers = {{ set = {{ Authorization = "file:{key}", X-Token = "file:{key}" }} }}'
    async with ScriptedUpstream() as up:
        text = config(up.port, upstream=upstream, more=taken_from(*EVERYWHERE), **SIGNED)
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            hop = "Connection: Authorization, X-Token"
            found = await raw.ask(get("/", bearer(), *LEAKS, hop))
            shown = [await gw.admin(path) for path in ("/api/routes", "/api/upstreams", "/metrics")]
            assert b"upstream-key" not in b"".join(body for _, body in shown) + bytes(found.body)
            key.write_text("Bearer upstream-key-2\n")
            assert await gw.app.reload() == []
            assert (await raw.ask(get("/", bearer()))).status == 200
            assert "upstream-key" not in json.dumps(await gw.records(2))
    for number, request in enumerate(up.requests, 1):
        expected = [f"Bearer upstream-key-{number}"]
        assert request.all("Authorization") == request.all("X-Token") == expected


def public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


async def test_the_issuer_of_a_token_chooses_among_providers_of_every_kind_of_key(tmp_path: Path) -> None:
    curve, big = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
    (tmp_path / "public.pem").write_bytes(public_pem(curve))
    jwk = RSAAlgorithm.to_jwk(big.public_key(), as_dict=True) | {"kid": "k1", "use": "sig"}
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [jwk]}))
    more = (
        SIGNED_IN.replace('provider = "main"', 'provider = ["main", "partners", "machines"]')
        + """
[jwt.partners]
issuer = "https://partners.test/"
audience = ["tests"]
algorithms = ["ES256"]
keys = { public_key = "file:public.pem" }
[jwt.machines]
issuer = "https://machines.test/"
audience = ["tests"]
algorithms = ["RS256"]
keys = { jwks = "file:keys.json" }
consumer = "client_id"
"""
    )
    claims = {"aud": "tests", "sub": "bob", "client_id": "m1", "exp": 4_000_000_000}
    partner = {**claims, "iss": "https://partners.test/"}
    machine = {**claims, "iss": "https://machines.test/"}
    tokens = [
        (token("alice"), 200),
        (jwt.encode(partner, curve, "ES256"), 200),
        (jwt.encode(machine, big, "RS256", headers={"kid": "k1"}), 200),
        (jwt.encode(partner, big, "RS256"), 401),  # signed by the key of another provider
        (jwt.encode({**claims, "iss": "https://nobody.test/"}, curve, "ES256"), 401),
    ]
    async with ScriptedUpstream() as up:
        text = config(up.port, upstream=TELL, more=more, **SIGNED)
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            for text_of_token, status in tokens:
                found = await raw.ask(get("/", f"Authorization: Bearer {text_of_token}"))
                assert found.status == status
    assert [request.one("Gateway-Consumer") for request in up.requests] == ["alice", "bob", "m1"]


REFUSED = [
    ("no token", [], 401, "token_missing", 'Bearer realm="all"'),
    ("another scheme", ["Authorization: Basic eDp5"], 401, "token_missing", 'Bearer realm="all"'),
    ("rubbish", ["Authorization: Bearer x.y.z"], 401, "token_malformed", 'error="invalid_token"'),
    ("expired", [bearer(ttl=-3600)], 401, "token_expired", 'error="invalid_token"'),
    ("too early", [bearer(nbf=4_000_000_000)], 401, "token_not_yet_valid", 'error="invalid_token"'),
    ("other issuer", [bearer(iss="https://evil.test/")], 401, "wrong_issuer", 'error="invalid_token"'),
    ("other audience", [bearer(aud="others")], 401, "wrong_audience", 'error="invalid_token"'),
    ("no subject", [bearer(sub=None)], 401, "missing_claim", 'error="invalid_token"'),
    ("no scope", [bearer(scope="read", tier="gold")], 403, "insufficient_scope", 'scope="read write"'),
    ("wrong claim", [bearer(scope="read write", tier="tin")], 403, "claim_not_allowed", 'error="insufficient_scope"'),
    ("two", [bearer(), bearer()], 400, "two_credentials", None),
]
NEEDS = '\nscopes = ["read", "write"]\nclaims = { tier = ["gold", "silver"] }\n'


@pytest.mark.parametrize(
    ("fields", "status", "slug", "challenge"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
async def test_who_may_not_call_is_told_why_at_once(
    tmp_path: Path, fields: list[str], status: int, slug: str, challenge: str | None
) -> None:
    async with ScriptedUpstream() as up:
        text = config(up.port, more=SIGNED_IN + NEEDS + hold(), routes=route(policies=["signed-in", "poll"]))
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            found = await raw.ask(get("/", *fields))
            record = await gw.record()
    assert found.status == record["status"] == status
    assert json.loads(bytes(found.body))["type"].endswith(slug)
    if challenge is None:
        assert found.one("WWW-Authenticate") is None
    else:
        assert challenge in (found.one("WWW-Authenticate") or "")
    outcome = {400: "bad_request", 401: "unauthenticated", 403: "forbidden"}[status]
    assert (record["outcome"], record["blame"], record["attempts"]) == (outcome, "downstream", 0)
    assert record.get("consumer") == ("alice" if status == 403 else None)
    assert not up.requests
    assert not up.peers


async def test_a_good_caller_keeps_the_connection_on_which_others_were_refused(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up:
        text = config(up.port, more=SIGNED_IN + NEEDS, **SIGNED)
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            asked = [get(), get("/", bearer()), post(b"x", "/", bearer(scope="write read more", tier="silver"))]
            assert [(await raw.ask(one)).status for one in asked] == [401, 403, 200]
            assert [record["outcome"] for record in await gw.records(3)] == ["unauthenticated", "forbidden", "answered"]
    assert bytes(up.requests[0].body) == b"x"
