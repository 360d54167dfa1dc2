"""The record of a call as a value: its fields in the order of their line (docs/record.md). What does not apply to a
call is UNSET, and stands nowhere. As a dictionary it took 23,500 of the 69,400 instructions of a wake to make and to
encode, as a Struct 14,500, and the collector of garbage has nothing to look at.
"""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType
from msgspec.json import Encoder

ENCODER = Encoder(enc_hook=str)  # what it does not know it writes as text


class Record(Struct, gc=False):
    """Times in seconds, sizes in bytes."""

    v: int
    time: str
    id: str
    trace: str
    route: str | None
    method: str
    path: str
    status: int | None
    outcome: str
    blame: str
    level: str
    peer: str | None
    took: float
    work: float
    bytes_in: int
    bytes_out: int
    attempts: int
    consumer: str | UnsetType = UNSET
    tenant: str | UnsetType | None = UNSET
    certificate: str | UnsetType = UNSET
    query: list[str] | UnsetType = UNSET
    query_values: dict[str, str] | UnsetType = UNSET
    endpoint: str | UnsetType = UNSET
    first_byte: float | UnsetType = UNSET
    dialect: str | UnsetType = UNSET
    hold_asked: float | UnsetType | None = UNSET
    hold_granted: float | UnsetType | None = UNSET
    clamped_by: str | UnsetType | None = UNSET
    held: float | UnsetType = UNSET
    news_latency: float | UnsetType = UNSET
    cursor: str | UnsetType = UNSET
    waited: float | UnsetType = UNSET
    note: str | UnsetType = UNSET
    worker: int | UnsetType = UNSET
