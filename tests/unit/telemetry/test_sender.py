"""Who sends to a collector is a resource as any other: an encoder puts all its spans under one."""

from __future__ import annotations

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from gateway.telemetry.otlp import Sender

PLAIN = Resource({"service.name": "gateway", "gateway.worker": 3}, "https://opentelemetry.io/schemas/1.37.0")


def test_a_sender_equals_the_resource_it_was_made_of() -> None:
    sender = Sender(PLAIN)
    assert (sender, hash(sender), sender.to_json()) == (PLAIN, hash(PLAIN), PLAIN.to_json())
    assert sender != Resource({"service.name": "another"})


def test_its_spans_are_encoded_under_one_resource() -> None:
    sender = Sender(PLAIN)
    spans = [ReadableSpan("GET", SpanContext(1, number, False), resource=sender) for number in (1, 2)]
    (encoded,) = encode_spans(spans).resource_spans
    assert [each.key for each in encoded.resource.attributes] == ["service.name", "gateway.worker"]
    assert len(encoded.scope_spans[0].spans) == 2
