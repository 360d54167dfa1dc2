"""The filter of `--where`: parsed here into SQL that holds names of fields and signs of ours, and a parameter for every
value. Whatever is not in this grammar is refused; nothing of the text itself becomes SQL.

    filter      = and { "or" and }
    and         = not { "and" not }
    not         = "not" not | "(" filter ")" | comparison
    comparison  = field ( sign value | ["not"] "contains" value | ["not"] "in" "(" value { "," value } ")"
                        | "is" ["not"] "null" )
    sign        = "=" | "!=" | "<" | "<=" | ">" | ">=" | "~" | "!~"

Two values, no third: a comparison with a field that is absent is false, and its `not` is true.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.problems import did_you_mean
from gateway.past.kinds import EXAMPLES, Value, kind_of, known_words, read_value
from gateway.past.tokens import Token, WhereError, tokens
from gateway.telemetry.columns import COLUMNS

MAX_DEPTH = 50  # of brackets and "not"
MAX_VALUES = 1000

_ORDER = {"<": "<", "<=": "<=", ">": ">", ">=": ">="}
_EQUAL = {"=": "=", "==": "=", "!=": "IS DISTINCT FROM", "<>": "IS DISTINCT FROM"}
_ORDERED = ("number", "seconds", "bytes", "time")
_KEYWORDS = frozenset({"and", "or", "not", "in", "is", "null", "contains"})


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition with its parameters in their order, and the patterns that only the database can check."""

    sql: str = "true"
    values: tuple[Value, ...] = ()
    patterns: tuple[Token, ...] = ()
    expression: str = ""


def parse(expression: str) -> Filter:
    """The filter that an expression says. Raises WhereError."""
    return _Parser(expression).whole()


@dataclass(frozen=True, slots=True)
class _Field:
    """A field that was named: its SQL, which may hold a parameter of its own, and what it holds."""

    name: str
    column: str
    kind: str
    sql: str


class _Parser:
    """Recursive descent; each method eats what it is named after and returns SQL."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._tokens = list(tokens(expression))
        self._at = 0
        self._depth = 0
        self._values: list[Value] = []
        self._patterns: list[Token] = []

    def whole(self) -> Filter:
        if self._now.kind == "end":
            raise self._error('is empty; write such as held > 20 and outcome = "client_gone"')
        sql = self._any()
        if self._now.kind != "end":
            raise self._error('here a filter could end; write "and" or "or" before what follows')
        return Filter(sql, tuple(self._values), tuple(self._patterns), self._expression)

    @property
    def _now(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._now
        self._at += token.kind != "end"
        return token

    def _eat(self, *words: str) -> bool:
        """Eats the next token if it is one of these keywords or signs."""
        token = self._now
        found = token.keyword in words or (token.kind == "sign" and token.text in words)
        self._at += found
        return found

    def _error(self, message: str, token: Token | None = None) -> WhereError:
        return WhereError(message, self._expression, (token or self._now).position)

    def _any(self) -> str:
        parts = [self._all()]
        while self._eat("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"

    def _all(self) -> str:
        parts = [self._one()]
        while self._eat("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else f"({' AND '.join(parts)})"

    def _one(self) -> str:
        if self._depth >= MAX_DEPTH:
            raise self._error(f"is more than {MAX_DEPTH} deep; write it flatter")
        self._depth += 1
        try:
            if self._eat("not"):
                # An absent field makes a comparison unknown: here, and so for `not`, that is no.
                return f"NOT coalesce({self._one()}, false)"
            if self._eat("("):
                sql = self._any()
                if not self._eat(")"):
                    raise self._error('a bracket is not closed; write ")"')
                return sql
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> str:
        field = self._field()
        sign = self._now
        if sign.kind == "sign" and sign.text in _EQUAL:
            self._next()
            return f"{self._comparable(field, sign)} {_EQUAL[sign.text]} {self._value(field)}"
        if sign.kind == "sign" and sign.text in _ORDER:
            self._next()
            return f"{self._ordered(field, sign)} {_ORDER[sign.text]} {self._value(field)}"
        if self._eat("~", "!~"):
            return self._pattern(field, sign)
        return self._worded(field)

    def _worded(self, field: _Field) -> str:
        """What is said in words: is null, in, contains."""
        if self._eat("is"):
            negated = self._eat("not")
            if not self._eat("null"):
                raise self._error('after "is" comes null or not null; for values write = or !=')
            return f"{field.sql} IS {'NOT ' * negated}NULL"
        sign = self._now
        negated = self._eat("not")
        if self._eat("in"):
            return self._among(field, sign, negated)
        if self._eat("contains"):
            return f"NOT coalesce({self._contains(field, sign)}, false)" if negated else self._contains(field, sign)
        raise self._error(f"{field.name} wants a comparison; write one of = != < <= > >= ~ !~ in contains is")

    def _field(self) -> _Field:
        token = self._next()
        name, dot, key = token.text.partition(".")
        if token.kind != "word" or token.keyword in _KEYWORDS:
            raise self._error("here the name of a field is wanted; write such as held > 20", token)
        if name not in COLUMNS:
            raise self._error(f"there is no field {name!r}; {did_you_mean(name, COLUMNS)}", token)
        kind = kind_of(name)
        if not dot:
            return _Field(token.text, name, kind, f'"{name}"')
        if kind == "map" and not key and self._now.kind == "text":
            key = self._next().text
        if kind != "map" or not key:
            raise self._error(f"{name} has no parts; write {name} alone", token)
        as_map = COLUMNS[name].upper().startswith("MAP")
        self._values.append(key if as_map else "/" + key.replace("~", "~0").replace("/", "~1"))
        return _Field(token.text, name, "text", f'"{name}"[?]' if as_map else f'json_extract_string("{name}", ?)')

    def _comparable(self, field: _Field, sign: Token) -> str:
        if field.kind == "list":
            raise self._error(f'{field.name} is a list; write {field.name} contains "x"', sign)
        if field.kind == "map":
            raise self._error(f'{field.name} has values by name; write {field.name}.NAME = "x"', sign)
        return field.sql

    def _ordered(self, field: _Field, sign: Token) -> str:
        self._comparable(field, sign)
        if field.kind not in _ORDERED:
            raise self._error(f"{field.name} is text; write one of = != ~ !~ in contains", sign)
        return field.sql

    def _among(self, field: _Field, sign: Token, negated: bool) -> str:
        sql = self._comparable(field, sign)
        if not self._eat("("):
            raise self._error(f"values stand in brackets; write {field.name} in (a, b)")
        marks = [self._value(field)]
        while self._eat(","):
            marks.append(self._value(field))
            if len(marks) > MAX_VALUES:
                raise self._error(f"has more than {MAX_VALUES} values; write fewer")
        if not self._eat(")"):
            raise self._error('a list is not closed; write "," or ")"')
        among = f"{sql} IN ({', '.join(marks)})"
        return f"NOT coalesce({among}, false)" if negated else among

    def _contains(self, field: _Field, sign: Token) -> str:
        if field.kind == "list":
            self._values.append(self._text(field).text)
            return f"list_contains({field.sql}, ?)"
        self._textual(field, sign)
        self._values.append(self._text(field).text)
        return f"contains({field.sql}, ?)"

    def _pattern(self, field: _Field, sign: Token) -> str:
        self._textual(field, sign)
        token = self._text(field)
        self._patterns.append(token)
        self._values.append(token.text)
        found = f"regexp_matches({field.sql}, ?)"
        return found if sign.text == "~" else f"NOT coalesce({found}, false)"

    def _textual(self, field: _Field, sign: Token) -> None:
        self._comparable(field, sign)
        if field.kind != "text":
            raise self._error(f"{field.name} is not text; write one of = != < <= > >= in", sign)

    def _text(self, field: _Field) -> Token:
        token = self._next()
        if token.kind not in ("text", "word"):
            raise self._error(f'{field.name} wants a text; write it in quotes, such as "x"', token)
        return token

    def _value(self, field: _Field) -> str:
        """Eats a value and leaves a mark for it."""
        token = self._next()
        if token.keyword == "null":
            raise self._error(f"null equals nothing; write {field.name} is null", token)
        if token.kind not in ("text", "word") or token.keyword in _KEYWORDS:
            raise self._error(f"{field.name} wants a value; write such as {EXAMPLES[field.kind]}", token)
        words = known_words(field.column)
        if words and token.text not in words:
            raise self._error(f"{field.name} is never {token.text!r}; {did_you_mean(token.text, words)}", token)
        try:
            self._values.append(read_value(field.kind, token.text))
        except ValueError:
            raise self._error(self._unreadable(field, token), token) from None
        return f"CAST(? AS {COLUMNS[field.column]})" if field.kind == "time" else "?"

    def _unreadable(self, field: _Field, token: Token) -> str:
        what = {"number": "a number", "seconds": "a number of seconds", "bytes": "a number of bytes", "time": "a time"}
        return f"{token.text[:60]!r} is not {what[field.kind]}; write such as {EXAMPLES[field.kind]}"
