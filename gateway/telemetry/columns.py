"""The columns of a call that was compacted: the fields of the record (docs/record.md) with their fixed DuckDB types, in
the order of the files. What writes Parquet and what reads it both go by this one table; it imports nothing.
"""

from __future__ import annotations

COLUMNS: dict[str, str] = {
    "v": "SMALLINT",
    "time": "TIMESTAMP",  # UTC, without a zone: DuckDB needs nothing else to count with it
    "id": "VARCHAR",
    "trace": "VARCHAR",
    "route": "VARCHAR",
    "method": "VARCHAR",
    "path": "VARCHAR",
    "status": "SMALLINT",
    "outcome": "VARCHAR",
    "blame": "VARCHAR",
    "level": "VARCHAR",
    "peer": "VARCHAR",
    "took": "DOUBLE",
    "work": "DOUBLE",
    "waited": "DOUBLE",
    "bytes_in": "BIGINT",
    "bytes_out": "BIGINT",
    "attempts": "INTEGER",
    "consumer": "VARCHAR",
    "tenant": "VARCHAR",
    "certificate": "VARCHAR",
    "query": "VARCHAR[]",
    "query_values": "MAP(VARCHAR, VARCHAR)",
    "endpoint": "VARCHAR",
    "first_byte": "DOUBLE",
    "news_latency": "DOUBLE",
    "dialect": "VARCHAR",
    "hold_asked": "DOUBLE",
    "hold_granted": "DOUBLE",
    "clamped_by": "VARCHAR",
    "held": "DOUBLE",
    "cursor": "VARCHAR",
    "note": "VARCHAR",
    "worker": "SMALLINT",
}
"""Absent and null are both NULL. `dialect` is NULL on ordinary calls: it tells polls apart."""

MORE = "more"  # one further column, JSON: fields that this version does not know, NULL where there are none
KIND = "kind"  # stands only in lines that are no calls, such as "start"; those are never compacted
