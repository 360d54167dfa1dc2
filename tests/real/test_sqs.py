"""boto3 with a gateway process between it and moto's SQS server, in both of its protocols. Requests are signed, so the
gateway may change nothing; what a lost answer carried is hidden for a while, so nobody may end or repeat a receive.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from tests.kit.gateways import SIGNED_IN, Process, Record, gateway_process, process_config, route, token
from tests.kit.strict import Message
from tests.kit.waiting import until

from .tap import Tap, tapped

ITEMS = 20
SHORT, LONG = 1, 20  # WaitTimeSeconds: one that a test can see pass, and the longest there is
KEY, SECRET, REGION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1"
PLACES = 'from = ["header:Gateway-Pass", "path:pass"]\n'


@pytest.fixture(scope="module")
def moto() -> Iterator[int]:
    """The port of the server, in threads of this process."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        yield server.get_host_and_port()[1]
    finally:
        server.stop()


@pytest.fixture(scope="session")
def old_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The description of SQS as it came with boto until 2023: the same operations in the query protocol."""
    given = Path(botocore.__file__).parent / "data" / "sqs" / "2012-11-05" / "service-2.json.gz"
    model = json.loads(gzip.decompress(given.read_bytes()))
    for key in ("awsQueryCompatible", "jsonVersion", "targetPrefix"):
        del model["metadata"][key]
    model["metadata"] |= {"protocol": "query", "protocols": ["query"]}
    model["shapes"]["MessageList"]["member"]["locationName"] = "Message"
    for operation in model["operations"].values():
        if "output" in operation:
            operation["output"]["resultWrapper"] = operation["output"]["shape"]
    folder = tmp_path_factory.mktemp("models")
    file = folder / "sqs" / "2012-11-05" / "service-2.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(model), "utf-8")
    return folder


@pytest.fixture(params=["json", "query"])
def protocol(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, old_model: Path) -> str:
    """Which protocol the clients of a test speak."""
    if request.param == "query":
        monkeypatch.setenv("AWS_DATA_PATH", str(old_model))
    return str(request.param)


class Queue:
    """A boto3 client and one queue. Calls block, so they are made in threads."""

    def __init__(self, endpoint: str, headers: dict[str, str] | None = None, **config: Any) -> None:
        options = Config(**{"retries": {"total_max_attempts": 1}, "proxies": {}} | config)
        session = boto3.Session(KEY, SECRET, region_name=REGION)
        self.headers = headers or {}
        self.sqs = session.client("sqs", endpoint_url=endpoint, config=options)
        self.sqs.meta.events.register("before-send.sqs", self._show_pass)
        self.url = ""

    def _show_pass(self, request: AWSPreparedRequest, **_: object) -> None:
        """A header of its own, added after the request was signed."""
        for name, value in self.headers.items():
            request.headers[name] = value

    async def open(self, name: str) -> Queue:
        made = await asyncio.to_thread(self.sqs.create_queue, QueueName=name)
        self.url = made["QueueUrl"]
        return self

    async def send(self, text: str) -> None:
        await asyncio.to_thread(self.sqs.send_message, QueueUrl=self.url, MessageBody=text)

    async def receive(self, wait: int) -> list[dict[str, str]]:
        """The messages that came. None comes again for half a minute."""
        found = await asyncio.to_thread(self.sqs.receive_message, QueueUrl=self.url, WaitTimeSeconds=wait)
        return list(found.get("Messages", []))

    async def delete(self, message: dict[str, str]) -> None:
        receipt = message["ReceiptHandle"]
        await asyncio.to_thread(self.sqs.delete_message, QueueUrl=self.url, ReceiptHandle=receipt)


def before(tap: Tap, more: str = "", server: str = "") -> str:
    """The client's signature goes on to the server; the token that it shows beside it does not."""
    routes = route("queue", "/", ["sqs-receive", "signed-in"] + (["calm"] if more else []))
    routes += route("queue-passed", "/{pass}", ["sqs-receive", "signed-in"], extra='rewrite = "/"\n')
    return process_config(
        tap.port, more=SIGNED_IN.replace("[policy.", PLACES + "[policy.", 1) + more, routes=routes,
        upstream='forward_authorization = true\nheaders = { remove = ["Gateway-Pass"] }', server=server,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def queueing(
    moto: int, folder: Path, more: str = "", server: str = ""
) -> AsyncIterator[tuple[Process, Tap, Queue]]:
    """A gateway before the server, and a client that sits on the server's side of it."""
    async with tapped(moto) as tap:
        with gateway_process(before(tap, more, server), folder) as gw:
            yield gw, tap, await Queue(f"http://127.0.0.1:{moto}").open(folder.name)


def consumer(gw: Process, inside: Queue, where: str = "header", ttl: float = 3600, **config: Any) -> Queue:
    """A client of the gateway, with its token in a header or at the beginning of its endpoint's path."""
    shown = token(ttl=ttl)
    path, headers = (f"/{shown}", {}) if where == "path" else ("", {"Gateway-Pass": shown})
    one = Queue(f"http://127.0.0.1:{gw.port}{path}", headers, **config)
    one.url = inside.url
    return one


def is_receive(request: Message) -> bool:
    return "ReceiveMessage" in (request.one("X-Amz-Target") or "") + request.body.decode()


async def held(tap: Tap) -> None:
    await until(lambda: tap.holds(is_receive) == 1, "a receive at the server")


def polls(gw: Process, outcome: str) -> list[Record]:
    return [one for one in gw.sync_records(0) if "dialect" in one and one["outcome"] == outcome]


async def test_an_idle_receive_is_held_as_long_as_it_asked(moto: int, tmp_path: Path, protocol: str) -> None:
    async with queueing(moto, tmp_path) as (gw, tap, inside):
        outside = consumer(gw, inside)
        assert await outside.receive(SHORT) == []
        (record,) = await until(lambda: polls(gw, "empty"), "its record")
        (request,) = filter(is_receive, tap.requests)
    assert (record["hold_asked"], record["hold_granted"], record["consumer"]) == (SHORT, SHORT, "alice")
    assert record["held"] >= SHORT * 0.9
    assert ("x-www-form-urlencoded" in (request.one("Content-Type") or "")) == (protocol == "query")


@pytest.mark.parametrize("where", ["header", "path"])
async def test_twenty_messages_arrive_once_each_and_long_before_the_hold_would_end(
    moto: int, tmp_path: Path, protocol: str, where: str
) -> None:
    async with queueing(moto, tmp_path) as (gw, tap, inside):
        outside = consumer(gw, inside, where)
        for item in range(ITEMS):
            receiving = asyncio.create_task(outside.receive(LONG))
            await held(tap)
            await inside.send(str(item))
            (message,) = await receiving
            assert message["Body"] == str(item)
            await outside.delete(message)
        assert await outside.receive(0) == []
        news = await until(lambda: len(found := polls(gw, "news")) == ITEMS and found, "their records")
        assert max(record["held"] for record in news) < LONG / 2
        assert {record["attempts"] for record in news} == {1}
        assert not [one for one in tap.requests if one.one("Gateway-Pass") or token()[:20] in one.target]


async def test_a_client_that_leaves_is_noticed_by_the_server_at_once(moto: int, tmp_path: Path) -> None:
    async with queueing(moto, tmp_path) as (gw, tap, inside):
        outside = consumer(gw, inside, read_timeout=1)
        with pytest.raises(ReadTimeoutError):
            await outside.receive(LONG)
        await until(lambda: any(map(is_receive, tap.left)), "the receive ended at the server")
        (record,) = await until(lambda: polls(gw, "client_gone"), "its record")
        assert (record["hold_asked"], record["blame"]) == (LONG, "downstream")
        await inside.send("lets the server's own wait end")


async def test_the_signature_covers_what_arrives(moto: int, tmp_path: Path, protocol: str) -> None:
    """As the client made it, for the host that the client knows."""
    async with queueing(moto, tmp_path) as (gw, tap, inside):
        await consumer(gw, inside).receive(SHORT)
    (request,) = filter(is_receive, tap.requests)
    assert signature(request, request.one("X-Forwarded-Host") or "") == request.one("Authorization")


def signature(request: Message, host: str) -> str:
    """The Authorization that a request with these headers and this body must have."""
    signed = (request.one("Authorization") or "").partition("SignedHeaders=")[2].partition(",")[0].split(";")
    given = AWSRequest(request.method, f"http://{host}{request.target}", data=bytes(request.body))
    for name in signed:
        given.headers[name] = host if name == "host" else request.one(name) or ""
    given.context["timestamp"] = request.one("X-Amz-Date")
    signer = SigV4Auth(Credentials(KEY, SECRET), "sqs", REGION)
    made = signer.signature(signer.string_to_sign(given, signer.canonical_request(given)), given)
    return f"AWS4-HMAC-SHA256 Credential={signer.scope(given)}, SignedHeaders={';'.join(signed)}, Signature={made}"


async def test_a_wait_that_is_too_long_is_refused_as_the_server_would(moto: int, tmp_path: Path) -> None:
    async with queueing(moto, tmp_path) as (gw, _, inside):
        with pytest.raises(ClientError) as refused:
            await consumer(gw, inside).receive(LONG + 1)
        assert refused.value.response["Error"]["Code"] == "InvalidParameterValue"


async def test_a_long_message_passes_although_the_dialect_does_not_read_so_much(
    moto: int, tmp_path: Path, protocol: str
) -> None:
    text = "x" * 200_000
    async with queueing(moto, tmp_path) as (gw, _, inside):
        outside = consumer(gw, inside)
        await outside.send(text)
        (message,) = await outside.receive(LONG)
        assert message["Body"] == text


@pytest.mark.parametrize("ttl", [-60, -20])  # the second one is good for ten seconds more
async def test_a_receive_that_outlasts_its_token_is_refused_before_it_can_take_a_message(
    moto: int, tmp_path: Path, ttl: int
) -> None:
    async with queueing(moto, tmp_path) as (gw, tap, inside):
        await inside.send("stays")
        outside = consumer(gw, inside, ttl=ttl)
        with pytest.raises(ClientError) as refused:
            await outside.receive(LONG)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] in (401, 403)
        assert "token" in refused.value.response["Error"]["Message"]
        assert tap.requests == []
        assert [message["Body"] for message in await inside.receive(0)] == ["stays"]


async def test_a_client_that_asks_too_often_is_throttled(moto: int, tmp_path: Path) -> None:
    limit = '[[policy.calm.rate_limit]]\nrate = "1/min"\nburst = 1\nper = "consumer"\n'
    async with queueing(moto, tmp_path, limit) as (gw, tap, inside):
        outside = consumer(gw, inside)
        assert await outside.receive(0) == []
        with pytest.raises(ClientError) as refused:
            await outside.receive(LONG)
        assert "Throttl" in refused.value.response["Error"]["Code"]
        assert len(tap.requests) == 1


async def test_a_receive_that_is_held_when_the_gateway_stops_still_gets_its_message(moto: int, tmp_path: Path) -> None:
    async with queueing(moto, tmp_path, server='drain = "20s"') as (gw, tap, inside):
        receiving = asyncio.create_task(consumer(gw, inside).receive(LONG))
        await held(tap)
        gw.terminate()
        await until(lambda: b"drain" in gw.output.read_bytes(), "draining")
        await inside.send("late")
        assert [message["Body"] for message in await receiving] == ["late"]
        assert await gw.exit_code() == 0


async def test_a_receive_that_outlasts_the_drain_is_cut_and_not_answered_in_the_servers_place(
    moto: int, tmp_path: Path
) -> None:
    async with queueing(moto, tmp_path, server='drain = "500ms"\nstop_grace = "5s"') as (gw, tap, inside):
        receiving = asyncio.create_task(consumer(gw, inside).receive(LONG))
        await held(tap)
        gw.terminate()
        with pytest.raises(ConnectionClosedError):
            await receiving
        assert await gw.exit_code() == 0
        await inside.send("lets the server's own wait end")
