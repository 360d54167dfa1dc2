"""The policy files as they lie on the shelf: their names, how each says it is attached, what each says to try, and a
configuration in which it is attached just so. Read from the files themselves, so that their comments cannot lie.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
POLICIES = ROOT / "policies"
NAMES = sorted(path.stem for path in POLICIES.glob("*.toml"))

_ATTACH = re.compile(r"^# Attach: +(.+)$", re.MULTILINE)
_TRY = re.compile(
    r"^# Try it:\n#   gateway explain -c FILE\.toml (.+(?:\\\n.+)*)\n# prints, among other things:\n((?:#.*\n?)+)", re.M
)
UPSTREAM = '[upstream.u]\nendpoints = ["http://127.0.0.1:5000"]\n'
SIGNED = """
[jwt.main]
issuer = "i"
audience = "a"
algorithms = ["HS256"]
keys = { secret = "env:SECRET" }
[policy.signed.jwt]
provider = "main"
scopes = ["poll"]
[[policy.signed.rate_limit]]
rate = "1/min"
burst = 1
per = "consumer"
"""


@dataclass(frozen=True, slots=True)
class Trial:
    """A command line a file shows, without `gateway explain -c FILE.toml`, and lines that it prints."""

    command: str
    lines: tuple[str, ...]


@cache
def text(name: str) -> str:
    return (POLICIES / f"{name}.toml").read_text("utf-8")


def attach(name: str) -> str:
    """What the file's head says to write into `match = { .. }` of a route."""
    found = _ATTACH.search(text(name))
    assert found is not None, f'{name}.toml: no line such as `# Attach: path = "/updates"`'
    return found[1]


def trials(name: str) -> list[Trial]:
    return [
        Trial(
            re.sub(r"\\\n#? *", "", command),
            tuple(line.lstrip("#").strip() for line in lines.splitlines()),
        )
        for command, lines in _TRY.findall(text(name))
    ]


def route(name: str, more: str = "", number: int = 0) -> str:
    return f'[[route]]\nname = "r{number}"\nmatch = {{ {attach(name)} }}\nupstream = "u"\npolicies = ["{name}"{more}]\n'


def configured(name: str, signed: bool = False) -> str:
    """A whole configuration with one route for it. `signed`: only for tokens with the scope "poll", once a minute."""
    return UPSTREAM + (SIGNED + route(name, ', "signed"') if signed else route(name))
