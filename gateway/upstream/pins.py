"""Where sessions are at home, as the workers of a machine tell each other: whichever of them gets the next request
knows what another has learnt. The last to move a session wins, and an answer that was asked for before it moved does
not call it back: so workers that see an endpoint differently agree on one place.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from gateway.memory import RENEW

if TYPE_CHECKING:
    from gateway.state.notes import Notes
    from gateway.upstream.affinity import Affinity
    from gateway.upstream.balance import Upstream
    from gateway.upstream.endpoint import Endpoint

_SINCE: Final = struct.Struct("<d")


class SharedPins:
    """Of one upstream. A note is since when a session is at an endpoint (loop seconds), and that endpoint's name."""

    __slots__ = ("_notes", "_upstream")

    def __init__(self, notes: Notes, upstream: Upstream) -> None:
        self._notes = notes
        self._upstream = upstream

    def get(self, name: Affinity, now: float, keep: float) -> Endpoint | None:
        """None where nobody knows, and for an endpoint that is none of ours."""
        found = self._notes.get(self._key(name), now)
        if found is None:
            return None
        note, until = found
        if until - now < RENEW * keep:
            self._notes.put(self._key(name), note, now + keep)
        return self._endpoint(note[_SINCE.size :].decode())

    def put(self, name: Affinity, endpoint: Endpoint, now: float, keep: float) -> None:
        """It is there from now on."""
        note = _SINCE.pack(now) + endpoint.full_name.encode()
        self._notes.put(self._key(name), note, now + keep)

    def stays(self, name: Affinity, endpoint: Endpoint, asked: float, now: float, keep: float) -> bool:
        """The endpoint answered what it was asked then. Whether that says where the session is: not if it has moved
        since."""
        found = self._notes.get(self._key(name), now)
        if found is not None:
            (since,) = _SINCE.unpack_from(found[0])
            if found[0][_SINCE.size :] == endpoint.full_name.encode():
                return True  # it was renewed when it was looked up
            if asked < since:
                return False
        self.put(name, endpoint, now, keep)
        return True

    def _key(self, name: Affinity) -> tuple[str, str, Affinity]:
        return ("sticky", self._upstream.name, name)

    def _endpoint(self, name: str) -> Endpoint | None:
        upstream = self._upstream
        return next((one for one in (*upstream.endpoints, *upstream.leaving) if one.full_name == name), None)


def share(upstreams: Iterable[Upstream], notes: Notes) -> None:
    """From now on what these know of sessions is shared."""
    for upstream in upstreams:
        if upstream.sessions is not None:
            upstream.sessions.shared = SharedPins(notes, upstream)
