"""A wait put into a request in the place of another: the query, a header, the body or the path as they are to be
forwarded. Belongs here: the changed text; whether and which wait is written is `ask`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

from gateway.head import RequestHead, set_arg
from gateway.holds import items, splice
from gateway.holds.content import FORM
from gateway.holds.plan import AskPlace
from gateway.holds.pointer import ABSENT
from gateway.holds.stated import pointer


class Rewrite(NamedTuple):
    """The wish as forwarded: the whole query, a header that replaces every field of its name, a body and a path that
    replace those of the request (None: they stay)."""

    query: str
    header: tuple[bytes, bytes] | None = None
    body: bytes | None = None
    path: str | None = None


def put(place: AskPlace, head: RequestHead, text: str) -> Rewrite | None:
    """The changes that make `text` the one value at that place; None when this request cannot state anything there."""
    writer = _WRITERS.get(place.where)
    return writer(place, head, text) if writer is not None else None


def put_all(places: Iterable[tuple[AskPlace, str]], head: RequestHead) -> Rewrite | None:
    """The changes that make each of these texts the one value at its place; None where not all of them can be made: of
    header, body and path each can change at one place."""
    written = Rewrite(head.query)
    for place, text in places:
        if place.where == "query":
            written = written._replace(query=set_arg(written.query, place.name, text))
            continue
        change = put(place, head, text)
        if change is None:
            return None
        parts = list(zip(written[1:], change[1:], strict=True))
        if any(old is not None and new is not None for old, new in parts):
            return None
        written = Rewrite(written.query, *(old if new is None else new for old, new in parts))  # type: ignore[arg-type]
    return written


def _query(place: AskPlace, head: RequestHead, text: str) -> Rewrite:
    return Rewrite(set_arg(head.query, place.name, text))


def _header(place: AskPlace, head: RequestHead, text: str) -> Rewrite:
    return Rewrite(head.query, (place.name.encode(), text.encode("utf-8", "surrogateescape")))


def _header_item(place: AskPlace, head: RequestHead, text: str) -> Rewrite:
    header, _, item = place.name.partition("/")
    text = items.replace(head.headers.getall(header, ()), item.lower(), text)
    return Rewrite(head.query, (header.encode(), text.encode("utf-8", "surrogateescape")))


def _form(place: AskPlace, head: RequestHead, text: str) -> Rewrite | None:
    content = head.content
    if content is None or content.media != FORM or not content.sound():
        return None
    form = set_arg(content.raw.decode("utf-8", "surrogateescape"), place.name, text)
    return Rewrite(head.query, body=form.encode("utf-8", "surrogateescape"))


def _json(place: AskPlace, head: RequestHead, text: str) -> Rewrite | None:
    content = head.content
    if content is None or not isinstance(content.document, dict | list):
        return None
    numeric = place.unit in ("s", "ms")
    if pointer(place.name)(content.document) is ABSENT:
        body = splice.add(content.raw, place.name, text, numeric)
    else:
        body = splice.change(content.raw, content.places(place.name), text, numeric)
    return Rewrite(head.query, body=body) if body is not None else None


def _path(place: AskPlace, head: RequestHead, text: str) -> Rewrite | None:
    at = segment(place.template, place.name)
    parts = head.path.split("/")
    if at is None or at[0] >= len(parts):
        return None
    parts[at[0]] = f"{at[1]}{text}{at[2]}"
    return Rewrite(head.query, path="/".join(parts))


@lru_cache(maxsize=256)
def segment(template: str, name: str) -> tuple[int, str, str] | None:
    """Which part of a path a capture is: its number, and the text before and behind it in that part."""
    for number, part in enumerate(template.split("/")):
        before, capture, behind = part.partition(f"{{{name}}}")
        if capture:
            return None if "{" in before + behind else (number, before, behind)
    return None


def captures(template: str, path: str) -> dict[str, str]:
    """What the template captures of a path that it matches, `**` (all that is left) included."""
    found: dict[str, str] = {}
    parts = path.split("/")
    for number, part in enumerate(template.split("/")):
        if part == "**":
            found[part] = "/".join(parts[number:])
        elif "{" in part:
            before, _, rest = part.partition("{")
            name, _, behind = rest.partition("}")
            found[name] = parts[number].removeprefix(before).removesuffix(behind)
    return found


_WRITERS: dict[str, Callable[[AskPlace, RequestHead, str], Rewrite | None]] = {
    "query": _query, "header": _header, "header-item": _header_item, "form": _form, "json": _json, "path": _path
}  # fmt: skip
