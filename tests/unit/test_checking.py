"""The end of what `gateway check` prints: for each route with polls how long it may hold, and which clock is next."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.checking import check_file

from .config.kit import BASE, ROUTE, SECRET

HOLD = '[policy.p.hold]\nask = [{ in = "query", name = "t" }]\nrewrite = true\nmax = "45s"\nmargin = "5s"\n'
HELD = ROUTE.replace('["signed"]', '["signed", "p"]')
RATIO = "jitter = { ratio = 0.0625 }\n"


def last_lines(folder: Path, monkeypatch: pytest.MonkeyPatch, hold: str, server: str = "") -> list[str]:
    monkeypatch.setenv("SECRET", SECRET)
    path = folder / "gateway.toml"
    path.write_text(f"{BASE}{HELD}{hold}[server]\nkeepalive_timeout = '1h'\n{server}")
    lines, sound = check_file(path)
    assert sound, lines
    assert lines[-1].endswith(": ok, 1 route, 1 upstream, 1 provider")
    return [line for line in lines[:-1] if not line.startswith("notice: ")]


@pytest.mark.parametrize(
    ("hold", "server", "line"),
    [
        (
            HOLD + RATIO + 'client_timeout = "60s"\n',
            "",
            "holds up to 45s, over after 52.9s, safe up to 51.6s: client_timeout 60s fires first after it",
        ),
        (
            HOLD + RATIO + 'client_timeout = "62s"\n',
            'front = "aws-alb"\n',
            "holds up to 45s, over after 52.9s, safe up to 50.8s: front aws-alb 60s fires first after it",
        ),
        (
            HOLD + 'client_timeout = "60s"\n',
            'front = "cloudflare"\n',
            "holds up to 45s, over after 50s, safe up to 54.9s: client_timeout 60s fires first after it",
        ),
        (HOLD, 'front = "51s"\n', "holds up to 45s, over after 50s, safe up to 45s: front 51s fires first after it"),
        (HOLD, "", "holds up to 45s, over after 50s; no client_timeout and no server.front to compare it with"),
        (
            HOLD + 'over_max = "pass"\n',
            'front = "aws-alb"\n',
            "holds as long as asked, safe up to 54s: front aws-alb 60s fires first after it",
        ),
        (
            '[policy.p.hold]\nabsent = "100ms"\nmargin = "1s"\n',
            'front = "1h"\n',
            "holds up to 0.1s, over after 1.1s, safe up to 3598s: front 3600s fires first after it",
        ),
    ],
)
def test_each_route_with_polls_has_its_largest_safe_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hold: str, server: str, line: str
) -> None:
    assert last_lines(tmp_path, monkeypatch, hold, server) == [f"route r: {line}"]


def test_a_route_without_polls_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert last_lines(tmp_path, monkeypatch, "[policy.p.body_size]\nmax = '1KiB'\n") == []


def test_waiting_for_a_limit_comes_out_of_the_hold_and_adds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = (
        '[[policy.p.rate_limit]]\nrate = "1/min"\nmode = "delay"\n[[policy.p.hold_cap]]\nmax = 1\non_excess = "wait"\n'
    )
    plain = HOLD + 'client_timeout = "60s"\n'
    assert last_lines(tmp_path, monkeypatch, plain + limits) == last_lines(tmp_path, monkeypatch, plain)


def test_a_file_with_problems_promises_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "gateway.toml"
    monkeypatch.setenv("SECRET", SECRET)
    path.write_text(BASE + HELD + HOLD + '[server]\nfront = "heroku"\n')
    lines, sound = check_file(path)
    assert not sound
    assert [line for line in lines if line.startswith("route ")] == []
