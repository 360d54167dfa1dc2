"""The `openai` client with a gateway process between it and a service that speaks its API. Tokens come as they are made
and for as long as that takes, nobody sees the key that pays, and of tenants each has its share.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from pathlib import Path

import openai
import pytest
from openai.types.chat import ChatCompletion

from gateway.clock import Clock
from tests.kit.gateways import SECRET, config, free_port, gateway, gateway_process, token
from tests.kit.waiting import until

from .llm import KEY, PAYER, serving
from .llm_client import ASKED, CAP, WORDS, Reader, asking, before, begun, record, tell, words_of

PAGE = Path(__file__).parents[2] / "docs" / "llm.md"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the gateway shows to the service."""
    monkeypatch.setenv("MODEL_AUTHORIZATION", f"Bearer {KEY}")


async def test_every_word_is_read_before_the_next_is_made(tmp_path: Path) -> None:
    async with serving() as service:
        with gateway_process(before(service), tmp_path) as gw:
            async with asking(gw) as client:
                reader = Reader(client)
                generation = await begun(service)
                await tell(generation, lambda: reader.words)
                generation.finish()
                assert await reader.whole() == "".join(WORDS)
            one = await record(gw)
        assert (one["status"], one["blame"], one["route"], one["attempts"]) == (200, "none", "model", 1)
        assert (one["consumer"], one["tenant"]) == ("alice", "acme")
        assert one["first_byte"] < one["took"] and one["bytes_out"] > len("".join(WORDS).encode())
        assert "hold_asked" not in one


async def test_a_client_in_a_thread_reads_every_word_too(tmp_path: Path) -> None:
    words: list[str] = []

    def read(port: int) -> None:
        http = openai.DefaultHttpxClient(trust_env=False)
        with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=token(), http_client=http) as client:
            for chunk in client.chat.completions.create(model="m", messages=ASKED, stream=True):  # type: ignore[call-overload]
                words.extend(words_of(chunk))

    async with serving() as service:
        with gateway_process(before(service), tmp_path) as gw:
            thread = threading.Thread(target=read, args=(gw.port,))
            thread.start()
            generation = await begun(service)
            await tell(generation, lambda: words)
            generation.finish()
            await asyncio.to_thread(thread.join, 15)
            assert not thread.is_alive()


async def test_the_key_that_pays_and_the_callers_token_never_meet(tmp_path: Path) -> None:
    async with serving() as service:
        with gateway_process(before(service), tmp_path) as gw:
            async with asking(gw) as client:
                reader = Reader(client)
                generation = await begun(service)
                generation.finish()
                await reader.whole()
            await record(gw)
            written = gw.log.read_text("utf-8") + gw.output.read_text("utf-8", "replace")
        assert generation.headers.getall("Authorization") == [f"Bearer {KEY}"]
        assert token().split(".")[0] not in str(generation.headers)
        assert KEY not in written and token().split(".")[0] not in written
        assert generation.asked == {"model": "m", "messages": ASKED, "stream": True}


async def test_a_wrong_token_is_told_so_and_the_service_hears_nothing(tmp_path: Path) -> None:
    async with serving() as service:
        with gateway_process(before(service), tmp_path) as gw:
            async with asking(gw, ttl=-3600) as client:
                reader = Reader(client)
                await asyncio.wait([reader.task])
                assert isinstance(reader.error, openai.AuthenticationError)
            assert (await record(gw))["outcome"] == "unauthenticated"
        assert not service.generations


async def test_a_story_is_told_to_its_end_however_long_that_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every party lives on this loop, for which 50 seconds pass after each word: ten minutes and more in all."""
    loop, skipped = asyncio.get_running_loop(), [0.0]
    monkeypatch.setattr(loop, "time", lambda: time.monotonic() + skipped[0])
    async with serving() as service, gateway(before(service, made=config), tmp_path, Clock(now=loop.time)) as gw:
        async with asking(gw) as client:
            reader = Reader(client)
            generation = await begun(service)
            for number in range(1, 15):
                generation.say("word ")
                await until(lambda number=number: len(reader.words) == number)  # type: ignore[misc]
                skipped[0] += 50
            generation.finish()
            assert await reader.whole() == "word " * 14
        one = await record(gw)
    assert one["took"] > 600 and one["status"] == 200 and one["blame"] == "none"


async def test_an_answer_that_is_not_streamed_comes_in_one_piece(tmp_path: Path) -> None:
    async with serving() as service:
        with gateway_process(before(service), tmp_path) as gw:
            async with asking(gw) as client:
                asked = client.chat.completions.create(model="m", messages=ASKED)  # type: ignore[arg-type]
                task: asyncio.Task[ChatCompletion] = asyncio.create_task(asked)  # type: ignore[arg-type]
                generation = await begun(service)
                generation.say(*WORDS)
                generation.finish()
                assert (await task).choices[0].message.content == "".join(WORDS)
            assert (await record(gw))["outcome"] == "answered"


@pytest.mark.parametrize("words", [0, 3], ids=["before the first word", "in the middle"])
async def test_a_reader_that_leaves_frees_the_service_and_its_place_at_once(tmp_path: Path, words: int) -> None:
    async with serving() as service:
        with gateway_process(before(service, CAP.replace("2", "1")), tmp_path) as gw:
            async with asking(gw) as client:
                reader = Reader(client)
                generation = await begun(service)
                generation.say(*WORDS[:words])
                await until(lambda: len(reader.words) == words)
                await reader.leave()
                await until(lambda: generation.ended == "left", "the service is free")
                again = Reader(client)
                (await begun(service, 2)).finish()
                await again.whole()
            gone, _ = await gw.records(2)
        assert (gone["outcome"], gone["blame"]) == ("client_gone", "downstream")


async def test_a_tenant_has_no_more_completions_at_once_than_its_cap(tmp_path: Path) -> None:
    async with serving() as service:
        with gateway_process(before(service), tmp_path) as gw:
            async with asking(gw) as client, asking(gw, "other") as other:
                two = [Reader(client) for _ in range(2)]
                await begun(service, 2)
                third = Reader(client)
                await asyncio.wait([third.task])
                assert isinstance(third.error, openai.RateLimitError)
                assert int(third.error.response.headers["retry-after"]) >= 1
                stranger = Reader(other)
                await begun(service, 3)
                assert [one.ended for one in service.generations] == ["", "", ""]
                for generation in service.generations:
                    generation.finish()
                for reader in (*two, stranger):
                    await reader.whole()
            capped = [one for one in await gw.records(4) if one["outcome"] == "capped"]
        assert [one["tenant"] for one in capped] == ["acme"]


async def test_those_who_wait_for_a_place_get_it_one_by_one(tmp_path: Path) -> None:
    async with serving() as service:
        with gateway_process(before(service, CAP + 'on_excess = "wait"\n'), tmp_path) as gw:
            async with asking(gw) as client:
                readers = [Reader(client) for _ in range(8)]
                for number in range(1, 9):
                    generation = await begun(service, number)
                    generation.say(str(number))
                    generation.finish()
                told = sorted([await reader.whole() for reader in readers])
            assert told == [str(number) for number in range(1, 9)]
            assert len([one for one in await gw.records(8) if one.get("waited")]) >= 6
        assert service.most_running == 2


async def test_what_the_service_says_when_it_is_busy_reaches_the_client_which_comes_back(tmp_path: Path) -> None:
    async with serving() as service:
        with gateway_process(before(service), tmp_path) as gw:
            async with asking(gw, retries=1) as client:
                service.busy = 1
                reader = Reader(client)
                (await begun(service)).finish()
                await reader.whole()
            assert [one["status"] for one in await gw.records(2)] == [429, 200]
            async with asking(gw) as client:
                service.busy = 1
                reader = Reader(client)
                await asyncio.wait([reader.task])
            assert isinstance(reader.error, openai.RateLimitError)
            assert reader.error.code == "rate_limit_exceeded"


async def test_a_service_that_dies_in_the_middle_does_not_look_finished(tmp_path: Path) -> None:
    async with serving() as service:
        with gateway_process(before(service), tmp_path) as gw:
            async with asking(gw) as client:
                reader = Reader(client)
                generation = await begun(service)
                generation.say(*WORDS[:3])
                await until(lambda: len(reader.words) == 3)
                generation.cut()
                await asyncio.wait([reader.task])
                assert reader.error is not None
            one = await record(gw)
        assert (one["outcome"], one["blame"]) == ("truncated", "upstream")


async def test_a_model_that_falls_silent_is_given_up_and_does_not_look_finished(tmp_path: Path) -> None:
    async with serving() as service:
        with gateway_process(before(service, upstream='body_idle_timeout = "300ms"\n'), tmp_path) as gw:
            async with asking(gw) as client:
                reader = Reader(client)
                generation = await begun(service)
                generation.say(*WORDS[:3])
                await asyncio.wait([reader.task])
                assert reader.error is not None and reader.words == WORDS[: len(reader.words)]
                await until(lambda: generation.ended == "left", "the service is free")
            assert (await record(gw))["blame"] == "upstream"


async def test_a_gateway_that_stops_lets_a_story_be_told_to_its_end(tmp_path: Path) -> None:
    async with serving() as service:
        with gateway_process(before(service, server='drain = "15s"\nstop_grace = "20s"'), tmp_path) as gw:
            async with asking(gw) as client:
                reader = Reader(client)
                generation = await begun(service)
                generation.say(WORDS[0])
                await until(lambda: reader.words == WORDS[:1])
                gw.terminate()
                await until(lambda: b"drain" in gw.output.read_bytes(), "it stops")
                for number, word in enumerate(WORDS[1:], 2):
                    generation.say(word)
                    await until(lambda number=number: len(reader.words) == number)  # type: ignore[misc]
                generation.finish()
                assert await reader.whole() == "".join(WORDS)
            assert await gw.exit_code() == 0


def of_the_page(port: int) -> str:
    """The configuration that docs/llm.md shows, before a service at that port."""
    (text,) = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)[:1]
    for shown, here in {
        "https://api.openai.com": f"http://127.0.0.1:{port}",
        "127.0.0.1:8080": f"127.0.0.1:{free_port()}",
        "127.0.0.1:9090": f"127.0.0.1:{free_port()}",
        "file:var/": "file:",
    }.items():
        assert text.count(shown) == 1
        text = text.replace(shown, here)
    return text


async def test_the_configuration_of_the_page_does_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_JWT_SECRET", SECRET)
    shown = token(iss="https://id.example.com/", aud="models", tenant="acme")
    async with serving() as service:
        with gateway_process(of_the_page(service.port), tmp_path) as gw:
            async with openai.AsyncOpenAI(
                base_url=f"http://127.0.0.1:{gw.port}/v1", api_key=shown, organization="mine", project="mine",
                max_retries=0, http_client=openai.DefaultAsyncHttpxClient(trust_env=False),
            ) as client:  # fmt: skip
                readers = [Reader(client) for _ in range(4)]
                await begun(service, 4)
                fifth = Reader(client)
                await asyncio.wait([fifth.task])
                assert isinstance(fifth.error, openai.RateLimitError)
                for generation in service.generations:
                    generation.finish()
                for reader in readers:
                    await reader.whole()
                asked = client.chat.completions.with_raw_response.create(model="m", messages=ASKED)  # type: ignore[arg-type]
                task = asyncio.ensure_future(asked)
                (await begun(service, 5)).finish()
                assert not {name.lower() for name in PAYER} & set((await task).headers)
    for generation in service.generations:
        assert generation.headers["Authorization"] == f"Bearer {KEY}"
        assert "OpenAI-Organization" not in generation.headers and "OpenAI-Project" not in generation.headers
