"""What `gateway explain` says of a request that asks for another protocol."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.explain.model import Explanation

from .kit import asked, configured, event

ROUTE = """[[route]]
name = "talk"
match = { host = "talk", path = "/p" }
upstream = "u"
[route.websocket]
origins = ["https://app.example.com"]
subprotocols = ["chat.v2"]
max_time = "1h"
[[route.hold_cap]]
max = 2
[[route.concurrency_cap]]
max = 3
"""
SHAKE = (("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
         ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Protocol", "chat.v1, chat.v2"))  # fmt: skip


def story(folder: Path, monkeypatch: pytest.MonkeyPatch, *headers: tuple[str, str]) -> Explanation:
    return asked(configured(folder, monkeypatch, ROUTE), "/p", *headers, method="GET")


def test_a_handshake_is_forwarded_as_one_and_may_become_a_tunnel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = story(tmp_path, monkeypatch, *SHAKE, ("Origin", "https://app.example.com"))
    assert found.verdict.result == "forwarded"
    assert found.forwarded is not None
    assert {"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Protocol: chat.v2"} <= {*found.forwarded.lines}
    agreed = event(found, "upstream agrees")
    assert agreed.outcome == "tunnelled"
    assert agreed.then == (
        "a tunnel for websocket: both sides are told in a Close frame when nothing passes for 75 s, after 3600 s at "
        "the latest (max_time), and at an instant of their own in a drain"
    )
    assert event(found, "upstream silent").outcome == "upstream_timeout"
    assert [each.unmet for each in found.limits] == [None, "counts ordinary calls, and this may become a tunnel"]


def test_a_page_that_may_not_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = story(tmp_path, monkeypatch, *SHAKE, ("Origin", "https://evil.test"))
    assert (found.verdict.result, found.verdict.outcome, found.verdict.slug) == (
        "refused", "forbidden", "origin_not_allowed",
    )  # fmt: skip


def test_an_ordinary_request_of_the_route_becomes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = story(tmp_path, monkeypatch)
    assert not [each for each in found.events if each.name.startswith("upstream agrees")]
