"""What a reload reads again beside the configuration: keys and certificates. Nobody who is connected is cut by that."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import jwt

from tests.kit.certificates import Certificate, make_certificate
from tests.kit.gateways import SIGNED_IN, config, gateway, route
from tests.kit.raw import client, connect, get
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import until

from .test_reload import reload


def signed_with(secret: str) -> str:
    return jwt.encode({"iss": "https://id.test/", "aud": "tests", "sub": "alice", "exp": 2**33}, secret, "HS256")


async def test_keys_are_read_again(tmp_path: Path) -> None:
    more = SIGNED_IN.replace('"env:GATEWAY_TEST_SECRET"', f'"file:{tmp_path}/key"')
    old, new = "the first secret of this test, long enough", "the second secret of this test, long enough"
    (tmp_path / "key").write_text(old)
    async with ScriptedUpstream() as up:
        text = config(up.port, more=more, routes=route(policies=["signed-in"]))
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            signed = [get("/", f"Authorization: Bearer {signed_with(secret)}") for secret in (old, new)]
            assert [(await raw.ask(one)).status for one in signed] == [200, 401]
            (tmp_path / "key").write_text(new)
            assert await reload(gw, text) == []
            assert [(await raw.ask(one)).status for one in signed] == [401, 200]


async def test_who_still_asks_for_a_route_that_is_gone_does_not_log_its_secret(tmp_path: Path) -> None:
    """Every one of its clients does, and gets a 404."""
    more = SIGNED_IN.replace("[policy.", 'from = ["path:key"]\n[policy.')
    text = config(1, more=more, routes=route(path="/bot/{key}/x", policies=["signed-in"]))
    async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
        for _ in range(2):
            assert await reload(gw, config(1, routes=route(path="/other"))) == []
        assert (await raw.ask(get("/bot/s3cr3t/x"))).status == 404
        record = await gw.record()
        assert record["path"] == "/bot/***" and "s3cr3t" not in str(record)


async def test_a_secret_of_a_route_that_is_gone_is_hidden_where_another_takes_its_paths(tmp_path: Path) -> None:
    hold = 'hold = { absent = "9s", secret = ["path:key"] }'
    async with ScriptedUpstream() as up:
        text = config(up.port, routes=route(path="/bot{key}/x", extra=hold))
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            assert await reload(gw, config(up.port, routes=route(path="/**"))) == []
            assert (await raw.ask(get("/bots3cr3t/x"))).status == 200
            assert (await gw.record())["path"] == "/bot***"


async def test_certificates_are_read_again_and_nobody_is_cut(tmp_path: Path, certificate: Certificate) -> None:
    other = make_certificate(tmp_path / "other", "localhost")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def install(one: Certificate) -> None:
        cert.write_bytes(one.cert.read_bytes())
        key.write_bytes(one.key.read_bytes())

    async def shown(port: int) -> str:
        got = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))
        return got.strip()

    install(certificate)
    tls = f'tls = {{ cert = "file:{cert}", key = "file:{key}" }}'
    async with HoldingUpstream() as up, gateway(text := config(up.port, server=tls), tmp_path) as gw:
        assert await shown(gw.port) == certificate.cert.read_text().strip()
        raw = await connect(gw.port, certificate.client())
        await raw.send(get())
        await until(lambda: up.held == 1)
        install(other)
        assert await reload(gw, gw.app.path.read_text()) == []
        assert await shown(gw.port) == other.cert.read_text().strip()
        assert await reload(gw, config(up.port)) == []
        assert await shown(gw.port) == other.cert.read_text().strip(), "that TLS ends counts from the next start on"
        cert.write_text("garbage")
        gw.app.path.write_text(text)
        assert len(await reload(gw, gw.app.path.read_text())) == 1
        assert await shown(gw.port) == other.cert.read_text().strip()
        up.publish(b"[7]")
        assert (await raw.read_answer()).status == 200
        await raw.close()
