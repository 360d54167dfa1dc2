"""`[telemetry]`: where traces and metrics are sent, and which share of the traces is kept. Without `otlp` nothing is
sent and nothing is paid for it; `/metrics` is there either way.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PlainValidator, WithJsonSchema

from gateway.config.fields import CollectorUrl, Flag, HeaderValue, RuleHeader, Text
from gateway.config.schema.base import Table


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError("is not a share; write a number from 0 (none) to 1 (all), such as 0.1")
    return float(value)


Share = Annotated[float, PlainValidator(_share), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1})]


class Sample(Table):
    """Which share of the calls leaves a trace, by the class of their ending (docs/traces.md)."""

    news: Share = 0.1
    empty: Share = 0.001
    error: Share = 1.0


class Telemetry(Table):
    """`[telemetry]`. `otlp` is the collector's address, to which `/v1/traces` and its like are added, and `headers` go
    along. `trust_incoming` adopts the trace of a caller; `consumer_label` makes the consumer a label of metrics."""

    service_name: Text = "longpoll-gateway"
    otlp: CollectorUrl | None = Field(default=None, examples=["http://127.0.0.1:4318"])
    headers: dict[RuleHeader, HeaderValue] = Field(default_factory=dict)
    sample: Sample = Field(default_factory=Sample)
    trust_incoming: Flag = False
    consumer_label: Flag = False
