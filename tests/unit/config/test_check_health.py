"""What `gateway check` says of how the endpoints of an upstream are watched."""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest

from .kit import BASE, checked, sound

ONE, THREE = "['http://a']", "['http://a', 'http://b', 'http://c']"


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("health = { path = 'healthz' }", 'health.path: "healthz" is no path; write one that begins with "/", such as "/healthz"'),
        ("health = { path = '/a b' }", 'health.path: "/a b" is no path; write one that begins with "/", such as "/healthz"'),
        ("health = { path = '/', host = 'a b' }", 'health.host: "a b" is not a host; write a name, such as "b.internal"'),
        ("ejection = { status = [204, 503] }", "ejection.status: 204: answers below 400 are no failures; write statuses from 400 on, such as [502, 503]"),
        ("health = {}", 'health.path: is missing; write path = "/healthz"'),
    ],
)  # fmt: skip
def test_what_cannot_work_is_one_line_with_a_remedy(tmp_path: Path, table: str, line: str) -> None:
    text = f"{BASE}[upstream.x]\nendpoints = {THREE}\n{table}\n"
    assert checked(tmp_path, text).problems == [f"gateway.toml: upstream.x.{line}"]


@pytest.mark.parametrize(
    ("share", "endpoints", "told"),
    [
        (
            0.3,
            THREE,
            "0.3 of 3 endpoints is not one, so none is ever out; write more, such as 0.34, or ejection = false",
        ),
        (0.34, THREE, None),
        (0.1, ONE, None),
    ],
)
def test_a_share_that_lets_nobody_be_ejected_is_said(
    tmp_path: Path, share: float, endpoints: str, told: str | None
) -> None:
    text = f"{BASE}[upstream.x]\nendpoints = {endpoints}\nejection = {{ max_share = {share} }}\n"
    found = [each for each in checked(tmp_path, text).notices if "max_share" in each]
    assert found == ([f"gateway.toml: upstream.x.ejection.max_share: {told}"] if told else [])


def test_probes_that_are_a_load_are_said(tmp_path: Path) -> None:
    text = f"{BASE}[upstream.x]\nendpoints = {THREE}\nhealth = {{ path = '/', interval = '20ms' }}\n"
    (said,) = [each for each in checked(tmp_path, text).notices if "health" in each]
    assert said.endswith('asks every endpoint 50 times a second; write "1s" or longer if that is not meant')


def test_everything_that_can_be_written_is_accepted(tmp_path: Path) -> None:
    health = "health = { path = '/up?deep=1', interval = '1s', timeout = '1s', healthy = 1, unhealthy = 1, status = [204], host = 'b.internal:8080' }"
    ejection = "ejection = { strikes = 1, within = '1s', for = '1s', max_share = 1.0, status = [429, 503] }"
    config = sound(tmp_path, f"{BASE}[upstream.x]\nendpoints = {THREE}\n{health}\n{ejection}\n")
    assert config.upstreams["x"].ejection is not None and config.upstreams["u"].health is None
    assert (
        sound(tmp_path, f"{BASE}[upstream.x]\nendpoints = {THREE}\nejection = false\n").upstreams["x"].ejection is None
    )
