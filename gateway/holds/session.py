"""What is agreed once per session: reading from the answer that begins one what the session is called and how long its
polls are held. Belongs here: the `session` table of a hold policy, compiled into functions of an answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from gateway.head import ResponseHead
from gateway.holds import units
from gateway.holds.content import Content, as_text
from gateway.holds.places import compile_place, is_token
from gateway.holds.plan import AskPlace, Place, SessionPlan
from gateway.holds.pointer import compile_pointer
from gateway.holds.predicate import compile_when

AnswerPlace = Callable[[ResponseHead, bytes], str | None]
_DECODER: Final = json.JSONDecoder()
_HINT: Final = 'write "json:/sid", "header:X-Session", "cookie:sid" or "xml:@sid"'


def compile_session(
    key: str,
    when: Sequence[object] | Mapping[str, object],
    id: str,  # noqa: A002 - as it is called in a policy
    skip: str,
    keep: float,
    ask: Sequence[AskPlace],
) -> SessionPlan:
    """`ask` are the places of the dialect; those in "session" are read here. Raises ValueError."""
    holds = tuple((compile_answer_place(place.name, skip), place) for place in ask if place.where == "session")

    def hold(head: ResponseHead, body: bytes) -> float | None:
        for read, place in holds:
            text = read(head, body)
            if text is not None:
                return units.seconds(text, place.unit)
        return None

    return SessionPlan(compile_session_key(key), compile_when(when), compile_answer_place(id, skip), hold, keep)


def compile_session_key(key: str) -> Place:
    """Where polls name their session. Raises ValueError."""
    if key == "consumer":
        raise ValueError('`consumer` names no session; write where polls do, such as "query:sid" or "json:/clientId"')
    return compile_place(key)


def compile_answer_place(text: str, skip: str = "") -> AnswerPlace:
    """The reader of a place in an answer. `skip` is a regular expression of what stands before its JSON or XML.

    Nothing is found in a body that is encoded or that is not what it should be. Raises ValueError.
    """
    kind, _, name = text.partition(":")
    if kind == "header" and is_token(name):
        return lambda head, body: head.headers.get(name)
    if kind == "cookie" and is_token(name):
        return _set_cookie(name)
    before = compile_skip(skip)
    if kind == "json" and name:
        return _in_json(name, text, before)
    if kind == "xml" and name.startswith("@"):
        return _in_root(name[1:], before)
    raise ValueError(f"`{text}` is not a place in an answer; {_HINT}")


def _set_cookie(name: str) -> AnswerPlace:
    def read(head: ResponseHead, body: bytes) -> str | None:
        for line in head.headers.getall("Set-Cookie", ()):
            found, _, value = line.partition(";")[0].partition("=")
            if found.strip(" \t") == name:
                return value.strip(" \t").removeprefix('"').removesuffix('"')
        return None

    return read


def compile_skip(text: str) -> re.Pattern[bytes] | None:
    """What stands before the JSON of an answer, None when it begins with it. Raises ValueError."""
    try:
        return re.compile(text.encode()) if text else None
    except re.error as error:
        raise ValueError(f'`{text}` is not a regular expression ({error}); write such as "^0"') from None


def _in_json(name: str, text: str, before: re.Pattern[bytes] | None) -> AnswerPlace:
    find = compile_pointer(name, text)
    return lambda head, body: as_text(find(_content(head, body, before, "json").document))


def _in_root(attribute: str, before: re.Pattern[bytes] | None) -> AnswerPlace:
    return lambda head, body: _content(head, body, before, "xml").root.get(attribute)


def _content(head: ResponseHead, body: bytes, before: re.Pattern[bytes] | None, media: str) -> Content:
    if "Content-Encoding" in head.headers:
        return Content(b"", media)
    found = before.match(body) if before is not None else None
    if found is None:
        return Content(body, media)
    rest = body[found.end() :]
    return Content(_first(rest) if media == "json" else rest, media)


def _first(raw: bytes) -> bytes:
    """The JSON value at the beginning: of what is framed, more pieces may follow."""
    try:
        text = raw.decode()
        return text[: _DECODER.raw_decode(text)[1]].encode()
    except (ValueError, RecursionError):
        return raw
