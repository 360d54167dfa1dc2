"""Paths as they may be shown: without what a route keeps secret in them, and without tokens that a client put where
nobody looks for one. Every place that shows a path asks here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from gateway.templates import TAIL, capture, parts_of

if TYPE_CHECKING:
    from gateway.plan import Plan

HIDDEN: Final = "***"
# A JWT is three parts, of which the first is an object. It begins where a word does: a search from the middle of each
# word on would take for ever with what a hostile client can write.
TOKEN: Final = re.compile(r"(?:(?<![\w-])|(?<=%[0-9A-Fa-f]{2}))eyJ[\w-]+\.[\w-]+\.[\w-]*")
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9._~-]")  # never escaped in a canonical path
_LONG: Final = 8  # characters of a secret that is looked for within other parts, too


def without_tokens(text: str) -> str:
    """A client that puts its token where nobody looks for one has not given it to whoever reads the log."""
    return TOKEN.sub(HIDDEN, text) if "eyJ" in text else text


def hidden(path: str, plan: Plan | None, params: Mapping[str, str] | None, prefixes: tuple[str, ...] = ()) -> str:
    """A canonical path without secrets. `prefixes` are how paths with a secret in them begin: a path that looks like
    one is cut there, for a typo that no route takes, or another one than was meant, must not show it."""
    if plan is None:
        return without_tokens(cut(path, prefixes))
    if plan.secret_params and params:
        path = _captured(path, plan, params)
    known = beside(plan.path, plan.secret_params, prefixes) if prefixes else ()
    return without_tokens(cut(path, known) if known else path)


def _captured(path: str, plan: Plan, params: Mapping[str, str]) -> str:
    """Without the secret captures, where they stand and wherever else their text turns up."""
    parts = path.split("/")
    places, whole = _places(plan.path, plan.secret_params)
    for at, before, after in places:
        if at < len(parts):
            parts[at] = f"{before}{HIDDEN}{after}"
    if whole:  # the rest of the path is plain text of the template
        return "/".join(parts)
    values = _spelled(plan, params)
    return _replaced("/".join([HIDDEN if part in values else part for part in parts]), values)


def beside_path(text: str, plan: Plan | None, params: Mapping[str, str] | None) -> str:
    """What a client wrote somewhere else in its request, without the secret captures of the path."""
    if plan is None or not plan.secret_params or not params:
        return text
    values = _spelled(plan, params)
    return HIDDEN if text in values else _replaced(text, values)


def _spelled(plan: Plan, params: Mapping[str, str]) -> set[str]:
    """The secret captures as they came, in plain, and with every reserved character escaped."""
    values = {params[name] for name in plan.secret_params if params.get(name)}
    return {text for value in values for text in (value, unquote(value), quote(unquote(value), safe=""))}


def _replaced(text: str, values: Iterable[str]) -> str:
    """The longest first, so that of two of which one begins the other nothing is left."""
    for value in sorted((each for each in values if len(each) >= _LONG), key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text


@lru_cache(maxsize=1024)
def _places(template: str, names: tuple[str, ...]) -> tuple[tuple[tuple[int, str, str], ...], bool]:
    """Which parts of a path are secret with the plain text around each, and whether a client can write nothing else."""
    parts = list(enumerate(parts_of(template), 1))
    found = [(at, each) for at, part in parts if (each := capture(part)) is not None]
    secret = tuple((at, each.before, each.after) for at, each in found if each.name in names)
    return secret, len(secret) == len(found) == len(names) and not template.endswith(f"/{TAIL}")


def cut(path: str, prefixes: Iterable[str]) -> str:
    """A path without what follows the first text of it that looks like one of `prefixes`."""
    looks = (_pattern(prefix).search(path) for prefix in prefixes)
    found = [look.end() for look in looks if look is not None]
    return path[: min(found)] + HIDDEN if found else path


@lru_cache(maxsize=1024)
def _pattern(prefix: str) -> re.Pattern[str]:
    """A prefix in any case, its reserved characters plain or escaped."""
    spelled = (re.escape(char) if _UNRESERVED.match(char) else _either(char) for char in prefix)
    return re.compile("".join(spelled), re.IGNORECASE)


def _either(char: str) -> str:
    return f"(?:{re.escape(char)}|%{ord(char):02X})"


@lru_cache(maxsize=1024)
def beside(template: str, names: tuple[str, ...], prefixes: tuple[str, ...]) -> tuple[str, ...]:
    """Of `prefixes` those by which a secret of another route is known in what this one captures: `/bot` of a
    `/bot{token}/x` under `/**`. One that ends in `/` says nothing about what follows. `names` are its own secrets."""
    plain, _, rest = template.removesuffix(TAIL).partition("{")
    if template == plain or rest.partition("}")[0] in names:
        return ()
    return tuple(each for each in prefixes if each[-1:] != "/" and each.lower().startswith(plain.lower()))
