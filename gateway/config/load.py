"""From a path to raw tables: reads the main file, what it includes and the shipped policies its routes use. Nothing
is judged here but TOML itself, and no secret is read.
"""

from __future__ import annotations

import glob
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.config import disk
from gateway.config.problems import Problem

_POSITION = re.compile(r"^(.*) \((?:at (line \d+, column \d+)|at (end of document))\)$", re.DOTALL)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_MAX_FILE = disk.MOST


@dataclass(frozen=True, slots=True)
class Source:
    """One file as read: how it is named to a person, the directory its paths count from, its tables."""

    file: str
    base: Path
    data: dict[str, Any]
    role: str  # "main", "include" or "shipped"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was read for one configuration, the main file first."""

    path: Path
    sources: tuple[Source, ...]
    problems: list[Problem] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def shipped_dir() -> Path:
    """Where the policies that come with the gateway are: inside the package, or beside it in a source tree."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "shipped_policies"
    return inside if inside.is_dir() else package.parent / "policies"


def load(path: Path) -> Loaded:
    """Reads a configuration. Broken TOML is a problem in the result.

    Raises OSError when the main file cannot be read.
    """
    problems: list[Problem] = []
    notices: list[str] = []
    text = _read(path)
    main = _parse(text, str(path), path.absolute().parent, "main", problems)
    if main is None:
        return Loaded(path, (), problems, notices)
    sources = [main, *_includes(main, problems, notices)]
    return Loaded(path, (*sources, *_shipped(sources, problems, notices)), problems, notices)


def _read(path: Path) -> bytes:
    with disk.at(path).open("rb") as file:
        return file.read(_MAX_FILE + 1)


def _parse(data: bytes, file: str, base: Path, role: str, problems: list[Problem]) -> Source | None:
    try:
        if len(data) > _MAX_FILE:
            raise ValueError("is larger than 8MiB; name a configuration file")
        return Source(file, base, tomllib.loads(data.decode("utf-8-sig")), role)
    except UnicodeDecodeError:
        problems.append(Problem(file, "", "is not UTF-8 text", "save it as UTF-8"))
    except tomllib.TOMLDecodeError as error:
        match = _POSITION.match(str(error))
        what, where = (match[1], match[2] or match[3]) if match else (str(error), "")
        what = what.encode("unicode_escape").decode()
        problems.append(Problem(file, where, f"is not valid TOML: {what[:1].lower()}{what[1:]}", "see https://toml.io"))
    except RecursionError:
        problems.append(Problem(file, "", "nests too deep", "write it flatter"))
    except ValueError as error:  # a number with thousands of digits, a file too large
        what, _, remedy = str(error).partition("; ")
        problems.append(Problem(file, "", what, remedy))
    return None


def _includes(main: Source, problems: list[Problem], notices: list[str]) -> Iterator[Source]:
    patterns = main.data.get("include", [])
    seen = {
        os.path.realpath(disk.around(main.base / Path(main.file).name))
    }  # unlike Path.resolve, not afraid of links in a circle
    for number, pattern in enumerate(patterns if isinstance(patterns, list) else []):
        if not isinstance(pattern, str):
            continue  # the schema says so
        found = sorted(Path(each) for each in _glob(main.base, pattern))
        if not found and not glob.has_magic(pattern):
            problems.append(Problem(main.file, f"include[{number}]", f"there is no file {pattern}", "check the path"))
        elif not found:
            notices.append(f"{main.file}: include[{number}]: no file matches {pattern}")
        for relative in found:
            if (absolute := os.path.realpath(disk.around(main.base / relative))) not in seen:
                seen.add(absolute)
                yield from _included(main, relative, number, problems)


def _glob(base: Path, pattern: str) -> list[str]:
    try:
        return disk.matching(base, pattern)
    except (ValueError, re.error):  # a zero byte, an unfinished set
        return []


def _included(main: Source, relative: Path, number: int, problems: list[Problem]) -> Iterator[Source]:
    absolute = main.base / relative
    name = str(Path(main.file).parent / relative)
    try:
        data = _read(absolute)
    except OSError as error:
        reason = (error.strerror or "unknown error").lower()
        problems.append(
            Problem(main.file, f"include[{number}]", f"cannot read {relative} ({reason})", "check the file")
        )
        return
    source = _parse(data, name, absolute.parent, "include", problems)
    if source is not None:
        yield source


def _used(sources: list[Source]) -> list[str]:
    """The names of policies that routes use, each once."""
    names: dict[str, None] = {}
    for source in sources:
        routes = source.data.get("route")
        for route in routes if isinstance(routes, list) else []:
            policies = route.get("policies") if isinstance(route, dict) else None
            for name in policies if isinstance(policies, list) else []:
                if isinstance(name, str) and _PLAIN_NAME.fullmatch(name):
                    names[name] = None
    return list(names)


def own_policies(sources: list[Source]) -> dict[str, str]:
    """The policies a person wrote, with the file of each."""
    own: dict[str, str] = {}
    for source in sources:
        policies = source.data.get("policy")
        for name in policies if isinstance(policies, dict) else {}:
            own.setdefault(name, source.file)
    return own


def _shipped(sources: list[Source], problems: list[Problem], notices: list[str]) -> Iterator[Source]:
    own = own_policies(sources)
    for name in _used(sources):
        path = shipped_dir() / f"{name}.toml"
        if not path.is_file():
            continue
        if name in own:
            notices.append(f"{own[name]}: policy.{name}: replaces the shipped policy of that name")
            continue
        source = _parse(path.read_bytes(), f"shipped {name}.toml", path.parent, "shipped", problems)
        if source is not None:
            yield source
