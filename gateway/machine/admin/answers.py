"""How a machine answers for its workers: as one process would, and if some are missing, with which."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from gateway.admin.exchange import answer
from gateway.machine.admin.asking import Asked, named


def of_those(asked: Asked, found: Mapping[str, object], status: int = 200) -> web.Response:
    """What those who answered come to; where nobody did there is nothing to tell."""
    if not asked.told:
        return answer({"error": "no worker answers; see /api/workers", **named(asked.missing)}, 503)
    return answer({**found, **named(asked.missing)}, status)
