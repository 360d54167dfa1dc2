"""The `openai` client as an application uses it, and the configuration of the gateway before it: the caller shows its
token as `api_key`, and the key that pays is in the environment of the gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import openai
from openai.types.chat import ChatCompletionChunk

from tests.kit.gateways import SIGNED_IN, Record, Running, process_config, route, token
from tests.kit.waiting import until

from .llm import Generation, Service

WORDS = ["Once", " upon", " a", " time", "…", "\n\n", "data: [DONE]", " 🐉"]
ASKED = [{"role": "user", "content": "Tell me a story."}]
CAP = '[[policy.generations.concurrency_cap]]\nmax = 2\nper = "tenant"\n'


def before(
    service: Service, cap: str = CAP, upstream: str = "", server: str = "", made: Callable[..., str] = process_config
) -> str:
    """The configuration a user would write before such a service."""
    return made(
        service.port, more=SIGNED_IN.replace("[policy.", 'tenant = "tenant"\n[policy.', 1) + cap, server=server,
        routes=route("model", "/v1/**", ["signed-in", "generations"]),
        upstream='headers = { set = { Authorization = "env:MODEL_AUTHORIZATION" } }\n' + upstream,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def asking(
    gw: Running, tenant: str = "acme", retries: int = 0, ttl: float = 3600
) -> AsyncIterator[openai.AsyncOpenAI]:
    """A client as an application makes it."""
    async with openai.AsyncOpenAI(
        base_url=f"http://127.0.0.1:{gw.port}/v1", api_key=token(tenant=tenant, ttl=ttl), max_retries=retries,
        http_client=openai.DefaultAsyncHttpxClient(trust_env=False),
    ) as client:  # fmt: skip
        yield client


class Reader:
    """One streamed completion: the words that its reader has got so far, and the error that ended it."""

    def __init__(self, client: openai.AsyncOpenAI) -> None:
        self.words: list[str] = []
        self.error: Exception | None = None
        self.task = asyncio.create_task(self._read(client))

    async def _read(self, client: openai.AsyncOpenAI) -> None:
        try:
            stream = await client.chat.completions.create(model="m", messages=ASKED, stream=True)  # type: ignore[call-overload]
            async with stream:
                async for chunk in stream:
                    self.words += words_of(chunk)
        except openai.OpenAIError as error:
            self.error = error

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])

    async def whole(self) -> str:
        await asyncio.wait_for(self.task, 15)
        assert self.error is None, self.error
        return "".join(self.words)


def words_of(chunk: ChatCompletionChunk) -> list[str]:
    word = chunk.choices[0].delta.content
    return [] if word is None else [word]


async def begun(service: Service, number: int = 1) -> Generation:
    """The completion of that number, once the service has been asked for it."""
    await until(lambda: len(service.generations) >= number, f"completion {number}")
    return service.generations[number - 1]


async def tell(generation: Generation, words: Callable[[], list[str]]) -> None:
    """Says one word after the other, each only when the reader has got the one before."""
    for number, word in enumerate(WORDS, 1):
        generation.say(word)
        await until(lambda number=number: len(words()) == number, f"word {number}")  # type: ignore[misc]
        assert words() == WORDS[:number]


async def record(gw: Running) -> Record:
    (one,) = await gw.records(1)
    return one
