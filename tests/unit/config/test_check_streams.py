"""What is wrong between the clocks of streams of events, as the exact line a person reads."""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.clocks import upstream_side
from gateway.config.compile import compile_config
from gateway.config.merge import merge_route
from gateway.shapes import Sse

from .kit import BASE, ENVIRON, ROUTE, checked, sound

EVENTS = BASE + ROUTE.replace('["signed"]', '["signed", "p"]') + "[policy.p.sse]\n"
FRONT = '[server]\nfront = { name = "aws-alb", idle_timeout = "60s" }\nkeepalive_timeout = "75s"\n'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            'heartbeat = "60s"\n',
            'policy.p.sse.heartbeat: would never be sent, for after 60s of silence the stream is cut (body_idle_timeout); write a shorter one, or a longer idle_timeout, such as "5m"',
        ),
        (
            'heartbeat = "20s"\nidle_timeout = "20s"\n',
            'policy.p.sse.heartbeat: would never be sent, for after 20s of silence the stream is cut (idle_timeout); write a shorter one, or a longer idle_timeout, such as "5m"',
        ),
        (
            'heartbeat = "60s"\nidle_timeout = "5m"\n' + FRONT,
            "policy.p.sse.heartbeat: comes too late: front aws-alb gives up after 60s of silence; write a shorter one",
        ),
        ('heartbeat = "0s"\n', "policy.p.sse.heartbeat: "),
        ('heartbeats = "15s"\n', "policy.p.sse.heartbeats: unknown key; did you mean 'heartbeat'?"),
    ],
)
def test_a_heartbeat_that_would_not_help_is_a_problem(tmp_path: Path, text: str, line: str) -> None:
    (found,) = checked(tmp_path, EVENTS + text).problems
    assert found.startswith(f"gateway.toml: {line}")


def test_streams_without_heartbeats_behind_an_edge_that_gives_up_are_mentioned(tmp_path: Path) -> None:
    said = 'gateway.toml: policy.p.sse.heartbeat: is not written, and front aws-alb gives up after 60s of silence; write heartbeat = "15s", unless the service sends its own'
    result = checked(tmp_path, EVENTS + FRONT)
    assert (result.problems, result.notices) == ([], [said])
    assert checked(tmp_path, EVENTS + 'heartbeat = "15s"\n' + FRONT).notices == []


def test_two_policies_with_streams_are_one_too_many(tmp_path: Path) -> None:
    text = EVENTS.replace('"p"]', '"p", "q"]') + "[policy.q.sse]\n"
    (found,) = checked(tmp_path, text).problems
    assert "sse comes from 'p' and 'q'" in found


def test_a_route_has_the_idle_time_of_its_streams_or_else_of_its_answers(tmp_path: Path) -> None:
    plans = [
        compile_config(sound(tmp_path, EVENTS + more), lambda: 0.0, ENVIRON).plans[0].sse
        for more in ("", 'heartbeat = "15s"\nidle_timeout = "5m"\nmax_time = "6h"\n')
    ]
    assert plans == [Sse(float("inf"), 60.0, float("inf")), Sse(15.0, 300.0, 21_600.0)]
    plain = compile_config(sound(tmp_path, BASE + ROUTE), lambda: 0.0, ENVIRON).plans[0]
    assert plain.sse is None


def test_the_clocks_of_streams_are_listed_with_where_their_numbers_stand(tmp_path: Path) -> None:
    config = sound(tmp_path, EVENTS + 'heartbeat = "15s"\nidle_timeout = "5m"\nmax_time = "6h"\n')
    listed = {
        clock.name: (clock.seconds, clock.origin.partition(" (")[0])
        for clock in upstream_side(merge_route(config, config.routes[0]))
    }
    assert {name: value for name, value in listed.items() if name.startswith("sse.")} == {
        "sse.heartbeat": (15.0, "policy p"),
        "sse.idle_timeout": (300.0, "policy p"),
        "sse.max_time": (21_600.0, "policy p"),
    }
