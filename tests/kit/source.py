"""Reads code as a tree, for tests that look at what is written and not at what it does."""

from __future__ import annotations

import ast
import gc
from pathlib import Path


def parsed(file: Path) -> ast.Module:
    """The tree of a file. Nothing is collected meanwhile: garbage of other tests that complains as it goes is shown
    with its own line of code parsed for it, and one `ast.parse` within another is a SystemError (CPython gh-106905)."""
    gc.disable()
    try:
        return ast.parse(file.read_text("utf-8"))
    finally:
        gc.enable()
