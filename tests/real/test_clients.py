"""Twenty items through a gateway process with JWT, between clients and servers that know nothing of a gateway: none
lost, none doubled, and on the server that hands each item out once, no poll is ever ended but by that server.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from tests.kit.gateways import SIGNED_IN, Process, gateway_process, process_config, route, token
from tests.kit.waiting import until, until_sync

from .loops import Basket, follow, follow_async, follow_in_threads, pause
from .servers import History, OneQueue, Server, serving

ITEMS = 20
CLIENTS = 4
CLOCKS = '[route.hold]\nabsent = "300ms"\nmin = "100ms"\n'
ENDED_BY_THE_SERVER = {"news", "empty", "upstream_error"}


@pytest.fixture(params=["[]", "204"])
def history(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serving(History(request.param)) as server:
        yield server


@pytest.fixture(params=["[]", "204"])
def one_queue(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serving(OneQueue(request.param)) as server:
        yield server


def before(server: Server) -> str:
    """The configuration a user would write before that server."""
    dialect = "cursor-updates" if isinstance(server, History) else "article-updates"
    routes = route("updates", "/updates", [dialect, "signed-in"], extra=CLOCKS)
    return process_config(server.port, more=SIGNED_IN, routes=routes)


def signed_in() -> dict[str, str]:
    return {"Authorization": f"Bearer {token()}"}


def publish(server: Server) -> None:
    """A burst into polls that are held, then each item into the next poll."""
    for item in range(ITEMS // 2):
        server.publish(item)
    for item in range(ITEMS // 2, ITEMS):
        polls = server.polls
        until_sync(lambda polls=polls: server.polls > polls)  # type: ignore[misc]
        server.publish(item)


def check(gw: Process, baskets: list[Basket], *, each: bool) -> None:
    """Every basket (or all together) holds every item once; nothing but the server ended a poll."""
    groups = [basket.items for basket in baskets] if each else [[one for basket in baskets for one in basket.items]]
    for items in groups:
        assert sorted(items) == list(range(ITEMS))
    statuses = [status for basket in baskets for status in basket.statuses]
    assert set(statuses) <= {200, 204}
    records = gw.sync_records(len(statuses))
    assert len(records) == len(statuses)
    assert {record["outcome"] for record in records} <= ENDED_BY_THE_SERVER
    assert {record["consumer"] for record in records} == {"alice"}
    assert {record["attempts"] for record in records} == {1}


def test_a_requests_session_before_a_server_with_history(tmp_path: Path, history: Server) -> None:
    basket = Basket(ITEMS)
    with gateway_process(before(history), tmp_path) as gw:
        (thread,) = follow_in_threads(url(gw), signed_in(), [basket], cursor=True)
        until_sync(lambda: history.idle >= 2)
        publish(history)
        thread.join(20)
        check(gw, [basket], each=True)
        assert "empty" in {record["outcome"] for record in gw.sync_records(1)}


def test_requests_in_threads_before_a_server_with_history(tmp_path: Path, history: Server) -> None:
    baskets = [Basket(ITEMS) for _ in range(CLIENTS)]
    with gateway_process(before(history), tmp_path) as gw:
        threads = follow_in_threads(url(gw), signed_in(), baskets, cursor=True)
        until_sync(lambda: history.idle >= CLIENTS)
        publish(history)
        for thread in threads:
            thread.join(20)
        check(gw, baskets, each=True)


async def test_httpx_before_a_server_with_history(tmp_path: Path, history: Server) -> None:
    baskets = [Basket(ITEMS) for _ in range(CLIENTS)]
    with gateway_process(before(history), tmp_path) as gw:
        loops = [follow_async(url(gw), signed_in(), basket, cursor=True) for basket in baskets]
        tasks = [asyncio.create_task(loop) for loop in loops]
        await until(lambda: history.idle >= CLIENTS)
        await asyncio.to_thread(publish, history)
        await asyncio.wait_for(asyncio.gather(*tasks), 20)
        check(gw, baskets, each=True)


@pytest.mark.parametrize("clients", [1, CLIENTS])
def test_requests_before_the_tutorials_queue(tmp_path: Path, one_queue: Server, clients: int) -> None:
    shared = Basket(ITEMS)
    with gateway_process(before(one_queue), tmp_path) as gw:
        threads = follow_in_threads(url(gw), signed_in(), [shared] * clients, cursor=False)
        until_sync(lambda: one_queue.idle >= clients)
        publish(one_queue)
        for thread in threads:
            thread.join(20)
        check(gw, [shared], each=False)


async def test_httpx_before_the_tutorials_queue(tmp_path: Path, one_queue: Server) -> None:
    shared = Basket(ITEMS)
    with gateway_process(before(one_queue), tmp_path) as gw:
        loops = [follow_async(url(gw), signed_in(), shared, cursor=False) for _ in range(CLIENTS)]
        tasks = [asyncio.create_task(loop) for loop in loops]
        await until(lambda: one_queue.idle >= CLIENTS)
        await asyncio.to_thread(publish, one_queue)
        await asyncio.wait_for(asyncio.gather(*tasks), 20)
        check(gw, [shared], each=False)


def test_a_client_backs_off_with_jitter_on_5xx_and_recovers(tmp_path: Path) -> None:
    basket, pauses = Basket(1), list[float]()
    with serving(History(failing=4)) as server, gateway_process(before(server), tmp_path) as gw:
        server.publish(0)
        follow(url(gw), signed_in(), basket, cursor=True, pauses=pauses)
        assert basket.statuses == [503] * 4 + [200]
        assert basket.items == [0]
        assert len(set(pauses)) == 4
        records = gw.sync_records(5)
        assert [record["outcome"] for record in records] == ["upstream_error"] * 4 + ["news"]


def test_the_back_off_grows_and_is_bounded() -> None:
    longest = [pause(failures, lambda low, high: high) for failures in range(1, 9)]
    assert longest == sorted(longest)
    assert max(longest) == pytest.approx(0.1)


def test_urllib3s_own_retries_recover_too(tmp_path: Path) -> None:
    retry = Retry(total=6, backoff_factor=0.01, backoff_jitter=0.01, status_forcelist=[502, 503, 504])
    with serving(History(failing=3)) as server, gateway_process(before(server), tmp_path) as gw:
        server.publish(0)
        with requests.Session() as session:
            session.trust_env = False
            session.mount("http://", HTTPAdapter(max_retries=retry))
            answer = session.get(url(gw), params={"last_event_id": 0}, headers=signed_in(), timeout=20)
        assert (answer.status_code, answer.json()) == (200, [{"id": 1, "item": 0}])
        assert server.polls == 4


def test_a_client_survives_a_restart_of_its_server(tmp_path: Path) -> None:
    basket = Basket(2)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    server = History()
    server.port = port
    with gateway_process(before(server), tmp_path) as gw:
        (thread,) = follow_in_threads(url(gw), signed_in(), [basket], cursor=True)
        until_sync(lambda: basket.statuses.count(502) >= 2)
        for item in range(2):
            with serving(server, port):
                server.publish(item)
                until_sync(lambda item=item: len(basket.items) > item)  # type: ignore[misc]
        thread.join(20)
        assert basket.items == [0, 1]
        assert set(basket.statuses) <= {200, 502}


def url(gw: Process) -> str:
    return f"http://127.0.0.1:{gw.port}/updates"
