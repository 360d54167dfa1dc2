"""From raw tables to one Config: every file is validated, and what is wrong is cut out piece by piece, so that the
rest can still be checked against each other and a person sees all problems in one go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from gateway.config.load import Loaded, Source
from gateway.config.problems import Problem, key_path
from gateway.config.schema import Document, Part, Policy, Route
from gateway.config.settings import Config, Origin
from gateway.config.translate import translate

_NAMED = ("jwt", "upstream", "policy")
_ONLY_MAIN = frozenset(Document.model_fields) - frozenset(Part.model_fields)


@dataclass(slots=True)
class Draft:
    """What could be understood. `known` holds every name that was written, by table, also of broken pieces: a
    reference to one of those is not a second problem."""

    config: Config
    known: dict[str, set[str]]
    problems: list[Problem] = field(default_factory=list)


@dataclass(slots=True)
class _Gathered:
    main: Document = field(default_factory=Document)
    named: dict[str, dict[str, Any]] = field(default_factory=lambda: {table: {} for table in _NAMED})
    known: dict[str, set[str]] = field(default_factory=lambda: {table: set() for table in (*_NAMED, "route")})
    routes: dict[str, Route] = field(default_factory=dict)
    origins: dict[tuple[str, str], Origin] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def assemble(loaded: Loaded) -> Draft:
    """Validates every source and joins what is valid. Never raises for anything a person may have written."""
    gathered = _Gathered()
    for source in loaded.sources:
        _add(gathered, source)
    return Draft(_config(loaded, gathered), gathered.known, gathered.problems)


def _config(loaded: Loaded, gathered: _Gathered) -> Config:
    main = gathered.main
    return Config(
        path=loaded.path,
        server=main.server,
        admin=main.admin,
        state=main.state,
        log=main.log,
        telemetry=main.telemetry,
        jwt=gathered.named["jwt"],
        upstreams=gathered.named["upstream"],
        policies=gathered.named["policy"],
        routes=tuple(gathered.routes.values()),
        origins=gathered.origins,
    )


def _add(gathered: _Gathered, source: Source) -> None:
    data = dict(source.data)
    model: type[Part] = Document if source.role == "main" else Part
    if source.role != "main":
        for key in sorted(_ONLY_MAIN & data.keys()):
            del data[key]
            what = Problem(source.file, key, "may only stand in the main file", "move it there")
            gathered.problems.append(what)
    part, kept, problems = _validate(source, model, data)
    gathered.problems += problems
    if isinstance(part, Document):
        gathered.main = part
    for table in _NAMED:
        written = data.get(table)
        gathered.known[table].update(_tables(written))
        _add_named(gathered, source, table, getattr(part, table))
    written = data.get("route")
    gathered.known["route"].update(_names(written if isinstance(written, list) else []))
    for number, route in zip(kept, part.route, strict=True):
        _add_one(
            gathered, gathered.routes, ("route", route.name), route, Origin(source.file, f"route[{number}]", False)
        )


def _tables(written: object) -> Iterable[str]:
    """The names of a table of tables; none when keys stand where names belong."""
    if not isinstance(written, dict) or any(not isinstance(each, (dict, list)) for each in written.values()):
        return ()
    return written


def _names(routes: Iterable[object]) -> Iterable[str]:
    return (str(route["name"]) for route in routes if isinstance(route, dict) and "name" in route)


def _add_named(gathered: _Gathered, source: Source, table: str, pieces: dict[str, Any]) -> None:
    shipped = source.role == "shipped"
    for name, piece in pieces.items():
        at = Origin(source.file, key_path((table, name)), shipped)
        _add_one(gathered, gathered.named[table], (table, name), piece, at)


def _add_one(gathered: _Gathered, table: dict[str, Any], key: tuple[str, str], piece: Any, at: Origin) -> None:
    """The first piece of a name counts; a second one is a problem that names both places."""
    first = gathered.origins.setdefault(key, at)
    if first is at:
        table[key[1]] = piece
        return
    where = first.key if first.file == at.file else f"{first.key} of {first.file}"
    what = f"the name '{key[1]}' is taken by {where}"
    path = f"{at.key}.name" if isinstance(piece, Route) else at.key
    gathered.problems.append(Problem(at.file, path, what, "write another name"))


def _validate(source: Source, model: type[Part], data: dict[str, Any]) -> tuple[Part, list[int], list[Problem]]:
    """The valid part of a file, the numbers of its valid routes, and what is wrong with the rest."""
    context = {"base": source.base}
    routes = data.get("route")
    kept = list(range(len(routes))) if isinstance(routes, list) else []
    try:
        return model.model_validate(data, context=context), kept, []
    except ValidationError as error:
        problems = translate(error, model, source.file)
        places = [each["loc"] for each in error.errors(include_url=False, include_input=False)]
    sound, kept = _without(data, places, kept)
    return model.model_validate(sound, context=context), kept, problems


def _without(
    data: dict[str, Any], places: Iterable[tuple[Any, ...]], kept: list[int]
) -> tuple[dict[str, Any], list[int]]:
    """The tables without those that hold one of `places`; of a table that comes once only the key is taken out."""
    sound = {key: dict(value) if isinstance(value, dict) else value for key, value in data.items()}
    for place in places:
        if place[0] == "route" and len(place) > 1:
            kept = [number for number in kept if number != place[1]]
        elif (place[0] in _NAMED and len(place) > 1) or (isinstance(sound.get(place[0]), dict) and len(place) > 1):
            sound[place[0]].pop(place[1], None)
        else:
            sound.pop(place[0], None)
    if "route" in sound:
        sound["route"] = [data["route"][number] for number in kept]
    return sound, kept if "route" in sound else []


def policies_of(config: Config, route: Route) -> list[tuple[str, Policy]]:
    """The policies of a route that exist, in the order they are named."""
    return [(name, config.policies[name]) for name in route.policies if name in config.policies]
