"""What earlier answers taught: the hold of a session, which its polls do not repeat, and header fields of the last
answer to a poller, which a no-news answer may have to repeat. Bounded by number and by time, outlives reloads, shared
among the workers of a machine, and trusts nobody: what an upstream says is taken only where it can be meant.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from gateway.head import Known
from gateway.holds.budget import LONGEST

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.head import RequestHead, ResponseHead
    from gateway.plan import Plan
    from gateway.state.notes import Notes

MOST: Final = 100_000  # entries of each kind
LONGEST_TEXT: Final = 256  # characters of a key that stand for themselves, and of a value that is remembered
KEEP_LAST: Final = 3600.0  # seconds since the last answer, or poll, of a poller
RENEW: Final = 0.75  # of the time a note is kept: with less left it is written again when it is used
_SWEEP: Final = 2  # old entries looked at for each that is put: more than come, so that a table shrinks by itself

Key = tuple["str | bytes | bool", ...]
V = TypeVar("V")


class Shelf(Generic[V]):
    """key -> value, for a time since it was last used; of too many those go first that were not used for longest."""

    __slots__ = ("_kept", "_most")

    def __init__(self, most: int) -> None:
        self._kept: OrderedDict[Key, tuple[V, float]] = OrderedDict()
        self._most = most

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Key, now: float, keep: float) -> V | None:
        found = self._kept.get(key)
        if found is None:
            return None
        value, until = found
        if until <= now:
            del self._kept[key]
            return None
        self._kept[key] = (value, now + keep)
        self._kept.move_to_end(key)
        return value

    def put(self, key: Key, value: V, now: float, keep: float) -> None:
        self._kept[key] = (value, now + keep)
        self._kept.move_to_end(key)
        for _ in range(_SWEEP):
            oldest = next(iter(self._kept))
            if len(self._kept) > self._most or self._kept[oldest][1] <= now:
                del self._kept[oldest]

    def forget(self, key: Key) -> None:
        self._kept.pop(key, None)


class SharedShelf(Shelf[V]):
    """One whose entries, which are JSON, other workers know, too: what they said last counts. What is here is for when
    nothing is to be found there."""

    __slots__ = ("_kind", "notes")

    def __init__(self, most: int, kind: str) -> None:
        super().__init__(most)
        self.notes: Notes | None = None  # None: there are no other workers
        self._kind = kind

    def get(self, key: Key, now: float, keep: float) -> V | None:
        found = self.notes.get((self._kind, *key), now) if self.notes is not None else None
        if found is None:
            return super().get(key, now, keep)
        note, until = found
        if self.notes is not None and until - now < RENEW * keep:
            self.notes.put((self._kind, *key), note, now + keep)
        value: V = json.loads(note)
        return value

    def put(self, key: Key, value: V, now: float, keep: float) -> None:
        super().put(key, value, now, keep)
        if self.notes is not None:
            self.notes.put((self._kind, *key), json.dumps(value).encode(), now + keep)


class Memory:
    """Of the whole process. `now` are loop seconds."""

    __slots__ = ("_lasts", "_sessions")

    def __init__(self, most: int = MOST) -> None:
        self._sessions: SharedShelf[float] = SharedShelf(most, "session")
        self._lasts: SharedShelf[Mapping[str, str]] = SharedShelf(most, "last")

    def __len__(self) -> int:
        return len(self._sessions) + len(self._lasts)

    def share(self, notes: Notes) -> None:
        """With other workers of the machine."""
        self._sessions.notes = self._lasts.notes = notes

    def of_session(self, plan: Plan, head: RequestHead, now: float) -> Known | None:
        """What is known of the session that a request names: its hold."""
        session = plan.hold.session if plan.hold is not None else None
        name = session.key(head) if session is not None else None
        if session is None or not name:
            return None
        hold = self._sessions.get(_session(plan, name), now, session.keep)
        return Known(hold) if hold is not None else None

    def learn(self, plan: Plan, head: ResponseHead, body: bytes, now: float) -> None:
        """The answer that begins a session: `body` is the whole of it. What is no such answer teaches nothing."""
        session = plan.hold.session if plan.hold is not None else None
        if session is None or head.status >= 400 or "Content-Encoding" in head.headers:
            return
        name, hold = session.id(head, body), session.hold(head, body)
        if name and hold is not None and 0 <= hold <= LONGEST:  # so it is no NaN either
            self._sessions.put(_session(plan, name), hold, now, session.keep)

    def of_poller(self, plan: Plan, call: Call, now: float) -> Mapping[str, str]:
        """The header fields that the last answers to this poller had, on this path."""
        return self._lasts.get(_poller(plan, call), now, KEEP_LAST) or {}

    def notice(self, plan: Plan, call: Call, head: ResponseHead, now: float) -> None:
        """An answer on a route whose dialect wants some fields of it back. One that is not sent again stays as it was;
        one too long to be kept is forgotten, for the old value is wrong by now."""
        if plan.hold is None or head.status >= 400:
            return
        sent = {name: value for name in plan.hold.last if (value := head.headers.get(name)) is not None}
        if not sent:
            return
        known = {**self.of_poller(plan, call, now), **sent}
        kept = {name: value for name, value in known.items() if len(value) <= LONGEST_TEXT}
        self._lasts.put(_poller(plan, call), kept, now, KEEP_LAST)


def _session(plan: Plan, name: str) -> Key:
    """Sessions are the upstream's, under the rules of one dialect: nobody else's answer says anything about them."""
    return (plan.upstream.name, plan.hold.dialect if plan.hold is not None else "", short(name))


def _poller(plan: Plan, call: Call) -> Key:
    """A consumer and a stranger's address are two, also where they are written alike."""
    return (plan.upstream.name, call.identity is not None, short(call.poller), short(call.path))


def short(text: str) -> str | bytes:
    """A text of bounded length for each text: itself, or a digest, which is of another type than every text."""
    if len(text) <= LONGEST_TEXT:
        return text
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
