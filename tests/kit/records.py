"""The record of a call as whoever reads the log has it."""

from __future__ import annotations

import json
from typing import Any

from gateway.call import Call
from gateway.plan import Snapshot
from gateway.telemetry.fields import ENCODER
from gateway.telemetry.record import build


def record_of(call: Call, wall: float, now: float, snapshot: Snapshot) -> dict[str, Any]:
    """Read again from its line."""
    found: dict[str, Any] = json.loads(ENCODER.encode(build(call, wall, now, snapshot)))
    return found
