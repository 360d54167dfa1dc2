"""What a route asks of everybody it asks of tunnels too: a token, a place; and it shows them while they last."""

from __future__ import annotations

from pathlib import Path

from tests.kit.gateways import SIGNED_IN, bearer, config, gateway, hold, route
from tests.kit.raw import client, get
from tests.kit.tunnels import WEBSOCKET, Far, FarEnd, ask, opened, switching
from tests.kit.waiting import until


def text(port: int, policy: str = "", routes: str = "", more: str = "") -> str:
    return config(port, more=f"{WEBSOCKET}{policy}\n{more}", routes=routes)


async def test_tunnels_and_polls_share_a_cap_and_ordinary_calls_do_not(tmp_path: Path) -> None:
    more = '[[policy.ws.hold_cap]]\nmax = 2\nper = "route"\n[[policy.ws.concurrency_cap]]\nmax = 1\nper = "route"\n'
    poll = hold(when='["query:poll present"]')
    answers = [b""]

    def answer(far: Far) -> bytes:
        if far.head.startswith(b"GET /?poll"):
            return answers[0]
        return switching() if far.fields("Upgrade") else b"HTTP/1.1 204 No Content\r\n\r\n"

    routes = route(policies=["ws", "poll"])
    async with (
        FarEnd(answer) as up,
        gateway(text(up.port, routes=routes, more=more + poll), tmp_path) as gw,
        client(gw.port) as raw,
        client(gw.port) as poller,
        client(gw.port) as third,
    ):
        await opened(raw)
        await poller.send(get("/?poll=1"))
        await until(lambda: len(up.all) == 2)
        assert (await third.ask(ask())).status == 429
        assert (await third.ask(get("/"), "GET")).status == 204
        states = {call["state"]: call for call in await gw.held()}
        assert states.keys() == {"tunnelling", "parked"}
        assert (states["tunnelling"]["poll"], states["tunnelling"]["endable"]) == (False, True)
        assert states["tunnelling"]["ends_in"] > 3600
        status, shown = await gw.admin("/metrics")
        assert status == 200
        assert 'longpoll_held{route="all",state="tunnelling"} 1' in shown.decode()


async def test_a_request_that_may_become_a_tunnel_is_no_poll(tmp_path: Path) -> None:
    """Where every request is a poll, one that asks for another protocol gets the time of an ordinary call."""
    routes = route(policies=["ws", "poll"], extra='response_timeout = "200ms"')
    async with FarEnd(lambda far: b"") as up, gateway(text(up.port, routes=routes, more=hold()), tmp_path) as gw:
        async with client(gw.port) as raw:
            assert (await raw.ask(ask())).status == 504
        assert "held" not in await gw.record()


async def test_a_caller_without_a_token_gets_no_tunnel(tmp_path: Path) -> None:
    routes = route(policies=["signed-in", "ws"])
    async with FarEnd() as up, gateway(text(up.port, routes=routes, more=SIGNED_IN), tmp_path) as gw:
        async with client(gw.port) as raw:
            assert (await raw.ask(ask())).status == 401
            await opened(raw, "/", bearer())
        assert len(up.all) == 1
