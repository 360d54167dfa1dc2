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
_UPSTREAM = re.compile(r"^# Upstream: +(.+)$", re.MULTILINE)
_TRY = re.compile(
    r"^# Try it:\n#   gateway explain -c FILE\.toml ((?:.*\\\n)*.*)\n# prints, among other things:\n((?:#   .*\n?)+)",
    re.MULTILINE,
)
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


def upstream(name: str) -> str:
    """The upstream, with what the file's head says to write there. It is called as the policy is."""
    more = "\n".join(_UPSTREAM.findall(text(name)))
    return f'[upstream.{name}]\nendpoints = ["http://127.0.0.1:5000"]\n{more}\n'


def trials(name: str) -> list[Trial]:
    return [
        Trial(
            re.sub(r"\\\n#? *", "", command),
            tuple(line.lstrip("#").strip() for line in lines.splitlines()),
        )
        for command, lines in _TRY.findall(text(name))
    ]


def route(name: str, more: str = "", host: str = "") -> str:
    return (
        f'[[route]]\nname = "{name}"\nmatch = {{ {host}{attach(name)} }}\nupstream = "{name}"\n'
        f'policies = ["{name}"{more}]\n'
    )


def configured(name: str, signed: bool = False, more: str = "") -> str:
    """A whole configuration with one route for it, on which `more` is written. `signed`: only for tokens with the scope
    "poll", once a minute."""
    return upstream(name) + (SIGNED + route(name, ', "signed"') if signed else route(name)) + more


def everything() -> str:
    """One route a policy, each at a host of its own."""
    return "".join(upstream(name) + route(name, host=f'host = "{name}.example", ') for name in NAMES)
