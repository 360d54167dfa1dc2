"""Where the gateway listens: several addresses at once, unix sockets whose file was left behind, and what is cleaned up
when it ends or cannot start.
"""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from gateway.edge.listen import ListenError
from tests.kit.certificates import Certificate
from tests.kit.gateways import config, gateway
from tests.kit.raw import RawClient, client, get
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import soon, until


def leftover(path: Path) -> None:
    """The socket file of a process that was killed."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    assert path.is_socket()


async def test_one_gateway_listens_on_several_addresses(tmp_path: Path) -> None:
    listen = ["127.0.0.1:0", "[::1]:0", f"unix:{tmp_path}/g.sock"]
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, listen=listen), tmp_path) as gw,
        client(gw.app.ports[0]) as four,
        client(tmp_path / "g.sock") as local,
    ):
        six = await reach("::1", gw.app.ports[1])
        assert [(await raw.ask(get())).status for raw in (four, six, local)] == [200] * 3
        await six.close()
        assert [record["peer"] for record in await gw.records(3)] == ["127.0.0.1", "::1", ""]
        told = [request.one("Forwarded") or "" for request in up.requests]
        assert [one.partition(";")[0] for one in told] == ["for=127.0.0.1", 'for="[::1]"', "for=unknown"]


async def reach(host: str, port: int) -> RawClient:
    reader, writer = await asyncio.open_connection(host, port)
    return RawClient(writer.get_extra_info("socket"), reader, writer)


async def test_a_socket_file_left_behind_is_replaced_and_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "g.sock"
    leftover(path)
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, listen=[f"unix:{path}"]), tmp_path),
        client(path) as raw,
    ):
        assert (await raw.ask(get())).status == 200
    assert not path.exists()


async def test_a_socket_file_somebody_listens_on_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "g.sock"
    other = tmp_path / "other"
    other.mkdir()
    async with ScriptedUpstream() as up:
        text = config(up.port, listen=[f"unix:{path}"])
        async with gateway(text, tmp_path):
            with pytest.raises(ListenError, match="the address is in use"):
                async with gateway(text, other):
                    pass
            async with client(path) as raw:
                assert (await raw.ask(get())).status == 200


async def test_the_admin_socket_of_another_gateway_is_left_alone(tmp_path: Path) -> None:
    admin = f"unix:{tmp_path}/admin.sock"
    other = tmp_path / "other"
    other.mkdir()
    async with gateway(config(1, admin=admin), tmp_path):
        with pytest.raises(ListenError, match="the address is in use"):
            async with gateway(config(1, admin=admin), other):
                pass
        async with client(tmp_path / "admin.sock") as raw:
            assert (await raw.ask(get("/readyz"))).status == 200


async def test_a_gateway_that_drains_leaves_the_socket_of_its_successor_alone(tmp_path: Path) -> None:
    path, after = tmp_path / "g.sock", tmp_path / "after"
    after.mkdir()
    async with HoldingUpstream() as up:
        text = config(up.port, listen=[f"unix:{path}"], server='drain = "10s"')
        async with gateway(text, tmp_path) as old, client(path) as raw:
            await raw.send(get())
            await until(lambda: up.held == 1)
            draining = asyncio.create_task(old.app.drain())
            await until(lambda: not path.exists())
            async with gateway(text, after):
                up.publish()
                assert (await raw.read_answer()).status == 200
                await soon(draining)
                async with client(path) as late:
                    assert (await late.ask(get("/", method="TRACE"))).status == 405


@pytest.mark.parametrize("what", ["file", "directory"])
async def test_what_is_no_socket_is_never_removed(tmp_path: Path, what: str) -> None:
    path = tmp_path / "precious"
    path.write_text("mine") if what == "file" else path.mkdir()
    with pytest.raises(ListenError, match="in use"):
        async with gateway(config(1, listen=[f"unix:{path}"]), tmp_path):
            pass
    assert path.read_text() == "mine" if what == "file" else path.is_dir()


async def test_a_start_that_fails_leaves_nothing_open(tmp_path: Path) -> None:
    """The first address was had, the second could not: the first is free again, its file gone."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = taken.getsockname()[1]
        listen = [f"unix:{tmp_path}/g.sock", f"127.0.0.1:{where}"]
        with pytest.raises(ListenError, match=f"cannot listen on 127.0.0.1:{where}: the address is in use"):
            async with gateway(config(1, listen=listen), tmp_path):
                pass
    assert not (tmp_path / "g.sock").exists()


@pytest.mark.parametrize("what", ["file", "socket"])
async def test_an_admin_address_that_is_taken_is_left_alone(tmp_path: Path, what: str) -> None:
    path = tmp_path / "admin"
    with socket.socket(socket.AF_UNIX) as other:
        if what == "file":
            path.write_text("mine")
        else:
            other.bind(str(path))
            other.listen()
        with pytest.raises(ListenError, match="in use"):
            async with gateway(config(1, listen=[f"unix:{tmp_path}/g.sock"], admin=f"unix:{path}"), tmp_path):
                pass
        assert not (tmp_path / "g.sock").exists(), "what was opened before is closed again"
        assert path.is_socket() if what == "socket" else path.read_text() == "mine"


async def test_the_admin_listener_may_be_a_unix_socket(tmp_path: Path) -> None:
    admin = tmp_path / "admin.sock"
    leftover(admin)
    async with gateway(config(1, admin=f"unix:{admin}"), tmp_path), client(admin) as raw:
        assert (await raw.ask(get("/readyz"))).status == 200
    assert not admin.exists()


async def test_tls_on_the_loop_that_takes_more_memory_for_it_is_told(
    tmp_path: Path, certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    tls = f'tls = {{ cert = "file:{certificate.cert}", key = "file:{certificate.key}" }}'
    async with gateway(config(1, server=tls), tmp_path):
        told = [record.message for record in caplog.records if "TLS without uvloop" in record.message]
        assert len(told) == ("uvloop" not in type(asyncio.get_running_loop()).__module__)


async def test_tls_is_for_the_network_and_not_for_the_local_socket(tmp_path: Path, certificate: Certificate) -> None:
    tls = f'tls = {{ cert = "file:{certificate.cert}", key = "file:{certificate.key}" }}'
    listen = ["127.0.0.1:0", f"unix:{tmp_path}/g.sock"]
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, listen=listen, server=tls), tmp_path) as gw,
        client(gw.port, certificate.client()) as far,
        client(tmp_path / "g.sock") as near,
    ):
        assert [(await raw.ask(get())).status for raw in (far, near)] == [200, 200]
        assert [request.one("X-Forwarded-Proto") for request in up.requests] == ["https", "http"]
