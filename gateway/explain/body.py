"""The body of the request: what the dialect made of it, and as it may be shown in the forwarded request, without what
is secret in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from gateway.config.durations import format_size
from gateway.explain.model_hold import BodyStory
from gateway.head import parse_query
from gateway.holds import content
from gateway.holds.pointer import EVERY
from gateway.telemetry.paths import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.call import Call
    from gateway.head import RequestHead
    from gateway.holds.plan import HoldPlan


def body_story(hold: HoldPlan, call: Call, head: RequestHead, length: int) -> BodyStory | None:
    """None where there is no body and nobody looks for one. `length` is how many bytes the request has behind its
    head; `head.content` is what was read of them."""
    if head.framing is None and not hold.body_limit:
        return None
    read = head.content is not None
    return BodyStory(length, content.media_type(head), read, _read(hold, call, head))


def _read(hold: HoldPlan, call: Call, head: RequestHead) -> str:
    if not hold.body_limit:
        return "not read: nothing in this dialect looks into a body"
    if head.framing is None:
        return "none was sent, and this dialect looks into one; give it with --data or --data-file"
    if hold.head_when is not None and not hold.head_when(head):
        return "not read: the head alone says that this is an ordinary call"
    if head.content is None:
        return f"not read: it is longer than body_limit, {format_size(hold.body_limit)}, so this is an ordinary call"
    if call.note == content.TOO_LONG:
        coding = head.headers.get("Content-Encoding", "")
        return f"not looked into: it is encoded ({coding[:32]}), so this is an ordinary call"
    if call.note == content.MALFORMED or head.content.malformed:
        return "read, but it is not what its Content-Type says, so this is an ordinary call"
    if not head.content.media:
        return "read; without a Content-Type it counts as JSON, no form is looked for in it"
    return "read to its end before the hold was decided"


def shown(raw: bytes, head: RequestHead, fields: frozenset[str], pointers: Iterable[str]) -> str | None:
    """A body as text, without the form `fields` and JSON `pointers` that are secret. None: it cannot be shown."""
    pointers = tuple(pointers)
    encoded = head.headers.get("Content-Encoding", "identity").strip().lower() != "identity"
    if not raw or encoded or (head.chunked and head.content is None):  # it passes on in chunks
        return None
    media = content.media_type(head)
    text = raw.decode("utf-8", "backslashreplace")
    if not fields and not pointers:
        return text
    if media == "application/x-www-form-urlencoded":
        return "&".join(_field(part, fields) for part in text.split("&"))
    try:
        document = orjson.loads(raw)
        for pointer in pointers:
            document = _without(document, pointer.split("/")[1:])
        return orjson.dumps(document).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None  # what is secret in it cannot be found


def _field(part: str, fields: frozenset[str]) -> str:
    name = parse_query(part)[0][0] if part.strip("=") else ""
    return f"{part.partition('=')[0]}={HIDDEN}" if name in fields else part


def _without(document: object, keys: list[str]) -> object:
    """The document with what stands at those keys hidden (RFC 6901; `*` is every element)."""
    if not keys:
        return HIDDEN
    key, rest = keys[0].replace("~1", "/").replace("~0", "~"), keys[1:]
    if isinstance(document, dict):
        return {name: _without(value, rest) if key in (name, EVERY) else value for name, value in document.items()}
    if isinstance(document, list):
        return [_without(value, rest) if key in (str(at), EVERY) else value for at, value in enumerate(document)]
    return document
