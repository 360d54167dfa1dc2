"""A Refusal in the words of the wire: an RFC 9457 document, or the dialect's own. Never an echo of input, never a
version of this software."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import orjson

from gateway.pipeline import HeaderList, Refusal

if TYPE_CHECKING:
    from gateway.holds.plan import OwnWords

_TYPE: Final = "urn:longpoll-gateway:"
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
_NO_STORE = (b"Cache-Control", b"no-store")


def render(refusal: Refusal, call_id: str | None = None, own_words: OwnWords | None = None) -> tuple[HeaderList, bytes]:
    """Header fields and body of a refusal. `call_id` None: nothing was asked yet, a connection is refused. `own_words`
    are a dialect's `refusals` for this status."""
    headers = refusal.headers
    if refusal.retry_after is not None:
        headers = (*headers, (b"Retry-After", b"%d" % refusal.retry_after))
    if own_words is not None:
        body = own_words.body(refusal.status, refusal.detail, refusal.retry_after)
        return _replaced((*headers, _NO_STORE), own_words.headers), body
    document = {
        "type": _TYPE + refusal.slug,
        "title": reason(refusal.status),
        "status": refusal.status,
        "detail": refusal.detail,
        **({"instance": call_id} if call_id is not None else {}),
    }
    return (*headers, (b"Content-Type", b"application/problem+json"), _NO_STORE), orjson.dumps(document)


def _replaced(ours: HeaderList, theirs: HeaderList) -> HeaderList:
    """All fields, without those of ours that the dialect writes itself."""
    names = {name.lower() for name, _ in theirs}
    return (*[field for field in ours if field[0].lower() not in names], *theirs)


def reason(status: int) -> str:
    """The phrase of a status code, or a plain one for a code nobody registered."""
    return _PHRASES.get(status, "Unknown")
