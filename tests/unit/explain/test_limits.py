"""What is said of limits: which are asked for a request, in which order, and who counts as one under each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path

import pytest

from gateway.config.settings import Config
from gateway.explain.gather import explain
from gateway.explain.limits import Pair
from gateway.explain.model import Count, Explanation, LimitStory
from gateway.explain.request import describe
from gateway.explain.text import WIDTH, render

from ..config.kit import sound
from .kit import ENVIRON, NOW, POLL, configured, token, told, width

PLAN = """
[[policy.plan.rate_limit]]
rate = "60/min"
burst = 20
refund_empty = true
[[policy.plan.rate_limit]]
rate = "1/s"
burst = 1
per = "address"
[[policy.plan.rate_limit]]
rate = "10/s"
per = "header:X-Device"
mode = "delay"
[[policy.plan.hold_cap]]
max = 3
on_excess = "evict-oldest"
[[policy.plan.hold_cap]]
max = 30
per = "tenant"
when_claims = { tier = ["gold", "silver"] }
[[policy.plan.concurrency_cap]]
max = 10
on_excess = "wait"
"""
ROUTES = {"inside": 'policies = ["inside"]\n[[route.rate_limit]]\nrate = "5/day"\nper = "route"'}


@pytest.fixture
def limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """The usual configuration whose routes have limits."""
    configured(tmp_path, monkeypatch, PLAN, **ROUTES)
    text = (tmp_path / "gateway.toml").read_text()
    return sound(tmp_path, text.replace('"signed", "web"]', '"signed", "web", "plan"]'))


def found(story: Explanation) -> list[tuple[str, str, str | None, bool]]:
    return [(each.kind, each.name, each.key, each.unmet is None) for each in story.limits]


def test_limits_come_in_the_order_in_which_they_are_asked_with_who_counts_as_one(limited: Config) -> None:
    story = told(limited, POLL, ("X-Device", "one"))
    assert found(story) == [
        ("rate_limit", "plan-2", "127.0.0.1", True),
        ("rate_limit", "plan", "alice", True),
        ("rate_limit", "plan-3", f"digest {blake2b(b'one', digest_size=16).hexdigest()}", True),
        ("hold_cap", "plan", "alice", True),
        ("hold_cap", "plan", "acme", False),
        ("concurrency_cap", "plan", "alice", False),
    ]
    assert [(each.allows, each.per) for each in story.limits][:2] == [
        ("1/s, burst 1", "address"),
        ("60/min, burst 20", "consumer"),
    ]
    assert {each.origin for each in story.limits} == {"policy plan"}


def test_a_value_that_may_be_secret_is_shown_as_its_digest_only(limited: Config) -> None:
    story = told(limited, POLL, ("X-Device", "my-device-secret"))
    assert "my-device-secret" not in str(asdict(story)["limits"])


def test_who_lacks_a_name_counts_under_the_next_best(limited: Config) -> None:
    story = told(limited, POLL, bearer=None, peer="2001:db8::1")
    assert [(each.key, each.stands_in) for each in story.limits][:3] == [
        ("2001:db8::/64", False),
        ("2001:db8::/64", True),
        ("2001:db8::/64", True),
    ]
    text = " ".join(render(story).split())
    assert "counts under 2001:db8::/64, for want of a consumer: unknown" in text


def test_a_limit_that_is_not_asked_says_why(limited: Config) -> None:
    unmet = [each.unmet for each in told(limited, POLL).limits if each.unmet is not None]
    assert unmet == [
        "is meant for callers with tier = gold or silver",
        "counts ordinary calls, and this is a poll",
    ]
    unmet = [each.unmet for each in told(limited, "/updates").limits if each.unmet is not None]
    assert unmet == ["counts polls, and this is an ordinary call"] * 2


def test_a_limit_of_the_route_is_called_as_clients_are_told(limited: Config) -> None:
    story = told(limited, "http://a.example.org/plain/x", method="POST", peer="10.0.0.1")
    (own,) = (each for each in story.limits if each.origin == "route")
    assert (own.name, own.key, own.allows) == ("plain", "plain", "5/day, burst 5")


def test_an_explanation_uses_up_no_limit_of_its_own(limited: Config) -> None:
    """It plays the request many times, and a bucket of one token would refuse the second."""
    story = told(limited, POLL)
    assert [(step.kind, step.status) for step in story.admission] == [("rate_limit", None), ("jwt", None)]
    assert (story.verdict.result, story.as_if_admitted) == ("held", False)
    assert told(limited, POLL) == story


def test_without_limits_nobody_is_asked(config: Config) -> None:
    story = told(config, POLL)
    assert (story.limits, story.counts_from) == ((), None)


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (Count(True, left=20, reset=0), "20 left"),
        (Count(True, left=0, reset=12, waiting=3), "0 left, one more in 12 s, 3 in line"),
        (Count(True, held=1, max=3), "1 of 3 held"),
        (Count(True, held=3, max=3, waiting=2), "3 of 3 held, so one more is one too many, 2 in line"),
        (Count(False), "unknown, for the running gateway has no such limit; reload it"),
        (None, "unknown"),
    ],
)
def test_the_counts_of_now_are_told(limited: Config, count: Count | None, said: str) -> None:
    asked: list[Pair] = []

    def asking(pairs: Sequence[Pair]) -> tuple[Mapping[Pair, Count], str]:
        asked.extend(pairs)
        return ({pairs[1]: count} if count is not None else {}), "as somebody says"

    request = describe("GET", POLL, (("Authorization", f"Bearer {token(limited)}"),))
    story = explain(limited, request, NOW, False, ENVIRON, asking)
    assert asked == [
        ("policy.plan.rate_limit.address.0", "127.0.0.1"),
        ("policy.plan.rate_limit.consumer.0", "alice"),
        ("policy.plan.rate_limit.header:X-Device.0", "\0alice"),
        ("policy.plan.hold_cap.consumer.0", "alice"),
    ]
    assert story.limits[1].count == count
    text = render(story)
    assert f"counts under alice: {said}" in " ".join(text.split())
    assert text.count("as somebody says") == 1
    assert width(text, limited) <= WIDTH


def test_what_is_said_of_one_too_many_is_what_happens(limited: Config) -> None:
    by_kind: dict[str, LimitStory] = {f"{each.kind} {each.per}": each for each in told(limited, POLL).limits}
    assert by_kind["rate_limit address"].excess == "one too many is refused (429)"
    assert by_kind["rate_limit consumer"].excess.endswith("an empty poll that was held to its end costs nothing")
    assert "out of its own hold" in by_kind["rate_limit header:X-Device"].excess
    assert by_kind["hold_cap consumer"].excess == 'one too many ends the oldest poll in "no news"'
    assert by_kind["concurrency_cap consumer"].excess == "one too many waits in line for a place, for at most 30 s"


def test_the_settings_of_limits_are_listed_as_they_are_written(limited: Config) -> None:
    values = {each.key: (each.value, each.origin) for each in told(limited, POLL).settings}
    assert values["rate_limit[0]"][0] == '{ rate = "60/min", burst = 20, refund_empty = true }'
    assert values["hold_cap[1]"][0] == '{ per = "tenant", when_claims = { tier = ["gold", "silver"] }, max = 30 }'
    assert values["concurrency_cap[0]"][1].startswith("policy plan (")
