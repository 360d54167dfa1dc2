"""A Dockerfile as data, and the part of it that can be done without Docker: its context and the commands of its stages.
Reads the plain subset that ours is written in.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Step:
    """One instruction: `COPY`, what follows it, and that as a list where it is written as one (the exec form)."""

    word: str
    text: str

    @property
    def flags(self) -> list[str]:
        return [one for one in self.text.split() if one.startswith("--")]

    @property
    def words(self) -> list[str]:
        return [one for one in self.text.split() if not one.startswith("--")]

    @property
    def exec_form(self) -> list[str] | None:
        found = re.search(r"\[.*\]$", self.text)
        return json.loads(found[0]) if found else None


@dataclass
class Stage:
    """What stands between two FROM lines. `name` is what AS says."""

    name: str
    steps: list[Step] = field(default_factory=list)

    def all(self, word: str) -> list[Step]:
        return [step for step in self.steps if step.word == word]

    def one(self, word: str) -> Step:
        (step,) = self.all(word)
        return step


def read_stages(path: Path) -> list[Stage]:
    """The stages of a Dockerfile, with comments gone and continued lines joined."""
    lines = [line for line in path.read_text("utf-8").splitlines() if line.strip() and not line.startswith("#")]
    stages: list[Stage] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, text = line.strip().partition(" ")
        if word == "FROM":
            stages.append(Stage(text.partition(" AS ")[2]))
        elif stages:
            stages[-1].steps.append(Step(word, text.strip()))
    return stages


def ignored(path: str, rules: list[str]) -> bool:
    """Whether a .dockerignore leaves `path` out of the context: the last rule that names it or a parent decides."""
    parts = PurePosixPath(path).parts
    parents = ["/".join(parts[: length + 1]) for length in range(len(parts))]
    verdict = False
    for rule in rules:
        if any(_matches(parent, rule.removeprefix("!")) for parent in parents):
            verdict = not rule.startswith("!")
    return verdict


def _matches(path: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch.fnmatchcase(path.rpartition("/")[2], pattern[3:])
    parts, patterns = path.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatch.fnmatchcase, parts, patterns))


def read_rules(path: Path) -> list[str]:
    return [line for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#")]


def build(tree: Path, stage: Stage, root: Path, edit: Callable[[str], str] = str) -> subprocess.CompletedProcess[str]:
    """Does the COPY and RUN steps of a stage with `root` in the place of `/`; returns the last command that ran.

    `edit` may change a command before it is run.
    """
    rules = read_rules(tree / ".dockerignore")
    where = root / stage.one("WORKDIR").text.lstrip("/")
    where.mkdir(parents=True)
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.CompletedProcess[str]([], 0)
    for step in stage.steps:
        if step.word == "COPY":
            *sources, target = step.words
            for source in sources:
                _copy(tree, source, where / target / (source if target == "./" else ""), rules)
        elif step.word == "RUN":
            done = subprocess.run(
                ["/bin/sh", "-ec", edit(within(step.text, root))], cwd=where, env={"PATH": path, "HOME": str(root)},
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                break
    return done


def _copy(tree: Path, source: str, target: Path, rules: list[str]) -> None:
    """One source of a COPY, without what is ignored."""
    files = sorted((tree / source).rglob("*")) if (tree / source).is_dir() else [tree / source]
    for file in files:
        if file.is_file() and not ignored(file.relative_to(tree).as_posix(), rules):
            to = target / file.relative_to(tree / source) if file != tree / source else target
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, to)


def within(text: str, root: Path) -> str:
    """The text with every absolute path below `root`."""
    return re.sub(r"(?<![\w./*-])/(?=\w)", f"{root}/", text)
