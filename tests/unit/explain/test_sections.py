"""The sections on limits and clocks as a person reads them, line by line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from gateway.explain.gather import explain
from gateway.explain.limits import Pair
from gateway.explain.model import Count
from gateway.explain.request import describe
from gateway.explain.text import render

from ..config.kit import sound
from .kit import ENVIRON, NOW, POLL, configured, token

MORE = """
[[route.rate_limit]]
rate = "60/min"
burst = 20
refund_empty = true
[[route.hold_cap]]
max = 3
on_excess = "evict-oldest"
[[route.concurrency_cap]]
max = 10
"""
LIMITS = """\
Limits, in the order in which they are asked
  rate_limit        "updates": 60/min, burst 20 per consumer [route]
                    one too many is refused (429); an empty poll that was held to its end costs
                    nothing
                    counts under alice: 19 left, one more in 1 s
  hold_cap          "updates": 3 at once per consumer [route]
                    one too many ends the oldest poll in "no news"
                    counts under alice: 3 of 3 held, so one more is one too many
  concurrency_cap   "updates": 10 at once per consumer [route]
                    one too many is refused (429)
                    not asked here: it counts ordinary calls, and this is a poll
  counts            as the gateway at 127.0.0.1:9090 counts them now"""
CLOCKS = """\
Clocks, counted from the request's arrival
    47.812 s  upstream due        a healthy upstream has answered by then [granted + jitter]
    52.812 s  our deadline        200 OK ([]); recorded as overrun, blame upstream [granted + jitter
                                  + margin]
        60 s  client_timeout      the client gives up; recorded as client_gone [policy
                                  cursor-updates]
        60 s  front aws-alb       its connection was idle for so long: it says 504; recorded as
                                  client_gone [server.front]
        30 s  response_timeout    not for polls [default]
         2 s  connect_timeout     nothing was sent yet: another endpoint is tried, then 504
                                  [default]
        60 s  body_idle_timeout   an answer that stops midway for so long is cut off [default]
         4 s  keepalive           an idle connection to the upstream is closed, before the upstream
                                  does so itself [default]
         2 s  shutdown_delay      after SIGTERM: /readyz is red, everything is still served
                                  [server.shutdown_delay]
        25 s  drain               after shutdown_delay: what is still held is ended [server.drain]
        30 s  stop_grace          after SIGTERM: the process is killed [server.stop_grace]
  first       if the upstream stays silent, our deadline after 52.812 s: 200 OK ([])
  safe        the largest hold that ends before front aws-alb is 50.824 s"""


def asking(pairs: Sequence[Pair]) -> tuple[Mapping[Pair, Count], str]:
    counts = (Count(True, left=19, reset=1), Count(True, held=3, max=3))
    return dict(zip(pairs, counts, strict=True)), "as the gateway at 127.0.0.1:9090 counts them now"


@pytest.mark.parametrize("section", [LIMITS, CLOCKS], ids=["limits", "clocks"])
def test_a_section_reads_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, section: str) -> None:
    server = '[server]\nfront = "aws-alb"\nshutdown_delay = "2s"\n'
    configured(tmp_path, monkeypatch, server, **{"prefer-wait": "policies = []"})
    text = (tmp_path / "gateway.toml").read_text().replace('"signed", "web"]\n', f'"signed", "web"]\n{MORE}')
    config = sound(tmp_path, text)
    request = describe("GET", f"{POLL}&timeout=90", (("Authorization", f"Bearer {token(config)}"),))
    story = explain(config, request, NOW, False, ENVIRON, asking)
    assert section in render(story).split("\n\n")
