"""The effective settings of a route, each as it would be written in TOML and with the place it was written. Values
that are secrets are named, never read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.config.durations import format_duration, format_size
from gateway.config.merge import DEFAULT
from gateway.config.references import Secret
from gateway.config.schema import RateLimit, Table
from gateway.explain.model import Setting
from gateway.explain.secrets import is_secret
from gateway.explain.words import rate_text
from gateway.telemetry.paths import HIDDEN

if TYPE_CHECKING:
    from gateway.config.merge import Merged

_NUMBERS = ("hold.jitter.ratio",)  # every other float is a time
_KINDS = ("hold", "jwt", "cors", "websocket", "sse", "retry")


def settings_of(merged: Merged, every: bool) -> tuple[Setting, ...]:
    """What holds for the route, in the order of its tables; defaults only with `every`."""
    found = (
        Setting(key, text, merged.origins[key])
        for key, text in _values(merged)
        if every or merged.writers[key] != DEFAULT
    )
    return tuple(found)


def _values(merged: Merged) -> Iterator[tuple[str, str]]:
    for kind in _KINDS:
        table = getattr(merged, kind)
        if table is not None:
            yield from _walk(kind, table, merged)
    for number, allowed in enumerate(merged.allow_lists):
        yield f"allow_list[{number}]", written(allowed.addresses)
    for number, rules in enumerate(merged.headers):
        yield f"headers[{number}]", written(rules)
    for kind in ("rate_limit", "hold_cap", "concurrency_cap"):
        for number, (_, limit) in enumerate(getattr(merged, f"{kind}s")):
            yield f"{kind}[{number}]", written(limit)
    for key in ("body_size.max", "connect_timeout", "response_timeout", "body_idle_timeout"):
        value = merged.max_body if key == "body_size.max" else getattr(merged, key)
        if key in merged.origins and value is not None:
            yield key, f'"{format_size(value)}"' if key == "body_size.max" else written(value)


def _walk(path: str, table: Table, merged: Merged) -> Iterator[tuple[str, str]]:
    for name, info in type(table).model_fields.items():
        key, value = f"{path}.{info.alias or name}", getattr(table, name)
        if isinstance(value, Table):
            yield from _walk(key, value, merged)
        elif key in merged.origins:
            yield key, f"{value:g}" if key in _NUMBERS else _hold_text(key, value)


def _hold_text(key: str, value: object) -> str:
    return '"none"' if value is None and key == "hold.absent" else written(value)


def written(value: object) -> str:
    """A value as a person would write it, on one line."""
    if value is None:
        return "-"
    if isinstance(value, Table):
        fields = type(value).model_fields
        shown = {fields[name].alias or name: getattr(value, name) for name in fields if name in value.model_fields_set}
        if isinstance(value, RateLimit) and value.rate is not None:
            shown["rate"] = rate_text(value.rate)
        return _table(shown)
    if isinstance(value, Mapping):
        return _table(value)
    if isinstance(value, (tuple, list, frozenset)):
        return "[" + ", ".join(written(item) for item in value) + "]"
    if isinstance(value, float):
        return f'"{format_duration(value)}"'
    if isinstance(value, (bool, int)):
        return json.dumps(value)
    return json.dumps(str(value), ensure_ascii=False)


def _table(values: Mapping[str, Any]) -> str:
    parts = [f"{name} = {_secret(name, value) if isinstance(value, Secret) else written(value)}"
             for name, value in values.items()]  # fmt: skip
    return "{ " + ", ".join(parts) + " }" if parts else "{}"


def _secret(name: str, secret: Secret) -> str:
    """Where a secret stands; a plain text only where it is none."""
    if secret.kind == "env":
        return f'"env:{secret.where}"'
    if secret.kind == "file":
        return f'"file:{Path(secret.where).name}"'
    return f'"{HIDDEN}"' if is_secret(name, secret) else json.dumps(secret.where)
