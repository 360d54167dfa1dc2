"""Which of the calls that are held somebody means: the words of a filter and what they match. Shared by the page that
lists and the one that ends, so that what is listed is what would be ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import PlainValidator, ValidationError

from gateway.admin.live import READ, Value
from gateway.config.fields import Duration, Flag
from gateway.config.problems import ConfigError, Problem
from gateway.config.schema.base import Table
from gateway.config.translate import translate

if TYPE_CHECKING:
    from gateway.call import Call

EXACT = ("route", "consumer", "tenant", "endpoint", "peer", "id", "state", "poll")


def _word(value: object) -> object:
    if value == "":
        raise ValueError("is empty; write a value, or leave it out")
    if value is None or isinstance(value, str):
        return value
    raise ValueError("is no text; write text in quotes")


Word = Annotated[str | None, PlainValidator(_word)]


class Choice(Table):
    """Which calls: those for which all that is given is true. `q` is a text, see `_searched`."""

    route: Word = None
    consumer: Word = None
    tenant: Word = None
    endpoint: Word = None
    peer: Word = None
    id: Word = None
    state: Literal["waiting", "parked", "relaying", "tunnelling"] | None = None
    poll: Flag | None = None
    older_than: Duration | None = None
    q: Word = None


PICKY = frozenset(Choice.model_fields)
Read = TypeVar("Read", bound=Choice)


def read(model: type[Read], given: Mapping[str, object], where: str) -> tuple[Read, list[Problem]]:
    """What somebody wrote, and what is empty in it. Raises ConfigError with every problem when there are others."""
    empty = [Problem(where, key, "is empty", "write a value, or leave it out") for key in given if given[key] is None]
    try:
        return model.model_validate(given), empty
    except ValidationError as error:
        raise ConfigError([*empty, *translate(error, model, where)]) from None


def matcher(chosen: Choice, now: float) -> Callable[[Call], bool]:
    """Whether a call that is held is meant; `now` is loop seconds. Only what was asked for is looked at."""
    tests = [*_exactly(chosen)]
    if chosen.older_than is not None:
        begun = now - chosen.older_than
        tests.append(lambda call: call.started < begun)
    if chosen.q is not None:
        text = chosen.q.casefold()
        tests.append(lambda call: text in _searched(call))
    return lambda call: all(test(call) for test in tests) if tests else True


def _exactly(chosen: Choice) -> Iterator[Callable[[Call], bool]]:
    for name in EXACT:
        if (value := getattr(chosen, name)) is not None:
            yield partial(_is, READ[name], value)


def _is(read: Callable[[Call], Value], value: Value, call: Call) -> bool:
    return read(call) == value


def _searched(call: Call) -> str:
    """What `q` is looked for in: id, route, consumer, tenant, peer and path, in no case."""
    route = call.plan.route if call.plan is not None else ""
    who = f"{call.identity.consumer}\n{call.identity.tenant or ''}" if call.identity is not None else ""
    return f"{call.id}\n{route}\n{who}\n{call.peer}\n{READ['path'](call)}".casefold()
