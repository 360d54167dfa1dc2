"""What a Redis server says of itself that an operator should know before it matters."""

from __future__ import annotations

import hiredis

from gateway.state.redis_session import Session
from gateway.state.redis_words import packed


async def advice(session: Session) -> str:
    """A sentence, or nothing: all is well, or its user may not ask."""
    try:
        told = await session.ask(packed("INFO", "memory"))
    except hiredis.ReplyError:
        return ""
    text = getattr(told, "decode", lambda: str(told))()
    found = dict(line.strip().split(":", 1) for line in text.splitlines() if ":" in line)
    policy = found.get("maxmemory_policy", "noeviction")
    if found.get("maxmemory", "0") == "0" or policy == "noeviction":
        return ""
    return f"it may throw away what is lent (maxmemory-policy {policy}); set maxmemory-policy noeviction there"
