"""Values that stand elsewhere: secrets in the environment or in a file, files beside the configuration.
Parsing keeps only where to look; reading happens in check and compile, never while a file is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gateway.config import disk

MAX_SECRET_FILE = 1 << 20


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret stands. `where` is a variable's name, a file's absolute path, or the literal text itself."""

    kind: Literal["env", "file", "literal"]
    where: str = field(repr=False)


def parse_secret(value: object, base: Path) -> Secret:
    """`"env:NAME"`, `"file:PATH"` (relative to the directory `base`), else a literal. The value is never echoed."""
    if not isinstance(value, str) or not value:
        raise ValueError('is not a secret; write "env:NAME" or "file:PATH"')
    kind, colon, where = value.partition(":")
    if kind == "env" and colon:
        if not where or "=" in where or "\0" in where:
            raise ValueError('names no environment variable; write "env:NAME"')
        return Secret("env", where)
    if kind == "file" and colon:
        return Secret("file", str(parse_file(value, base)))
    return Secret("literal", value)


def parse_file(value: object, base: Path) -> Path:
    """`"file:PATH"` as an absolute path; a relative one counts from `base`, the directory of the file that says it."""
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        raise ValueError('files over the network are not available in this version; write "file:PATH"')
    if not isinstance(value, str) or not value.startswith("file:"):
        raise ValueError('is not a file; write "file:PATH"')
    where = value[5:]
    if not where or "\0" in where:
        raise ValueError('names no file; write "file:PATH"')
    return (base / where).absolute()


def read_secret(secret: Secret, environ: Mapping[str, str]) -> str:
    """The secret's text; one line end at the end of a file is not part of it.

    Raises ValueError ("what; remedy") when the variable is unset or empty or the file cannot be read.
    """
    if secret.kind == "literal":
        return secret.where
    if secret.kind == "file":
        return _checked(read_text(Path(secret.where)).removesuffix("\n").removesuffix("\r"), "the file is empty")
    if secret.where not in environ:
        raise ValueError(f"the environment variable {secret.where} is not set; set it before the gateway starts")
    return _checked(environ[secret.where], f"the environment variable {secret.where} is empty")


def _checked(text: str, empty: str) -> str:
    if not text:
        raise ValueError(f"{empty}; put the secret there")
    return text


def read_text(path: Path) -> str:
    """The text of a small file. Raises ValueError ("what; remedy") when it cannot be read as UTF-8 text."""
    try:
        with disk.at(path).open("rb") as file:
            data = file.read(MAX_SECRET_FILE + 1)
    except OSError as error:
        reason = (error.strerror or "unknown error").lower()
        raise ValueError(f"cannot read {path} ({reason}); check the path and who may read it") from None
    if len(data) > MAX_SECRET_FILE:
        raise ValueError(f"{path} is larger than 1MiB; name a key or secret file")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not text; name a text file (PEM or JSON for keys)") from None
