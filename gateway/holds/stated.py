"""What a request states at a place of `ask`: every value there, for a client may have given several. Belongs here:
reading those texts, place by place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import orjson

from gateway.head import RequestHead
from gateway.holds import items, splice, units
from gateway.holds.content import as_text
from gateway.holds.plan import AskPlace
from gateway.holds.pointer import ABSENT, Pointer, compile_pointer

NOTHING: tuple[AskPlace | None, Sequence[str]] = (None, ())


def stated(places: Sequence[AskPlace], head: RequestHead) -> tuple[AskPlace | None, Sequence[str]]:
    """The first place that holds anything, and all that stands there."""
    for place in places:
        texts = _READERS[place.where](place.name, head)
        if texts:
            return place, texts
    return NOTHING


def seconds(place: AskPlace, text: str) -> float | None:
    """The wish `text` in seconds; None when it is malformed."""
    return float(text) if place.where == "session" else units.seconds(text, place.unit)


def differ(texts: Sequence[str]) -> bool:
    return len(texts) > 1 and any(text != texts[0] for text in texts)


def rivals(places: Sequence[AskPlace], head: RequestHead) -> tuple[AskPlace, ...]:
    """The places that state another wish than the first one that holds any: an upstream may go by one of those."""
    first, texts = stated(places, head)
    if first is None:
        return ()
    wish, behind = seconds(first, texts[0]), places[places.index(first) + 1 :]
    return tuple(place for place in behind if place.where != "session" and _another(place, wish, head))


def _another(place: AskPlace, wish: float | None, head: RequestHead) -> bool:
    texts = _READERS[place.where](place.name, head)
    return any(wish is None or seconds(place, text) != wish for text in texts)


def _query(name: str, head: RequestHead) -> Sequence[str]:
    return [value for key, value in head.args if key == name]


def _header(name: str, head: RequestHead) -> Sequence[str]:
    return head.headers.getall(name, ())


def _header_item(name: str, head: RequestHead) -> Sequence[str]:
    header, _, item = name.partition("/")
    lines = head.headers.getall(header, ())
    return items.values(lines, item.lower()) if lines else ()


def _form(name: str, head: RequestHead) -> Sequence[str]:
    return [value for key, value in head.content.form if key == name] if head.content is not None else ()


def _json(name: str, head: RequestHead) -> Sequence[str]:
    content = head.content
    value = pointer(name)(content.document) if content is not None else ABSENT
    if content is None or value is ABSENT:
        return ()
    texts: Iterable[str | None] = (as_text(value),)
    if splice.only_key(content.raw, name) is None:  # the parser kept the last of those with one name
        texts = (as_text(orjson.loads(content.raw[start:end])) for start, end in content.places(name))
    return [text for text in texts if text is not None]


def _xml(name: str, head: RequestHead) -> Sequence[str]:
    value = head.content.root.get(name[1:]) if head.content is not None else None
    return () if value is None else (value,)


def _path(name: str, head: RequestHead) -> Sequence[str]:
    value = head.params.get(name) if head.params is not None else None
    return () if value is None else (value,)


def _session(name: str, head: RequestHead) -> Sequence[str]:
    hold = head.known.hold if head.known is not None else None
    return () if hold is None else (repr(hold),)


@lru_cache(maxsize=256)
def pointer(name: str) -> Pointer:
    """The finder of a JSON pointer that is known to be one."""
    return compile_pointer(name, name)


_READERS: dict[str, Callable[[str, RequestHead], Sequence[str]]] = {
    "query": _query, "header": _header, "header-item": _header_item, "form": _form, "json": _json, "xml": _xml,
    "path": _path, "session": _session,
}  # fmt: skip
