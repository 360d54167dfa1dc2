"""What a Redis server is told of that it does not know, or does not know any more: what is lent here, and who waits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from gateway.state.redis_desk import Ask, read
from gateway.state.redis_errors import LostError, kind_of
from gateway.state.redis_trial import trial

if TYPE_CHECKING:
    from gateway.state.mirror import Lent
    from gateway.state.redis import RedisStore
    from gateway.state.redis_session import Session

SLICE = 200  # in one call of the script: between them others have their turn, there and here


class Claims:
    """`former` are names of this node under which the server may still know what is claimed."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._sweep: Iterator[Lent] = iter(())

    async def trial(self, session: Session) -> None:
        """Raises LostError where it does not do all that will be asked of it."""
        for asks in trial(self._store.mirror):
            await self._say(session, asks)

    async def lent(self, session: Session, former: Sequence[str]) -> None:
        """Until nothing is lent that the server was not told of. Raises LostError where it takes none of it."""
        lent = self._store.mirror.lent
        while unknown := [each for each in lent.values() if not each.known]:
            for at in range(0, len(unknown), SLICE):
                some = [each for each in unknown[at : at + SLICE] if each.number in lent]
                for each in some:
                    each.known = True
                await self._say(session, [("claim", each.number, former, each.marks) for each in some])
                self._store.condition.reasserted += len(some)

    async def waiting(self, session: Session, former: Sequence[str]) -> None:
        """Whoever waits here stands in line again, in the order in which they came."""
        tickets = self._store.tickets.all()
        for at in range(0, len(tickets), SLICE):
            await self._say(session, [("wait", one.number, former, one.name) for one in tickets[at : at + SLICE]])

    async def _say(self, session: Session, asks: Sequence[Ask]) -> None:
        answers, errors = read(await session.ask(self._store.desk.command(asks)))
        if answers is None:
            raise LostError("forgotten")
        for error in errors:
            if kind_of(error) != "wrongtype":
                raise LostError(error)
            self._store.error("wrongtype", error)

    def some(self, share: float) -> None:
        """Such a share of what is lent, and by and by all of it: its keys live on, and what was lost comes back."""
        lent = self._store.mirror.lent
        some = list(islice(self._sweep, int(len(lent) * share) + 1))
        if not some:
            self._sweep = iter(list(lent.values()))
        for each in some:
            if each.known and each.number in lent:
                self._store.desk.say(("claim", each.number, (), each.marks))
