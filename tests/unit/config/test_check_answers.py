"""What is wrong with the answers a dialect words itself, as the exact line a person reads."""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest

from .kit import BASE, ROUTE, checked, sound

POLL = BASE + ROUTE.replace('["signed"]', '["signed", "p"]') + "[policy.p.hold]\nabsent = '25s'\n"
JSON = "headers = { Content-Type = 'application/json' }"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            """refusals = { 429 = { body = '{"e":"{detial}"}' } }""",
            "refusals.429.body: `{detial}` is no substitution, did you mean `detail`?; write one of {status}, {detail}, {retry_after}, {retry_after_ms}",
        ),
        (
            f"refusals = {{ 401 = {{ {JSON}, body = '{{]' }} }}",
            "refusals.401.body: `{]` is not JSON; correct it, or its Content-Type",
        ),
        (
            """refusals = { 401 = { headers = { Content-Type = "text/plain" }, body = "a\\n{x}" } }""",
            "refusals.401.body: `{x}` is no substitution; write one of {status}, {detail}, {retry_after}, {retry_after_ms}",
        ),
        (
            "refusals = { 503 = { status = 204, body = 'x' } }",
            "refusals.503.body: a 204 has no body; remove body, or write another status",
        ),
        ("loser = { status = 204, body = 'x' }", "loser.body: a 204 has no body; remove body, or write another status"),
        (
            "cursor = { response = 'json:/*/id' }",
            "cursor.response: `json:/*/id` finds several values; write max(json:/*/id), min(json:/*/id) or last(json:/*/id)",
        ),
        (
            "idle = [{ any = ['status == 204', 'status == two'] }]",
            "idle: `status == two`: a status is a number; write status == 204, or { all = [..] } of several tests",
        ),
        ("idle = [['status == 204']]", 'idle: is not a list of tests; write one such as ["status == 204"], or { all = [..] } in it'),
    ],
)  # fmt: skip
def test_a_bad_answer_is_found_where_it_is_written(tmp_path: Path, text: str, line: str) -> None:
    problems = checked(tmp_path, f"{POLL}{text}\n").problems
    assert f"gateway.toml: policy.p.hold.{line}" in problems


def test_answers_of_every_form_are_taken(tmp_path: Path) -> None:
    config = sound(
        tmp_path,
        POLL
        + """
idle = ["status in (204, 304)", { all = ["status == 404", "json:/code == MessageNotExist"] }, "xml: empty"]
cursor = { response = "max(json:/result/*/update_id) + 1" }
loser = { body = '{"ok":false}' }
refusals = { 429 = { body = '{"retry_after_ms":{retry_after_ms}}' }, 503 = { status = 200, body = "h\\n" }, 401 = {} }
""",
    )
    hold = config.policies["p"].hold
    assert hold is not None and set(hold.refusals) == {"429", "503", "401"}


def test_an_answer_of_which_a_route_wrote_half_is_looked_at_whole(tmp_path: Path) -> None:
    text = POLL.replace("[policy.p.hold]", "[route.hold.loser]\nbody = 'x'\n[policy.p.hold]\nloser = { status = 204 }")
    assert checked(tmp_path, text).problems == [
        "gateway.toml: route[0].hold.loser.body: a 204 has no body; remove body, or write another status"
    ]
