"""What an explanation must not show: tokens, cookies, header values that come from the environment or a file, and the
places a dialect calls secret. Everything taken from a request or sent to an upstream passes through a Mask.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from gateway.explain import body
from gateway.head import parse_query
from gateway.holds.content import as_text
from gateway.holds.places import compile_place
from gateway.holds.pointer import compile_pointers
from gateway.identity.places import finder, names_of
from gateway.telemetry.paths import HIDDEN, beside, cut

if TYPE_CHECKING:
    from gateway.config.merge import Merged
    from gateway.config.references import Secret
    from gateway.config.settings import Config
    from gateway.head import RequestHead
    from gateway.plan import Plan

_ALWAYS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
_TELLING = re.compile(r"key|token|secret|auth|passw|credential|signature", re.IGNORECASE)
_SHORTEST = 8  # characters of a token worth looking for in every text


@dataclass(frozen=True, slots=True)
class Mask:
    """`fields` are header names in lower case, `args` query names, `params` values of path parameters, `tokens`
    values that are hidden wherever they turn up, `prefixes` how a path begins that is cut there; `places` are those of
    the dialect, such as json:/token."""

    fields: frozenset[str] = _ALWAYS
    args: frozenset[str] = frozenset()
    params: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    places: frozenset[str] = frozenset()

    def text(self, text: str) -> str:
        """A text without any known token, and without what could steer a terminal."""
        for token in self.tokens:
            text = text.replace(token, HIDDEN)
        return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)

    def target(self, target: str) -> str:
        """A request target without secret path parameters and query values."""
        path, mark, query = target.partition("?")
        for value in self.params:
            path = path.replace(value, HIDDEN)
        path = cut(path, self.prefixes)
        return self.text(path + mark + "&".join(map(self._arg, query.split("&"))))

    def _arg(self, part: str) -> str:
        name = parse_query(part)[0][0] if part.strip("=") else ""
        return f"{part.partition('=')[0]}={HIDDEN}" if name in self.args else part

    def field(self, line: str) -> str:
        """A header line; of an Authorization the scheme stays."""
        name, _, value = line.partition(": ")
        if name.lower() not in self.fields:
            return self.text(line)
        scheme, space, _ = value.partition(" ") if name.lower().endswith("authorization") else ("", "", "")
        return f"{name}: {scheme} {HIDDEN}" if space else f"{name}: {HIDDEN}"

    def value(self, place: str, text: str) -> str:
        """What a request has at a place such as `query:x`."""
        kind, _, name = place.partition(":")
        secret = place in self.places or kind == "cookie" or (kind == "query" and name in self.args)
        secret |= kind in ("header", "header-item") and name.partition("/")[0].lower() in self.fields
        return HIDDEN if secret else self.text(text)

    def body(self, raw: bytes, head: RequestHead) -> str | None:
        """The body of a request, None where it cannot be shown."""
        fields, pointers = names_of("form", self.places), names_of("json", self.places)
        text = body.shown(raw, head, frozenset(fields), pointers)
        return "\n".join(map(self.text, text.splitlines())) if text is not None else None

    def for_route(
        self, merged: Merged, plan: Plan, params: Mapping[str, str] | None, prefixes: tuple[str, ...]
    ) -> Mask:
        """The mask with what this route sets and keeps secret."""
        places = [str(place) for place in merged.hold.secret] if merged.hold is not None else []
        rules = [merged.upstream.headers.set, *(rule.request.set for rule in merged.headers)]
        fields = {name.lower() for values in rules for name, value in values.items() if is_secret(name, value)}
        fields |= {name.lower() for name in names_of("header", places)}
        found = tuple(value for name, value in (params or {}).items() if name in plan.secret_params and value)
        args = self.args | set(names_of("query", places))
        tokens = _longest_first({*self.tokens, *found, *map(unquote, found)})
        known = beside(plan.path, plan.secret_params, prefixes)
        hidden = {*places, *(f"path:{name}" for name in plan.secret_params)}
        return Mask(self.fields | fields, args, _longest_first(found, 1), tokens, known, frozenset(hidden))

    def for_no_route(self, config: Config, prefixes: tuple[str, ...]) -> Mask:
        """The mask with what any route keeps secret in a query or a path: a slip must not show it."""
        bags = (*config.policies.values(), *config.routes)
        places = [str(place) for bag in bags if bag.hold is not None for place in bag.hold.secret]
        return replace(self, args=self.args | set(names_of("query", places)), prefixes=prefixes)

    def seen(self, head: RequestHead) -> Mask:
        """The mask with what the request has at the secret places, which may turn up elsewhere."""
        found = (text for place in self.places for text in _texts_at(place, head))
        return replace(self, tokens=_longest_first({*self.tokens, *found}))


def _texts_at(place: str, head: RequestHead) -> Iterable[str]:
    kind, _, name = place.partition(":")
    if kind == "json":
        document = head.content.document if head.content is not None else None
        found = [as_text(each) for each in compile_pointers(name, place)(document)]
    else:
        found = [compile_place(place)(head)] if kind != "path" else []
    return [text for text in found if text]


def is_secret(name: str, value: Secret) -> bool:
    """Whether a header value that a rule sets is to be hidden: one that stands elsewhere, or is called like one."""
    return value.kind != "literal" or _TELLING.search(name) is not None


def mask_for(config: Config, head: RequestHead | None) -> Mask:
    """What is secret whatever the route: every place where a provider looks for its tokens."""
    places = {str(place) for table in config.jwt.values() for place in table.from_}
    found = {token for place in places if not place.startswith("path:") for token in _at(place, head)}
    return Mask(
        _ALWAYS | {name.lower() for name in names_of("header", places)},
        frozenset(names_of("query", places)),
        (),
        _longest_first(found),
    )


def _longest_first(values: Iterable[str], shortest: int = _SHORTEST) -> tuple[str, ...]:
    """So that of two of which one begins the other nothing is left."""
    return tuple(sorted((each for each in values if len(each) >= shortest), key=len, reverse=True))


def _at(place: str, head: RequestHead | None) -> tuple[str, ...]:
    return finder(place)(head, None) if head is not None else ()
