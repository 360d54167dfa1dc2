"""The memory of verified tokens, by digest: a poll loop presents one token for an hour, its signature is
checked once. It knows nothing of time; whoever asks looks at `not_after`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from hashlib import sha256
from itertools import islice
from typing import Final, TypeVar

from gateway.identity.claims import Identity
from gateway.identity.jws import MAX_TOKEN

_SHARED: Final = 4096  # different scope sets and tenants of which one copy is kept

T = TypeVar("T", bound=Hashable)


def digest_of(token: str) -> bytes | None:
    """What a token is remembered by: 32 bytes, the token itself is not kept. None for what cannot be one."""
    return sha256(token.encode("ascii")).digest() if len(token) <= MAX_TOKEN and token.isascii() else None


class TokenCache:
    """At most `size` identities, the oldest forgotten first. One per provider: none counts for another.

    `get(digest)` returns the identity or None.
    """

    __slots__ = ("_batch", "_entries", "_shared", "_size", "get")

    def __init__(self, size: int) -> None:
        self._size = size
        self._batch = max(1, size // 1000)
        self._entries: dict[bytes, Identity] = {}
        self._shared: dict[Hashable, Hashable] = {}
        self.get: Callable[[bytes], Identity | None] = self._entries.get

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, digest: bytes, identity: Identity) -> None:
        """Remembers a token that was just verified."""
        if self._size <= 0:
            return
        if len(self._entries) >= self._size:
            # In batches: a dict that only ever loses its first entry walks over all the holes before it.
            for oldest in list(islice(self._entries, self._batch)):
                del self._entries[oldest]
        self._entries[digest] = identity

    def share(self, value: T) -> T:
        """One copy of a value that many tokens have in common, as long as there are few different ones."""
        if len(self._shared) < _SHARED:
            return self._shared.setdefault(value, value)  # type: ignore[return-value]
        return self._shared.get(value, value)  # type: ignore[return-value]

    def clear(self) -> None:
        """Forgets everything."""
        self._entries.clear()
        self._shared.clear()
