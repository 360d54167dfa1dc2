"""How this gateway was built: from sources, or with its hot modules compiled (deploy/compile.py)."""

from __future__ import annotations

from gateway import __version__, pipeline

COMPILED = not (pipeline.__file__ or "").endswith(".py")
VERSION = f"{__version__} (compiled)" if COMPILED else __version__
