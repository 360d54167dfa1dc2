"""The client of a gateway's admin listener: asks for a page, or for one poll to end. Whatever goes wrong is a sentence
for the person who watches; nothing here knows a screen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from gateway.top.where import Where

TIMEOUT = 5.0  # seconds for one question
MOST_BYTES = 8 * 1024 * 1024  # of an answer
WRITES = {"Gateway-Admin": "1"}


class UnansweredError(Exception):
    """Nobody answers, or not with what was asked for. Asking again later may help."""


class Gateway:
    """One admin listener, over connections that are kept. An async context manager."""

    def __init__(self, where: Where, token: str | None) -> None:
        self.where = where
        self._token = token

    async def __aenter__(self) -> Self:
        connector = aiohttp.UnixConnector(self.where.socket) if self.where.socket else aiohttp.TCPConnector()
        headers = {"Authorization": f"Bearer {self._token}"} if self._token is not None else {}
        self._session = aiohttp.ClientSession(connector=connector, headers=headers, trust_env=False)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self._session.close()

    async def get(self, page: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object of a page. Raises UnansweredError."""
        return await self._ask("GET", page, params=query or {})

    async def end(self, call_id: str) -> bool:
        """Ends one poll; whether it was still there and may be ended. Raises UnansweredError."""
        told = await self._ask("POST", "/api/held/end", json={"id": call_id}, headers=WRITES)
        return told.get("ended") == 1

    async def _ask(self, method: str, page: str, **more: Any) -> dict[str, Any]:
        try:
            async with asyncio.timeout(TIMEOUT), self._session.request(
                method, f"{self.where.base}{page}", allow_redirects=False, **more
            ) as answer:  # fmt: skip
                body = b""
                async for part in answer.content.iter_chunked(1 << 20):
                    body += part
                    if len(body) > MOST_BYTES:
                        raise UnansweredError(f"{self.where.name} says too much to be a gateway")
                return self._read(page, answer.status, body)
        except TimeoutError:
            raise UnansweredError(f"{self.where.name} does not answer (nothing within {TIMEOUT:g} s)") from None
        except (aiohttp.ClientError, OSError) as error:
            reason = _reason(error)
            raise UnansweredError(f"{self.where.name} does not answer ({reason}); is the gateway running?") from None

    def _read(self, page: str, status: int, body: bytes) -> dict[str, Any]:
        """An answer, which may be anybody's: something else may listen there."""
        try:
            told = orjson.loads(body)
        except orjson.JSONDecodeError:
            told = None
        if not isinstance(told, dict) or (status >= 400 and "error" not in told and page != "/readyz"):
            raise UnansweredError(
                f"{self.where.name} is not a gateway's admin listener ({page}: {status}); name that one"
            )
        if status == 401:
            raise UnansweredError(self._unknown())
        if status >= 400 and "error" in told:
            raise UnansweredError(f"{self.where.name}: {_sentence(told)}")
        return told

    def _unknown(self) -> str:
        if self._token is None:
            return f"{self.where.name} asks for a token; give --token env:NAME, or its configuration with -c"
        return f"{self.where.name} does not accept this token; see admin.token of its configuration"


def _sentence(told: Mapping[str, Any]) -> str:
    problems = told.get("problems")
    return str(problems[0] if isinstance(problems, list) and problems else told["error"])


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.lower()
