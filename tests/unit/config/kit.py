"""Writing configurations for tests: a whole one from few lines, checked as a person's would be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.config.check import check
from gateway.config.load import load
from gateway.config.settings import Config

SECRET = "0123456789abcdef0123456789abcdef"
ENVIRON = {"SECRET": SECRET, "SHORT": "short"}
UPSTREAM = '[upstream.u]\nendpoints = ["http://127.0.0.1:5000"]\n'
JWT = '[jwt.main]\nissuer = "i"\naudience = "a"\nalgorithms = ["HS256"]\nkeys = { secret = "env:SECRET" }\n'
SIGNED = '[policy.signed.jwt]\nprovider = "main"\n'
BASE = UPSTREAM + JWT + SIGNED
ROUTE = '[[route]]\nname = "r"\nmatch = { path = "/r" }\nupstream = "u"\npolicies = ["signed"]\n'


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` said, with the directory of the test taken out of every line."""

    config: Config | None
    problems: list[str]
    notices: list[str]


def checked(folder: Path, text: str, **files: str) -> Checked:
    """Checks `text` as gateway.toml in `folder`; `files` are others beside it, `_` standing for the dot of a name."""
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)
    main = folder / "gateway.toml"
    main.write_text(text)
    config, problems, notices = check(load(main), ENVIRON)
    here = f"{folder}/"
    return Checked(
        config, [str(each).replace(here, "") for each in problems], [each.replace(here, "") for each in notices]
    )


def sound(folder: Path, text: str) -> Config:
    """The configuration, which must have no problem."""
    result = checked(folder, text)
    assert result.problems == []
    assert result.config is not None
    return result.config


def refusal(call: Callable[..., object], *values: object) -> str | None:
    """The text of the ValueError that a call ends in, None when it ends well."""
    try:
        call(*values)
    except ValueError as error:
        return str(error)
    return None
