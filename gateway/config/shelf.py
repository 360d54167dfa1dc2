"""The policies that come with the gateway, as a list for people: what each is for, and whether a configuration has one
of its own under that name.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from gateway.config.load import load, own_policies, shipped_dir


def shelf(config: Path | None) -> str:
    """One line for each shipped policy. `config` is asked which of them it replaces.

    Raises OSError when it cannot be read.
    """
    own = _own(config) if config is not None else {}
    found = {path.stem: _about(path) for path in sorted(shipped_dir().glob("*.toml"))}
    width = max(map(len, found), default=0)
    return "\n".join(f"{name:<{width}}  {_line(name, about, own)}" for name, about in found.items())


def _own(config: Path) -> dict[str, str]:
    """The policies that the configuration has itself, beside those of ours that it uses."""
    return own_policies([source for source in load(config).sources if source.role != "shipped"])


def policy_text(name: str) -> str:
    """The file of a shipped policy, to read or to copy. Raises ValueError for a name that is none."""
    paths = {path.stem: path for path in shipped_dir().glob("*.toml")}
    if name not in paths:
        close = difflib.get_close_matches(name, paths, n=1)
        hint = f"did you mean {close[0]}?" if close else "'gateway policies' lists them"
        raise ValueError(f"no policy {name!r} is shipped; {hint}")
    return paths[name].read_text("utf-8").rstrip("\n")


def _line(name: str, about: str, own: Mapping[str, str]) -> str:
    return f"{about} [replaced by yours in {own[name]}]" if name in own else about


def _about(path: Path) -> str:
    """The first line of a policy's file says what it is for, behind its name."""
    with path.open(encoding="utf-8") as file:
        first = file.readline()
    return first.lstrip("# ").removeprefix(f"{path.stem}:").strip()
