"""Which of the calls that are held somebody means: the words of a filter and what they match. Shared by the page that
lists and the one that ends, so that what is listed is what would be ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import PlainValidator, ValidationError

from gateway.admin.live import HELD, READ
from gateway.config.fields import Duration, Flag
from gateway.config.problems import ConfigError, Problem
from gateway.config.schema.base import Table
from gateway.config.translate import translate

if TYPE_CHECKING:
    from gateway.call import Call

EXACT = ("route", "consumer", "tenant", "endpoint", "peer", "id", "state", "poll")
SEARCHED = ("id", "route", "consumer", "tenant", "peer", "path")


def _word(value: object) -> object:
    if value == "":
        raise ValueError("is empty; write a value, or leave it out")
    if value is None or isinstance(value, str):
        return value
    raise ValueError("is no text; write text in quotes")


Word = Annotated[str | None, PlainValidator(_word)]


class Choice(Table):
    """Which calls: those for which all that is given is true. `q` is a text in one of SEARCHED, in any case."""

    route: Word = None
    consumer: Word = None
    tenant: Word = None
    endpoint: Word = None
    peer: Word = None
    id: Word = None
    state: Literal["waiting", "parked"] | None = None
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
    """Whether a call is meant; `now` is loop seconds. Only what was asked for is looked at."""
    exact = [(READ[name], value) for name in EXACT if (value := getattr(chosen, name)) is not None]
    begun = now - chosen.older_than if chosen.older_than is not None else None
    text = chosen.q.casefold() if chosen.q is not None else None

    def is_meant(call: Call) -> bool:
        return (
            call.state in HELD
            and all(read(call) == value for read, value in exact)
            and (begun is None or call.started < begun)
            and (text is None or text in _text(call))
        )

    return is_meant


def _text(call: Call) -> str:
    return "\n".join([str(READ[name](call) or "") for name in SEARCHED]).casefold()
