"""Answers in a protocol's own words: refusals, whose body may hold {status}, {detail}, {retry_after} and
{retry_after_ms}, and what a poll is told that gives way. Belongs here: compiling them, escaped for what the body is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from gateway.holds.plan import OwnWords
from gateway.holds.substitute import Escape, Parts, check_parts, cut, escape_for, escape_in
from gateway.holds.words import did_you_mean, shown
from gateway.outcome import Outcome
from gateway.pipeline import HeaderList, Reply

SUBSTITUTIONS = ("status", "detail", "retry_after", "retry_after_ms")
SOONEST: Final = 1  # seconds, where a refusal does not say when to come back
_BODILESS = (204, 304)  # RFC 9110 sections 15.3.5 and 15.4.5
_MARK: Final = re.compile(r"\{([A-Za-z_][\w-]*)\}")


def compile_own_words(status: int, headers: Mapping[str, str], body: str) -> OwnWords:
    """What stands for a refusal. A body whose Content-Type is not written is JSON where it is JSON, else plain text.

    Raises ValueError for a body that is not what its type claims, or would fill in what is not known.
    """
    parts = cut(body, _MARK, _known)
    media = _media(status, headers, parts, body)
    kind, escape = escape_for(media)
    for part in parts:
        if not isinstance(part, str) and part.name == "detail" and not (part.quoted if kind == "json" else kind):
            remedy = 'write "{detail}" in quotes' if kind == "json" else 'write Content-Type = "text/plain"'
            raise ValueError(f"{shown(body)}: {{detail}} is a text; {remedy}")
    return OwnWords(status, _fields(headers, media), _filler(parts, kind, escape))


def compile_loser(status: int, headers: Mapping[str, str], body: str) -> Reply:
    """What a poll is told that gives way to another; whoever sends it says with which outcome. Raises ValueError."""
    fields = _fields(headers, _media(status, headers, (body,), body))
    if not any(name.lower() == b"cache-control" for name, _ in fields):
        fields = (*fields, (b"Cache-Control", b"no-store"))
    return Reply(Outcome.BLANK, status, fields, body.encode())


def _known(mark: re.Match[str]) -> str:
    if mark[1] in SUBSTITUTIONS:
        return mark[1]
    raise ValueError(
        f"`{mark[0]}` is no substitution{did_you_mean(mark[1], SUBSTITUTIONS)}; "
        f"write one of {', '.join(f'{{{name}}}' for name in SUBSTITUTIONS)}"
    )


def _media(status: int, headers: Mapping[str, str], parts: Parts, body: str) -> str:
    """The type of the body, "" when there is none; it must be what it claims to be."""
    if status in _BODILESS and body:
        raise ValueError(f"a {status} has no body; remove body, or write another status")
    written = next((value for name, value in headers.items() if name.lower() == "content-type"), None)
    if written is not None:
        check_parts(parts, escape_for(written)[0], body)
        return written
    if not body:
        return ""
    try:
        check_parts(parts, "json", body)
    except ValueError:
        return "text/plain; charset=utf-8"
    return "application/json"


def _fields(headers: Mapping[str, str], media: str) -> HeaderList:
    fields = tuple((name.encode(), value.encode()) for name, value in headers.items())
    if media and not any(name.lower() == b"content-type" for name, _ in fields):
        fields = ((b"Content-Type", media.encode()), *fields)
    return fields


def _filler(parts: Parts, kind: str, escape: Escape) -> Callable[[int, str, int | None], bytes]:
    if len(parts) == 1:
        literal = "".join(part for part in parts if isinstance(part, str)).encode()
        return lambda status, detail, retry_after: literal
    slots = tuple(part if isinstance(part, str) else (part.name, escape_in(part, kind, escape)) for part in parts)

    def fill(status: int, detail: str, retry_after: int | None) -> bytes:
        wait = SOONEST if retry_after is None else retry_after
        values = {"status": str(status), "detail": detail}
        values |= {"retry_after": str(wait), "retry_after_ms": str(wait * 1000)}
        return "".join([slot if isinstance(slot, str) else slot[1](values[slot[0]]) or "" for slot in slots]).encode()

    return fill
