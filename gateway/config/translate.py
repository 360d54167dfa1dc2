"""pydantic's findings in plain words. A finding is a type and a place; this says what a person would, with the
example or default the schema holds for that place as the remedy.
"""

from __future__ import annotations

import difflib
import json
import re
import types
from collections.abc import Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from gateway.config.problems import Problem, did_you_mean, key_path, problem

_TOP = frozenset(("server", "admin", "state", "log"))
_SHAPES = {
    "string": "text in quotes",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "tuple": "a list in [ ]",
    "list": "a list in [ ]",
    "dict": "a table",
    "model": "a table",
}


def translate(error: ValidationError, model: type[BaseModel], file: str) -> list[Problem]:
    """Every finding of `error`, raised by validating the content of `file` against `model`."""
    found = error.errors(include_url=False)
    places = {each["loc"] for each in found}
    shown = [each for each in found if each["type"] != "too_short" or not _has_below(each["loc"], places)]
    return [_translate(each, model, file) for each in shown]


def _has_below(loc: tuple[Any, ...], places: set[tuple[Any, ...]]) -> bool:
    return any(len(other) > len(loc) and other[: len(loc)] == loc for other in places)


def _translate(found: Any, model: type[BaseModel], file: str) -> Problem:
    kind, loc, context = found["type"], found["loc"], found.get("ctx", {})
    in_key = loc[-1:] == ("[key]",)
    path = key_path(loc[:-1] if in_key else loc)
    if kind == "value_error":
        return problem(file, path, str(context["error"]))
    if kind == "later":
        return Problem(file, path, "not available in this version", "remove it")
    if kind == "extra_forbidden":
        return Problem(file, path, "unknown key", did_you_mean(str(loc[-1]), _keys(model, loc[:-1])))
    if kind == "literal_error":
        prefix = "is not a key here" if in_key else "is none of the values it can have"
        return Problem(file, path, prefix, _choice(found["input"], context["expected"]))
    if kind == "missing":
        return Problem(file, path, "is missing", _example(model, loc))
    if kind == "too_short":
        return Problem(file, path, "is empty", _example(model, loc))
    return _wrong_value(kind, context, Problem(file, path, "", ""), _sample(model, loc))


def _choice(given: object, expected: str) -> str:
    """The value that was probably meant, or all there are. Only a known value is ever shown."""
    known: dict[str, str] = {each.lower(): each for each in re.findall("'([^']*)'", expected)}
    close = difflib.get_close_matches(given[:100].lower(), known, n=1, cutoff=0.7) if isinstance(given, str) else []
    return f'did you mean "{known[close[0]]}"?' if close else "write " + expected.replace("'", '"')


def _wrong_value(kind: str, context: dict[str, Any], at: Problem, sample: str) -> Problem:
    if kind in ("greater_than_equal", "less_than_equal"):
        word, bound = ("least", context["ge"]) if kind.startswith("greater") else ("most", context["le"])
        return Problem(at.file, at.key_path, f"must be at {word} {bound}", f"write {bound}")
    shape = _SHAPES.get(kind.partition("_")[0])
    if shape is None:
        return Problem(at.file, at.key_path, "is not a value it can have", "see the example file")
    return Problem(at.file, at.key_path, "is of the wrong kind", f"write {_head(at.key_path, shape) or shape + sample}")


def _head(path: str, shape: str) -> str:
    """The line that begins a table at the top of a file; "" for tables that stand in a line."""
    if path == "route":
        return "[[route]]"
    outer, _, name = path.partition(".")
    named = outer in ("jwt", "upstream", "policy")
    top = bool(name) and "." not in name and "[" not in name if named else not name and outer in _TOP
    return f"[{path}]" if top and shape == "a table" else ""


def _bare(annotation: Any) -> Any:
    """An annotation without Annotated and without its `| None`."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        return _bare(next(each for each in get_args(annotation) if each is not type(None)))
    return annotation


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {info.alias or name: info for name, info in model.model_fields.items()}


def _find(model: type[BaseModel], loc: tuple[Any, ...]) -> tuple[Any, FieldInfo | None]:
    """The annotation at a place, and the field it belongs to if the place is one."""
    annotation: Any = model
    info: FieldInfo | None = None
    for part in loc:
        annotation = _bare(annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            info = _fields(annotation).get(str(part))
            annotation = info.annotation if info is not None else None
        else:
            info = None
            items = get_args(annotation)
            annotation = (items[1] if get_origin(annotation) is dict else items[0]) if items else None
    return _bare(annotation), info


def _keys(model: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    """The keys a person may write in the table at a place; those of later versions are not offered."""
    table, _ = _find(model, loc)
    if not (isinstance(table, type) and issubclass(table, BaseModel)):
        return []
    return [name for name, info in _fields(table).items() if _bare(info.annotation) is not type(None)]


def _example(model: type[BaseModel], loc: tuple[Any, ...]) -> str:
    shown = _shown(model, loc)
    return f"write {shown}" if shown else "write a value"


def _sample(model: type[BaseModel], loc: tuple[Any, ...]) -> str:
    shown = _shown(model, loc)
    return f", such as {shown}" if shown else ""


def _shown(model: type[BaseModel], loc: Sequence[Any]) -> str:
    """The example the schema holds for a key, as a person would write it; "" if it has none."""
    _, info = _find(model, tuple(loc))
    examples = info.examples if info is not None else None
    return f"{loc[-1]} = {as_toml(examples[0])}" if examples else ""


def as_toml(value: object) -> str:
    """A value as TOML on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {as_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)
