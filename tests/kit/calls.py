"""Calls for tests of single steps: a real `Call` with a real head, but with nothing behind it but whose certificate its
connection came with: no step touches more.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from multidict import CIMultiDict, CIMultiDictProxy

from gateway.call import Call
from gateway.head import RequestHead


def head_of(
    target: str = "/updates",
    *headers: tuple[str, str],
    method: str = "GET",
    length: int | None = None,
    chunked: bool = False,
) -> RequestHead:
    """A request head as the edge would have read it."""
    path, _, query = target.partition("?")
    fields = (("Host", "gateway.test"), *headers)
    return RequestHead(
        method,
        path,
        query,
        host="gateway.test",
        headers=CIMultiDictProxy(CIMultiDict(fields)),
        raw_headers=tuple((name.encode(), value.encode()) for name, value in fields),
        length=length,
        chunked=chunked,
    )


def call_of(
    head: RequestHead, peer: str = "192.0.2.7", params: dict[str, str] | None = None, certificate: str | None = None
) -> Call:
    """A call that has been opened and routed, by a gateway that keeps nothing secret."""
    serve = SimpleNamespace(snapshot=SimpleNamespace(secret_prefixes=()))
    conn = SimpleNamespace(certificate=certificate)
    call = Call(cast(Any, conn), cast(Any, serve), "call-1", head, peer, 0.0)
    call.params = params
    return call
