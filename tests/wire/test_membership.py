"""Endpoints that come and go while the gateway runs, by an operator and by reload: who gets the next call, what happens
to those that are held, what the operator is told, and that the file has the last word.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.kit.gateways import InProcess, config, gateway, hold, route
from tests.kit.names import AnsweringAt, HoldingAt, Script
from tests.kit.polls import polling
from tests.kit.raw import client, get, post
from tests.kit.strict import Message
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import until

WRITE = "Gateway-Admin: 1"
POLL: dict[str, Any] = {"more": hold(), "routes": route(policies=["poll"])}
ALL = "/api/upstreams/up/endpoints"


async def change(gw: InProcess, method: str, path: str, body: object = None, write: str = WRITE) -> Message:
    """What the operator is answered."""
    raw = json.dumps(body).encode() if body is not None else b""
    fields = [write] if write else []
    async with client(gw.admin_port) as admin:
        if method == "POST":
            return await admin.ask(post(raw, path, *fields))
        return await admin.ask(get(path, *fields, method=method))


async def changed(gw: InProcess, method: str, path: str, body: object = None) -> dict[str, Any]:
    """The upstream after a change that was made."""
    found = await change(gw, method, path, body)
    assert found.status in (200, 201), bytes(found.body)
    told: dict[str, Any] = json.loads(bytes(found.body))
    return told


async def refused(gw: InProcess, method: str, path: str, body: object = None) -> tuple[int, str]:
    found = await change(gw, method, path, body)
    told = json.loads(bytes(found.body))
    return found.status, "\n".join([told["error"], *told.get("problems", [])])


def names(told: dict[str, Any], what: str = "endpoints") -> list[str]:
    return [each["name"] for each in told[what]]


def at(up: ScriptedUpstream) -> str:
    return f"127.0.0.1:{up.port}"


async def test_an_endpoint_that_an_operator_adds_takes_calls_and_is_gone_after_a_reload(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as one,
        HoldingUpstream() as two,
        gateway(config(one.port, **POLL), tmp_path) as gw,
        polling(gw, get(), get()),
    ):
        await until(lambda: one.held == 2)
        told = await changed(gw, "POST", ALL, {"url": two.url})
        assert [(each["name"], each["from"]) for each in told["members"]] == [
            (at(one), "file"),
            (at(two), "operator"),
        ]
        async with polling(gw, get(), get()):
            await until(lambda: (one.held, two.held) == (2, 2))
            assert await gw.app.reload() == []
            async with polling(gw, get()):
                await until(lambda: one.held == 3)
                _, body = await gw.admin("/api/upstreams")
                (told,) = json.loads(body)["upstreams"]
                assert names(told) == [at(one)]
                assert [(each["name"], each["held"]) for each in told["leaving"]] == [(at(two), 2)]
                one.publish()
                two.publish()
                records = await gw.records(5)
    assert Counter(record["outcome"] for record in records) == {"news": 5}


async def test_an_endpoint_that_is_removed_ends_what_it_holds_and_takes_nothing_new(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as one,
        HoldingUpstream() as two,
        gateway(config(one.port, two.port, **POLL), tmp_path) as gw,
        polling(gw, get(), get()),
    ):
        await until(lambda: (one.held, two.held) == (1, 1))
        told = await changed(gw, "DELETE", f"{ALL}/{at(one)}")
        assert (names(told), names(told, "leaving"), told["held"]) == ([at(two)], [at(one)], 2)
        async with polling(gw, get(), get()):
            await until(lambda: two.held == 3)
            assert one.held == 1
            one.publish()
            assert (await gw.record())["endpoint"] == at(one)
            await until(lambda: one.live == 0)
            _, body = await gw.admin("/api/upstreams")
            assert json.loads(body)["upstreams"][0]["leaving"] == []


async def test_an_endpoint_that_is_drained_stays_a_member_and_can_be_taken_back(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as one,
        HoldingUpstream() as two,
        gateway(config(one.port, two.port, **POLL), tmp_path) as gw,
        polling(gw, get(), get()),
    ):
        await until(lambda: (one.held, two.held) == (1, 1))
        told = await changed(gw, "POST", f"{ALL}/{at(one)}/drain")
        assert (names(told), names(told, "members")) == ([at(two)], [at(one), at(two)])
        assert [each["drained"] for each in told["members"]] == [[at(one)], []]
        async with polling(gw, get()):
            await until(lambda: two.held == 2)
            told = await changed(gw, "DELETE", f"{ALL}/{at(one)}/drain")
            assert [(each["name"], each["held"]) for each in told["endpoints"]] == [(at(one), 1), (at(two), 2)]
            async with polling(gw, get()):
                await until(lambda: one.held == 2)


async def test_a_reload_takes_back_what_was_drained_or_removed(tmp_path: Path) -> None:
    async with ScriptedUpstream() as one, ScriptedUpstream() as two, ScriptedUpstream() as three:
        text = config(one.port, two.port, three.port, upstream='balance = "round-robin"')
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            await changed(gw, "POST", f"{ALL}/{at(one)}/drain")
            await changed(gw, "DELETE", f"{ALL}/{at(two)}")
            for _ in range(3):
                await raw.ask(get())
            assert [len(up.requests) for up in (one, two, three)] == [0, 0, 3]
            assert await gw.app.reload() == []
            for _ in range(6):
                await raw.ask(get())
            assert one.requests and two.requests and len(three.requests) > 3


async def test_the_last_endpoint_that_takes_calls_stays(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream() as one,
        ScriptedUpstream() as two,
        gateway(config(one.port, two.port), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        await changed(gw, "POST", f"{ALL}/{at(one)}/drain")
        for method, path in (("POST", f"{ALL}/{at(two)}/drain"), ("DELETE", f"{ALL}/{at(two)}")):
            assert await refused(gw, method, path) == (
                409,
                "it is the last endpoint that takes calls; add another one first",
            )
        assert (await raw.ask(get())).status == 200
    assert len(two.requests) == 1


async def test_an_endpoint_by_name_is_looked_up_before_it_is_taken(tmp_path: Path) -> None:
    script = Script(api_test=["127.0.0.2", "127.0.0.3"])
    async with (
        ScriptedUpstream() as one,
        AnsweringAt("127.0.0.2") as two,
        AnsweringAt("127.0.0.3", two.port) as three,
        gateway(config(one.port), tmp_path, resolve=script) as gw,
        client(gw.port) as raw,
    ):
        said = await refused(gw, "POST", ALL, {"url": "http://none.test"})
        assert said[0] == 409 and "none.test cannot be looked up (Name or service not known); nothing" in said[1]
        told = await changed(gw, "POST", ALL, {"url": f"http://api.test:{two.port}", "weight": 3})
        ends = [f"api.test@127.0.0.{last}:{two.port}" for last in (2, 3)]
        assert names(told) == [at(one), *ends]
        member = told["members"][1]
        assert (member["weight"], member["dns"]["addresses"]) == (3, ["127.0.0.2", "127.0.0.3"])
        assert member["dns"]["looked_up"] and member["dns"]["failure"] is None
        assert names(await changed(gw, "POST", f"{ALL}/{ends[0]}/drain")) == [at(one), ends[1]]
        assert "is one address of a name" in (await refused(gw, "DELETE", f"{ALL}/{ends[1]}"))[1]
        await changed(gw, "DELETE", f"{ALL}/{at(one)}")
        assert (await raw.ask(get())).status == 200
    assert (len(one.requests), len(two.requests), len(three.requests)) == (0, 0, 1)


async def test_what_is_drained_stays_so_when_its_name_is_looked_up_again(tmp_path: Path) -> None:
    script = Script(a_test=["127.0.0.1"], b_test=["127.0.0.2"])
    async with HoldingAt("127.0.0.1") as one, HoldingAt("127.0.0.2", one.port) as two:
        text = config(
            f"http://a.test:{one.port}", f"http://b.test:{one.port}",
            upstream='dns_refresh = "20ms"', more=hold(), routes=route(policies=["poll"]),
        )  # fmt: skip
        async with gateway(text, tmp_path, resolve=script) as gw:
            await changed(gw, "POST", f"{ALL}/a.test:{one.port}/drain")
            script.at["a.test"], script.at["b.test"] = ["127.0.0.3"], ["127.0.0.2", "127.0.0.4"]
            await until(lambda: len(gw.app.members.names["b.test"].places) == 2)
            await until(lambda: gw.app.members.names["a.test"].places == (("127.0.0.3",),))
            _, body = await gw.admin("/api/upstreams")
            assert [each["places"] for each in json.loads(body)["upstreams"][0]["endpoints"]] == [
                ["127.0.0.2"],
                ["127.0.0.4"],
            ]
    assert two.held == 0


async def test_a_drained_address_takes_calls_when_its_name_has_no_other_left(tmp_path: Path) -> None:
    script = Script(a_test=["127.0.0.1", "127.0.0.2"])
    async with AnsweringAt("127.0.0.1") as one, AnsweringAt("127.0.0.2", one.port) as two:
        text = config(f"http://a.test:{one.port}", upstream='dns_refresh = "20ms"')
        async with gateway(text, tmp_path, resolve=script) as gw, client(gw.port) as raw:
            await changed(gw, "POST", f"{ALL}/a.test@127.0.0.1:{one.port}/drain")
            assert (await raw.ask(get())).status == 200
            script.at["a.test"] = ["127.0.0.1"]
            await until(lambda: gw.app.members.names["a.test"].places == (("127.0.0.1",),))
            assert (await raw.ask(get())).status == 200
    assert (len(one.requests), len(two.requests)) == (1, 1)


NO: list[tuple[str, str, object, int, str]] = [
    ("POST", "/api/upstreams/none/endpoints", {"url": "http://h"}, 404, "there is no upstream none; there are up"),
    ("POST", ALL, {"url": "ftp://h"}, 400, 'endpoint: url: "ftp://h" is not an upstream URL; write "http://HOST:PORT"'),
    ("POST", ALL, {}, 400, "endpoint: url: is missing; "),
    ("POST", ALL, {"url": "http://h", "weight": 0}, 400, "endpoint: weight: "),
    ("POST", ALL, {"url": "http://h", "wieght": 1}, 400, "endpoint: wieght: unknown key; did you mean 'weight'?"),
    ("POST", ALL, {"url": "https://h"}, 409, "the other endpoints speak http; write http://"),
    ("POST", ALL, {"url": "http://h/v2"}, 409, 'the path of the others is ""; write the same'),
    ("POST", ALL, {"url": "http://127.0.0.1:9"}, 409, "127.0.0.1:9 is an endpoint already; remove it first"),
    ("DELETE", ALL + "/10.0.0.9:1", None, 404, "upstream up has no endpoint 10.0.0.9:1; it has 127.0.0.1:9, [::1]:9"),
    ("POST", ALL + "/x/drain", None, 404, "upstream up has no endpoint x; it has "),
    ("DELETE", ALL + "/x/drain", None, 404, "upstream up has no endpoint x; it has "),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "words"), NO)
async def test_a_change_that_cannot_be_made_says_why_and_changes_nothing(
    tmp_path: Path, method: str, path: str, body: object, status: int, words: str
) -> None:
    async with gateway(config("http://127.0.0.1:9", "http://[::1]:9"), tmp_path, resolve=Script()) as gw:
        before = await gw.admin("/api/upstreams")
        said = await refused(gw, method, path, body)
        assert said[0] == status and words in said[1], said
        assert await gw.admin("/api/upstreams") == before


async def test_an_address_of_ipv6_is_named_as_in_a_url(tmp_path: Path) -> None:
    async with gateway(config("http://127.0.0.1:9", "http://[::1]:9"), tmp_path) as gw:
        assert names(await changed(gw, "DELETE", f"{ALL}/%5B::1%5D:9")) == ["127.0.0.1:9"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", ALL), ("DELETE", f"{ALL}/127.0.0.1:9"), ("POST", f"{ALL}/127.0.0.1:9/drain"),
     ("DELETE", f"{ALL}/127.0.0.1:9/drain")],
)  # fmt: skip
async def test_a_page_of_elsewhere_can_change_no_endpoint(tmp_path: Path, method: str, path: str) -> None:
    async with gateway(config("http://127.0.0.1:9", "http://[::1]:9"), tmp_path) as gw:
        assert (await change(gw, method, path, {"url": "http://h"}, write="")).status == 403
        assert names(json.loads((await gw.admin("/api/upstreams"))[1])["upstreams"][0]) == ["127.0.0.1:9", "[::1]:9"]


async def test_look_ups_are_counted(tmp_path: Path) -> None:
    script = Script(api_test=["127.0.0.1", "127.0.0.2"])
    async with gateway(config("http://api.test:9", "http://none.test:9"), tmp_path, resolve=script) as gw:
        page = (await gw.admin("/metrics"))[1].decode()
    for line in (
        'longpoll_dns_lookups_total{name="api.test",result="ok"} 1',
        'longpoll_dns_addresses{name="api.test"} 2',
        'longpoll_dns_addresses{name="none.test"} 0',
        'longpoll_dns_last_lookup_timestamp_seconds{name="none.test"} 0.0',
    ):
        assert line in page.splitlines()
    assert 'longpoll_dns_lookups_total{name="none.test",result="failed"} 0' not in page.splitlines()
