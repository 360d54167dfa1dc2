"""What a rule sees and what it gives: the View of a configuration, a Problem that stops it, a Notice that does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from gateway.config.merge import DEFAULT, Merged
from gateway.config.problems import Problem, problem
from gateway.config.settings import Config, Origin


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person should know that stops nothing; it prints like a Problem."""

    said: Problem

    def __str__(self) -> str:
        return str(self.said)


Finding: TypeAlias = Problem | Notice
Findings: TypeAlias = Iterator[Finding]


@dataclass(frozen=True, slots=True)
class View:
    """A configuration as the rules see it.

    `known` has every name written, by table, also of pieces too broken to be in `config`. `merged` has the routes
    whose policies and upstream are all sound. `environ` is where `env:` secrets stand.
    """

    config: Config
    known: dict[str, set[str]]
    merged: tuple[Merged, ...]
    environ: Mapping[str, str]

    def at(self, table: str, name: str, key: str, text: str) -> Problem:
        """A problem with a key of one named piece; `text` is "what; remedy"."""
        origin = self.config.origins[table, name]
        return problem(origin.file, f"{origin.key}{_joined(key)}", text)

    def main(self, key: str, text: str) -> Problem:
        """A problem with a key of the main file."""
        return problem(str(self.config.path), key, text)

    def of(self, merged: Merged, key: str, text: str) -> Problem:
        """A problem with a merged value, at the place it was written; a default counts to the kind's first table. What
        was shipped is put right on the route, whose table is merged over it."""
        writer = merged.writers.get(key, DEFAULT)
        if writer == DEFAULT:
            kind = key.partition(".")[0]
            written = (name for name in merged.route.policies if getattr(self.config.policies[name], kind))
            giver = next(written, None)
            writer = ("policy", giver) if giver is not None else ("route", merged.route.name)
        if self.config.origins[writer].shipped:
            writer = ("route", merged.route.name)
        return self.at(*writer, key, text)

    def origin(self, table: str, name: str) -> Origin:
        return self.config.origins[table, name]


def _joined(key: str) -> str:
    return f".{key}" if key and not key.startswith("[") else key
