"""Small texts with rules of their own: names, header names and values, methods, hosts, path templates, places in
a request. Pure parsers; every error is a ValueError whose text is "what is wrong; what to write instead".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from gateway.config.durations import quoted
from gateway.config.references import Secret, parse_secret
from gateway.policies.headers import UNTOUCHABLE
from gateway.templates import TAIL, capture, parts_of

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")  # RFC 9110 5.6.2
_VALUE = re.compile(r"[\t\x20-\x7e]*")  # RFC 9110 5.5, without obs-text
_POINTER = re.compile(r"(/[^\s()]*)?")  # RFC 6901
_HOST = re.compile(r"(\*\.)?(\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9_.-]{0,251}[a-z0-9])?)")
_SEGMENT = re.compile(r"[A-Za-z0-9._~!$&'()*+,=:@-]+")  # RFC 3986 3.3, less ";" and escapes
_CAPTURE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a request a value stands: `where` is "header", "cookie", "query", "path", "form", or "json" with a
    pointer (RFC 6901) for a name."""

    where: str
    name: str

    def __str__(self) -> str:
        return f"{self.where}:{self.name}"


def parse_name(value: object) -> str:
    """A name of a route, policy, provider or upstream: a bounded label that is safe in logs and metrics."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError("is not a name; write letters, digits, '_', '-' and '.', at most 64")
    return value


def parse_per(value: object) -> str:
    """Who counts as one under a limit: `"consumer"`, `"tenant"`, `"route"`, `"address"`, `"claim:NAME"` or
    `"header:NAME"`."""
    if isinstance(value, str):
        kind, _, name = value.partition(":")
        if value in ("consumer", "tenant", "route", "address") or (kind == "claim" and name):
            return value
        if kind == "header" and _TOKEN.fullmatch(name):
            return value
    raise ValueError(
        'names nobody to count; write "consumer", "tenant", "route", "address", "claim:NAME" or "header:NAME"'
    )


def parse_token(value: object) -> str:
    """A header name (RFC 9110 5.1)."""
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise ValueError('is not a header name; write one such as "X-Example"')
    return value


def parse_header_name(value: object) -> str:
    """A header name that a rule may set or remove."""
    name = parse_token(value)
    if name.lower() in UNTOUCHABLE:
        raise ValueError(f'the gateway itself decides "{name}"; remove it')
    return name


def parse_literal(value: object) -> str:
    """A header's value as it stands (RFC 9110 5.5: no control characters, no spaces around it)."""
    if not isinstance(value, str):
        raise ValueError("is not a header value; write text in quotes")
    if not _VALUE.fullmatch(value) or value != value.strip():
        raise ValueError("holds characters no header may carry; write visible ASCII, without spaces around it")
    return value


def parse_header_value(value: object, base: Path) -> Secret:
    """A header's value: `"env:NAME"` or `"file:PATH"`, else the text itself."""
    text = parse_literal(value)
    return parse_secret(text, base) if text else Secret("literal", "")


def parse_method(value: object) -> str:
    """An HTTP method in upper case (RFC 9110 9.1: methods are case-sensitive)."""
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise ValueError('is not a method; write one such as "GET"')
    if value != value.upper():
        raise ValueError(f'{quoted(value)} is not a method, they are case-sensitive; write "{value.upper()}"')
    if value in ("CONNECT", "TRACE"):
        raise ValueError(f'"{value}" is never forwarded; remove it')
    return value


def parse_host(value: object) -> str:
    """The host a route answers for: lower case, no port; `"*.example.com"` is every name below it."""
    if not isinstance(value, str):
        raise ValueError('is not a host; write text in quotes, such as "api.example.com"')
    host = value.lower()
    if not _HOST.fullmatch(host):
        raise ValueError(f'{quoted(value)} is not a host; write a name without port, such as "api.example.com"')
    return host


def parse_template(value: object) -> str:
    """A path template: `"/a"`, `"/a/{x}"` (one part), `"/a{x}.json"` (within a part), `"/a/**"` (everything below,
    only at the end)."""
    if not isinstance(value, str) or not value.startswith("/"):
        raise ValueError('is not a path; write one that begins with "/", such as "/updates"')
    parts = parts_of(value)
    if "*" in parts:
        raise ValueError('"*" stands for nothing in a path; write "**" at the end for all below, or "{x}" for one part')
    for part in parts[:-1] if parts[-1] in ("", TAIL) else parts:
        _check_part(part)
    names = template_names(value)
    if len(names) != len(set(names)):
        raise ValueError("uses one name for two parts; give each {part} its own name")
    return value


def _check_part(part: str) -> None:
    if "{" not in part and "}" not in part and _is_segment(part):
        return
    if part.count("{") > 1 and part.count("{") == part.count("}"):
        raise ValueError(f'{quoted(part)} has more than one {{x}} in one part; write one, with "/" before the next')
    found = capture(part)
    if found is None or "**" in part or not all(not text or _SEGMENT.fullmatch(text) for text in found[::2]):
        raise ValueError(
            f'{quoted(part)} cannot be a part of a path; write plain text, "{{x}}" for one part, "a{{x}}b" for what is '
            'between, or "**" at the end'
        )
    if not _CAPTURE_NAME.fullmatch(found.name):
        raise ValueError(
            f"{quoted(found.name)} is no name for what a path captures; write letters, digits and '_', at most 32, "
            'such as "{id}"'
        )


def _is_segment(part: str) -> bool:
    return _SEGMENT.fullmatch(part) is not None and part not in (".", "..") and "**" not in part


def template_names(template: str) -> tuple[str, ...]:
    """The names in `{}` of a path template, in order."""
    found = (capture(part) for part in parts_of(template))
    return tuple(each.name for each in found if each is not None)


def parse_place(value: object, allowed: tuple[str, ...]) -> Place:
    """`"header:Authorization"`, `"cookie:token"`, `"query:access_token"`, `"path:token"`, `"form:token"`,
    `"json:/token"`, as far as `allowed`."""
    where, colon, name = value.partition(":") if isinstance(value, str) else ("", "", "")
    named = _POINTER if where == "json" else _TOKEN
    if where not in allowed or not colon or not named.fullmatch(name):
        choices = " or ".join(f'"{each}:{"/POINTER" if each == "json" else "NAME"}"' for each in allowed)
        raise ValueError(f"is not a place in a request; write {choices}")
    return Place(where, name)
