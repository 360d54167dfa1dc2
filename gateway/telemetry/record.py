"""One call as one record: a pure function from a settled Call to a flat value. The fields are a contract with
whoever reads the log (docs/record.md). Never a token, a secret, or a query value that was not allowed by name.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from msgspec import UNSET, UnsetType

from gateway.clock import NEVER
from gateway.head import parse_query
from gateway.outcome import ENDINGS, Outcome
from gateway.telemetry import paths
from gateway.telemetry.fields import Record
from gateway.telemetry.trace import trace_id

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.plan import Snapshot

VERSION: Final = 1  # of the schema; a field may be added under the same number, never changed or taken away
MAX_TEXT: Final = 512  # characters of anything a client could make long
MAX_ARGS: Final = 32
MAX_METHOD: Final = 32
Query = tuple[list[str] | UnsetType, dict[str, str] | UnsetType]  # names, and the values that are shown
REPEATED: Final = 256  # characters of a query of which it is remembered what is shown
MAX_QUERIES: Final = 512  # of which that is remembered
MAX_SECONDS: Final = 64
ABSENT: Final = UNSET  # compiled, a name of this module costs nothing and one of another a search
NO_QUERY: Final[Query] = (ABSENT, ABSENT)
_MILLISECONDS: Final = tuple(f".{number:03d}Z" for number in range(1000))
_ENDINGS: Final = {each: (each.value, ending.blame.value, ending.level) for each, ending in ENDINGS.items()}
_SECONDS: Final[dict[int, str]] = {}  # those of the last calls, as texts


def build(call: Call, wall: float, now: float, snapshot: Snapshot) -> Record:
    """The record of a settled call. `wall` is Unix seconds and `now` loop seconds of the same instant.

    Times are in seconds with microseconds, sizes in bytes; what does not apply to a call is absent.
    """
    ended = call.ended if call.ended is not None else now
    outcome = call.outcome or Outcome.INTERNAL_ERROR
    name, blame, level = _ENDINGS[outcome]
    started, first, identity, hold, waited = call.started, call.first_byte_at, call.identity, call.hold, call.waited
    took = ended - started
    held = call.held(ended) if hold is not None else 0.0
    passed = call.passing(ended) if call.lasts else 0.0
    certificate, news = call.conn.certificate, call.news_latency
    names, values = _query(call, snapshot.log_values) if call.query else NO_QUERY
    return Record(  # in their order: by their names, or set one by one, it takes three times as long
        VERSION,
        timestamp(wall - (now - started)),
        call.id,
        trace_id(call),
        call.plan.route if call.plan is not None else None,
        call.method[:MAX_METHOD],
        shown_path(call, snapshot.secret_prefixes),
        call.status or None,
        name,
        blame,
        level,
        call.peer if snapshot.log_peer == "full" else shown_peer(call.peer, snapshot.log_peer),
        int(took * 1e6) / 1e6,  # to the microsecond; `round` costs five times as much
        int((took - held - passed - waited) * 1e6) / 1e6,
        call.bytes_in,
        call.bytes_out,
        call.attempts,
        identity.consumer if identity is not None else ABSENT,
        identity.tenant if identity is not None else ABSENT,
        clean(certificate[:MAX_TEXT]) if certificate is not None else ABSENT,
        names,
        values,
        call.endpoint.name if call.endpoint is not None else ABSENT,
        int((first - started) * 1e6) / 1e6 if first is not None else ABSENT,
        hold.dialect if hold is not None else ABSENT,
        call.asked if hold is not None else ABSENT,
        _thousandths(call.granted) if hold is not None else ABSENT,
        call.clamped_by if hold is not None else ABSENT,
        int(held * 1e6) / 1e6 if hold is not None else ABSENT,
        int(news * 1e6) / 1e6 if news is not None and hold is not None and outcome is Outcome.NEWS else ABSENT,
        _text(call, call.cursor) if call.cursor is not None and snapshot.log_cursor else ABSENT,
        int(waited * 1e6) / 1e6 if waited else ABSENT,
        call.note if call.note is not None else ABSENT,
    )


def start(call: Call, wall: float, now: float, snapshot: Snapshot) -> dict[str, object]:
    """The line of a hold that begins: who waits, and until when. The record of the call follows at its end."""
    identity, granted = call.identity, call.granted
    return {
        "v": VERSION,
        "kind": "start",
        "time": timestamp(wall),
        "id": call.id,
        "trace": trace_id(call),
        "route": call.plan.route if call.plan is not None else None,
        "consumer": identity.consumer if identity is not None else None,
        "tenant": identity.tenant if identity is not None else None,
        "peer": shown_peer(call.peer, snapshot.log_peer),
        "path": shown_path(call, snapshot.secret_prefixes),
        "hold_asked": call.asked,
        "hold_granted": _thousandths(granted),
        "clamped_by": call.clamped_by,
        "endpoint": call.endpoint.name if call.endpoint is not None else None,
        "ends_at": timestamp(wall + call.deadline - now) if call.deadline != NEVER else None,
    }


def _thousandths(seconds: float | None) -> float | None:
    """As exact as is told of a hold. `round` goes through text, which is a seventh of the whole record."""
    if seconds is None:
        return None
    return int(seconds * 1e3 + 0.5) / 1e3 if seconds < 1e9 else seconds  # it may be infinite, or no number


@lru_cache(maxsize=4096)
def shown_peer(peer: str, how: str) -> str | None:
    """A client's address as it may be shown: of IPv4 the first 24 bits, of IPv6 48, or nothing of it."""
    if how == "full":
        return peer
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:  # a unix socket
        return None if how == "none" else peer
    if how == "none":
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped if mapped is not None else address
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))


def shown_path(call: Call, secret_prefixes: tuple[str, ...] = ()) -> str:
    """The canonical path as it may be shown: without tokens and what its route keeps secret, of bounded length."""
    return paths.hidden(call.path, call.plan, call.params, secret_prefixes)[:MAX_TEXT]


class _Queries:
    """What is shown of the last queries: those who wait for the same ask alike, and reading is a tenth of a record."""

    __slots__ = ("_allowed", "_known")

    def __init__(self) -> None:
        self._allowed: frozenset[str] = frozenset()
        self._known: dict[str, Query] = {}

    def shown(self, query: str, allowed: frozenset[str]) -> Query:
        if allowed is not self._allowed:
            self._allowed, self._known = allowed, {}
        found = self._known.get(query)
        if found is None:
            if len(self._known) >= MAX_QUERIES:
                self._known.clear()
            found = self._known[query] = _names_and_values(None, query, allowed)
        return found


_QUERIES: Final = _Queries()


def _query(call: Call, allowed: frozenset[str]) -> Query:
    if call.params or len(call.query) > REPEATED:
        return _names_and_values(call, call.query, allowed)
    return _QUERIES.shown(call.query, allowed)


def _names_and_values(call: Call | None, query: str, allowed: frozenset[str]) -> Query:
    args = parse_query(query[:8192])[:MAX_ARGS]
    names = [_text(call, paths.without_tokens(name), 64) for name, _ in args]
    values = {clean(name): _text(call, value) for name, value in args if name in allowed} if allowed else {}
    return names, values or ABSENT


def _text(call: Call | None, text: str, most: int = MAX_TEXT) -> str:
    """What a client wrote, as it may be shown. A call without captures of its path need not be known."""
    if call is not None and call.params:
        text = paths.beside_path(text, call.plan, call.params)
    return clean(text[:most])


def clean(text: str) -> str:
    """Text in which controls, line separators and lone surrogates are `\\x..`: it is JSON, and one line, anywhere."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def timestamp(wall: float) -> str:
    """Unix seconds as RFC 3339 in UTC with milliseconds."""
    second = int(wall)
    text = _SECONDS.get(second)
    if text is None:
        text = _second(second)
    return text + _MILLISECONDS[int((wall - second) * 1000)]


def _second(second: int) -> str:
    if len(_SECONDS) >= MAX_SECONDS:
        _SECONDS.clear()
    text = _SECONDS[second] = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return text
