"""The no-news answer the gateway may give itself. Belongs here: compiling `empty` of a hold policy into a
Template, and rendering it for one request, so that a parked poll need not keep its request head.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.head import RequestHead
from gateway.holds.places import is_token
from gateway.holds.plan import Template
from gateway.holds.predicate import compile_when
from gateway.holds.substitute import Render, compile_text, escape_for
from gateway.outcome import Outcome
from gateway.pipeline import HeaderList, Reply

_NO_BODY = (204, 304)  # RFC 9110 sections 15.3.5 and 15.4.5
_WRITTEN_BY_US: Final = frozenset(
    {"content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "trailer", "te"}
)
_FIELD_VALUE: Final = re.compile(r"[\x20-\x7e\t]*")


def compile_template(
    status: int, headers: Mapping[str, str], body: str, needs: Sequence[object] | Mapping[str, object] = ()
) -> Template:
    """The template of `empty = { status, headers, body, needs }`, with places of the request filled in.

    Every value used is needed. A 204 or 304 has no body, so theirs is left out. Raises ValueError.
    """
    if not 200 <= status <= 599:
        raise ValueError(f"`status = {status}` cannot end a request; write 200, 204 or 304")
    if not any(name.lower() == "cache-control" for name in headers):
        headers = {**headers, "Cache-Control": "no-store"}  # nobody else's poll may be answered with it
    fields = tuple(_field(name, value) for name, value in headers.items())
    text = "" if status in _NO_BODY else body
    media = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    content = compile_text(text, escape_for(media))
    fixed = None
    if not content.uses and not any(render.uses for _, render in fields):
        plain = tuple((name, render.literal) for name, render in fields)
        fixed = Reply(Outcome.BLANK, status, plain, content.literal)
    return Template(status, lambda head: _headers(fields, head), content.fill, compile_when(needs), fixed)


def render(template: Template, head: RequestHead) -> Reply | None:
    """The no-news answer to this request, or None when it may not be used: a need does not hold, a value is
    missing or cannot stand where it should. A template that fills nothing in gives the same Reply every time.
    """
    if not template.needs(head):
        return None
    if template.fixed is not None:
        return template.fixed
    headers = template.headers(head)
    if headers is None:
        return None
    body = template.body(head)
    return Reply(Outcome.BLANK, template.status, headers, body) if body is not None else None


def _field(name: str, value: str) -> tuple[bytes, Render]:
    if not is_token(name):
        raise ValueError(f"`{name}` is not a header name; use letters, digits and dashes")
    if name.lower() in _WRITTEN_BY_US:
        raise ValueError(f"`{name}` is written by the gateway itself; remove it from `empty.headers`")
    if _FIELD_VALUE.fullmatch(value) is None:
        raise ValueError(f"`{name}`: a header value is one line of plain ASCII; remove other characters")
    return name.encode(), compile_text(value.strip(" \t"), escape_for(None))


def _headers(fields: tuple[tuple[bytes, Render], ...], head: RequestHead) -> HeaderList | None:
    filled: list[tuple[bytes, bytes]] = []
    for name, text in fields:
        value = text.fill(head)
        if value is None:
            return None
        filled.append((name, value))
    return tuple(filled)
