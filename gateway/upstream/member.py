"""An endpoint as it is written, in the file or by an operator, and what it comes to once it is known where its name is.
Pure: who asks when is `members`' business.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.config.addresses import is_name
from gateway.upstream.endpoint import Endpoint, authority
from gateway.upstream.resolve import Place

if TYPE_CHECKING:
    from gateway.upstream.balance import Upstream


@dataclass(frozen=True, slots=True)
class Member:
    """One endpoint of the configuration. `by_hand`: it is not from the file, and gone when that is read again."""

    host: str
    port: int
    weight: int = 1
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    prefix: str = ""
    by_hand: bool = False

    @property
    def name(self) -> str:
        return authority(self.host, self.port, self.tls is not None)

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls is not None else ''}://{self.name}{self.prefix}"

    def owns(self, name: str) -> bool:
        """Whether that is its name, or what one of its addresses is called: see `Endpoint.full_name`."""
        host, _, place = name.rpartition("@")
        address = place[1:].partition("]")[0] if place.startswith("[") else place.partition(":")[0]
        return name == self.name or (host == self.host and place == authority(address, self.port, self.tls is not None))

    def endpoint(self, upstream: Upstream, place: Place = (), one_of_many: bool = False) -> Endpoint:
        """It at one of its places; without one wherever it is when it is dialled."""
        return Endpoint(
            upstream, self.host, self.port, self.weight, self.tls, self.server_name, self.prefix, place, one_of_many
        )

    def endpoints(self, upstream: Upstream, at: Callable[[str], tuple[Place, ...]]) -> list[Endpoint]:
        """One for each place of a name, each with the whole weight; none while nobody knows where it is."""
        if not is_name(self.host):
            return [self.endpoint(upstream)]
        found = at(self.host)
        return [self.endpoint(upstream, place, len(found) > 1) for place in found]


def endpoints(
    upstream: Upstream, members: Iterable[Member], drained: AbstractSet[str], at: Callable[[str], tuple[Place, ...]]
) -> Iterator[Endpoint]:
    """The endpoints that shall take calls. `at` knows where names are; a member, or one endpoint of it, is drained by
    its name."""
    for member in members:
        for endpoint in member.endpoints(upstream, at):
            if drained.isdisjoint((member.name, endpoint.full_name)):
                yield endpoint
