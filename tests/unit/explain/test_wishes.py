"""Where a wish stood, how it was read, what it means, and why the upstream is told another wait or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.explain.text import render

from .kit import asked, hold_of, talking

BASE = 'when = []\nmin = "1s"\nmax = "60s"\n'
MANY = (
    BASE
    + """
ask = [{ in = "query", name = "timeout", unit = "ms" }, { in = "header-item", name = "Prefer/wait" },
       { in = "query", name = "long", unit = "duration" }, { in = "header", name = "X-Iso", unit = "iso" }]
absent = "25s"
rewrite = true
"""
)


@pytest.mark.parametrize(
    ("target", "headers", "place", "text", "means", "asked_for"),
    [
        ("/p?timeout=9000", (), "query:timeout", "9000", "9 s", 9.0),
        ("/p?long=1m30s", (("Prefer", "wait=7"),), "header-item:Prefer/wait", "7", "7 s", 7.0),
        ("/p?long=1m30s", (), "query:long", "1m30s", "90 s", 90.0),
        ("/p", (("X-Iso", "PT10S"),), "header:X-Iso", "PT10S", "10 s", 10.0),
        ("/p", (), None, None, "absent = 25 s", None),
        ("/p?timeout=abc", (), "query:timeout", "abc", "it cannot be read as milliseconds: absent = 25 s", None),
        ("/p?timeout=0", (), "query:timeout", "0", 'zero = "none": an ordinary call', None),
        ("/p?timeout=-1", (), "query:timeout", "-1", 'negative = "none": an ordinary call', None),
        ("/p?timeout=2000&timeout=3000", (), "query:timeout", "2000", "2 s, the first of several that differ", 2.0),
    ],
)  # fmt: skip
def test_the_wish_is_told_as_written_and_as_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, headers: tuple[tuple[str, str], ...],
    place: str | None, text: str | None, means: str, asked_for: float | None,
) -> None:  # fmt: skip
    story = asked(talking(tmp_path, monkeypatch, MANY), target, *headers)
    wish = hold_of(story).wish
    assert wish is not None
    assert wish.places == ("query:timeout", "header-item:Prefer/wait", "query:long", "header:X-Iso")
    assert (wish.place, wish.text, wish.means, hold_of(story).asked) == (place, text, means, asked_for)
    assert means in " ".join(render(story).split())


def test_zero_and_negative_may_mean_what_absent_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = talking(tmp_path, monkeypatch, MANY + 'zero = "default"\nnegative = "default"')
    for value, name in (("0", "zero"), ("-5", "negative")):
        story = hold_of(asked(config, f"/p?timeout={value}"))
        assert story.wish is not None
        assert (story.wish.means, story.granted) == (f'{name} = "default": absent = 25 s', 25.0)


SIGNED = (
    BASE
    + """
ask = [{ in = "query", name = "t" }]
absent = "25s"
rewrite = true
signed = ["header:Authorization matches ^AWS4"]
"""
)
FIXED = BASE + 'ask = [{ in = "query", name = "t" }]\nabsent = "25s"\nover_max = "pass"\n'
XML = (
    BASE
    + """
ask = [{ in = "xml", name = "@wait" }, { in = "query", name = "t" }]
absent = "25s"
rewrite = true
"""
)
JSON = BASE + 'ask = [{ in = "json", name = "/t" }]\nabsent = "25s"\nrewrite = true\n'


@pytest.mark.parametrize(
    ("hold", "target", "headers", "data", "why"),
    [
        (SIGNED, "/p?t=90", (), None, None),
        (SIGNED, "/p?t=90", (("Authorization", "AWS4-HMAC x"),), None,
         "`signed` holds, so no byte of it may be changed"),
        (SIGNED, "/p?t=90", (("Signature-Input", "sig=()"),), None, "it is signed (Signature-Input)"),
        (SIGNED, "/p?t=9", (), None, "it says so already"),
        (SIGNED, "/p", (), None, "absent means that already"),
        (FIXED, "/p?t=90", (), None, "rewrite = false"),
        (BASE + 'absent = "9s"', "/p", (), None, "the dialect has no place for a wish"),
        (XML, "/p", (("Content-Type", "text/xml"),), "<body wait='90'/>", "a wish in xml:@wait cannot be written over"),
        (JSON, "/p", (("Content-Type", "application/json"),), "[]", "this request has no room for a wish in json:/t"),
        (JSON, "/p", (("Content-Type", "application/json"), ("Content-Digest", "sha-256=:x:")), '{"t":90}',
         "what stands in json:/t cannot be changed, or a digest of the body says what it is"),
    ],
)  # fmt: skip
def test_it_says_why_another_wait_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hold: str, target: str, headers: tuple[tuple[str, str], ...],
    data: str | None, why: str | None,
) -> None:  # fmt: skip
    story = asked(talking(tmp_path, monkeypatch, hold), target, *headers, data=data)
    assert hold_of(story).unchanged == why
    assert hold_of(story).rewritten is (why is None)
    assert why is None or f"because {why}" in " ".join(render(story).split())


def test_conditions_that_sign_or_unbound_are_judged_line_by_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = FIXED + 'unbounded = ["query:feed == continuous"]\nsigned = ["query:sig present"]\n'
    config = talking(tmp_path, monkeypatch, hold + 'empty = { answer = "never" }\nearly_headers = true\n')
    story = asked(config, "/p?feed=continuous&t=9")
    assert [(each.text, each.holds) for each in hold_of(story).unbounded] == [("query:feed == continuous", True)]
    assert [(each.text, each.holds) for each in hold_of(story).signed] == [("query:sig present", False)]
    wish = hold_of(story).wish
    assert wish is not None
    assert wish.means == "nothing: `unbounded` holds, so the poll has no end of its own"
    lines = render(story).splitlines()
    assert "  unbounded     yes" in lines and "  signed        no" in lines


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("/p", "no wish stated; absent means 25 s"),
        ("/p?timeout=abc", "no wish that can be read; absent means 25 s"),
        ("/p?feed=live", "no end, for `unbounded` holds"),
        ("/p?feed=live&timeout=9000", "no end, for `unbounded` holds"),
        ("/p?feed=slow&timeout=9000", "9 s in query:timeout"),
    ],
)
def test_what_was_asked_for_is_one_line_that_nothing_below_contradicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, line: str
) -> None:
    config = talking(tmp_path, monkeypatch, MANY + 'unbounded = ["query:feed == live"]')
    assert f"  asked         {line}" in render(asked(config, target)).splitlines()


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/p?b=1", "no, an ordinary call: `query:c present` does not hold"),
        ("/p?c=1", "no, an ordinary call: `any:` does not hold"),
        ("/p?b=1&c=1", "yes: everything in `when` holds"),
    ],
)
def test_the_reason_is_the_condition_that_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, reason: str
) -> None:
    when = 'when = [{ any = ["query:a present", "query:b present"] }, "query:c present"]\nabsent = "9s"'
    assert hold_of(asked(talking(tmp_path, monkeypatch, when), target)).reason == reason
