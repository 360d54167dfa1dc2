"""`redis://`: the state of many nodes, in a Redis server. Each decision is asked for there, and waited for no longer
than its time; where the server cannot be asked this process decides by itself, and when it is back all that is lent is
made known to it again. What this process knows of it is in its mirror.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Literal

import orjson

from gateway.sparing import Sparing
from gateway.state.breaker import Breaker
from gateway.state.bucket import Level
from gateway.state.condition import Condition
from gateway.state.mirror import Lent, Mirror
from gateway.state.redis_asked import RedisAsked
from gateway.state.redis_desk import Desk, Pending
from gateway.state.redis_errors import kind_of, sentence, standing
from gateway.state.redis_evictions import Evictions
from gateway.state.redis_node import Node
from gateway.state.redis_terms import Terms
from gateway.state.redis_tickets import Tickets
from gateway.state.redis_words import Mark, Names, can_end
from gateway.state.store import Capped, Metered, Place, Tokens

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.state.redis_session import Where

logger = logging.getLogger("gateway")

OnFailure = Literal["local", "closed", "open"]


class RedisStore:
    """A `Store`. `await start()`, then `await close()`. Raises ValueError from `start`, with a sentence for the
    operator, where `on_failure` is "closed" and the server cannot be asked. `name`: of this start of the process."""

    orders = True

    def __init__(self, where: Where, prefix: str, on_failure: OnFailure, wall: Callable[[], float],
                 terms: Terms | None = None, name: str = "") -> None:  # fmt: skip
        loop = self.loop = asyncio.get_running_loop()
        terms = terms or Terms()
        self.on_failure: OnFailure = on_failure
        self.mirror = Mirror(self._back)
        self.names = Names()
        self.breaker = Breaker(terms.rest)
        self.condition = Condition(str(where.url), wall())
        self.desk = Desk(loop, prefix, self)
        self.tickets = Tickets(self.desk.say)
        self.evictions = Evictions(loop, self.mirror, self.desk, terms.confirm)
        self._freed: Callable[[str, str], None] = lambda limit, key: None
        self._where = where
        self._wall = wall
        self._trouble = ""  # of what kind it is now
        self._tells = on_failure != "closed"  # or whoever starts it is told, and nobody else
        self._tell = Sparing[str](loop, self._say)
        self._node = Node(self, where, prefix, terms, name)
        self.gone = self._node.ended  # of another process of this machine, as its supervisor says

    async def start(self) -> None:
        try:
            await self._node.start()
        except ValueError:
            if self.on_failure == "closed":
                await self.close()
                raise
        self._tells = True

    async def close(self) -> None:
        await self._node.close()

    # -- what routes ask -----------------------------------------------------------------------------------------

    def prepare(self, rates: Sequence[Metered], caps: Sequence[Capped]) -> RedisAsked:
        return RedisAsked(self, rates, caps)

    def parts(self) -> int:
        return self.condition.parts

    def marks(self, places: Sequence[Place], call: Call) -> list[Mark]:
        """What the server calls these places. Who polls matters where one may be ended for another."""
        names, ends = self.names, can_end(call)
        return [
            (
                names[place.limit, place.key],
                names[place.limit, place.key, place.who] if ends or place.evict else "",
                place.line,
            )
            for place in places
        ]

    def number(self, call: Call) -> int:
        """Under which the call asks: as before, if it waits."""
        return self.tickets.number(call) or self.mirror.number()

    # -- answers -------------------------------------------------------------------------------------------------

    def answered(self, pending: Pending, answer: Sequence[Any]) -> None:
        kind = answer[0]
        if pending.late:
            self._too_late(pending, answer)
        elif kind == -1:
            self.evictions.halfway(pending)
            self.unanswered(pending)
        elif kind == 1:
            self.condition.decisions["asked"] += 1
            if pending.places:
                self.tickets.served(pending)
            if answer[2]:
                self.evictions.granted(pending, answer[1], answer[2])
            else:
                pending.asked.granted(pending, answer[1], self.loop.time())
        else:
            self.condition.decisions["asked"] += 1
            if kind == 2 and answer[3]:
                self.tickets.queued(pending, answer[1] - 1)
            pending.asked.denied(pending, answer, self.loop.time())

    def _too_late(self, pending: Pending, answer: Sequence[Any]) -> None:
        if answer[0] == 1:
            self.evictions.in_vain(pending, answer[2] or ())
            self.tickets.too_late(pending, True, 0)
        elif answer[0] == 2 and answer[3]:
            self.tickets.too_late(pending, False, answer[1] - 1)

    def unanswered(self, pending: Pending) -> None:
        pending.answer.set_result(pending.asked.decide(pending.call, self.loop.time(), pending.yields))

    def slow(self) -> None:
        self.condition.slow += 1
        self.trouble("slow")

    def error(self, kind: str, text: str) -> None:
        """A wrong key is the trouble of those who are counted there; all else is everybody's."""
        if kind in ("wrongtype", "noscript"):
            self.condition.errors[kind] += 1
            if kind == "wrongtype":
                self._tell(sentence(self._where, kind))
        else:
            self.trouble(kind, text)

    # -- how it stands -------------------------------------------------------------------------------------------

    def trouble(self, kind: str, error: BaseException | str = "") -> None:
        """The server cannot be asked now."""
        self.condition.errors[kind] += 1
        self.breaker.failed(self.loop.time())
        self._node.stir(kind)
        if kind != self._trouble:
            self._trouble = kind
            self.condition.turn(False, self._wall(), sentence(self._where, kind, error))
            if self._tells:
                self._tell("")

    def lost(self, error: BaseException) -> None:
        """There is no connection any more, or none could be made."""
        self.evictions.all_go_on()
        self.trouble(kind_of(error), error)

    def back(self) -> None:
        """The server is asked again; whoever waits here asks whether it is his turn."""
        if not self.breaker.answered():
            return
        self.condition.turn(True, self._wall())
        if self._trouble:
            self._trouble = ""
            self._tell("")
        self.poke()

    def _say(self, wrong: str, times: int) -> None:
        """What is wrong with some keys; or else how the server is by now."""
        fine = not wrong and self.condition.answers
        text = wrong or standing(self.condition, self.on_failure)
        logger.log(logging.INFO if fine else logging.WARNING, "%s%s", text, f" ({times} times)" if times > 1 else "")

    def poke(self) -> None:
        for limit, key in {ticket.key for ticket in self.tickets.all()}:
            self._freed(limit, key)

    # -- what others say -----------------------------------------------------------------------------------------

    def heard(self, text: bytes) -> None:
        try:
            word = orjson.loads(text)
            if word["name"] == "turn":
                self._turn(word["number"])
            else:
                self.evictions.heard(word)
        except (ValueError, TypeError, KeyError, AttributeError):
            self.error("garbage", "")

    def _turn(self, number: int) -> None:
        key = self.tickets.key(number)
        if key is not None:
            self._freed(*key)

    # -- the rest of a store -------------------------------------------------------------------------------------

    def _back(self, lent: Lent) -> None:
        if lent.known:
            self.desk.say(("release", lent.number, lent.marks))

    def leaves(self, call: Call) -> None:
        self.tickets.leaves(call)

    def give_back(self, demand: Tokens, now: float) -> None:
        self.mirror.memory.give_back(demand, now)
        name = self.names[demand.limit, demand.key]
        self.desk.say(("refund", name, demand.rate.interval, demand.rate.burst))

    def level(self, demand: Tokens, now: float) -> Level:
        return self.mirror.memory.level(demand, now)

    def evicted(self, demand: Place, who: str, now: float) -> None:
        """Who loses a place there is noted in the same step."""
        self.desk.say(("bar", self.names[demand.limit, demand.key, who], demand.grace))

    def held(self, limit: str, key: str) -> int:
        return self.mirror.memory.held(limit, key)

    def holds(self, demand: Place, call: Call) -> bool:
        return self.mirror.memory.holds(demand, call)

    def retain(self, limits: Collection[str]) -> None:
        self.mirror.memory.retain(limits)

    def keys(self, limit: str) -> int:
        return self.mirror.memory.keys(limit)

    def newest(self, limit: str, most: int) -> Sequence[str]:
        return self.mirror.memory.newest(limit, most)

    def watch(self, freed: Callable[[str, str], None], ends: Callable[[Call, str], None]) -> None:
        self._freed = freed
        self.evictions.ends = ends
        self.mirror.memory.watch(freed)
